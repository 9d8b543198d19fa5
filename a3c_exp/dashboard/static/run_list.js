// The list of runs: conditions as of ``python -m a3c_exp.runs``, sorted, selected for a comparison.

import { ask, repeat } from "./api.js";
import { breakable, count, h, link, plural, status, statuses } from "./dom.js";

const CONSTANT = ["env", "parallelism", "workers"]; // left out where all runs have the same
const TEXTS = ["status", "env", "parallelism", "created"]; // aligned left
const STEP = 120; // rows that are added at a time
const MOST = 40; // runs in one comparison
const selected = new Set(); // stays while other pages are looked at

/** Show the list, and keep it up to date. */
export function showRunList(view) {
  const list = new RunList(view);
  return repeat(() => list.ask(), 4, view.signal, (text) => list.refuse(text));
}

class RunList {
  constructor(view) {
    this.view = view;
    this.conditions = view.query.get("q") ?? "";
    this.columns = view.query.get("columns") ?? "";
    [this.sortKey, this.descending] = [view.query.get("sort") ?? "", view.query.has("down")];
    this.rows = new Map(); // by id: what the server said last
    this.elements = new Map(); // by id: the row on the page
    this.ids = [];
    this.shown = STEP;
    this.reset();
    this.build();
  }

  reset() {
    [this.version, this.order] = [0, ""];
  }

