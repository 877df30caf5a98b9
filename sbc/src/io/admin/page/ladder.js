// The ladder of a call: a line for each party, an arrow for each message.

import { h } from "./dom.js";
import { cut } from "./format.js";

const ROW = 46;
const HEAD = 52;
const CLOCK = 54;
// Between two lines, at least.
const APART = 104;

// Wider than that it is hard to read.
const WIDEST = 980;

// Pixels that there are.
let wide = 600;

// `chosen`: which step is opened; `choose(index)` opens one.
export function ladder({ trace, redraw, chosen, choose }) {
  const { parties, steps } = trace;
  const room = Math.max(Math.min(wide, WIDEST), CLOCK + parties.length * APART);
  const apart = (room - CLOCK) / parties.length;
  const x = (party) => CLOCK + apart * (Math.min(party, parties.length - 1) + 0.5);
  const high = HEAD + steps.length * ROW + 16;
  const letters = Math.floor(apart / 7.6);
  const move = (event, index) => {
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: steps.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") choose(index);
    else if (to === undefined || !steps[to]) return;
    else event.currentTarget.parentNode.querySelector(`[data-step="${to}"]`)?.focus();
    event.preventDefault();
  };
  const watch = (node) => new ResizeObserver(([{ contentRect }]) => {
    if (Math.abs(contentRect.width - wide) < 2) return;
    wide = Math.floor(contentRect.width);
    redraw();
  }).observe(node);
  return h("div", { class: "scroll ladder", key: "ladder", first: watch },
    h("svg", { viewBox: `0 0 ${room} ${high}`, width: room, height: high, role: "group", "aria-label": "Ladder of the call: each step can be opened" },
      parties.map((party, index) => h("g", { key: `party ${index}`, class: index === 1 ? "party box" : "party" },
        h("line", { class: "life", x1: x(index), x2: x(index), y1: HEAD - 6, y2: high }),
        h("rect", { x: x(index) - apart * 0.475, y: 4, width: apart * 0.95, height: 40, rx: 6 }),
        h("text", { x: x(index), y: party.address ? 21 : 29, class: "name" }, cut(party.name, letters)),
        party.address && h("text", { x: x(index), y: 36, class: "address" }, cut(party.address, Math.floor(apart / 6))),
        h("title", {}, [party.name, party.address].filter(Boolean).join(", ")))),
      steps.map((step, index) => row({ step, index, x, apart, room, is: chosen === index, on: { click: () => choose(index), keydown: (event) => move(event, index) }, first: index === (chosen ?? 0) }))));
}

function row({ step, index, x, apart, room, is, on, first }) {
  const y = HEAD + index * ROW + 30;
  const [from, to] = [x(step.from), x(step.to)];
  const own = step.from === step.to;
  const words = [step.label, step.note].filter(Boolean).join(": ");
  const place = own ? "" : `, ${from < to ? "to the right" : "to the left"}`;
  const look = `step ${kind(step)}${own ? " own" : " arrow"}${is ? " chosen" : ""}`;
  return h("g", {
    key: `step ${index}`, class: look, role: "button", tabindex: first ? 0 : -1, "data-step": index, "aria-expanded": String(is),
    "aria-label": `${at(step.at)}${place}: ${words}`, on,
  },
    h("rect", { class: "hit", x: 0, y: y - 30, width: room, height: ROW }),
    h("text", { class: "at", x: CLOCK - 8, y: y + 3 }, at(step.at)),
    own ? thing({ step, y, x: from, room }) : arrow({ step, y, from, to, room }),
    h("title", {}, words));
}

function arrow({ step, y, from, to, room }) {
  const way = from < to ? 1 : -1;
  const middle = (from + to) / 2;
  // Nothing else is in this row: what an arrow says may reach beyond both of its ends.
  const noted = Math.min(2 * (middle - CLOCK), 2 * (room - middle), 2 * Math.abs(to - from));
  return [
    h("line", { class: "shaft", x1: from, x2: to - way * 7, y1: y, y2: y }),
    h("path", { class: "tip", d: `M${to} ${y} l${-way * 9} -4.5 v9 Z` }),
    h("text", { class: "label", x: middle, y: y - 6 }, cut(step.label, Math.floor(noted / 7.2))),
    step.note && h("text", { class: "note", x: middle, y: y + 12 }, cut(step.note, Math.floor(noted / 5.9))),
  ];
}

// Something that the box did by itself.
function thing({ step, y, x, room }) {
  const text = [step.label, step.note].filter(Boolean).join(": ");
  const width = Math.min(room - CLOCK - 4, Math.max(60, Array.from(text).length * 6.3 + 20));
  // On the box's line, unless it is too long for that.
  const middle = Math.max(CLOCK + 2 + width / 2, Math.min(x, room - 2 - width / 2));
  return [
    h("rect", { class: "thing", x: middle - width / 2, y: y - 14, width, height: 24, rx: 12 }),
    h("text", { class: "label", x: middle, y: y + 2 }, cut(text, Math.floor((width - 14) / 6.1))),
  ];
}

// What a step looks like, by what it is: a request, or the class of a response.
function kind(step) {
  if (step.from === step.to) return "own";
  const code = /^(\d)\d\d\b/.exec(step.label)?.[1];
  if (!code) return "request";
  return { 1: "progress", 2: "success", 3: "moved" }[code] ?? (/^(401|407)\b/.test(step.label) ? "asks" : "failure");
}

export const at = (seconds) => (seconds < 100 ? `${seconds.toFixed(3)}` : `${seconds.toFixed(1)}`) + " s";

// The lines of a session description, and how each differs from the one before of the same sender.
export function changes(steps, index) {
  const lines = (sdp) => sdp.split(/\r?\n/).filter((line) => line !== "");
  const now = lines(steps[index].sdp);
  const before = steps.slice(0, index).findLast((step) => step.sdp && step.from === steps[index].from && step.to === steps[index].to);
  if (!before) return now.map((line) => ({ line, look: "" }));
  const old = lines(before.sdp);
  // Lines of both in order (longest common subsequence); descriptions have some ten lines.
  const most = Array.from({ length: old.length + 1 }, () => new Array(now.length + 1).fill(0));
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      most[i][j] = old[i] === now[j] ? most[i + 1][j + 1] + 1 : Math.max(most[i + 1][j], most[i][j + 1]);
    }
  }
  const all = [];
  for (let i = 0, j = 0; i < old.length || j < now.length;) {
    if (i < old.length && j < now.length && old[i] === now[j]) { all.push({ line: now[j], look: "" }); i += 1; j += 1; }
    else if (j >= now.length || (i < old.length && most[i + 1][j] >= most[i][j + 1])) { all.push({ line: old[i], look: "gone" }); i += 1; }
    else { all.push({ line: now[j], look: "new" }); j += 1; }
  }
  return all;
}
