// One chart: lines of one or several runs over environment steps or time, with the numbers under the pointer.

import { compact, duration, h, precise, s } from "./dom.js";
import { extent, linear, nearest, smooth, timeTicks, upward } from "./scales.js";

const HEIGHT = 208;
const MARGIN = { left: 50, right: 12, top: 10, bottom: 26 };
const COLORS = 6; // then the same again, dashed
const MOST_BANDS = 3; // runs whose intervals are shaded; more only cover each other
const MOST_NAMED = 10; // runs under the pointer
const FEW = 30; // points that are marked one by one

/** The classes of a run's line: its color and its dashes. */
export const lineClass = (index) => `line l${index % COLORS} d${Math.floor(index / COLORS) % 3}`;

/** A short line in a run's color. */
export function swatch(index) {
  return s("svg", { class: "swatch", width: 22, height: 10, "aria-hidden": "true" }, s("path", { d: "M1 5H21", class: lineClass(index) }));
}

export class Chart {
  constructor() {
    this.picture = h("div", { class: "picture" });
    this.title = h("h3");
    this.note = h("p", { class: "note" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("figure", { class: "chart" }, this.title, this.picture, this.note);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerdown", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.unpoint());
  }

  /** Draw ``data`` of the server; ``runs`` have labels, ``options`` an axis, a weight of smoothing and hidden runs. */
  draw(data, runs, options) {
    [this.data, this.runs, this.options] = [data, runs, options];
    this.title.textContent = data.title;
    this.note.textContent = data.note;
    const width = this.picture.clientWidth || 360;
    const curves = data.curves.filter((curve) => !options.hidden.has(curve.run));
    this.lines = curves.map((curve) => ({
      ...curve,
      smoothed: curve.y.length > FEW ? smooth(curve.y, options.smoothing) : curve.y,
    }));
    const banded = curves.length <= MOST_BANDS && curves.some((curve) => curve.low);
    const heights = curves.flatMap((curve) => (banded && curve.low ? [...curve.y, ...curve.low, ...curve.high] : curve.y)).filter((value) => value !== null);
    const root = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": this.describe(runs) });
    if (heights.length) {
      const [low, high] = extent(curves.flatMap((curve) => [curve.x[0], curve.x.at(-1)]));
      this.x = linear(low < high / 2 || low === high ? 0 : low, high, MARGIN.left, width - MARGIN.right);
      this.y = upward(heights, data.scale, HEIGHT - MARGIN.bottom, MARGIN.top);
      this.drawAxes(root, width);
      const bands = banded ? this.lines.filter((line) => line.low).map((line) => this.band(line)) : [];
      root.append(...bands, ...this.lines.flatMap((line) => this.line(line)));
    }
    this.cursor = s("path", { class: "cursor" });
    root.append(this.cursor);
    this.picture.replaceChildren(root, this.tip);
  }

  describe(runs) {
    const last = this.lines.slice(0, MOST_NAMED).map((line) => `${runs[line.run].label} ${precise(line.y.at(-1))}`);
    return `${this.data.title}, at last: ${last.join("; ")}`;
  }

  drawAxes(root, width) {
    const right = width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    for (const value of this.y.ticks(4)) {
      const place = this.y.place(value).toFixed(1);
      root.append(s("path", { class: "gridline", d: `M${MARGIN.left} ${place}H${right}` }));
      root.append(s("text", { x: MARGIN.left - 7, y: place, dy: ".32em", class: "y" }, compact(value, this.y.low, this.y.high)));
    }
    root.append(s("path", { class: "axis", d: `M${MARGIN.left} ${bottom}H${right}` }));
    const wanted = width > 480 ? 6 : 4;
    const steps = () => this.x.ticks(wanted).map((value) => [value, compact(value, this.x.high)]);
    const marks = this.options.axis === "wall_time" ? timeTicks(this.x.low, this.x.high, wanted) : steps();
    for (const [value, text] of marks) {
      const place = this.x.place(value);
      const end = place > right - 16 ? "end" : "middle";
      root.append(s("text", { x: Math.min(place, width - 2).toFixed(1), y: HEIGHT - 9, "text-anchor": end }, text));
    }
  }

  line(line) {
    const y = line.smoothed;
    const elements = [];
    if (y !== line.y) elements.push(s("path", { d: this.path(line.x, line.y), class: `${lineClass(line.run)} raw` }));
    elements.push(s("path", { d: this.path(line.x, y), class: lineClass(line.run) }));
    if (y.length <= FEW) {
      const radius = y.length === 1 ? 3 : 2;
      elements.push(...line.x.map((x, index) => s("circle", { cx: this.x.place(x).toFixed(1), cy: this.clamp(y[index]), r: radius, class: lineClass(line.run) })));
    }
    return elements;
  }

  /** Shaded: from ``low`` to ``high``, such as an interval. */
  band(line) {
    const places = line.x.map((x, index) => [this.x.place(x).toFixed(1), line.low[index], line.high[index]]).filter(([, low, high]) => low !== null && high !== null);
    const there = places.map(([x, , high]) => `${x} ${this.clamp(high)}`);
    const back = places.map(([x, low]) => `${x} ${this.clamp(low)}`).reverse();
    return s("path", { d: there.length ? `M${[...there, ...back].join("L")}Z` : "", class: `band l${line.run % COLORS}` });
  }

  path(xs, ys) {
    return xs.map((x, index) => `${index ? "L" : "M"}${this.x.place(x).toFixed(1)} ${this.clamp(ys[index])}`).join("");
  }

  /** A height on the chart, within its axes: curves of shares are cut off. */
  clamp(value) {
    return Math.min(HEIGHT - MARGIN.bottom, Math.max(MARGIN.top, this.y.place(value))).toFixed(1);
  }

  /** Name the values nearest to the pointer. */
  point(event) {
    if (!this.lines?.length || !this.x) return;
    const at = event.clientX - this.picture.getBoundingClientRect().left;
    const within = this.x.low + ((at - MARGIN.left) / (this.picture.clientWidth - MARGIN.left - MARGIN.right)) * (this.x.high - this.x.low);
    const found = this.lines.map((line) => ({ line, index: nearest(line.x, within) }));
    const { line, index } = found.reduce((best, one) => (Math.abs(one.line.x[one.index] - within) < Math.abs(best.line.x[best.index] - within) ? one : best));
    const x = line.x[index];
    const place = this.x.place(x);
    this.cursor.setAttribute("d", `M${place.toFixed(1)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}`);
    const write = this.options.axis === "wall_time" ? duration(x) : `${precise(x)} steps`;
    const sorted = found.sort((a, b) => b.line.y[b.index] - a.line.y[a.index]);
    const rows = sorted.slice(0, MOST_NAMED).map((one) => this.tipRow(one));
    if (sorted.length > MOST_NAMED) rows.push(h("li", {}, `and ${sorted.length - MOST_NAMED} more`));
    this.tip.replaceChildren(h("b", {}, write), h("ul", {}, rows));
    this.tip.hidden = false;
    this.tip.classList.toggle("left", place > this.picture.clientWidth / 2);
  }

  tipRow({ line, index }) {
    const interval = line.low && line.low[index] !== null ? ` [${precise(line.low[index])}, ${precise(line.high[index])}]` : "";
    const name = this.runs.length > 1 ? h("span", { class: "name" }, this.runs[line.run].label) : null;
    return h("li", {}, this.runs.length > 1 ? swatch(line.run) : null, h("b", {}, precise(line.y[index])), interval, name);
  }

  unpoint() {
    this.tip.hidden = true;
    this.cursor.setAttribute("d", "");
  }
}