  build() {
    const type = (name, label, hint) =>
      h("input", { name, "aria-label": label, placeholder: hint, value: this[name], autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
    const conditions = type("conditions", "Conditions", "env=pendulum workers>=6 status=finished");
    const columns = type("columns", "Further columns", "gamma,optimizer.lr");
    const apply = () => this.apply(conditions.value.trim(), columns.value.replace(/\s/g, ""));
    const typed = (event) => {
      event.preventDefault();
      apply();
    };
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.summary = h("p", { class: "lead" }, "reading …");
    this.head = h("tr");
    this.body = h("tbody");
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.showMore() });
    this.compareBar = h("div", { class: "compare-bar", hidden: true });
    this.view.main.append(
      h("form", { class: "filter", role: "search", onsubmit: typed },
        h("label", {}, h("span", {}, "Conditions"), conditions),
        h("label", { class: "narrow" }, h("span", {}, "Columns"), columns),
        h("button", { type: "submit" }, "Filter")),
      this.problem, this.summary,
      h("div", { class: "scroll" }, h("table", { class: "runs" }, h("thead", {}, this.head), this.body)),
      this.more, this.compareBar);
    for (const input of [conditions, columns]) input.addEventListener("change", apply);
    this.nearTheEnd = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && !this.more.hidden && this.showMore(), { rootMargin: "600px" });
    this.showSelection();
  }

  apply(conditions, columns) {
    if (conditions === this.conditions && columns === this.columns) return;
    [this.conditions, this.columns, this.shown] = [conditions, columns, STEP];
    this.remember();
    this.reset();
    this.ask().catch((error) => this.refuse(error.message));
  }

  /** Keep what is shown in the address, so that it can be passed on. */
  remember() {
    const kept = { q: this.conditions, columns: this.columns, sort: this.sortKey, down: this.descending ? "1" : "" };
    const text = new URLSearchParams(Object.entries(kept).filter(([, value]) => value)).toString();
    history.replaceState(null, "", `#/runs${text ? `?${text}` : ""}`);
  }

  async ask() {
    const query = { q: this.conditions, columns: this.columns, since: this.version, order: this.order };
    const answer = await ask("runs", query, { signal: this.view.signal });
    if (query.q !== this.conditions || query.columns !== this.columns) return; // something else was typed meanwhile
    this.problem.hidden = true;
    const first = this.version === 0;
    [this.version, this.order] = [answer.version, answer.order];
    for (const row of answer.rows) this.rows.set(row.id, row);
    if (answer.ids) this.ids = answer.ids;
    if (first) this.names = answer.columns;
    if (first || answer.ids || answer.rows.length) this.draw(answer, first);
  }

  refuse(text) {
    this.problem.textContent = text;
    this.problem.hidden = false;
  }

  draw(answer, first) {
    const runs = this.ids.map((id) => this.rows.get(id));
    const indices = this.names.map((_, index) => index);
    const constant = indices.filter((index) =>
      runs.length > 1 && CONSTANT.includes(this.names[index][0]) && runs.every((run) => run.cells[index][0] === runs[0].cells[index][0]));
    const kept = indices.filter((index) => !constant.includes(index)).join();
    if (first || kept !== this.kept) {
      this.kept = kept;
      this.elements.clear();
    }
    this.indices = kept.split(",").map(Number);
    const of = answer.total === runs.length ? "" : ` of ${count(answer.total)}`;
    this.summary.replaceChildren(h("b", {}, `${count(runs.length)}${of} run${answer.total === 1 ? "" : "s"}`), " ", statuses(answer.statuses));
    if (constant.length) this.summary.append(h("span", { class: "soft" }, " all: " + constant.map((index) => `${this.names[index][1]} ${runs[0].cells[index][0]}`).join(", ")));
    if (answer.left_out) this.summary.append(h("span", { class: "soft" }, ` ${plural(answer.left_out, "run")} left out, with links that lead out of the folder`));
    if (!runs.length) this.summary.append(" No run meets these conditions.");
    this.drawHead();
    this.drawRows();
  }

  drawHead() {
    const heading = (key, title) => {
      const sorted = this.sortKey === key ? (this.descending ? "descending" : "ascending") : null;
      const arrow = sorted ? (this.descending ? " ↓" : " ↑") : "";
      return h("th", { scope: "col", class: cellClass(key), "aria-sort": sorted },
        h("button", { type: "button", onclick: () => this.sortBy(key) }, title + arrow));
    };
    this.head.replaceChildren(h("th", { class: "pick" }, h("span", { class: "hidden" }, "Selected")), heading("name", "run"),
      ...this.indices.map((index) => heading(...this.names[index])));
  }

  /** Down first, as the largest is looked for more often; up; and back to the newest first. */
  sortBy(key) {
    if (this.sortKey !== key) [this.sortKey, this.descending] = [key, true];
    else if (this.descending) this.descending = false;
    else this.sortKey = "";
    this.remember();
    this.drawHead();
    this.drawRows();
  }

  sorted() {
    const runs = this.ids.map((id) => this.rows.get(id));
    if (!this.sortKey) return runs;
    const index = this.names.findIndex(([key]) => key === this.sortKey);
    const value = (run) => (this.sortKey === "name" ? run.name : run.cells[index]?.[1]);
    const missing = (one) => one === undefined || one === "–" || one === "-";
    const compare = (a, b) => {
      const [one, other] = [value(a), value(b)];
      if (missing(one) || missing(other)) return missing(one) - missing(other); // last either way
      const way = this.descending ? -1 : 1;
      if (typeof one === "number" && typeof other === "number") return way * (one - other);
      return way * String(one).localeCompare(String(other), "en", { numeric: true });
    };
    return runs.sort(compare);
  }

  drawRows() {
    const runs = this.sorted();
    const rows = [];
    let folder = null;
    for (const run of runs.slice(0, this.shown)) {
      if (!this.sortKey && run.parent !== folder) {
        folder = run.parent;
        if (folder && folder !== ".") rows.push(this.folderRow(run, folder));
      }
      rows.push(this.runRow(run));
    }
    // Rows that stay in place are left alone: putting them back would take the focus from what is in them.
    if (rows.length !== this.body.children.length || rows.some((row, index) => row !== this.body.children[index])) this.body.replaceChildren(...rows);
    this.more.hidden = runs.length <= this.shown;
    this.more.textContent = `${count(runs.length - this.shown)} more`;
    // An observer tells of changes only, and the end may be as near as before: on a tall screen, or as the scrolling went on.
    this.nearTheEnd.disconnect();
    this.nearTheEnd.observe(this.more);
  }

  showMore() {
    this.shown += STEP;
    this.drawRows();
  }

  folderRow(run, folder) {
    const key = `folder ${run.folder}`;
    if (!this.elements.has(key)) {
      const results = link("results", run.folder, "results", { class: "soft", title: "Means over seeds, and verdicts" });
      this.elements.set(key, h("tr", { class: "folder" }, h("th", { colspan: this.indices.length + 2, scope: "rowgroup" }, h("span", {}, breakable(folder)), results)));
    }
    return this.elements.get(key);
  }

  /** A run's row: made once, then only its texts change, so that what is clicked or focused stays. */
  runRow(run) {
    let row = this.elements.get(run.id);
    if (!row) {
      const box = h("input", { type: "checkbox", "aria-label": `Select ${run.name}`, onchange: (event) => this.select(run.id, event.target) });
      box.checked = selected.has(run.id);
      row = h("tr", {}, h("td", { class: "pick" }, box), h("th", { scope: "row", class: "c-name" }, link("run", run.id, run.name)),
        this.indices.map((index) => h("td", { class: cellClass(this.names[index][0]) })));
      this.elements.set(run.id, row);
    }
    if (row.shownRun === run) return row;
    row.shownRun = run;
    this.indices.forEach((index, place) => {
      const cell = row.children[place + 2];
      const text = run.cells[index][0];
      if (this.names[index][0] === "status") cell.replaceChildren(status(run.status, text));
      else cell.textContent = text;
    });
    return row;
  }

  select(id, box) {
    if (box.checked && selected.size >= MOST) box.checked = false;
    else if (box.checked) selected.add(id);
    else selected.delete(id);
    this.showSelection();
  }

  showSelection() {
    this.compareBar.hidden = selected.size === 0;
    const clear = () => {
      selected.clear();
      for (const box of this.body.querySelectorAll("input")) box.checked = false;
      this.showSelection();
    };
    this.compareBar.replaceChildren(
      h("span", {}, `${plural(selected.size, "run")} selected${selected.size >= MOST ? ", the most that one figure shows" : ""}`),
      h("a", { class: "button", href: `#/compare/${[...selected].join("&")}` }, "Compare"),
      h("button", { type: "button", class: "quiet", onclick: clear }, "Clear"));
  }
}

const cellClass = (key) => `c-${key.replace(/\W/g, "-")}${key === "name" || TEXTS.includes(key) ? "" : " n"}`;
