// Which page is shown, by the part of the address behind the #, and light or dark.

import { forget } from "./api.js";
import { h } from "./dom.js";
import { showRunList } from "./run_list.js";

const lazily = (file, name) => async (view) => (await import(file))[name](view);
const PAGES = {
  runs: showRunList,
  run: lazily("./run_page.js", "showRun"),
  compare: lazily("./run_page.js", "showComparison"),
  sweeps: lazily("./group_pages.js", "showSweeps"),
  sweep: lazily("./group_pages.js", "showSweep"),
  studies: lazily("./study_pages.js", "showStudies"),
  study: lazily("./study_pages.js", "showStudy"),
  reports: lazily("./report_pages.js", "showReports"),
  results: lazily("./report_pages.js", "showResults"),
};
const TABS = { run: "runs", compare: "runs", sweep: "sweeps", study: "studies", results: "reports" };

let leaving = new AbortController();

function route() {
  leaving.abort();
  leaving = new AbortController();
  forget();
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const page = Object.hasOwn(PAGES, name) ? name : "runs";
  const main = document.getElementById("main");
  main.replaceChildren();
  main.className = `page-${page}`;
  for (const tab of document.querySelectorAll("nav a")) {
    const current = tab.getAttribute("href") === `#/${TABS[page] ?? page}`;
    if (current) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const view = { main, id: rest.join("/"), query: new URLSearchParams(query), signal: leaving.signal, refuse: (text) => refuse(main, text) };
  document.title = `${page} · a3c_exp`;
  return PAGES[page](view);
}

/** Say above a page why it cannot be shown. */
function refuse(main, text) {
  const known = main.querySelector(".refusal");
  if (known) known.textContent = text;
  else main.prepend(h("p", { class: "banner refusal", role: "alert" }, text));
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("a3c_exp theme", root.dataset.theme);
  } catch {
    // it holds for this visit
  }
}

document.getElementById("theme").addEventListener("click", toggleTheme);
addEventListener("hashchange", () => {
  scrollTo(0, 0);
  route();
});
route();
