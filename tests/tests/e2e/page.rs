//! The web page in a real browser, before a real box.

mod canned;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use sbc_tests::e2e::{Browser, FastPath, Lab, Need, http, lab_config, skipped};
use serde_json::json;

use self::canned::{Canned, EVIL};
use super::support::{Call, PHONES, start_on, talk};

const ADMIN: &str = "http://127.0.0.1:9960/";
const TALK: Duration = Duration::from_secs(1);
const TOKEN: &str = "token-of-this-test";
/// All that there is to see, as it stands after the `#`.
const VIEWS: [&str; 8] = [
    "",
    "calls",
    "ended",
    "trunks",
    "registrations",
    "flows",
    "drops",
    "bans",
];
/// A phone's, upright.
const PHONE: (u32, u32) = (390, 844);
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

const BROWSER: [Need; 3] = [
    Need::Namespaces,
    Need::Program("chromium"),
    Need::Program("chromedriver"),
];

/// Nothing went wrong in the page, and it asked nobody but the box.
fn assert_clean(browser: &Browser<'_>, origin: &str) -> Result<()> {
    let console = browser.console()?;
    // A browser complains of every answer that is none.
    let is_refusal =
        |line: &&String| line.contains("Failed to load resource") && line.contains("/api/");
    let wrong: Vec<&String> = console.iter().filter(|line| !is_refusal(line)).collect();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    let requests = browser.requests()?;
    ensure!(requests.len() > 10, "{requests:?}");
    for url in requests {
        let is_own = url.starts_with(origin) || url.starts_with(&format!("blob:{origin}"));
        ensure!(is_own || url == "data:,", "the page asks for {url}");
    }
    Ok(())
}

/// What of a view reaches beyond a narrow screen.
fn assert_fits(browser: &Browser<'_>, view: &str) -> Result<()> {
    let wide = browser.run("return document.documentElement.scrollWidth;")?;
    ensure!(
        wide.as_u64().is_some_and(|wide| wide <= PHONE.0.into()),
        "{view:?} is {wide} pixels wide"
    );
    Ok(())
}

#[test]
fn the_page_shows_a_call_and_hangs_it_up() -> Result<()> {
    let needs = [&PHONES[..], &BROWSER[..]].concat();
    if skipped("the web page", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let daemon = start_on(&lab, &config)?;
    let browser = Browser::start(&lab.edge, &lab.scratch)?;
    browser.go(ADMIN)?;
    browser.shows(".fine h2", "Nothing wants looking at")?;
    browser.shows(".tile dd b", "0")?;

    let mut call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    let tile = |name: &str| {
        format!(
            "[...document.querySelectorAll('.tile')].find(tile => tile.querySelector('dt').textContent === '{name}').querySelector('b').textContent"
        )
    };
    browser.until("one call up", &format!("{} === '1'", tile("Calls up")))?;
    browser.until("packets", &format!("parseFloat({}) > 50", tile("Packets")))?;
    // All of them are the kernel's.
    browser.shows("figure .legend .c2 b", "0")?;
    browser.shows(
        "[aria-label=Networks] td",
        "in the kernel (XDP, native mode)",
    )?;

    // The list, and what the filter leaves of it.
    browser.click("#nav a[href='#/calls']")?;
    for text in ["trunk:a", "trunk:b", "bob", "up", "kernel", "a-to-b"] {
        browser.shows("[aria-label=Calls] tbody td", text)?;
    }
    browser.type_into(".filter", "trunk:a nobody")?;
    browser.shows("main", "No call fits the filter.")?;
    browser.run("document.querySelector('.filter').value = '';")?;
    browser.type_into(".filter", "trunk:b BOB")?;
    browser.shows("[aria-label=Calls] tbody td", "bob")?;
    // It lives: what was typed stays, and the clock goes on.
    let clock = "document.querySelector('[aria-label=Calls] tbody td:nth-child(6)').textContent";
    let before = browser.run(&format!("return {clock};"))?;
    browser.until("later", &format!("{clock} !== {before}"))?;
    browser.until(
        "still there",
        "document.querySelector('.filter').value === 'trunk:b BOB'",
    )?;

    // The call itself.
    browser.click("[aria-label=Calls] tbody a")?;
    browser.shows("h2", "trunk:a to trunk:b")?;
    browser.shows("[aria-label=Legs] td", "baresip")?;
    browser.shows("[aria-label=Flows] td", "kernel")?;
    browser.shows("h2", "Ladder")?;

    // Whoever is asked may say no.
    browser.click("#hangup")?;
    browser.until("asked", "document.getElementById('ask').open")?;
    browser.type_into("#ask button[value=no]", ESCAPE)?;
    browser.until("no longer asked", "!document.getElementById('ask').open")?;
    assert_eq!(daemon.scrape()?.sum("sbc_calls", &[]), 1.0);
    browser.click("#hangup")?;
    browser.click("#ask button[value=yes]")?;
    call.alice.wait_ended()?;
    call.bob.wait_ended()?;
    browser.shows("#notes", "is hung up")?;
    browser.click("#nav a[href='#/calls']")?;
    browser.shows("main", "There is no call now.")?;

    // Somebody is banned, and let in again.
    browser.go(&format!("{ADMIN}#/bans"))?;
    browser.type_into("input[name=prefix]", &format!("192.0.2.9{ENTER}"))?;
    browser.shows("[aria-label=Bans] td", "192.0.2.9/32")?;
    let (_, bans) = http(
        &lab.edge,
        SocketAddr::from(([127, 0, 0, 1], 9960)),
        "/api/bans",
    )?;
    assert!(bans.contains("192.0.2.9/32"), "{bans}");
    browser.click("[aria-label^='Unban 192.0.2.9']")?;
    browser.click("#ask button[value=yes]")?;
    browser.shows("main", "Nobody is banned.")?;

    // Every view on a phone, by day and by night.
    browser.resize(PHONE.0, PHONE.1)?;
    let colour = "return getComputedStyle(document.body).backgroundColor;";
    browser.prefer_dark(true)?;
    let dark = browser.run(colour)?;
    browser.prefer_dark(false)?;
    let light = browser.run(colour)?;
    assert_ne!(dark, light);
    for view in VIEWS {
        browser.go(&format!("{ADMIN}#/{view}"))?;
        browser.until(view, "document.querySelector('.view .card') !== null")?;
        assert_fits(&browser, view)?;
    }
    // What was chosen holds against what the system wants, and is remembered.
    browser.click("#theme")?;
    assert_eq!(browser.run(colour)?, dark);
    browser.run("location.reload();")?;
    browser.until(
        "there again",
        "document.querySelector('.view .card') !== null",
    )?;
    assert_eq!(browser.run(colour)?, dark);
    assert_clean(&browser, ADMIN)
}

#[test]
fn the_page_asks_for_the_token_and_keeps_it_as_long_as_its_tab() -> Result<()> {
    if skipped(
        "the web page's token",
        &[&BROWSER[..], &[Need::Program("ethtool")]].concat(),
    ) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Off, &lab.scratch.path().join("state"));
    let config = config.replacen("[sbc]\n", &format!("[sbc]\nadmin_token = \"{TOKEN}\"\n"), 1);
    let _daemon = start_on(&lab, &config)?;
    let browser = Browser::start(&lab.edge, &lab.scratch)?;
    browser.go(ADMIN)?;
    browser.shows(".token p", "whoever has its admin_token")?;
    browser.type_into("input[name=token]", &format!("not-{TOKEN}{ENTER}"))?;
    browser.shows(".token p", "That is not the token of this box.")?;
    browser.run("document.querySelector('input[name=token]').value = '';")?;
    browser.type_into("input[name=token]", &format!("{TOKEN}{ENTER}"))?;
    browser.shows(".tile dt", "Calls up")?;
    browser.run("location.reload();")?;
    browser.shows(".tile dt", "Calls up")?;
    let kept =
        browser.run("return [localStorage.length, sessionStorage.length, location.href];")?;
    assert_eq!(kept, json!([0, 1, ADMIN]));
    browser.click("#top button")?;
    browser.shows(".token p", "whoever has its admin_token")?;
    let kept = browser.run("return sessionStorage.length;")?;
    assert_eq!(kept, 0);
    Ok(())
}

