// Before the first picture, so that a dark page does not flash.
"use strict";
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("sbc-theme");
  } catch {
    // A browser that keeps nothing has what the system says.
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
