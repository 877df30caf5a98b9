// One call: why it is as it is, and its ladder.

import { Refused } from "./api.js";
import { codecs } from "./calls.js";
import { h } from "./dom.js";
import { bare, clock, span, when } from "./format.js";
import { at, changes, ladder } from "./ladder.js";
import { flowTable, paced } from "./tables.js";
import { button, card, note, path, pill, question, state, table } from "./ui.js";

// Lines of a session description that are compared.
const LINES = 400;

// As the API says it of a path that it does not have.
const NO_PAGE = "the API has no such page";
const NO_TRACES = new Refused(404, NO_PAGE);

let open = { call: null, step: null };
let hasTraces = true;
// A call of which nothing is left.
let gone = null;

export const call = {
  title: "Call",
  async load(api, [name]) {
    if (gone?.name === name) return gone;
    const query = encodeURIComponent(name);
    const trace = hasTraces ? await maybe(api.read(`/api/trace?name=${query}`)) : NO_TRACES;
    // What is not there is not asked for again and again.
    if (trace.message === NO_PAGE) hasTraces = false;
    if (trace.state === "ended") return { name, detail: null, trace, flows: [] };
    const [detail, flows] = await Promise.all([maybe(api.read(`/api/call?name=${query}`)), maybe(api.read(`/api/flows?call=${query}`))]);
    const rows = flows instanceof Refused ? [] : flows.flows;
    paced(rows);
    const read = { name, detail, trace, flows: rows };
    if (detail.status === 404 && trace.status === 404) gone = read;
    return read;
  },
  show({ data, api, reload, redraw }) {
    if (!data) return h("p", { class: "quiet" }, "Asking …");
    const detail = data.detail instanceof Refused ? null : data.detail;
    const trace = data.trace instanceof Refused ? null : data.trace;
    if (open.call !== data.name) open = { call: data.name, step: null };
    if (!detail && !trace) {
      return card(`Call ${bare(data.name)}`, h("p", {}, data.detail.message), h("p", {}, h("a", { href: "#/calls" }, "All calls")));
    }
    return [
      head({ data, detail, trace, api, reload }),
      verdict(trace),
      h("div", { class: "grid side", key: "ladder and step" }, steps(trace, data.trace, redraw), trace && step(trace, redraw)),
      detail && media(detail, data.flows),
      detail && legs(detail),
    ];
  },
};

async function maybe(asked) {
  try {
    return await asked;
  } catch (error) {
    // 409: a name that may be of several calls; the answer says which.
    if (error instanceof Refused && [400, 404, 409].includes(error.status)) return error;
    throw error;
  }
}

function head({ data, detail, trace, api, reload }) {
  const known = detail?.call;
  const id = bare(known?.id ?? trace.id);
  const from = known?.from ?? trace.from;
  const to = known?.to.join(", ") || trace?.to || known?.number || trace?.dialled || "–";
  const facts = [
    ["Dialled", known?.number ?? trace.dialled],
    ["Began", trace && when(trace.began)],
    ["Lasts", known ? `${clock(known.talking_seconds ?? known.seconds)}${known.talking_seconds === undefined ? ", not taken yet" : ""}` : null],
    ["Lasted", !known && trace ? clock(trace.lasted_seconds ?? 0) : null],
    ["Outcome", trace?.outcome && [trace.outcome, trace.reason && `: ${trace.reason}`]],
    ["Route", known && (known.route ?? "no longer in the config")],
    ["Codecs", known && codecs(known.codecs)],
    ["Media", known && path(known.path, known.reason)],
    ["Rings for", detail?.ring_seconds_left !== undefined && detail ? `${span(detail.ring_seconds_left)} more` : null],
    ["Ends", detail?.seconds_left !== undefined && detail ? `in ${span(detail.seconds_left)} (max_duration)` : null],
    ["Call-ID", known?.sip_call_id && h("code", {}, known.sip_call_id)],
    ["Tried before", detail?.tried.length ? h("ul", {}, detail.tried.map((one) => h("li", {}, `${one.party}: ${one.why}`))) : null],
  ];
  return h("section", { class: "card head", key: "head" },
    h("div", { class: "row spread" },
      h("h2", {}, `Call ${id}: ${from} to ${to} `, known ? state(known.state) : pill(trace.outcome ?? trace.state, trace.failed ? "bad" : "dull")),
      h("span", { class: "row" },
        trace && button("Download pcap", () => save(api, data.name, id), { class: "small", id: "pcap" }),
        known && button("Hang up", () => hangUp(api, id, from, to, reload), { class: "danger small", id: "hangup" }))),
    h("dl", { class: "facts" }, facts.filter(([, said]) => said).map(([name, said]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, said)))));
}

async function hangUp(api, id, from, to, reload) {
  if (!(await question({ title: `Hang up call ${id}?`, text: `${from} and ${to} are both hung up at once.`, yes: "Hang up" }))) return;
  try {
    await api.act("POST", "/api/hangup", { call: id, why: "from the web page" });
    note(`Call ${id} is hung up`);
  } catch (error) {
    note(`Call ${id} is not hung up: ${error.message}`, "bad");
  }
  reload();
}

