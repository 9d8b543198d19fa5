// Runs before anything is painted, so that a page that was made dark does not flash.
"use strict";
try {
  const theme = localStorage.getItem("a3c_exp theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // without storage the system's choice holds
}
