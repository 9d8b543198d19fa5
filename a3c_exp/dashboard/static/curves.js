// All charts of one or several runs, which grow while the runs train.

import { ask } from "./api.js";
import { Chart, swatch } from "./chart.js";
import { h, link, status } from "./dom.js";

export class Curves {
  /** Charts of the runs ``ids``; only those of the first section with ``onlyFirst``. */
  constructor(ids, signal, { onlyFirst = false } = {}) {
    [this.ids, this.signal, this.onlyFirst] = [ids, signal, onlyFirst];
    this.options = { axis: "env_step", smoothing: 0, hidden: new Set() };
    this.charts = new Map(); // by name
    this.legend = h("ul", { class: "legend", "aria-label": "Runs" });
    this.progress = h("p", { class: "soft", hidden: true }, "reading long logs …");
    this.sections = h("div");
    this.element = h("div", { class: "curves" }, this.controls(), this.legend, this.progress, this.sections);
    let width = 0; // heights change whenever something is drawn
    const again = new ResizeObserver(() => {
      if (this.answer && width !== this.sections.clientWidth) this.draw();
      width = this.sections.clientWidth;
    });
    again.observe(this.sections);
    signal.addEventListener("abort", () => again.disconnect(), { once: true });
  }

  controls() {
    const axis = h("select", { onchange: (event) => this.chooseAxis(event.target.value) },
      h("option", { value: "env_step" }, "environment steps"), h("option", { value: "wall_time" }, "time of training"));
    const smoothing = h("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: 0, oninput: (event) => {
      this.options.smoothing = Number(event.target.value);
      this.draw();
    } });
    return h("div", { class: "controls" }, h("label", {}, "over ", axis), h("label", {}, "smoothing ", smoothing));
  }

  async chooseAxis(axis) {
    this.options.axis = axis;
    this.answer = null;
    await this.update();
  }

  /** Ask what is new, and draw it. */
  async update() {
    const query = [...this.ids.map((id) => ["id", id]), ["axis", this.options.axis]];
    const answer = await ask("curves", query, { signal: this.signal, onlyNew: this.answer !== null });
    if (answer === null) return;
    this.answer = answer;
    this.progress.hidden = !answer.more;
    this.draw();
    if (answer.more) await this.update();
  }

  draw() {
    if (!this.answer) return;
    const { runs, charts } = this.answer;
    this.drawLegend(runs);
    const first = charts[0]?.section;
    const shown = this.onlyFirst ? charts.filter((chart) => chart.section === first) : charts;
    const names = shown.map((chart) => chart.name).join();
    if (names !== this.names) this.arrange(shown);
    this.names = names;
    for (const data of shown) this.charts.get(data.name).draw(data, runs, this.options);
    if (!shown.length) this.sections.replaceChildren(h("p", { class: "soft" }, "No numbers yet: the first line of a log comes with the first episode or evaluation."));
  }

  arrange(shown) {
    const sections = new Map();
    for (const data of shown) {
      if (!this.charts.has(data.name)) this.charts.set(data.name, new Chart());
      if (!sections.has(data.section)) sections.set(data.section, []);
      sections.get(data.section).push(this.charts.get(data.name).element);
    }
    this.sections.replaceChildren(...[...sections].map(([title, elements]) =>
      h("section", {}, h("h2", {}, title), h("div", { class: "grid" }, elements))));
  }

  drawLegend(runs) {
    this.legend.hidden = runs.length < 2;
    if (runs.length < 2 || this.legendOf === runs) return;
    this.legendOf = runs;
    this.legend.replaceChildren(...runs.map((run, index) => {
      const box = h("input", { type: "checkbox", "aria-label": `Show ${run.label}`, onchange: (event) => {
        if (event.target.checked) this.options.hidden.delete(index);
        else this.options.hidden.add(index);
        this.draw();
      } });
      box.checked = !this.options.hidden.has(index);
      return h("li", {}, h("label", {}, box, swatch(index)), link("run", run.id, run.label),
        run.status === "finished" ? null : status(run.status));
    }));
  }
}
