// Trunks, registrations, flows, what was dropped, bans.

import { h } from "./dom.js";
import { bytes, clock, count, short, span } from "./format.js";
import { drops } from "./history.js";
import { button, callLink, card, filterBox, fits, note, path, pill, question, table } from "./ui.js";
import { why } from "./why.js";

// Pages of long lists that are read each time.
const PAGES = 5;
const filters = { registrations: "", flows: "", bans: "" };

const found = (rows, more) => rows > 0 && h("p", { class: "quiet", key: "found" }, `${count(rows)} shown${more ? ", and there are more: the command line has all" : ""}`);

function trunkState(trunk) {
  if (trunk.probe && !trunk.probe.answers) return pill("silent", "bad");
  if (trunk.registration && !trunk.registration.registered) return pill("not registered", "bad");
  if (trunk.registration) return pill("registered", trunk.registration.trouble ? "busy" : "good");
  return trunk.probe ? pill("answers", "good") : h("span", { title: "It is called without being asked first: the config has no probe." }, pill("not probed", "dull"));
}

const trunkTrouble = (trunk) => [trunk.probe?.silence, trunk.registration?.trouble].filter(Boolean).join("; ");

export function trunkRows(rows, empty, all) {
  const columns = [
    { title: "Trunk", of: (row) => h("b", {}, row.name) },
    { title: "State", of: (row) => [trunkState(row), trunkTrouble(row) && h("span", { class: "quiet" }, ` ${trunkTrouble(row)}`)] },
    { title: "Calls", right: true, of: (row) => (row.max_calls ? `${count(row.calls)} of ${count(row.max_calls)}` : count(row.calls)) },
    all && { title: "Server", broad: true, of: (row) => row.server },
    all && { title: "Network", hide: true, of: (row) => row.network },
    all && { title: "Last answer", right: true, of: (row) => (row.probe?.answered_ms === undefined ? "–" : `${span(row.probe.answered_ms / 1000)} ago`) },
    all && { title: "Registered for", right: true, of: (row) => (row.registration?.seconds_left === undefined ? "–" : span(row.registration.seconds_left)) },
    all && { title: "Calls a second", right: true, hide: true, of: (row) => (row.max_calls_per_second ? `at most ${row.max_calls_per_second}` : "–") },
    all && { title: "Refused by limits", right: true, of: (row) => count(row.refused_max_calls + row.refused_max_calls_per_second) },
  ];
  return table({ label: "Trunks", rows, key: (row) => row.name, empty, columns: columns.filter(Boolean) });
}

export const trunks = {
  title: "Trunks",
  load: async (api) => (await api.read("/api/trunks")).trunks,
  show: ({ data }) => card("Trunks", trunkRows(data ?? [], "There is no trunk: a [trunk.NAME] of the config is a carrier, or a PBX.", true)),
};

export const registrations = {
  title: "Registrations",
  load: (api) => api.pages("/api/registrations", "registrations", PAGES),
  show({ data, redraw }) {
    const all = data?.rows ?? [];
    const rows = all.filter((row) => fits(filters.registrations, row.phone, row.network, row.source, row.contact));
    return card("Registrations",
      filterBox("Filter registrations", filters.registrations, (text) => { filters.registrations = text; redraw(); }),
      table({
        label: "Registrations", rows, key: (row) => `${row.phone} ${row.contact} ${row.source}`, empty: all.length > 0 ? "No phone is registered that fits." : "No phone is registered. One does so with the name and the password of its [phone.NAME], at an address that the overview has under Networks.",
        columns: [
          { title: "Phone", of: (row) => h("b", {}, row.phone) },
          { title: "State", of: (row) => (row.silence ? [pill("silent", "bad"), h("span", { class: "quiet" }, ` ${row.silence}`)] : pill("registered", "good")) },
          { title: "From", broad: true, of: (row) => `${row.transport}:${row.source}` },
          { title: "Network", hide: true, of: (row) => row.network },
          { title: "Contact", broad: true, of: (row) => h("code", {}, row.contact) },
          { title: "For", right: true, of: (row) => span(row.seconds_left) },
        ],
      }), found(rows.length, data?.more));
  },
};

