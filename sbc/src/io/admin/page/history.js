// What was seen lately: samples of each look, in this page's memory only.

// Ten minutes of looks every two seconds.
const KEPT = 300;
// A longer gap is drawn as one.
const GAP = 15;

const PATHS = ["kernel", "user", "transcoded"];
// Outcomes of calls that somebody had taken.
const TAKEN = ["answered", "media-timeout", "session-expired", "max-duration"];

export const samples = [];
let totals = null;
// Totals of the first look, to tell what happened since.
let first = null;

const sum = (counts) => Object.values(counts ?? {}).reduce((all, one) => all + one, 0);

// `status` as the API has it, `scrape` of the metrics, or null where there was none this time.
export function note(at, status, scrape) {
  const restarted = totals && status.up_seconds < (at - totals.at) / 1000;
  if (restarted) first = null;
  const before = restarted ? null : totals;
  // What was not told this time holds on, from when it was.
  const told = (name, value) => (value ? { at, value } : (before?.[name] ?? null));
  const now = {
    at,
    drops: told("drops", { media: all(status, "media_dropped"), sip: all(status, "sip_dropped") }),
    reasons: reasons(status),
    packets: told("packets", packets(status, scrape)),
    messages: told("messages", scrape && { in: scrape.of("sbc_sip_messages_total", { direction: "in" }) }),
    outcomes: told("outcomes", scrape && scrape.by("sbc_calls_total", "outcome")),
    mos: told("mos", opinions(status, scrape)),
  };
  totals = now;
  first ??= now;
  first.outcomes ??= now.outcomes;
  first.mos ??= now.mos;
  const last = samples.at(-1);
  if (last && at - last.at > GAP * 1000) samples.push({ at: last.at + 1, gap: true });
  const rates = (name) => (now[name]?.at === at ? rate(before?.[name], now[name]) : last?.[name]);
  samples.push({
    at,
    up: status.calls.up,
    ringing: status.calls.ringing,
    minute: status.calls.last_minute,
    drops: rates("drops"),
    packets: rates("packets"),
    messages: rates("messages"),
  });
  samples.splice(0, samples.length - KEPT);
}

function packets(status, scrape) {
  if (status.media) return Object.fromEntries(PATHS.map((path) => [path, status.media[path].packets]));
  return scrape && Object.fromEntries(PATHS.map((path) => [path, scrape.of("sbc_media_packets_total", { path, direction: "in" })]));
}

// The sum of all mean opinion scores, and how many they are.
function opinions(status, scrape) {
  if (status.quality) return [(status.quality.mos ?? 0) * status.quality.streams, status.quality.streams];
  return scrape && [scrape.of("sbc_call_mos_sum"), scrape.of("sbc_call_mos_count")];
}

// What each counter has become a second.
function rate(before, now) {
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  if (seconds <= 0) return undefined;
  return Object.fromEntries(Object.entries(now.value).map(([name, value]) => [name, Math.max(0, (value - before.value[name]) / seconds)]));
}

const all = (status, kind) => sum(status.networks.map((network) => sum(network[kind])));

function reasons(status) {
  const found = {};
  for (const network of status.networks) {
    for (const [kind, counts] of [["media", network.media_dropped], ["SIP", network.sip_dropped]]) {
      for (const [reason, total] of Object.entries(counts)) found[`${network.name} ${kind} ${reason}`] = { network: network.name, kind, reason, total };
    }
  }
  return found;
}

// What was dropped: each reason with how many since this page looked first.
export function drops() {
  return Object.entries(totals?.reasons ?? {}).map(([key, one]) => ({ key, ...one, lately: one.total - (first?.reasons[key]?.total ?? 0) }));
}

// Answered of all calls that are over, of a hundred: since this page looked first, or else since the daemon's start.
export function answered() {
  const of = (outcomes, before = {}) => {
    const counts = Object.entries(outcomes).map(([outcome, value]) => [outcome, value - (before[outcome] ?? 0)]);
    const over = counts.reduce((total, [, value]) => total + value, 0);
    const taken = counts.reduce((total, [outcome, value]) => (TAKEN.includes(outcome) ? total + value : total), 0);
    return { over, percent: over > 0 ? (taken / over) * 100 : null };
  };
  if (!totals?.outcomes) return null;
  const lately = of(totals.outcomes.value, first.outcomes.value);
  return lately.over > 0 ? { ...lately, lately: true } : { ...of(totals.outcomes.value), lately: false };
}

// How calls sounded that are over, as `answered`.
export function mos() {
  if (!totals?.mos) return null;
  const [sum, number] = totals.mos.value;
  const [before, those] = first.mos.value;
  if (number > those) return { mos: (sum - before) / (number - those), lately: true };
  return { mos: number > 0 ? sum / number : null, lately: false };
}
