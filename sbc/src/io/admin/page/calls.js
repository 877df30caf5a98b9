// The calls that are up, and those that are over.

import { h } from "./dom.js";
import { bare, clock, count, when } from "./format.js";
import { callLink, card, filterBox, fits, path, pill, state, table } from "./ui.js";

// Pages that are read each time.
const PAGES = 5;
const OLD = 2;
const filters = { calls: "", ended: "" };
let failedOnly = false;

const tabs = (here) => h("div", { class: "tabs", key: "tabs", role: "group", "aria-label": "Which calls" },
  [["#/calls", "Now"], ["#/ended", "Ended and failed"]].map(([href, text]) =>
    h("a", { href, "aria-current": href === here ? "true" : null }, text)));

export const calls = {
  title: "Calls",
  load: (api) => api.pages("/api/calls", "calls", PAGES),
  show({ data, redraw }) {
    const all = data?.rows ?? [];
    // What is newest is wanted first.
    const rows = all.filter((row) =>
      fits(filters.calls, bare(row.id), row.sip_call_id, row.from, row.to, row.number, row.state, row.route ?? "", row.path, row.codecs.filter(Boolean))).reverse();
    return [tabs("#/calls"), card("Calls",
      filterBox("Filter calls", filters.calls, (text) => { filters.calls = text; redraw(); }),
      table({
        label: "Calls", rows, key: (row) => row.id, empty: all.length === 0 ? "There is no call now. Who calls is here at once; what has ended or failed is one tab further." : "No call fits the filter.",
        columns: [
          { title: "Call", of: (row) => callLink(row.id) },
          { title: "State", of: (row) => state(row.state) },
          { title: "From", of: (row) => row.from },
          { title: "To", of: (row) => row.to.join(", ") || "–" },
          { title: "Dialled", of: (row) => row.number },
          { title: "Time", right: true, of: (row) => clock(row.talking_seconds ?? row.seconds) },
          { title: "Codecs", of: (row) => codecs(row.codecs) },
          { title: "Media", of: (row) => path(row.path, row.reason) },
          { title: "Route", hide: true, of: (row) => row.route ?? "–" },
        ],
      }),
      all.length > 0 && h("p", { class: "quiet", key: "found" }, `${count(rows.length)} of ${count(all.length)}${data?.more ? ", and there are more: the command line has all" : ""}`))];
  },
};

export function codecs([one, other]) {
  if (!one && !other) return "–";
  return one === other ? one : `${one ?? "?"} ↔ ${other ?? "?"}`;
}

// Who was answered and is among the failed all the same was not heard.
const outcome = (row) =>
  row.failed && row.outcome === "answered"
    ? [pill("answered", "good"), " ", h("span", { class: "pill bad", title: "Somebody heard nothing: the call says who, and why." }, "not heard")]
    : pill(row.outcome ?? "ended", row.failed ? "bad" : "good");

export const ended = {
  title: "Calls",
  async load(api) {
    try {
      return await api.pages("/api/traces", "traces", OLD);
    } catch (error) {
      if (error.status === 404) return { rows: [], none: true };
      throw error;
    }
  },
  show({ data, redraw }) {
    const all = (data?.rows ?? []).filter((row) => row.state === "ended" || row.failed);
    const rows = all.filter((row) => (row.failed || !failedOnly) && fits(filters.ended, bare(row.id), row.from, row.to ?? "", row.dialled ?? "", row.outcome ?? "", row.reason ?? ""));
    const empty = data?.none ? "This box keeps no record of calls that are over." : all.length === 0 ? "No call is over that is still remembered." : "No call fits the filter.";
    return [tabs("#/ended"), card("Calls that are over",
      h("div", { class: "row", key: "choice" },
        filterBox("Filter ended calls", filters.ended, (text) => { filters.ended = text; redraw(); }),
        h("label", { class: "check" }, h("input", { type: "checkbox", on: { change: (event) => { failedOnly = event.target.checked; redraw(); } }, first: (node) => { node.checked = failedOnly; } }), " failed only")),
      table({
        label: "Ended calls", rows, key: (row) => row.id, empty,
        columns: [
          { title: "Call", of: (row) => callLink(row.id) },
          { title: "Began", of: (row) => when(row.began) },
          { title: "Outcome", broad: true, of: (row) => [outcome(row), row.reason && h("span", { class: "quiet" }, ` ${row.reason}`)] },
          { title: "From", of: (row) => row.from },
          { title: "To", of: (row) => row.to ?? "–" },
          { title: "Dialled", of: (row) => row.dialled ?? "–" },
          { title: "Lasted", right: true, of: (row) => clock(row.lasted_seconds ?? 0) },
          { title: "Steps", right: true, hide: true, of: (row) => count(row.steps ?? 0) },
        ],
      }))];
  },
};
