// Pieces that several views are made of.

import { h, show } from "./dom.js";
import { bare, count } from "./format.js";

// How many rows a table shows; more are a matter for the filter.
const ROWS = 200;

// `columns`: { title, of(row) -> what a cell holds, right, whole (is not broken), rare (on wide screens only), hide (not on narrow ones), broad (has a line of its own there) }.
export function table({ label, columns, rows, key, empty, rowClass }) {
  if (rows.length === 0) return h("p", { class: "quiet empty", key: `${label} none` }, empty);
  const shown = rows.slice(0, ROWS);
  const look = (column) => [column.right && "right", column.whole && "whole", column.hide && "hide", column.rare && "rare", column.broad && "broad"].filter(Boolean).join(" ") || null;
  return h("div", { class: "scroll", key: label, tabindex: 0, role: "region", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: look(column) }, column.title)))),
      h("tbody", {}, shown.map((row) => h("tr", { key: key(row), class: rowClass?.(row) ?? null },
        columns.map((column) => h("td", { class: look(column), "data-title": column.title }, column.of(row))))))),
    rows.length > shown.length && h("p", { class: "quiet" }, `${count(rows.length - shown.length)} more: the filter finds them`));
}

export const card = (title, ...kids) => h("section", { class: "card", key: `card ${title}` }, h("h2", {}, title), kids);

export const pill = (text, look) => h("span", { class: `pill ${look}` }, text);

const LOOKS = {
  up: "good", ringing: "busy", held: "busy", ending: "dull", ended: "dull", ready: "good", starting: "busy", draining: "busy", stopping: "busy",
  waiting: "dull", asked: "busy", cancelled: "dull", gone: "dull",
};
export const state = (text) => pill(text, LOOKS[text] ?? "dull");

const PATHS = {
  kernel: ["kernel", "good", "forwarded in the kernel"],
  user: ["user", "busy", "forwarded in user space"],
  direct: ["direct", "dull", "past the box"],
  none: ["none", "dull", "no media"],
};
export function path(label, reason) {
  const [text, look, words] = PATHS[label] ?? [label, "dull", label];
  return h("span", { class: `pill ${look}`, title: reason ? `${words}: ${reason}` : words }, text);
}

export const callLink = (id, text) => h("a", { href: `#/call/${encodeURIComponent(bare(id))}` }, text ?? bare(id));

export function filterBox(label, value, tell) {
  return h("input", {
    key: `filter ${label}`, type: "search", class: "filter", placeholder: "Filter", "aria-label": label, spellcheck: "false", autocomplete: "off",
    first: (node) => { node.value = value; },
    on: { input: (event) => tell(event.target.value) },
  });
}

// Whether all words of a filter are in what a row says.
export function fits(filter, ...said) {
  const text = said.flat(Infinity).join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export const button = (text, press, props) => h("button", { type: "button", ...props, on: { click: press } }, text);

// Asks before something is done; resolves to whether it is to be.
export function question({ title, text, yes }) {
  const dialog = document.getElementById("ask");
  show(dialog,
    h("form", { method: "dialog", key: String(Date.now()) },
      h("h2", { id: "ask-title" }, title),
      h("p", {}, text),
      h("div", { class: "row" },
        h("button", { value: "no", first: (node) => queueMicrotask(() => node.focus()) }, "Cancel"),
        h("button", { value: "yes", class: "danger" }, yes))));
  dialog.returnValue = "no";
  const answer = new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
  dialog.showModal();
  return answer;
}

// Tells of something that was done, or why it was not.
export function note(text, look = "good") {
  const notes = document.getElementById("notes");
  const one = document.createElement("p");
  one.className = `toast ${look}`;
  one.textContent = text;
  notes.append(one);
  while (notes.children.length > 3) notes.firstChild.remove();
  setTimeout(() => one.remove(), 8000);
}
