//! `sbc flows`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use sbc::io::admin::types::{ADDRESS_GONE, Flow, FlowPage, Received, Side};

use super::client::{Daemon, DaemonError, Whom};
use super::columns::{Align, Columns, ago, bytes, folded, terminal_width};
use super::{Failure, calls};

/// Below `--help`.
const EXPLAINED: &str = "\
PEER is where packets come from; in brackets: named in SDP, and nothing has come from there yet. PACKETS and BYTES \
came in at that side and went on, the last of them so long ago as LAST says. LOST never came, LATE came after a later one, TWICE came again, all by sequence \
numbers; JITTER is that of RFC 3550; RTT, below a peer, is how long it is there and back, as RTCP tells, beside whatever carries it; SSRCS counts the sources that have taken turns. \
A terminal that is too narrow for all columns shows the most telling ones.

Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = EXPLAINED)]
pub(super) struct FlowsArgs {
    /// Of this call only: its id as the log has it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL")]
    call: Option<String>,
    /// Look twice, a second apart, and show packets a second in place of bytes
    #[arg(long)]
    rate: bool,
    /// One JSON array, an element a flow pair, instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Shows the flows of a running daemon.
pub(super) fn flows(args: &FlowsArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    // Whoever asks for a call that is not there is told so, and not that it has no media.
    let call = match &args.call {
        Some(name) => Some(calls::find(&daemon, name)?.call),
        None => None,
    };
    let call = call.as_ref().map(|call| call.id.as_str());
    let mut flows = read(&daemon, call)?;
    if args.rate {
        let before = (flows, Instant::now());
        std::thread::sleep(BETWEEN);
        let since = before.1.elapsed();
        flows = read(&daemon, call)?;
        rate(&mut flows, &before.0, since);
    }
    let text = match args.json {
        true => serde_json::to_string_pretty(&flows).map_err(|e| Failure::Host(e.into()))? + "\n",
        false => table(&flows, call, args.rate, terminal_width()),
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

/// Flows that have come meanwhile have no rate yet.
fn rate(flows: &mut [Flow], before: &[Flow], since: Duration) {
    let before: BTreeMap<u64, &Flow> = before.iter().map(|flow| (flow.pair, flow)).collect();
    for flow in flows {
        let Some(then) = before.get(&flow.pair) else {
            continue;
        };
        for (side, then) in flow.sides.iter_mut().zip(&then.sides) {
            if let (Some(now), Some(then)) = (&mut side.received, &then.received) {
                let packets = now.packets.saturating_sub(then.packets);
                now.packets_per_second = Some(packets as f64 / since.as_secs_f64());
            }
        }
    }
}

pub(super) fn read(daemon: &Daemon, call: Option<&str>) -> Result<Vec<Flow>, DaemonError> {
    let mut flows = Vec::new();
    let mut after = None;
    loop {
        let page = String::from("/api/flows?");
        let query_at = page.len();
        let mut query = form_urlencoded::Serializer::for_suffix(page, query_at);
        if let Some(call) = call {
            query.append_pair("call", call);
        }
        if let Some(after) = after {
            query.append_pair("after", &u64::to_string(&after));
        }
        let page: FlowPage = daemon.read(&query.finish())?;
        flows.extend(page.flows);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(flows),
        }
    }
}

const COLUMNS: [(&str, Align); 12] = [
    ("FLOW", Align::Left),
    ("NETWORK", Align::Left),
    ("OURS", Align::Left),
    ("PEER", Align::Left),
    ("PACKETS", Align::Right),
    ("BYTES", Align::Right),
    ("LAST", Align::Right),
    ("LOST", Align::Right),
    ("LATE", Align::Right),
    ("TWICE", Align::Right),
    ("JITTER", Align::Right),
    ("SSRCS", Align::Right),
];

/// What is left out first where there is no room: SSRCS, TWICE, LATE, BYTES, JITTER, LOST, OURS, NETWORK.
const SPARE: [usize; 8] = [11, 9, 8, 5, 10, 7, 2, 1];
/// The same with packets a second in place of bytes: whoever asks for them wants to see them.
const SPARE_OF_RATE: [usize; 7] = [11, 9, 8, 10, 7, 2, 1];

pub(super) fn table(flows: &[Flow], call: Option<&str>, rate: bool, room: usize) -> String {
    if flows.is_empty() {
        return match call {
            None => "No media flows: no call has media now.\n".to_owned(),
            Some(call) => format!(
                "Call {} has no media flows: it rings, its media goes past the box, or it has just ended.\n",
                calls::short(call)
            ),
        };
    }
    let mut titles = COLUMNS;
    if rate {
        titles[5] = ("PER S", Align::Right);
    }
    let mut columns = Columns::new(titles);
    let mut notes = BTreeSet::new();
    let mut above = String::new();
    for flow in in_order(flows) {
        let title = title(flow, room);
        if title != above {
            columns.text(String::new());
            columns.text(title.as_str());
            above = title;
        }
        for (index, side) in flow.sides.iter().enumerate() {
            let kind = if index == 0 { flow.kind.as_str() } else { "" };
            let counts = side.received.as_ref().map(|one| counts(flow, one, rate));
            row(&mut columns, &mut notes, kind, side, counts);
        }
    }
    let spare: &[usize] = if rate { &SPARE_OF_RATE } else { &SPARE };
    let (mut out, left_out) = columns.fit(room, spare);
    out.push('\n');
    let mut below = summary(flows);
    for note in notes {
        let _ = writeln!(below, "{note}");
    }
    if !left_out.is_empty() {
        let left_out = left_out.join(", ");
        let _ = writeln!(below, "No room for {left_out}; --json has all.");
    }
    out + &folded(&below, room, 2)
}

/// Those of a call together, in the order in which calls began.
fn in_order(flows: &[Flow]) -> Vec<&Flow> {
    let mut ordered: Vec<&Flow> = flows.iter().collect();
    ordered.sort_by(|a, b| (&a.call, &a.path, a.pair).cmp(&(&b.call, &b.path, b.pair)));
    ordered
}

/// Where a title is broken, in characters.
const TITLE: usize = 110;

/// `call 2: phone:6001 to trunk:b, dialled 15551234567, in the kernel`.
fn title(flow: &Flow, room: usize) -> String {
    let path = match (&flow.why, flow.path.as_str()) {
        (Some(why), _) if matches!(flow.reason.as_deref(), Some("transcoded" | "dtmf")) => {
            why.clone()
        }
        (Some(why), _) => format!("in user space: {why}"),
        (None, "kernel") => "in the kernel".to_owned(),
        (None, path) => format!("path {path}"),
    };
    let call = match flow.call.trim_start_matches('0') {
        "" => "0",
        call => call,
    };
    let call = format!(
        "call {call}: {} to {}, dialled {},",
        flow.from,
        flow.to,
        // The caller wrote it.
        flow.number.escape_debug()
    );
    match call.chars().count() + path.chars().count() < TITLE.min(room) {
        true => format!("{call} {path}"),
        false => format!("{call}\n  {path}"),
    }
}

fn row(
    columns: &mut Columns<12>,
    notes: &mut BTreeSet<&'static str>,
    kind: &str,
    side: &Side,
    counts: Option<[String; 8]>,
) {
    let peer = match (side.latched, side.named) {
        (Some(latched), _) => latched.to_string(),
        (None, Some(named)) => {
            notes.insert("(address): named in SDP; nothing has come from there yet.");
            format!("({named})")
        }
        (None, None) => {
            notes.insert("PEER -: no SDP has named it yet; nothing is let in.");
            "-".to_owned()
        }
    };
    let counts = match counts {
        Some(counts) => counts,
        None => {
            notes.insert("PACKETS ?: the media worker has not answered in time.");
            [(); 8].map(|()| "?".to_owned())
        }
    };
    let [packets, bytes, last, lost, late, twice, jitter, ssrcs] = counts;
    let (kind, network, ours) = (
        kind.to_owned(),
        side.network.clone(),
        side.local.to_string(),
    );
    columns.row([
        kind, network, ours, peer, packets, bytes, last, lost, late, twice, jitter, ssrcs,
    ]);
    if let Some(fault) = &side.fault {
        if fault == ADDRESS_GONE {
            notes.insert("address-gone: this host does not have that address now; nothing comes or leaves there until it has.");
        }
        let mut cells = [(); 12].map(|()| String::new());
        cells[2] = fault.clone();
        columns.row(cells);
    }
    // Behind a NAT media comes from elsewhere than the peer thinks.
    if let (Some(_), Some(named)) = (side.latched, side.named)
        && side.latched != side.named
    {
        let mut cells = [(); 12].map(|()| String::new());
        cells[3] = format!("named {named}");
        columns.row(cells);
    }
    // Where RTCP has ports of its own it is told of those. No column: most rows have none.
    let trip = side.received.as_ref().and_then(|one| one.round_trip_ms);
    if let Some(trip) = trip {
        let mut cells = [(); 12].map(|()| String::new());
        cells[3] = format!("RTT {trip:.1} ms");
        columns.row(cells);
    }
}

/// Quality is measured on RTP only.
fn counts(flow: &Flow, received: &Received, rate: bool) -> [String; 8] {
    let measured = flow.kind.starts_with("rtp");
    let figure = |text: String| if measured { text } else { "-".to_owned() };
    [
        received.packets.to_string(),
        match (rate, received.packets_per_second) {
            (false, _) => bytes(received.bytes),
            (true, Some(rate)) => format!("{rate:.0}"),
            (true, None) => "-".to_owned(),
        },
        received.last_packet_ms.map_or_else(
            || "-".to_owned(),
            |silent| ago(Duration::from_millis(silent)),
        ),
        figure(received.lost.to_string()),
        figure(received.reordered.to_string()),
        figure(received.duplicate.to_string()),
        figure(format!("{:.1} ms", received.jitter_ms)),
        figure(match received.packets {
            0 => "0".to_owned(),
            _ => (received.ssrc_changes + 1).to_string(),
        }),
    ]
}

fn summary(flows: &[Flow]) -> String {
    let calls: BTreeSet<&str> = flows.iter().map(|flow| flow.call.as_str()).collect();
    let kernel = flows.iter().filter(|flow| flow.path == "kernel").count();
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    format!(
        "{}, {}: {kernel} in the kernel, {} in user space. What came in at each side and went on.\n",
        plural(calls.len(), "call"),
        plural(flows.len(), "flow pair"),
        flows.len() - kernel
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(network: &str, end: u8) -> Side {
        Side {
            network: network.to_owned(),
            local: ([10, 71, end, 1], 20_000).into(),
            fault: None,
            named: Some(([10, 71, end, 2], 4000).into()),
            sources: Vec::new(),
            latched: Some(([10, 71, end, 2], 4000).into()),
            received: Some(Received {
                packets: 1501,
                bytes: 258_172,
                last_packet_ms: Some(12),
                packets_per_second: None,
                lost: 3,
                reordered: 2,
                duplicate: 1,
                ssrc_changes: 0,
                jitter_ms: 0.26,
                round_trip_ms: None,
            }),
        }
    }

    fn flow(pair: u64, kind: &str) -> Flow {
        Flow {
            pair,
            call: "000000000000001a".to_owned(),
            sip_call_id: "x@y".to_owned(),
            from: "phone:6001".to_owned(),
            to: "trunk:b".to_owned(),
            number: "15551234567".to_owned(),
            kind: kind.to_owned(),
            path: "kernel".to_owned(),
            reason: None,
            why: None,
            sides: [side("left", 1), side("right", 2)],
        }
    }

    #[test]
    fn a_table_of_calls() {
        let mut rtcp = flow(2, "rtcp");
        rtcp.sides[0].latched = None;
        rtcp.sides[0].received = Some(Received::default());
        rtcp.sides[1].latched = Some(([203, 0, 113, 9], 1024).into());
        rtcp.sides[1].received.as_mut().unwrap().round_trip_ms = Some(41.23);
        let mut other = flow(1, "opaque");
        other.call = "0000000000000003".to_owned();
        other.path = "user".to_owned();
        other.why = Some("fast_path is \"off\"".to_owned());
        other.sides[0].named = None;
        other.sides[0].latched = None;
        other.sides[1].received = None;
        let all = [flow(1, "rtp"), rtcp, other];
        let shown = table(&all, None, false, usize::MAX);
        assert_eq!(
            shown,
            "\
FLOW    NETWORK  OURS             PEER                  PACKETS   BYTES  LAST  LOST  LATE  TWICE  JITTER  SSRCS

call 3: phone:6001 to trunk:b, dialled 15551234567, in user space: fast_path is \"off\"
opaque  left     10.71.1.1:20000  -                        1501  258 kB   0 s     -     -      -       -      -
        right    10.71.2.1:20000  10.71.2.2:4000              ?       ?     ?     ?     ?      ?       ?      ?

call 1a: phone:6001 to trunk:b, dialled 15551234567, in the kernel
rtp     left     10.71.1.1:20000  10.71.1.2:4000           1501  258 kB   0 s     3     2      1  0.3 ms      1
        right    10.71.2.1:20000  10.71.2.2:4000           1501  258 kB   0 s     3     2      1  0.3 ms      1
rtcp    left     10.71.1.1:20000  (10.71.1.2:4000)            0     0 B     -     -     -      -       -      -
        right    10.71.2.1:20000  203.0.113.9:1024         1501  258 kB   0 s     -     -      -       -      -
                                  named 10.71.2.2:4000
                                  RTT 41.2 ms

2 calls, 3 flow pairs: 2 in the kernel, 1 in user space. What came in at each side and went on.
(address): named in SDP; nothing has come from there yet.
PACKETS ?: the media worker has not answered in time.
PEER -: no SDP has named it yet; nothing is let in.
"
        );
    }

    #[test]
    fn what_was_dialled_does_nothing_to_the_terminal() {
        let mut flow = flow(1, "rtp");
        // In a URI these are allowed: C1 controls are no ASCII.
        flow.number = "1\u{9b}2J\u{202e}\u{1b}[31m".to_owned();
        let title = title(&flow, usize::MAX);
        assert!(
            title.contains(r"dialled 1\u{9b}2J\u{202e}\u{1b}[31m,"),
            "{title}"
        );
        assert!(title.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    }

    #[test]
    fn an_address_that_is_gone_is_said_to_be() {
        let mut flow = flow(1, "rtp");
        flow.sides[1].fault = Some(ADDRESS_GONE.to_owned());
        let shown = table(&[flow], None, false, usize::MAX);
        let lines: Vec<&str> = shown.lines().skip(4).collect();
        assert!(
            lines[0].starts_with("      right    10.71.2.1:20000  10"),
            "{shown}"
        );
        assert_eq!(lines[1], "               address-gone", "{shown}");
        assert_eq!(
            lines[4],
            "address-gone: this host does not have that address now; nothing comes or leaves there until it has."
        );
    }

    #[test]
    fn a_narrow_terminal_shows_what_tells_most() {
        let mut flow = flow(1, "rtp");
        flow.sides[1].received.as_mut().unwrap().last_packet_ms = Some(200_000);
        let shown = table(&[flow], None, false, 80);
        assert_eq!(
            shown,
            "\
FLOW  NETWORK  OURS             PEER            PACKETS   LAST  LOST  JITTER

call 1a: phone:6001 to trunk:b, dialled 15551234567, in the kernel
rtp   left     10.71.1.1:20000  10.71.1.2:4000     1501    0 s     3  0.3 ms
      right    10.71.2.1:20000  10.71.2.2:4000     1501  3 min     3  0.3 ms

1 call, 1 flow pair: 1 in the kernel, 0 in user space. What came in at each side
  and went on.
No room for SSRCS, TWICE, LATE, BYTES; --json has all.
"
        );
    }

    #[test]
    fn a_long_reason_has_a_line_of_its_own() {
        let mut flow = flow(1, "rtp");
        flow.path = "user".to_owned();
        flow.why = Some("w".repeat(80));
        let (first, second) = (
            "call 1a: phone:6001 to trunk:b, dialled 15551234567,",
            "w".repeat(80),
        );
        assert_eq!(
            title(&flow, usize::MAX),
            format!("{first}\n  in user space: {second}")
        );
    }

    #[test]
    fn what_is_transcoded_says_so() {
        let mut flow = flow(1, "rtp");
        flow.path = "user".to_owned();
        flow.reason = Some("transcoded".to_owned());
        flow.why = Some("transcoded: G722 <-> PCMU".to_owned());
        assert_eq!(
            title(&flow, usize::MAX),
            "call 1a: phone:6001 to trunk:b, dialled 15551234567, transcoded: G722 <-> PCMU"
        );
    }

    #[test]
    fn packets_a_second_are_those_between_two_looks() {
        let before = [flow(1, "rtp")];
        let mut now = [flow(1, "rtp"), flow(2, "rtcp")];
        for side in &mut now[0].sides {
            side.received.as_mut().unwrap().packets += 100;
        }
        rate(&mut now, &before, Duration::from_secs(2));
        let shown = table(&now, None, true, usize::MAX);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].contains("PACKETS  PER S  LAST  LOST"), "{shown}");
        assert!(lines[3].contains(" 1601     50   0 s     3"), "{shown}");
        assert!(lines[5].contains(" 1501      -   0 s     -"), "{shown}");
    }
}
