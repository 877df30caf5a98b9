// What the daemon is asked, and how.

const KEY = "sbc-token";
const PATIENCE = 8000;

let token = null;
try {
  token = sessionStorage.getItem(KEY);
} catch {
  // Then it has to be typed once more after a reload.
}

export const hasToken = () => token !== null;

export function keepToken(said) {
  token = said || null;
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // As above.
  }
}

// A refusal, or no answer at all (status 0).
export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    throw new Refused(0, "the daemon does not answer");
  }
  if (response.ok) return response;
  let why = `${response.status} ${response.statusText}`;
  try {
    why = (await response.json()).error ?? why;
  } catch {
    // What is no JSON is told by its status.
  }
  throw new Refused(response.status, why);
}

async function body(response, kind) {
  try {
    return await response[kind]();
  } catch {
    throw new Refused(0, "the daemon's answer ended early");
  }
}

export const read = async (path) => body(await ask(path), "json");
export const text = async (path) => body(await ask(path), "text");
export const file = async (path) => body(await ask(path), "blob");

// Changes something: the daemon wants to be told that it is JSON.
export async function act(method, path, what) {
  const headers = { "Content-Type": "application/json" };
  return body(await ask(path, { method, headers, body: JSON.stringify(what ?? {}) }), "json");
}

// All rows of a paged list, up to so many pages; and whether there are more.
export async function pages(path, field, most) {
  const rows = [];
  let after = null;
  for (let page = 0; page < most; page += 1) {
    const join = path.includes("?") ? "&" : "?";
    const part = await read(after === null ? path : `${path}${join}after=${encodeURIComponent(after)}`);
    rows.push(...(part[field] ?? []));
    after = part.next ?? null;
    if (after === null) break;
  }
  return { rows, more: after !== null };
}

// Sums of a scrape: `of(name, wanted)` adds up the series that have these labels.
export function scrape(page) {
  const series = new Map();
  for (const line of page.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, key, value] of (found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value;
    const one = { labels, value: Number(found[3]) };
    if (series.has(found[1])) series.get(found[1]).push(one);
    else series.set(found[1], [one]);
  }
  const fits = (labels, wanted) => Object.entries(wanted).every(([key, value]) => labels[key] === value);
  return {
    of: (name, wanted = {}) =>
      (series.get(name) ?? []).reduce((sum, { labels, value }) => (fits(labels, wanted) ? sum + value : sum), 0),
    by(name, label) {
      const sums = {};
      for (const { labels, value } of series.get(name) ?? []) sums[labels[label]] = (sums[labels[label]] ?? 0) + value;
      return sums;
    },
  };
}
