// Elements made of plain text: nothing that a file says is ever read as HTML.

/** An element with attributes (``on...`` are listeners, ``false`` and ``null`` leave one out) and children. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** A name that may be broken into lines where its parts end. */
export const breakable = (name) => name.split(/(?<=[,/_])/).flatMap((part, index) => (index ? [document.createElement("wbr"), part] : [part]));

/** ``1,000``. */
export const count = (number) => number.toLocaleString("en");

/** ``1 run``, ``1,000 runs``. */
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** ``1.5M``, ``20k``, ``−0.25``: a number for an axis with these limits. */
export function compact(value, ...limits) {
  if (value === 0) return "0";
  const size = Math.max(...[value, ...limits].map(Math.abs));
  const [divisor, unit] = size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  const scaled = value / divisor;
  const small = scaled !== 0 && Math.abs(scaled) < 1e-3;
  const text = small ? scaled.toExponential(1).replace("e-", "e−") : String(Number(scaled.toPrecision(4)));
  return minus(text) + unit;
}

/** A number of a curve as text. */
export function precise(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-3) return minus(value.toExponential(2));
  return minus(value.toLocaleString("en", { maximumFractionDigits: size >= 1000 ? 0 : size >= 10 ? 2 : 4 }));
}

const minus = (text) => text.replace(/^-/, "−").replace("e-", "e−");

/** ``12 s``, ``4 min``, ``2 h 5 min``. */
export function duration(seconds) {
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** Seconds since 1970 as a date and a time of day. */
export function date(seconds) {
  const at = new Date(1000 * seconds);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** A status, with its color, and of what runs how far it is. */
export const status = (name, text = name) => h("span", { class: `status s-${name.replace(/\W/g, "-")}` }, text);

/** ``990 finished, 10 running``. */
export function statuses(pairs) {
  const parts = pairs.map(([name, number]) => status(name, `${count(number)} ${name}`));
  return h("span", { class: "statuses" }, parts);
}

/** A bar of what share of runs has which status. */
export function statusBar(pairs) {
  const total = pairs.reduce((sum, [, number]) => sum + number, 0) || 1;
  const bar = s("svg", { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" });
  let left = 0;
  for (const [name, number] of pairs) {
    const width = (100 * number) / total;
    bar.append(s("rect", { x: left, y: 0, width, height: 4, class: `s-${name.replace(/\W/g, "-")}` }));
    left += width;
  }
  return bar;
}

/** A bar that is filled to a share in [0, 1]. */
export function progressBar(share, name) {
  return s(
    "svg",
    { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { x: 0, y: 0, width: 100 * Math.min(1, Math.max(0, share)), height: 4, class: `s-${name}` }),
  );
}

/** A command to be typed, with a button that copies it where the browser allows that. */
export function command(text) {
  const copied = async (event) => {
    await navigator.clipboard.writeText(text);
    event.target.textContent = "copied";
  };
  const button = navigator.clipboard ? h("button", { type: "button", class: "quiet", onclick: copied }, "copy") : null;
  return h("div", { class: "command" }, h("code", {}, text), button);
}

/** Names and texts in two columns; rows whose third item is true stand out. */
export function pairs(rows) {
  return h(
    "dl",
    {},
    rows.flatMap(([name, text, strong]) => [h("dt", {}, name), h("dd", strong ? { class: "strong" } : {}, text)]),
  );
}

/** A link to a page of this dashboard. */
export const link = (page, id, text, attributes = {}) => h("a", { href: `#/${page}/${id}`, ...attributes }, breakable(text));