// Packets of each side when they were read last, to make rates of.
let before = new Map();
let rates = new Map();

// Takes note of what was read, for the rates.
export function paced(rows) {
  const at = performance.now();
  const now = new Map();
  rates = new Map();
  for (const flow of rows) {
    flow.sides.forEach((side, index) => {
      if (!side.received) return;
      const key = `${flow.pair} ${index}`;
      const then = before.get(key);
      now.set(key, { at, packets: side.received.packets });
      if (then && at > then.at) rates.set(key, Math.max(0, ((side.received.packets - then.packets) * 1000) / (at - then.at)));
    });
  }
  before = now;
}

export const flows = {
  title: "Flows",
  async load(api) {
    const page = await api.pages("/api/flows", "flows", PAGES);
    paced(page.rows);
    return page;
  },
  show({ data, redraw }) {
    const all = data?.rows ?? [];
    const rows = all.filter((row) => fits(filters.flows, row.call, row.from, row.to, row.number, row.kind, row.path, row.reason ?? "",
      row.sides.map((side) => [side.network, side.local, side.latched ?? "", side.named ?? ""])));
    return card("Flows",
      filterBox("Filter flows", filters.flows, (text) => { filters.flows = text; redraw(); }),
      flowTable(rows, all.length > 0 ? "There is no flow that fits." : "There is no flow: each stream of a call has one while it is up."), found(rows.length, data?.more));
  },
};

export function flowTable(rows, empty, ofCall) {
  const sides = rows.flatMap((flow) => flow.sides.map((side, index) => ({ flow, side, index })));
  const got = (of) => ({ side }) => (side.received ? of(side.received) : "–");
  // What there is of none, and what RTCP has not.
  const heard = (of) => ({ flow, side }) => (side.received?.packets > 0 && flow.kind !== "rtcp" ? of(side.received) : "–");
  const columns = [
    !ofCall && { title: "Call", whole: true, of: ({ flow, index }) => (index === 0 ? callLink(flow.call) : "") },
    { title: "Party", whole: true, of: ({ flow, index }) => (index === 0 ? flow.from : flow.to) },
    { title: "Flow", whole: true, of: ({ flow, index }) => (index === 0 ? [flow.kind, " ", path(flow.path, flow.why)] : "") },
    { title: "Network", of: ({ side }) => [side.network, side.fault && pill(side.fault, "bad")] },
    { title: "Ours", hide: true, whole: true, of: ({ side }) => side.local },
    { title: "Peer", of: ({ side }) => [h("span", { class: "whole" }, side.latched ?? side.named ?? "–"), !side.latched && h("span", { class: "quiet" }, " nothing came")] },
    { title: "Packets", right: true, of: got((one) => count(one.packets)) },
    { title: "A second", right: true, of: ({ flow, index }) => { const rate = rates.get(`${flow.pair} ${index}`); return rate === undefined ? "–" : short(rate); } },
    { title: "Bytes", right: true, rare: true, of: got((one) => bytes(one.bytes)) },
    { title: "Lost", right: true, of: heard((one) => (one.lost > 0 ? h("b", { class: "bad" }, count(one.lost)) : "0")) },
    { title: "Late", right: true, rare: true, of: heard((one) => count(one.reordered)) },
    { title: "Jitter", right: true, of: heard((one) => `${one.jitter_ms.toFixed(1)} ms`) },
    { title: "Last", right: true, rare: true, of: got((one) => (one.last_packet_ms === undefined ? "never" : `${(one.last_packet_ms / 1000).toFixed(1)} s ago`)) },
  ];
  return table({
    label: "Flows", rows: sides, key: ({ flow, index }) => `${flow.pair} ${index}`, empty, columns: columns.filter(Boolean),
    rowClass: ({ index }) => (index === 0 ? "pair" : null),
  });
}

