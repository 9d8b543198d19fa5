// One run in full, and several side by side.

import { ask, repeat } from "./api.js";
import { Curves } from "./curves.js";
import { command, h, link, pairs, progressBar, status } from "./dom.js";

/** Show a run: curves, results, videos, configuration; all of it grows while the run trains. */
export function showRun(view) {
  const page = new RunPage(view);
  return repeat(() => page.update(), 2, view.signal, view.refuse);
}

class RunPage {
  constructor(view) {
    this.view = view;
    this.head = h("div", { class: "head" });
    this.curves = new Curves([view.id], view.signal);
    this.details = h("div", { class: "details" });
    view.main.append(this.head, this.curves.element, this.details);
  }

  async update() {
    const run = await ask("run", [["id", this.view.id]], { signal: this.view.signal, onlyNew: true });
    if (run) this.draw(run);
    await this.curves.update();
  }

  draw(run) {
    document.title = `${run.name} · a3c_exp`;
    const share = run.share === null ? "" : ` ${Math.round(100 * run.share)}%`;
    const folder = run.path.slice(0, run.path.length - run.name.length);
    this.head.replaceChildren(
      h("p", { class: "kicker" }, run.path.endsWith(run.name) ? folder : run.path),
      h("h1", {}, run.name),
      h("p", { class: "lead" }, status(run.status, run.status + share), run.reason ? `: ${run.reason}` : ""),
      run.share === null ? "" : progressBar(run.share, "running"),
      h("div", { class: "facts" }, run.results.map(([name, text]) => h("div", {}, h("span", {}, name), h("b", {}, text)))));
    if (run.problems.length) this.head.append(h("ul", { class: "notices" }, run.problems.map((text) => h("li", {}, text))));
    this.drawDetails(run);
  }

  drawDetails(run) {
    const { media: files, report, next_steps: next, config, origin, messages } = run;
    const content = JSON.stringify([files, report, next, config, origin, messages]);
    if (content === this.content) return; // what somebody reads or copies stays
    this.content = content;
    const open = new Set([...this.details.querySelectorAll("details[open]")].map((one) => one.dataset.name));
    const playing = [...this.details.querySelectorAll("video")].some((video) => !video.paused || video.currentTime > 0);
    const media = playing ? this.details.querySelector(".media") : this.media(run.media);
    const fold = (title, ...content) => h("details", { "data-name": title, open: open.has(title) }, h("summary", {}, title), content);
    this.details.replaceChildren(
      ...[media].filter(Boolean),
      h("section", {}, h("h2", {}, "Next"), run.report ? h("p", {}, h("a", { href: `files/${run.report}/index.html`, target: "_blank", rel: "noopener" }, "its report")) : "",
        run.next_steps.map(command)),
      fold("Configuration", pairs(run.config)),
      fold("What made it", pairs(run.origin)),
      run.messages.length ? fold("Messages", h("pre", {}, run.messages.join("\n"))) : "");
  }

  media({ videos, screenshots }) {
    if (!videos.length && !screenshots.length) return null;
    const player = ({ name, address }) => name.endsWith(".gif") ? picture({ name, address }) :
      h("figure", {}, h("video", { src: address, controls: true, preload: "metadata", playsinline: true, "aria-label": name }), h("figcaption", {}, name));
    const picture = ({ name, address }) =>
      h("figure", {}, h("a", { href: address, target: "_blank", rel: "noopener" }, h("img", { src: address, alt: name, loading: "lazy" })), h("figcaption", {}, name));
    return h("section", { class: "media" }, h("h2", {}, "Videos and screenshots"), h("div", { class: "grid" }, videos.map(player), screenshots.map(picture)));
  }
}

/** Show several runs in the same charts, and what differs between them. */
export function showComparison(view) {
  const ids = view.id.split("&").filter(Boolean);
  const query = ids.map((id) => ["id", id]);
  const curves = new Curves(ids, view.signal);
  const tables = h("div");
  view.main.append(h("h1", {}, `${ids.length} runs compared`), curves.element, tables);
  const update = async () => {
    const answer = await ask("compare", query, { signal: view.signal, onlyNew: true });
    if (answer) tables.replaceChildren(...comparison(answer));
    await curves.update();
  };
  return repeat(update, 3, view.signal, view.refuse);
}

function comparison({ labels, ids, differences, results }) {
  const heads = labels.map((label, index) => h("th", { scope: "col", class: "n" }, link("run", ids[index], label)));
  const table = (rows) => h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", {}), heads.map((head) => head.cloneNode(true)))),
    h("tbody", {}, rows.map(([name, ...texts]) => h("tr", {}, h("th", { scope: "row" }, name), texts.map((text) => h("td", { class: "n" }, text)))))));
  const differ = differences.length ? table(differences) : h("p", { class: "soft" }, "Their configurations are the same.");
  return [h("section", {}, h("h2", {}, "Results"), table(results)), h("section", {}, h("h2", {}, "What differs"), differ)];
}
