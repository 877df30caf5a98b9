// Small charts, drawn from samples.

import { h } from "./dom.js";
import { short } from "./format.js";

const WIDE = 600;
const HIGH = 120;
// What a chart shows: the whole of what is kept.
const SPAN = 600_000;

// A line without axes, beside a number.
export function spark(samples, of, label) {
  const points = samples.map((sample) => ({ at: sample.at, value: sample.gap ? undefined : of(sample) }));
  const most = Math.max(1, ...points.map(({ value }) => value ?? 0));
  const end = points.at(-1)?.at ?? 0;
  const start = Math.min(points.at(0)?.at ?? 0, end - 60_000);
  const x = (at) => ((at - start) / (end - start)) * 100;
  const y = (value) => 27 - (value / most) * 24;
  return h("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", role: "img", "aria-label": label },
    runs(points).map((run) => [
      h("path", { class: "area", d: `${line(run, x, y)} L${x(run.at(-1).at)} 28 L${x(run[0].at)} 28 Z` }),
      h("path", { class: "line", d: line(run, x, y) }),
    ]));
}

// Areas on top of each other. `series`: { name, of, look }, the lowest first. `pointed`: which moment is looked at, and who is told.
export function areas({ title, unit, samples, series, pointed }) {
  const end = samples.at(-1)?.at ?? SPAN;
  const start = end - Math.min(SPAN, Math.max(60_000, end - (samples[0]?.at ?? end)));
  const x = (at) => ((at - start) / (end - start)) * WIDE;
  const sums = samples.map((sample) => stack(sample, series));
  const top = nice(Math.max(2, ...sums.map((levels) => levels?.at(-1) ?? 0)));
  const y = (value) => HIGH - (value / top) * (HIGH - 2);
  const drawn = series.map((one, index) => {
    const points = samples.map((sample, place) => ({ at: sample.at, value: sums[place]?.[index], base: index > 0 ? sums[place]?.[index - 1] : 0 }));
    // What there is none of has no line upon that of another.
    return runs(points).filter((run) => index === 0 || run.some(({ value, base }) => value !== base)).map((run) => {
      const under = run.toReversed().map(({ at, base }) => `L${place(x(at))} ${place(y(base ?? 0))}`);
      return [
        h("path", { class: `area ${one.look}`, d: `${line(run, x, y)} ${under.join(" ")} Z` }),
        h("path", { class: `line ${one.look}`, d: line(run, x, y) }),
      ];
    });
  });
  const seen = nearest(samples, pointed.at);
  const shown = seen ?? samples.findLast((sample) => !sample.gap) ?? {};
  const value = (one) => { const told = one.of(shown); return typeof told === "number" ? short(told) : "–"; };
  const said = series.map((one) => `${one.name} ${value(one)}`).join(", ");
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    pointed.tell(start + ((event.clientX - box.left) / box.width) * (end - start));
  };
  return h("figure", { class: "chart" },
    h("figcaption", {}, h("b", {}, title), h("span", { class: "quiet" }, unit),
      h("span", { class: "legend" }, series.map((one) => h("span", { class: one.look }, h("i", {}), one.name, " ", h("b", {}, value(one))))),
      seen && h("span", { class: "quiet at" }, new Date(seen.at).toLocaleTimeString("en-GB"))),
    h("div", { class: "plot" },
      h("svg", {
        viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}, ${unit}: ${said}`,
        on: { pointermove: point, pointerleave: () => pointed.tell(null) },
      },
        [0.5, 1].map((part) => h("line", { class: "rule", x1: 0, x2: WIDE, y1: y(top * part), y2: y(top * part) })),
        drawn,
        seen && h("line", { class: "cursor", x1: x(seen.at), x2: x(seen.at), y1: 0, y2: HIGH })),
      h("span", { class: "top quiet" }, short(top)),
      h("span", { class: "mid quiet" }, short(top / 2))),
    h("div", { class: "ends quiet", "aria-hidden": "true" }, h("span", {}, ago(end - start)), h("span", {}, "now")));
}

function stack(sample, series) {
  if (sample.gap) return null;
  let level = 0;
  const levels = series.map((one) => {
    const value = one.of(sample);
    if (typeof value === "number") level += value;
    return typeof value === "number" ? level : null;
  });
  return levels.every((one) => one === null) ? null : levels.map((one) => one ?? level);
}

// Points that follow each other without a gap.
function runs(points) {
  const all = [[]];
  for (const point of points) {
    if (typeof point.value === "number") all.at(-1).push(point);
    else if (all.at(-1).length > 0) all.push([]);
  }
  return all.filter((run) => run.length > 0);
}

const place = (value) => Math.round(value * 10) / 10;
const line = (run, x, y) => run.map(({ at, value }, index) => `${index === 0 ? "M" : "L"}${place(x(at))} ${place(y(value))}`).join(" ");

// The next round number.
function nice(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((step) => step >= value);
}

function nearest(samples, at) {
  if (at === null) return null;
  const all = samples.filter((sample) => !sample.gap);
  return all.reduce((best, one) => (!best || Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best), null);
}

const ago = (span) => (span >= 120_000 ? `${Math.round(span / 60_000)} min ago` : `${Math.round(span / 1000)} s ago`);