export const dropped = {
  title: "Drops",
  load: async () => null,
  show() {
    const rows = drops().sort((a, b) => b.lately - a.lately || b.total - a.total);
    const most = Math.max(1, ...rows.map((row) => row.total));
    return card("What was dropped or refused",
      table({
        label: "Drops by reason", rows, key: (row) => row.key, empty: "Nothing was dropped since the start.",
        columns: [
          { title: "Network", of: (row) => h("b", {}, row.network) },
          { title: "What", of: (row) => row.kind },
          { title: "Reason", whole: true, of: (row) => row.reason },
          { title: "Which is", broad: true, of: (row) => h("span", { class: "quiet" }, why(row.kind, row.reason)) },
          { title: "Since this page is open", right: true, of: (row) => (row.lately > 0 ? h("b", {}, count(row.lately)) : "0") },
          { title: "Since the start", right: true, of: (row) => count(row.total) },
          { title: "", hide: true, of: (row) => h("meter", { min: 0, max: most, value: row.total, "aria-label": `${row.reason}: part of the most` }) },
        ],
      }));
  },
};

export const bans = {
  title: "Bans",
  load: async (api) => (await api.read("/api/bans")).bans,
  show({ data, redraw, reload, api }) {
    const rows = (data ?? []).filter((row) => fits(filters.bans, row.prefix, row.network, row.by));
    const ban = async (event) => {
      event.preventDefault();
      const form = event.target;
      const prefix = whole(form.elements.prefix.value);
      const seconds = Number(form.elements.lasting.value);
      try {
        const done = await api.act("POST", "/api/bans", seconds > 0 ? { prefix, seconds } : { prefix });
        note(`${prefix} is banned`);
        for (const warning of done.warnings) note(warning, "bad");
        form.reset();
      } catch (error) {
        note(`${prefix} is not banned: ${error.message}`, "bad");
      }
      reload();
    };
    const lift = async (row) => {
      if (!(await question({ title: `Lift the ban of ${row.prefix}?`, text: "Bans of all that is within it are lifted too, on every network.", yes: "Lift it" }))) return;
      try {
        await api.act("DELETE", "/api/bans", { prefix: row.prefix });
        note(`${row.prefix} is no longer banned`);
      } catch (error) {
        note(`The ban of ${row.prefix} holds: ${error.message}`, "bad");
      }
      reload();
    };
    return [
      card("Ban an address",
        h("form", { class: "row", on: { submit: ban } },
          h("label", {}, "Address or prefix ", h("input", { name: "prefix", required: true, size: 30, placeholder: "203.0.113.9 or 203.0.113.0/24", autocomplete: "off", spellcheck: "false" })),
          h("label", {}, "for ", h("select", { name: "lasting" },
            [["0", "as the config says"], ["600", "10 minutes"], ["3600", "an hour"], ["86400", "a day"], ["2592000", "30 days"]].map(([value, text]) => h("option", { value }, text)))),
          h("button", { class: "danger" }, "Ban on every network"))),
      card("Bans that hold",
        filterBox("Filter bans", filters.bans, (text) => { filters.bans = text; redraw(); }),
        table({
          label: "Bans", rows, key: (row) => `${row.network} ${row.prefix}`, empty: data?.length > 0 ? "Nobody is banned who fits." : "Nobody is banned.",
          columns: [
            { title: "Whom", of: (row) => h("b", {}, row.prefix) },
            { title: "Network", of: (row) => row.network },
            { title: "For", of: (row) => row.by },
            { title: "Left", right: true, of: (row) => (row.seconds_left < 3600 ? clock(row.seconds_left) : span(row.seconds_left)) },
            { title: "", right: true, of: (row) => button("Unban", () => lift(row), { class: "small", "aria-label": `Unban ${row.prefix}` }) },
          ],
        })),
    ];
  },
};

// The API wants a length, also of one address.
function whole(text) {
  const said = text.trim();
  if (said.includes("/")) return said;
  return said.includes(":") ? `${said}/128` : `${said}/32`;
}
