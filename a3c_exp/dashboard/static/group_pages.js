// Sweeps: how far they are, and the command that goes on with them.

import { ask, repeat } from "./api.js";
import { Curves } from "./curves.js";
import { command, date, h, link, plural, progressBar, status, statusBar, statuses } from "./dom.js";

const MOST_CURVES = 18; // runs whose curves are shown at once; a comparison shows those that are chosen

/** A table with these headings; ``numbers`` are the places of those that are numbers. */
export function table(headings, rows, numbers = []) {
  const n = (index) => (numbers.includes(index) ? { class: "n" } : {});
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, headings.map((heading, index) => h("th", { scope: "col", ...n(index) }, heading)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, index) => h(index ? "td" : "th", index ? n(index) : { scope: "row" }, cell)))))));
}

/** What a page says where there is nothing to list. */
export const nothing = (what, page) => h("p", { class: "soft" }, what, h("code", {}, page));

/** Show all sweeps. */
export function showSweeps(view) {
  const place = h("div");
  view.main.append(h("h1", {}, "Sweeps"), place);
  const update = async () => {
    const answer = await ask("sweeps", [], { signal: view.signal, onlyNew: true });
    if (!answer) return;
    const rows = answer.sweeps.map((sweep) => [
      link("sweep", sweep.id, sweep.path), String(sweep.total), sweep.problem || h("div", {}, statuses(sweep.statuses), statusBar(sweep.statuses)), sweep.made ? date(sweep.made) : "",
    ]);
    place.replaceChildren(rows.length ? table(["sweep", "runs", "how they stand", "planned"], rows, [1]) :
      nothing("There is no sweep here. One begins with several values of a key and -m: ", "python -m a3c_exp env=pendulum workers=4,6,12 -m"));
  };
  return repeat(update, 4, view.signal, view.refuse);
}

/** Show one sweep: what is missing and what goes on with it, every run, and their curves. */
export function showSweep(view) {
  const page = new SweepPage(view);
  return repeat(() => page.update(), 3, view.signal, view.refuse);
}

class SweepPage {
  constructor(view) {
    this.view = view;
    this.head = h("div", { class: "head" });
    this.place = h("div");
    this.jobs = h("div");
    view.main.append(this.head, this.place, this.jobs);
  }

  async update() {
    const { id, signal } = this.view;
    const sweep = await ask("sweep", [["id", id]], { signal, onlyNew: true });
    if (sweep) this.draw(sweep);
    await this.curves?.update();
  }

  draw(sweep) {
    document.title = `${sweep.path} · a3c_exp`;
    const report = sweep.report ? h("a", { class: "button", href: `files/${sweep.report}/index.html`, target: "_blank", rel: "noopener" }, "Report") : null;
    const compare = sweep.runs.length > 1 ? link("compare", sweep.runs.slice(0, 40).join("&"), "All charts", { class: "button" }) : null;
    this.head.replaceChildren(
      h("p", { class: "kicker" }, "sweep"), h("h1", {}, sweep.path),
      h("p", { class: "lead" }, plural(sweep.jobs.length, "run"), ": ", statuses(sweep.statuses)), statusBar(sweep.statuses),
      h("p", { class: "buttons" }, link("results", sweep.id, "Means and verdicts", { class: "button" }), compare, report),
      sweep.rest ? h("div", { class: "notices" }, h("p", {}, `${sweep.rest.text}. Go on with them:`), command(sweep.rest.command),
        sweep.rest.queue_command ? h("p", {}, "Which of them wait in Slurm's queue:") : "", sweep.rest.queue_command ? command(sweep.rest.queue_command) : "") : "",
      h("details", {}, h("summary", {}, "Commands"), h("p", {}, "It was started by"), command(sweep.command), h("p", {}, "A page of figures, tables and verdicts"), command(sweep.report_command)));
    const rows = sweep.jobs.map((job) => [
      job.runs.length === 1 ? link("run", job.runs[0], job.folder) : job.runs.length ? link("compare", job.runs.slice(0, 40).join("&"), job.folder) : job.folder,
      status(job.status), progressBar(job.share, job.status), job.evaluation,
    ]);
    this.jobs.replaceChildren(h("section", {}, h("h2", {}, "Runs"), table(["run", "status", "done", "last evaluation"], rows, [3])));
    this.drawCurves(sweep.runs);
  }

  drawCurves(runs) {
    const shown = runs.slice(0, MOST_CURVES);
    if (shown.join() === this.shown) return;
    this.shown = shown.join();
    this.curves = shown.length ? new Curves(shown, this.view.signal, { onlyFirst: true }) : null;
    const rest = runs.length > shown.length ? h("p", { class: "soft" }, `The first ${shown.length} of ${runs.length} runs; the list of runs compares others.`) : "";
    this.place.replaceChildren(...[this.curves?.element, rest].filter(Boolean));
  }
}