/// What strangers said stays text, wherever it is shown.
#[test]
fn the_ladder_of_a_call_is_drawn_and_each_step_opens() -> Result<()> {
    if skipped(
        "the ladder",
        &[&BROWSER[..], &[Need::Program("ethtool")]].concat(),
    ) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Off, &lab.scratch.path().join("state"));
    let _daemon = start_on(&lab, &config)?;
    let canned = Canned::start(&lab.edge)?;
    let browser = Browser::start(&lab.edge, &lab.scratch)?;
    let origin = canned.origin();
    browser.go(&format!("{origin}#/calls"))?;
    browser.shows("[aria-label=Calls] td", EVIL)?;
    browser.go(&format!("{origin}#/ended"))?;
    browser.shows("[aria-label='Ended calls'] td", "busy")?;
    browser.click("[aria-label='Ended calls'] tbody a")?;

    // Four parties, an arrow for each message, and what the box did by itself.
    browser.until(
        "parties",
        "document.querySelectorAll('.ladder .party').length === 4",
    )?;
    let steps = "[document.querySelectorAll('.step.arrow').length, document.querySelectorAll('.step.own').length].join()";
    browser.until("steps", &format!("{steps} === '{}'", canned::SHAPE))?;
    let ways = browser.run(
        "return [...document.querySelectorAll('.step.arrow .shaft')].map(line => Math.sign(line.x2.baseVal.value - line.x1.baseVal.value));",
    )?;
    assert_eq!(ways, canned::ways());
    browser.shows(".verdict li", "hears nothing")?;
    browser.shows("[aria-label=Legs] td", EVIL)?;

    // By mouse, and by keyboard.
    browser.click("[data-step='0'] .hit")?;
    browser.shows(".message pre", "INVITE sip:15551234567@")?;
    browser.shows(".message pre", EVIL)?;
    browser.run("document.querySelector(\"[data-step='0']\").focus();")?;
    for _ in 0..canned::HOLD {
        browser.run("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));")?;
    }
    browser.type_into(&format!("[data-step='{}']", canned::HOLD), ENTER)?;
    browser.shows(".message .sdp.gone", "a=sendrecv")?;
    browser.shows(".message .sdp.new", "a=sendonly")?;
    browser.type_into(".message button", ESCAPE)?;
    browser.until("closed", "document.querySelector('.message') === null")?;

    // What is saved is what the box sent.
    browser.run("window.scrollTo(0, 0);")?;
    browser.click("#pcap")?;
    canned.was_asked("/api/trace.pcap?name=")?;

    browser.resize(PHONE.0, PHONE.1)?;
    assert_fits(&browser, "the ladder")?;
    let scripts = browser.run("return [document.querySelectorAll('main script, main img').length, document.title.includes('owned')];")?;
    assert_eq!(scripts, json!([0, false]));
    assert_clean(&browser, &origin)
}
