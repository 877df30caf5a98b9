//! `sbc calls`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::Args;
use sbc::io::admin::types::{Call, CallDetail, CallPage, Flow, Leg, Stream, StreamSide};
use serde::Serialize;

use super::client::{Daemon, DaemonError, Whom};
use super::columns::{Align, Columns, clock, folded, terminal_width};
use super::{Failure, flows};

/// Below `--help`.
const EXPLAINED: &str = "\
TIME is how long two have talked, or how long it has rung. CODECS is what the caller\'s side speaks and what the other one: \
one name where both speak the same, and nothing is transcoded. MEDIA is kernel, user (a media worker forwards), transcoded, direct (past the box) or none. \
A terminal that is too narrow for all columns shows the most telling ones.

Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = EXPLAINED)]
pub(super) struct CallsArgs {
    /// Everything about this one: its id as the log has it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL")]
    call: Option<String>,
    /// JSON, an array with an element a call, or one object, instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// One call with its flows.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    detail: CallDetail,
    flows: Vec<Flow>,
}

/// Shows the calls of a running daemon.
pub(super) fn calls(args: &CallsArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    let text = match &args.call {
        None => {
            let calls = read(&daemon)?;
            match args.json {
                true => json(&calls)?,
                false => table(&calls, terminal_width()),
            }
        }
        Some(name) => {
            let detail = find(&daemon, name)?;
            let flows = flows::read(&daemon, Some(&detail.call.id))?;
            match args.json {
                true => json(&Whole { detail, flows })?,
                false => whole(&detail, &flows, terminal_width()),
            }
        }
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Everything about the one call that goes by this name.
pub(super) fn find(daemon: &Daemon, name: &str) -> Result<CallDetail, DaemonError> {
    let mut query = form_urlencoded::Serializer::for_suffix("/api/call?".to_owned(), 10);
    query.append_pair("name", name);
    daemon.read(&query.finish())
}

fn json<T: Serialize>(shown: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(shown).map_err(|e| Failure::Host(e.into()))?;
    Ok(text + "\n")
}

pub(super) fn read(daemon: &Daemon) -> Result<Vec<Call>, DaemonError> {
    let mut calls = Vec::new();
    let mut next = Some(0);
    while let Some(after) = next {
        let page: CallPage = daemon.read(&format!("/api/calls?after={after}"))?;
        calls.extend(page.calls);
        next = page.next;
    }
    Ok(calls)
}

const COLUMNS: [(&str, Align); 9] = [
    ("CALL", Align::Left),
    ("FROM", Align::Left),
    ("TO", Align::Left),
    ("DIALLED", Align::Left),
    ("STATE", Align::Left),
    ("TIME", Align::Right),
    ("CODECS", Align::Left),
    ("MEDIA", Align::Left),
    ("ROUTE", Align::Left),
];

/// What is left out first where there is no room: ROUTE, MEDIA, CODECS, DIALLED.
const SPARE: [usize; 4] = [8, 7, 6, 3];

fn table(calls: &[Call], room: usize) -> String {
    if calls.is_empty() {
        return "No calls.\n".to_owned();
    }
    let mut columns = Columns::new(COLUMNS);
    for call in calls {
        columns.row([
            short(&call.id).to_owned(),
            call.from.clone(),
            to(call),
            dialled(call),
            call.state.clone(),
            clock(call.talking_seconds.unwrap_or(call.seconds)),
            codecs(call),
            media(call).to_owned(),
            call.route.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let (mut out, left_out) = columns.fit(room, &SPARE);
    let count = |state: &str| calls.iter().filter(|call| call.state == state).count();
    let counts: Vec<String> = ["up", "held", "ringing", "ending"]
        .into_iter()
        .filter(|state| count(state) > 0)
        .map(|state| format!("{} {state}", count(state)))
        .collect();
    let all = match calls.len() {
        1 => "1 call".to_owned(),
        many => format!("{many} calls"),
    };
    let _ = writeln!(out, "\n{all}: {}.", counts.join(", "));
    if !left_out.is_empty() {
        let _ = writeln!(out, "No room for {}; --json has all.", left_out.join(", "));
    }
    out
}

/// Without leading zeros, as it may be typed.
pub(super) fn short(id: &str) -> &str {
    match id.trim_start_matches('0') {
        "" => "0",
        id => id,
    }
}

/// `phone:6001 to trunk:b, dialled 15551234567`.
pub(super) fn in_words(call: &Call) -> String {
    format!("{} to {}, dialled {}", call.from, to(call), dialled(call))
}

pub(super) fn to(call: &Call) -> String {
    match call.to.as_slice() {
        [] => "-".to_owned(),
        [only] => only.clone(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    }
}

/// The caller wrote it.
pub(super) fn dialled(call: &Call) -> String {
    match call.number.is_empty() {
        true => "-".to_owned(),
        false => call.number.escape_debug().to_string(),
    }
}

pub(super) fn codecs(call: &Call) -> String {
    match &call.codecs {
        [Some(one), Some(other)] if one == other => one.clone(),
        [Some(one), Some(other)] => format!("{one} <-> {other}"),
        _ => "-".to_owned(),
    }
}

pub(super) fn media(call: &Call) -> &str {
    match call.reason.as_deref() {
        Some("transcoded") => "transcoded",
        _ => &call.path,
    }
}

/// Everything of one, in words.
pub(super) fn whole(detail: &CallDetail, flows: &[Flow], room: usize) -> String {
    let call = &detail.call;
    let mut out = format!("call {}: {}\n", short(&call.id), in_words(call));
    line(&mut out, "state", &state(detail));
    if let [_, _, ..] = call.to.as_slice() {
        line(&mut out, "rings at", &call.to.join(", "));
    }
    let route = call.route.as_deref();
    let gone = "one that the config has no more";
    line(&mut out, "route", route.unwrap_or(gone));
    for (index, tried) in detail.tried.iter().enumerate() {
        let title = if index == 0 { "tried" } else { "" };
        let why = tried.why.escape_debug();
        line(&mut out, title, &format!("{}: {why}", tried.party));
    }
    if let Some(left) = detail.seconds_left {
        let left = format!("in {} at the latest (max_duration)", clock(left));
        line(&mut out, "ends", &left);
    }
    for (index, found) in detail.verdict.iter().enumerate() {
        let title = if index == 0 { "verdict" } else { "" };
        line(&mut out, title, &found.text);
    }
    for one in &detail.legs {
        leg(&mut out, one);
    }
    for one in &detail.streams {
        stream(&mut out, one);
    }
    let mut out = folded(&out, room, 12);
    if !flows.is_empty() {
        out.push('\n');
        out.push_str(&flows::table(flows, Some(&call.id), false, room));
    }
    out
}

fn state(detail: &CallDetail) -> String {
    let call = &detail.call;
    match call.talking_seconds {
        Some(talking) => {
            let taken = call.seconds.saturating_sub(talking);
            let on_hold = if call.state == "held" {
                ", on hold"
            } else {
                ""
            };
            format!("up for {}{on_hold}; taken after {taken} s", clock(talking))
        }
        None if call.state == "ringing" => {
            let left = detail.ring_seconds_left.unwrap_or(0);
            format!(
                "ringing for {}, for another {} at most",
                clock(call.seconds),
                clock(left)
            )
        }
        None => call.state.clone(),
    }
}

fn leg(out: &mut String, leg: &Leg) {
    let hold = if leg.holds {
        ", holds the other one"
    } else {
        ""
    };
    let who = if leg.leg == 0 { "caller" } else { "leg" };
    let _ = writeln!(out, "\n{who} {}: {}{hold}", leg.party, leg.state);
    let at = format!(
        "{}:{}, on {} (ours {})",
        leg.transport, leg.peer, leg.network, leg.local
    );
    line(out, "at", &at);
    line(out, "Call-ID", &leg.sip_call_id.escape_debug().to_string());
    if let Some(agent) = &leg.user_agent {
        line(out, "agent", &agent.escape_debug().to_string());
    }
    if let Some(session) = &leg.session {
        let who = if session.ours { "by us" } else { "by the peer" };
        let timer = format!(
            "refreshed {who} every {} s; over in {} without that",
            session.interval_seconds,
            clock(session.seconds_left)
        );
        line(out, "session", &timer);
    }
}

fn stream(out: &mut String, stream: &Stream) {
    let _ = writeln!(out, "\n{}: {}", stream.kind.escape_debug(), stream.why);
    line(out, "media", &stream.path_why);
    if stream.kind.eq_ignore_ascii_case("audio") {
        for side in &stream.sides {
            self::side(out, side);
        }
    }
}

fn side(out: &mut String, side: &StreamSide) {
    let or_none = |names: &[String]| match names.is_empty() {
        true => "nothing yet".to_owned(),
        // The peer wrote them.
        false => names.join(", ").escape_debug().to_string(),
    };
    let keys = match side.keys.as_str() {
        "rtp" => "keys as RTP events (RFC 4733)",
        "inband" => "keys as tones in the audio",
        other => other,
    };
    let said = format!(
        "{} listed {}; `codecs` allows {}; {keys}",
        side.party,
        or_none(&side.listed),
        or_none(&side.allowed)
    );
    line(out, "", &said);
}

/// `  at        udp:192.0.2.1:5060`.
fn line(out: &mut String, title: &str, text: &str) {
    let _ = writeln!(out, "  {title:<9} {text}");
}

#[cfg(test)]
mod tests {
    use sbc::io::admin::types::Verdict;

    use super::*;

    fn call(id: &str, state: &str) -> Call {
        Call {
            id: format!("{id:0>16}"),
            sip_call_id: "x@y".to_owned(),
            from: "phone:6001".to_owned(),
            to: vec!["trunk:carrier".to_owned()],
            number: "15551234567".to_owned(),
            state: state.to_owned(),
            seconds: 87,
            talking_seconds: (state != "ringing").then_some(83),
            route: Some("national".to_owned()),
            codecs: ["G722", "PCMU"].map(|name| Some(name.to_owned())),
            path: "user".to_owned(),
            reason: Some("transcoded".to_owned()),
        }
    }

    fn some() -> [Call; 3] {
        let mut rings = call("1b", "ringing");
        rings
            .to
            .extend(["phone:6002", "phone:6003"].map(str::to_owned));
        rings.codecs = [None, None];
        (rings.path, rings.reason) = ("none".to_owned(), None);
        let mut held = call("1c", "held");
        held.codecs = [(); 2].map(|()| Some("PCMA".to_owned()));
        (held.path, held.reason) = ("kernel".to_owned(), None);
        held.route = None;
        held.number = "1\u{9b}2J".to_owned();
        [call("1a", "up"), rings, held]
    }

    #[test]
    fn a_table_of_calls() {
        assert_eq!(
            table(&some(), usize::MAX),
            "\
CALL  FROM        TO                DIALLED      STATE    TIME  CODECS         MEDIA       ROUTE
1a    phone:6001  trunk:carrier     15551234567  up       1:23  G722 <-> PCMU  transcoded  national
1b    phone:6001  trunk:carrier +2  15551234567  ringing  1:27  -              none        national
1c    phone:6001  trunk:carrier     1\\u{9b}2J    held     1:23  PCMA           kernel      -

3 calls: 1 up, 1 held, 1 ringing.
"
        );
        assert_eq!(table(&[], 80), "No calls.\n");
    }

    #[test]
    fn a_narrow_terminal_shows_what_tells_most() {
        let shown = table(&some(), 80);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[1],
            "1a    phone:6001  trunk:carrier     15551234567  up       1:23  G722 <-> PCMU"
        );
        assert_eq!(lines[6], "No room for ROUTE, MEDIA; --json has all.");
    }

    #[test]
    fn a_call_in_words() {
        let side = |party: &str, listed: &[&str], allowed: &[&str]| StreamSide {
            party: party.to_owned(),
            listed: listed.iter().map(|&name| name.to_owned()).collect(),
            allowed: allowed.iter().map(|&name| name.to_owned()).collect(),
            speaks: None,
            keys: "rtp".to_owned(),
        };
        let leg = |leg: u32, party: &str| Leg {
            leg,
            party: party.to_owned(),
            network: "home".to_owned(),
            transport: "udp".to_owned(),
            local: ([192, 0, 2, 1], 5060).into(),
            peer: ([192, 0, 2, 7], 5060).into(),
            sip_call_id: "x@y".to_owned(),
            user_agent: (leg == 0).then(|| "Phone\u{1b}[31m 1.0".to_owned()),
            state: "up".to_owned(),
            holds: leg == 1,
            session: Some(sbc::io::admin::types::SessionTimer {
                interval_seconds: 1800,
                ours: leg == 1,
                seconds_left: 1500,
            }),
        };
        let detail = CallDetail {
            call: call("1a", "held"),
            legs: vec![leg(0, "phone:6001"), leg(1, "trunk:carrier")],
            tried: vec![sbc::io::admin::types::Tried {
                party: "trunk:other".to_owned(),
                why: "503 Service Unavailable".to_owned(),
            }],
            ring_seconds_left: None,
            seconds_left: Some(3600),
            streams: vec![Stream {
                kind: "audio".to_owned(),
                choice: "transcoded".to_owned(),
                why: "G722 <-> PCMU, transcoded: as it is".to_owned(),
                path: "user".to_owned(),
                path_why: "in user space: its sides share no codec".to_owned(),
                sides: [
                    side("phone:6001", &["G722"], &["G722", "PCMU"]),
                    side("trunk:carrier", &[], &["PCMU"]),
                ],
                pairs: vec![1],
            }],
            verdict: vec![Verdict {
                hears: "caller".to_owned(),
                cause: "nothing-arrived".to_owned(),
                text: "phone:6001 hears nothing: no packet at all came".to_owned(),
            }],
        };
        assert_eq!(
            whole(&detail, &[], usize::MAX),
            "\
call 1a: phone:6001 to trunk:carrier, dialled 15551234567
  state     up for 1:23, on hold; taken after 4 s
  route     national
  tried     trunk:other: 503 Service Unavailable
  ends      in 1:00:00 at the latest (max_duration)
  verdict   phone:6001 hears nothing: no packet at all came

caller phone:6001: up
  at        udp:192.0.2.7:5060, on home (ours 192.0.2.1:5060)
  Call-ID   x@y
  agent     Phone\\u{1b}[31m 1.0
  session   refreshed by the peer every 1800 s; over in 25:00 without that

leg trunk:carrier: up, holds the other one
  at        udp:192.0.2.7:5060, on home (ours 192.0.2.1:5060)
  Call-ID   x@y
  session   refreshed by us every 1800 s; over in 25:00 without that

audio: G722 <-> PCMU, transcoded: as it is
  media     in user space: its sides share no codec
            phone:6001 listed G722; `codecs` allows G722, PCMU; keys as RTP events (RFC 4733)
            trunk:carrier listed nothing yet; `codecs` allows PCMU; keys as RTP events (RFC 4733)
"
        );
    }
}
