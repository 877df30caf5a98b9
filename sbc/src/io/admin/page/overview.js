// How things are, what wants looking at first.

import { areas, spark } from "./chart.js";
import { h } from "./dom.js";
import { bytes, count, short, span } from "./format.js";
import { answered, drops, mos, samples } from "./history.js";
import { trunkRows } from "./tables.js";
import { card, pill, table } from "./ui.js";
import { why } from "./why.js";

let pointed = null;

export const overview = {
  title: "Overview",
  async load(api) {
    return { trunks: (await api.read("/api/trunks")).trunks };
  },
  show({ status, data, redraw }) {
    const look = { at: pointed, tell: (at) => { pointed = at; redraw(); } };
    return [
      warnings(status.warnings),
      tiles(status),
      h("div", { class: "grid two", key: "charts" },
        h("div", { class: "card", key: "calls" }, areas({
          title: "Calls", unit: "at once", samples, pointed: look,
          series: [
            { name: "up", look: "c1", of: (sample) => sample.up },
            { name: "ringing", look: "c2", of: (sample) => sample.ringing },
          ],
        })),
        h("div", { class: "card", key: "packets" }, areas({
          title: "Media", unit: "packets/s", samples, pointed: look,
          series: [
            { name: "kernel", look: "c1", of: (sample) => sample.packets?.kernel },
            { name: "user", look: "c2", of: (sample) => sample.packets?.user },
            { name: "transcoded", look: "c4", of: (sample) => sample.packets?.transcoded },
          ],
        })),
        h("div", { class: "card", key: "sip" }, areas({
          title: "SIP", unit: "messages/s", samples, pointed: look,
          series: [{ name: "came in", look: "c1", of: (sample) => sample.messages?.in }],
        })),
        h("div", { class: "card", key: "drops" }, areas({
          title: "Dropped", unit: "packets/s", samples, pointed: look,
          series: [
            { name: "media", look: "c3", of: (sample) => sample.drops?.media },
            { name: "SIP", look: "c2", of: (sample) => sample.drops?.sip },
          ],
        }))),
      h("div", { class: "grid two", key: "lists" },
        card("Trunks", trunkRows(data?.trunks ?? [], "The config has no trunks."), h("p", {}, h("a", { href: "#/trunks" }, "All of them"))),
        card("Dropped most", topDrops(), h("p", {}, h("a", { href: "#/drops" }, "By network and reason")))),
      card("Networks", networks(status.networks)),
      card("Media workers", workers(status.workers)),
    ];
  },
};

function warnings(all) {
  if (all.length === 0) return h("section", { class: "card fine", key: "warnings" }, h("h2", {}, "Nothing wants looking at"));
  return h("section", { class: "card warn", key: "warnings" },
    h("h2", {}, all.length === 1 ? "One thing wants looking at" : `${all.length} things want looking at`),
    h("ul", {}, all.map((one) => h("li", {}, one))));
}

function tiles(status) {
  const asr = answered();
  const heard = mos();
  const whence = (one) => (one?.lately ? "of calls ended lately" : "since the start");
  const tile = (name, value, under, line, look) =>
    h("div", { class: "tile", key: name }, h("dt", {}, name), h("dd", { class: look ?? null }, h("b", {}, value), h("small", {}, under)), line);
  const of = (field) => (sample) => sample[field];
  const packets = (sample) => sample?.packets && sample.packets.kernel + sample.packets.user + sample.packets.transcoded;
  const rate = packets(samples.at(-1));
  return h("dl", { class: "tiles", key: "tiles" },
    tile("Calls up", count(status.calls.up), `${count(status.calls.ringing)} ringing`, spark(samples, of("up"), "Calls up, lately")),
    tile("Attempts", count(status.calls.last_minute), "in the last minute", spark(samples, of("minute"), "Calls in a minute, lately")),
    tile("Answered", asr?.percent === null || asr === null ? "–" : `${asr.percent.toFixed(asr.percent >= 99.95 ? 0 : 1)} %`,
      asr?.over ? `of ${short(asr.over)} ${asr.lately ? "that ended lately" : "since the start"}` : "no call is over yet"),
    tile("MOS", heard?.mos ? heard.mos.toFixed(2) : "–", heard?.mos ? whence(heard) : "no speech was measured yet", null,
      heard?.mos ? (heard.mos >= 4 ? "good" : heard.mos >= 3.6 ? "busy" : "bad") : null),
    tile("Packets", rate === undefined ? "–" : short(rate), "a second", spark(samples, packets, "Packets a second, lately")),
    tile("Flows", count(status.flows.kernel + status.flows.user),
      `${count(status.flows.kernel)} kernel, ${count(status.flows.user)} user${status.flows.transcoded > 0 ? `, ${count(status.flows.transcoded)} transcoded` : ""}`),
    tile("Trunks", `${status.trunks.watched > 0 ? status.trunks.up : status.trunks.all}/${status.trunks.watched || status.trunks.all}`,
      status.trunks.watched > 0 ? "answer" : "none is probed", null, status.trunks.up < status.trunks.watched ? "bad" : null),
    tile("Phones", count(status.registrations), "registered"));
}

function topDrops() {
  const all = drops().sort((a, b) => b.lately - a.lately || b.total - a.total).slice(0, 6);
  return table({
    label: "What was dropped most", rows: all, key: (row) => row.key, empty: "Nothing was dropped since the start.",
    columns: [
      { title: "Reason", of: (row) => h("span", { title: why(row.kind, row.reason) }, row.reason) },
      { title: "Network", of: (row) => `${row.network}, ${row.kind}` },
      { title: "Lately", right: true, of: (row) => count(row.lately) },
      { title: "In all", right: true, of: (row) => count(row.total) },
    ],
  });
}

function networks(rows) {
  return table({
    label: "Networks", rows, key: (row) => row.name, empty: "There is none.",
    columns: [
      { title: "Network", of: (row) => h("b", {}, row.name) },
      { title: "Addresses", of: (row) => row.addresses.join(", ") },
      { title: "SIP", hide: true, of: (row) => row.sip.join(", ") },
      { title: "Media", of: (row) => [pill(row.path, row.path === "kernel" ? "good" : "busy"), " ", h("span", { class: "quiet" }, row.path_why)] },
      { title: "Ports free", right: true, of: (row) => `${count(row.media_ports_free)} of ${count(row.media_ports)}` },
      { title: "Phones", right: true, hide: true, of: (row) => count(row.registrations) },
      { title: "Bans", right: true, hide: true, of: (row) => count(row.bans) },
    ],
  });
}

function workers(rows) {
  return table({
    label: "Media workers", rows: rows.map((row, index) => ({ ...row, index })), key: (row) => row.index, empty: "There is none.",
    columns: [
      { title: "Worker", of: (row) => `${row.index + 1}, ${row.driver}` },
      { title: "Core", of: (row) => row.core ?? "any" },
      { title: "Priority", of: (row) => [row.priority, row.no_higher && h("span", { class: "quiet" }, ` (${row.no_higher})`)] },
      { title: "Transcoded", right: true, of: (row) => count(row.transcoded) },
      { title: "Load", of: (row) => [h("meter", { min: 0, max: 100, high: 80, value: row.load_percent, "aria-label": "Load" }), ` ${row.load_percent} %`, row.refuses && pill("full", "bad")] },
    ],
  });
}

export const foot = (status) =>
  `sbc ${status.version} · ${status.config ?? "built-in settings"}, read ${span(status.config_seconds)} ago${status.memory_bytes ? ` · ${bytes(status.memory_bytes)} of memory` : ""}`;
