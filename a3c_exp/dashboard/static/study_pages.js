// Optuna studies: their trials, what they tried and what that was worth.

import { ask, repeat } from "./api.js";
import { command, compact, h, link, pairs, precise, s, status, statusBar, statuses } from "./dom.js";
import { nothing, table } from "./group_pages.js";
import { linear, upward } from "./scales.js";

const goals = (study) => study.objectives.map(([name, way]) => `${way} ${name}`).join(" and ");

/** Show all studies. */
export function showStudies(view) {
  const place = h("div");
  view.main.append(h("h1", {}, "Studies"), place);
  const update = async () => {
    const answer = await ask("studies", [], { signal: view.signal, onlyNew: true });
    if (!answer) return;
    const rows = answer.studies.map((study) => [
      link("study", study.id, study.name), goals(study), h("div", {}, statuses(study.statuses), statusBar(study.statuses)), String(study.n_trials), study.best ? study.best.text : "–",
    ]);
    place.replaceChildren(rows.length ? table(["study", "objective", "trials", "asked for", "best"], rows, [3, 4]) :
      nothing("There is no study here. One begins with ", "python -m a3c_exp +study=pendulum -m"));
  };
  return repeat(update, 4, view.signal, view.refuse);
}

/** Show one study. */
export function showStudy(view) {
  const place = h("div");
  view.main.append(place);
  const update = async () => {
    const study = await ask("study", [["id", view.id]], { signal: view.signal, onlyNew: true });
    if (study) place.replaceChildren(...draw(study, place.clientWidth || 360));
  };
  return repeat(update, 3, view.signal, view.refuse);
}

function draw(study, width) {
  document.title = `${study.name} · a3c_exp`;
  const better = study.objectives[0]?.[1] === "minimize" ? -1 : 1;
  const worth = (trial) => (trial.state === "complete" && trial.values.length ? better * trial.values[0] : -Infinity);
  const trials = [...study.trials].sort((a, b) => worth(b) - worth(a) || a.number - b.number);
  const names = [...new Set(study.trials.flatMap((trial) => Object.keys(trial.params)))];
  const rows = trials.map((trial) => [
    trial.runs.length === 1 ? link("run", trial.runs[0], `trial ${trial.number}`) : trial.runs.length ? link("compare", trial.runs.slice(0, 40).join("&"), `trial ${trial.number}`) : `trial ${trial.number}`,
    status(trial.state), trial.text || "–", ...names.map((name) => trial.params[name] ?? "–"),
    [trial.retry_of === null ? "" : `trial ${trial.retry_of} tried again`, trial.reason].filter(Boolean).join("; "),
  ]);
  const head = [
    h("p", { class: "kicker" }, study.path), h("h1", {}, `Study ${study.name}`),
    h("p", { class: "lead" }, statuses(study.statuses), ` of ${study.n_trials} trials to ${goals(study)}.`),
    study.best ? h("p", { class: "lead" }, "Best: ", h("b", {}, study.best.text), ` in trial ${study.best.number}: `, h("code", {}, Object.entries(study.best.params).map(([name, value]) => `${name}=${value}`).join(" "))) : "",
    study.problems.length ? h("ul", { class: "notices" }, study.problems.map((text) => h("li", {}, text))) : "",
    study.report ? h("p", { class: "buttons" }, h("a", { class: "button", href: `files/${study.report}/index.html`, target: "_blank", rel: "noopener" }, "Report")) : "",
  ];
  return [...head, history(study, better, width),
    h("section", {}, h("h2", {}, "Trials"), table(["trial", "state", study.objectives[0]?.[0] ?? "value", ...names, "note"], rows, [2, ...names.map((_, index) => index + 3)])),
    h("section", {}, h("h2", {}, "Search space"), pairs(Object.entries(study.space)),
      h("p", {}, "What mattered, parallel coordinates and slices, on one page"), command(study.report_command),
      study.command ? h("p", {}, "The study goes on by") : "", study.command ? command(study.command) : "")];
}

const HEIGHT = 230;
const MARGIN = { left: 56, right: 14, top: 10, bottom: 28 };

/** Each trial's value by its number, and the best so far. */
function history(study, better, width) {
  const points = study.trials.filter((trial) => trial.state === "complete" && trial.values.length).sort((a, b) => a.number - b.number);
  if (!points.length) return "";
  const value = (trial) => trial.values[0];
  const x = linear(0, Math.max(1, points.at(-1).number), MARGIN.left, width - MARGIN.right);
  const y = upward(points.map(value), "linear", HEIGHT - MARGIN.bottom, MARGIN.top);
  const root = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": "Value of each trial, and the best so far" });
  for (const tick of y.ticks(4)) {
    root.append(s("path", { class: "gridline", d: `M${MARGIN.left} ${y.place(tick)}H${width - MARGIN.right}` }));
    root.append(s("text", { x: MARGIN.left - 7, y: y.place(tick), dy: ".32em", class: "y" }, compact(tick, y.low, y.high)));
  }
  for (const tick of x.ticks(Math.min(8, x.high)).filter(Number.isInteger)) root.append(s("text", { x: x.place(tick), y: HEIGHT - 9, "text-anchor": "middle" }, String(tick)));
  let best = -Infinity;
  let path = "";
  for (const trial of points) {
    best = Math.max(best, better * value(trial));
    const place = y.place(better * best);
    path += path ? `H${x.place(trial.number)}V${place}` : `M${x.place(trial.number)} ${place}`;
  }
  root.append(s("path", { class: "line l0", d: `${path}H${width - MARGIN.right}` }));
  root.append(...points.map((trial) =>
    s("circle", { class: "line l1", cx: x.place(trial.number), cy: y.place(value(trial)), r: 3.5 }, s("title", {}, `trial ${trial.number}: ${precise(value(trial))}`))));
  return h("section", {}, h("h2", {}, "How it went"), h("figure", { class: "chart" }, h("div", { class: "picture" }, root),
    h("p", { class: "note" }, "Dots: each complete trial's value by its number. Line: the best so far, which chance makes look better than it is.")));
}
