// The page: which view is shown, and when the daemon is asked.

import * as api from "./api.js";
import { call } from "./call.js";
import { calls, ended } from "./calls.js";
import { h, show } from "./dom.js";
import { count, span } from "./format.js";
import { note as remember } from "./history.js";
import { foot, overview } from "./overview.js";
import { bans, dropped, flows, registrations, trunks } from "./tables.js";
import { button, state as phase } from "./ui.js";

// Between two looks, in milliseconds; while nobody looks at the page, less often.
const PACE = 2000;
const UNSEEN = 10_000;
// How many looks there are to a scrape; to a large one, of so many characters, more.
const EASY = 3;
const SELDOM = 8;
const LARGE = 500_000;

const VIEWS = { "": overview, calls, ended, call, trunks, registrations, flows, drops: dropped, bans };
const MENU = [["", "Overview"], ["calls", "Calls"], ["trunks", "Trunks"], ["registrations", "Registrations"], ["flows", "Flows"], ["drops", "Drops"], ["bans", "Bans"]];
// Views that stand under another one in the menu.
const UNDER = { call: "calls", ended: "calls" };

const now = { status: null, view: null, name: "", words: [], data: null, trouble: null, answered: null, wantsToken: false };
let timer = null;
let turn = 0;
let scrapes = 0;
let heavy = false;
let tellsMedia = false;

function where() {
  const [name = "", ...words] = location.hash.replace(/^#\/?/, "").split("/").map(decode);
  return VIEWS[name] ? { name, words } : { name: "", words: [] };
}

function decode(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

function go() {
  const { name, words } = where();
  const moved = now.view !== null;
  // What was asked was about what is left now.
  if (moved) document.getElementById("ask").close("no");
  Object.assign(now, { view: VIEWS[name], name, words, data: null });
  redraw();
  document.querySelector("#nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (moved) {
    window.scrollTo(0, 0);
    document.getElementById("main").focus({ preventScroll: true });
  }
  look();
}

// Asks for what is shown, and again after a while.
async function look() {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  const { view, words } = now;
  try {
    const [status, scrape] = await Promise.all([api.read("/api/status"), metrics()]);
    // Then the metrics only tell what may be told later.
    tellsMedia = Boolean(status.media);
    const at = Date.now();
    remember(at, status, scrape);
    Object.assign(now, { status, answered: at, trouble: null, wantsToken: false });
    const data = await view.load(api, words);
    // Meanwhile somebody may have gone elsewhere.
    if (mine !== turn) return;
    now.data = data;
  } catch (error) {
    if (!(error instanceof api.Refused)) throw error;
    if (mine !== turn) return;
    now.wantsToken = error.status === 401;
    now.trouble = error;
  } finally {
    if (mine === turn) {
      if (!now.wantsToken) timer = setTimeout(look, document.hidden ? UNSEEN : PACE);
      redraw();
    }
  }
}

// What the API does not tell: packets, outcomes, opinion scores.
async function metrics() {
  scrapes += 1;
  const pace = heavy ? SELDOM : tellsMedia ? EASY : 1;
  if (scrapes % pace !== 1 % pace) return null;
  const page = await api.text("/metrics");
  heavy = page.length > LARGE;
  return api.scrape(page);
}

function redraw() {
  show(document.getElementById("top"), header());
  show(document.getElementById("nav"), menu());
  show(document.getElementById("main"), content());
  const title = now.name === "call" ? `Call ${now.words[0] ?? ""}` : now.view.title;
  document.title = now.status ? `${title} · sbc ${now.status.name}` : "sbc";
}

function header() {
  const { status, trouble, answered } = now;
  return [
    h("h1", {}, h("a", { href: "#/" }, h("img", { src: "/page/icon.svg", alt: "", width: 24, height: 24 }), "sbc"), status && h("span", { class: "quiet" }, ` ${status.name}`)),
    status && h("span", { class: "how" }, phase(status.phase), h("span", { class: "quiet wide" }, ` up for ${span(status.up_seconds)}`)),
    h("span", { class: "gap" }),
    trouble && !now.wantsToken && h("span", { class: "pill bad", role: "alert" },
      answered ? `no answer for ${span((Date.now() - answered) / 1000)}` : "no answer"),
    api.hasToken() && !now.wantsToken && button("Forget token", () => { api.keepToken(null); look(); }, { class: "small" }),
    themeButton(),
  ];
}

function themeButton() {
  const dark = isDark();
  const turnOver = () => {
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("sbc-theme", document.documentElement.dataset.theme);
    } catch {
      // Then it holds until the page is left.
    }
    redraw();
  };
  return button(dark ? "☀" : "☾", turnOver, { class: "small", id: "theme", "aria-label": dark ? "Light colours" : "Dark colours", title: dark ? "Light colours" : "Dark colours" });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function menu() {
  const here = UNDER[now.name] ?? now.name;
  const number = { calls: now.status && now.status.calls.up + now.status.calls.ringing, bans: now.status?.bans, registrations: now.status?.registrations };
  return h("ul", {}, MENU.map(([name, text]) => h("li", { key: name },
    h("a", { href: `#/${name}`, "aria-current": name === here ? "page" : null }, text, number[name] > 0 && h("span", { class: "number" }, count(number[name]))))));
}

function content() {
  if (now.wantsToken) return tokenForm();
  const { status, trouble, data } = now;
  const stale = trouble && h("p", { class: "card warn", key: "trouble" }, `${trouble.message}${status ? "; what is below is old" : ""}`);
  if (!status) return stale || h("p", { class: "quiet" }, "Asking the daemon …");
  const shown = now.view.show({ status, data, api, redraw, reload: look });
  return [stale, h("div", { key: `view ${now.name} ${now.words.join("/")}`, class: trouble ? "view old" : "view" }, shown), h("footer", { key: "foot", class: "quiet" }, foot(status))];
}

function tokenForm() {
  const take = (event) => {
    event.preventDefault();
    api.keepToken(event.target.elements.token.value.trim());
    look();
  };
  return h("section", { class: "card token", key: "token" },
    h("h2", {}, "The admin token"),
    h("p", {}, api.hasToken() ? "That is not the token of this box." : "This box answers to whoever has its admin_token: the config says it, or where it stands."),
    h("form", { class: "row", on: { submit: take } },
      h("label", {}, "Token ", h("input", { name: "token", type: "password", required: true, autocomplete: "current-password", first: (node) => queueMicrotask(() => node.focus()) })),
      h("button", {}, "Go on")),
    h("p", { class: "quiet" }, "It is kept until this tab is closed, and sent to this address only.",
      !window.isSecureContext && " Nothing encrypts it on the way: over a network go through ssh -L, or a proxy with TLS."));
}

addEventListener("hashchange", go);
addEventListener("resize", redraw);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
go();