async function save(api, name, id) {
  try {
    const blob = await api.file(`/api/trace.pcap?name=${encodeURIComponent(name)}`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `call-${id.replaceAll(/[^\w.-]/g, "_")}.pcap`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    note(`There is no pcap: ${error.message}`, "bad");
  }
}

function verdict(trace) {
  if (!trace?.verdict?.length) return null;
  return h("section", { class: "card bad verdict", key: "verdict", role: "alert" }, h("h2", {}, "What is wrong with its sound"),
    h("ul", {}, trace.verdict.map((one) => h("li", {}, one.text, " ", pill(one.cause, "bad")))));
}

function steps(trace, refusal, redraw) {
  if (!trace) {
    const why = refusal.message === NO_PAGE ? "This sbc keeps no ladders." : `There is no ladder: ${refusal.message}`;
    return h("section", { class: "card", key: "ladder card" }, h("h2", {}, "Ladder"), h("p", { class: "quiet" }, why));
  }
  const choose = (index) => { open.step = open.step === index ? null : index; redraw(); };
  return h("section", { class: "card", key: "ladder card" }, h("h2", {}, "Ladder"),
    trace.steps.length === 0 ? h("p", { class: "quiet" }, "Nothing was said yet.") : ladder({ trace, redraw, chosen: open.step, choose }),
    trace.omitted > 0 && h("p", { class: "quiet" }, `${trace.omitted} more steps were not kept: the record of a call has a limit.`));
}

function step(trace, redraw) {
  const one = open.step === null ? null : trace.steps[open.step];
  if (!one) return null;
  const name = (party) => trace.parties[party]?.name ?? "?";
  const way = one.from === one.to ? name(one.from) : `${name(one.from)} → ${name(one.to)}`;
  const close = () => {
    const chosen = open.step;
    open.step = null;
    redraw();
    document.querySelector(`[data-step="${chosen}"]`)?.focus();
  };
  return h("section", { class: "card message", key: `step ${open.step}`, "aria-live": "polite", on: { keydown: (event) => { if (event.key === "Escape") close(); } } },
    h("div", { class: "row spread" }, h("h2", {}, one.label), button("Close", close, { class: "small" })),
    h("p", { class: "quiet" }, [at(one.at), way, one.transport].filter(Boolean).join(" · ")),
    one.note && h("p", {}, one.note),
    one.message && h("pre", { tabindex: 0, "aria-label": "The message" }, one.message),
    one.sdp && differs(trace.steps, open.step),
    !one.message && !one.sdp && !one.note && h("p", { class: "quiet" }, "There is no more to it."));
}

function differs(steps, index) {
  const lines = steps[index].sdp.split("\n").length > LINES ? [] : changes(steps, index);
  if (!lines.some(({ look }) => look !== "")) {
    return steps[index].message ? null : h("pre", { tabindex: 0, "aria-label": "The session description" }, steps[index].sdp);
  }
  return [h("h3", {}, "What it changes in the session"), h("pre", { tabindex: 0, "aria-label": "What it changes in the session" },
    lines.filter(({ look }) => look !== "").map(({ line, look }) => h("span", { class: `sdp ${look}` }, `${look === "new" ? "+" : "−"} ${line}\n`)))];
}

function media(detail, flows) {
  return card("Media",
    detail.streams.map((stream, index) => h("div", { class: "stream", key: `stream ${index}` },
      h("p", {}, h("b", {}, stream.kind), " ", pill(stream.choice, stream.choice === "refused" ? "bad" : "dull"), " ", stream.why),
      h("p", {}, path(stream.path), " ", stream.path_why),
      table({
        label: `Sides of stream ${index + 1}`, rows: stream.sides.map((side, place) => ({ ...side, place })), key: (row) => row.place, empty: "",
        columns: [
          { title: "Side", of: (row) => row.party },
          { title: "Speaks", of: (row) => row.speaks ?? "–" },
          { title: "Lists", of: (row) => row.listed.join(", ") || "–" },
          { title: "Allowed", of: (row) => row.allowed.join(", ") || "–" },
          { title: "Keys", of: (row) => row.keys },
        ],
      }))),
    detail.streams.length === 0 && h("p", { class: "quiet" }, "No session was described yet."),
    flowTable(flows, "No media flows.", true));
}

function legs(detail) {
  const timer = (session) => (session ? `${span(session.interval_seconds)}, refreshed by ${session.ours ? "the box" : "the peer"}, ${span(session.seconds_left)} left` : "–");
  return card("Legs", table({
    label: "Legs", rows: detail.legs, key: (row) => row.leg, empty: "There is none.",
    columns: [
      { title: "Leg", of: (row) => [row.leg === 0 ? "caller" : String(row.leg)] },
      { title: "Party", whole: true, of: (row) => h("b", {}, row.party) },
      { title: "State", of: (row) => [state(row.state), row.holds && pill("holds", "busy")] },
      { title: "Peer", whole: true, of: (row) => `${row.transport}:${row.peer}` },
      { title: "Ours", hide: true, of: (row) => `${row.local} (${row.network})` },
      { title: "User agent", of: (row) => row.user_agent ?? "–" },
      detail.legs.some((row) => row.session) && { title: "Session timer", hide: true, of: (row) => timer(row.session) },
      { title: "Call-ID", hide: true, of: (row) => h("code", {}, row.sip_call_id) },
    ].filter(Boolean),
  }));
}
