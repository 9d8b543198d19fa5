// Reports that were made, and means and verdicts of runs as they stand now.

import { ask, Refusal, repeat } from "./api.js";
import { date, h, plural, status } from "./dom.js";
import { nothing, table } from "./group_pages.js";

/** Show the pages that ``python -m a3c_exp.report`` has made. */
export function showReports(view) {
  const place = h("div");
  view.main.append(h("h1", {}, "Reports"), place);
  const update = async () => {
    const answer = await ask("reports", [], { signal: view.signal, onlyNew: true });
    if (!answer) return;
    const rows = answer.reports.map((report) => {
      const address = report.id === "." ? "files/index.html" : `files/${report.id}/index.html`;
      return [h("a", { href: address, target: "_blank", rel: "noopener" }, report.title), readable(report.id), date(report.made)];
    });
    place.replaceChildren(rows.length ? table(["report", "folder", "made"], rows) :
      nothing("There is no report here. One is made by ", "python -m a3c_exp.report outputs/<date>/<run or sweep>"));
  };
  return repeat(update, 5, view.signal, view.refuse);
}

/** Show means over seeds and verdicts of all runs in a folder, by the code of the report. */
export async function showResults(view) {
  const place = h("div", {}, h("p", { class: "soft" }, "reading all runs of this folder …"));
  const again = h("button", { type: "button", onclick: () => load(view, place, again) }, "Again, as of now");
  view.main.append(h("p", { class: "kicker" }, "means over seeds, and verdicts"), h("h1", {}, readable(view.id)), h("p", { class: "buttons" }, again), place);
  await load(view, place, again);
}

function readable(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id; // a name that is not UTF-8
  }
}

async function load(view, place, again) {
  again.disabled = true;
  try {
    const answer = await ask("verdicts", [["id", view.id]], { signal: view.signal });
    place.replaceChildren(h("p", { class: "lead" }, `${plural(answer.num_runs, "run")}, as the report would judge them now.`), ...answer.sections.map(section));
  } catch (error) {
    if (view.signal.aborted) return;
    if (error instanceof Refusal) view.refuse(error.message);
    else throw error;
  } finally {
    again.disabled = false;
  }
}

function section({ title, lead, notes, tables }) {
  return h("section", {}, h("h2", {}, title), lead ? h("p", { class: "lead" }, lead) : "",
    notes.length ? h("ul", { class: "notices" }, notes.map((note) => h("li", {}, note))) : "",
    tables.map((one) => reportTable(one, title)));
}

function reportTable({ name, columns, num_texts: texts, rows }, title) {
  const numbers = columns.map((_, index) => index).filter((index) => index >= texts);
  const cell = ({ text, note, status: state }) => h("span", {}, state ? status(state, text) : text, note ? h("small", {}, note) : "");
  return h("div", {}, name === title ? "" : h("h3", {}, name), table(columns, rows.map((row) => row.map(cell)), numbers));
}
