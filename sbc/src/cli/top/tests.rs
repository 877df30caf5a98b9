//! What is shown, word for word. `SBC_GOLDEN=write cargo test -p sbc --bin sbc top` writes the
//! pictures anew: look at what changes.

mod behaviour;
mod property;

use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use sbc::io::admin::types::{
    Amount, Call, CallCounts, CallDetail, FlowCounts, Leg, NetworkStatus, Probe, QualityTotals,
    Registration, Status, Stream, StreamSide, Tried, Trunk, TrunkCounts, WorkerStatus,
};

use super::draw::{self, Theme};
use super::state::{About, Answer, Input, State};
use super::trace::Trace;

pub(super) fn call(id: &str, from: &str, to: &str, seconds: u64) -> Call {
    Call {
        id: format!("{id:0>16}"),
        sip_call_id: format!("{id}@192.0.2.7"),
        from: from.to_owned(),
        to: vec![to.to_owned()],
        number: "15551234567".to_owned(),
        state: if seconds < 5 { "ringing" } else { "up" }.to_owned(),
        seconds,
        talking_seconds: (seconds >= 5).then(|| seconds - 4),
        route: Some("national".to_owned()),
        codecs: ["G722", "PCMU"].map(|codec| Some(codec.to_owned())),
        path: "user".to_owned(),
        reason: Some("transcoded".to_owned()),
    }
}

fn trunk(name: &str, answers: bool) -> Trunk {
    Trunk {
        name: name.to_owned(),
        network: "wan".to_owned(),
        server: "udp:203.0.113.9:5060".to_owned(),
        probe: Some(Probe {
            interval_seconds: 30,
            answers,
            answered_ms: Some(1000),
            silence: (!answers).then(|| "no answer within 8 s".to_owned()),
        }),
        registration: answers.then_some(Registration {
            registered: true,
            seconds_left: Some(300),
            server: None,
            trouble: None,
            next_try_seconds: None,
        }),
        calls: 12,
        max_calls: answers.then_some(30),
        max_calls_per_second: None,
        attempts: 200,
        answered: 131,
        refused_max_calls: 0,
        refused_max_calls_per_second: 0,
    }
}

fn status(up_seconds: u64, packets: u64) -> Status {
    let network = NetworkStatus {
        name: "wan".to_owned(),
        media_dropped: [("wrong-source", packets / 100), ("no-flow", packets / 1000)]
            .into_iter()
            .map(|(reason, count)| (reason.to_owned(), count))
            .collect(),
        sip_dropped: [("scanner".to_owned(), packets / 500)]
            .into_iter()
            .collect(),
        ..NetworkStatus::default()
    };
    let worker = WorkerStatus {
        driver: "io_uring".to_owned(),
        core: Some(0),
        load_percent: 3,
        ..WorkerStatus::default()
    };
    let busy = WorkerStatus {
        core: Some(1),
        load_percent: 97,
        transcoded: 300,
        refuses: true,
        ..worker.clone()
    };
    let mut status = Status {
        warnings: vec![
            "trunk:backup does not answer: no answer within 8 s; its last answer was 3 min ago"
                .to_owned(),
            "1 of 2 media workers do not keep up and take no new calls that must be transcoded"
                .to_owned(),
            "a third one".to_owned(),
        ],
        version: "0.1.0".to_owned(),
        name: "edge1".to_owned(),
        phase: "ready".to_owned(),
        up_seconds,
        calls: CallCounts {
            up: 3,
            ringing: 1,
            last_minute: 42,
        },
        flows: FlowCounts {
            kernel: 20,
            user: 4,
            transcoded: 2,
        },
        trunks: TrunkCounts {
            all: 2,
            watched: 2,
            up: 1,
            registering: 1,
            registered: 1,
        },
        quality: QualityTotals {
            lost: packets / 1000,
            streams: 812,
            mos: Some(4.376),
            jitter_ms: Some(2.14),
        },
        registrations: 14,
        bans: 3,
        networks: vec![network],
        workers: vec![worker, busy],
        ..Status::default()
    };
    let amount = |packets| Amount {
        packets,
        bytes: 172 * packets,
    };
    status.media.kernel = amount(packets);
    status.media.transcoded = amount(packets / 10);
    status
}

fn answer(second: u64) -> Answer {
    Answer {
        at: Duration::from_secs(second),
        status: status(10_800 + second, 1000 * second),
        trunks: vec![trunk("carrier", true), trunk("backup", false)],
        calls: Some(vec![
            call("1a", "phone:anna", "trunk:carrier", 87),
            call("1b", "trunk:carrier", "phone:bert", 4000),
            call("1c", "phone:charlotte-upstairs", "trunk:carrier", 3),
            Call {
                number: "\u{1b}[31mred".to_owned(),
                path: "kernel".to_owned(),
                reason: None,
                codecs: ["PCMA", "PCMA"].map(|codec| Some(codec.to_owned())),
                ..call("1d", "trunk:backup", "trunk:carrier", 12)
            },
        ]),
        call: None,
    }
}

fn detail() -> CallDetail {
    let leg = |leg, party: &str, state: &str| Leg {
        leg,
        party: party.to_owned(),
        network: "home".to_owned(),
        transport: "udp".to_owned(),
        local: "192.0.2.1:5060".parse().unwrap(),
        peer: "192.168.1.5:5060".parse().unwrap(),
        sip_call_id: format!("{leg}@192.0.2.7"),
        user_agent: Some("Phone 1.0".to_owned()),
        state: state.to_owned(),
        holds: false,
        session: None,
    };
    let side = |party: &str, codec: &str| StreamSide {
        party: party.to_owned(),
        listed: vec![codec.to_owned()],
        allowed: vec!["G722".to_owned(), "PCMU".to_owned()],
        speaks: Some(codec.to_owned()),
        keys: "rtp".to_owned(),
    };
    CallDetail {
        call: call("1a", "phone:anna", "trunk:carrier", 87),
        legs: vec![leg(0, "phone:anna", "up"), leg(1, "trunk:carrier", "up")],
        tried: vec![Tried {
            party: "trunk:backup".to_owned(),
            why: "503 Service Unavailable".to_owned(),
        }],
        ring_seconds_left: None,
        seconds_left: Some(3600),
        streams: vec![Stream {
            kind: "audio".to_owned(),
            choice: "transcoded".to_owned(),
            why: "G722 <-> PCMU, transcoded: trunk:carrier allows no G722".to_owned(),
            path: "user".to_owned(),
            path_why: "in user space: its sides share no codec".to_owned(),
            sides: [side("phone:anna", "G722"), side("trunk:carrier", "PCMU")],
            pairs: vec![1],
        }],
        verdict: Vec::new(),
    }
}

/// As the daemon would write it.
fn trace() -> Trace {
    let invite = "INVITE sip:15551234567@192.0.2.1 SIP/2.0\\r\\nVia: SIP/2.0/UDP 192.168.1.5:5060;branch=z9hG4bK1\\r\\nFrom: <sip:anna@192.0.2.1>;tag=a\\r\\n\
                  Authorization: ***\\r\\n\\r\\nv=0\\r\\nm=audio 4000 RTP/AVP 9 0\\r\\n";
    let text = format!(
        r#"{{ "id": "1a", "state": "up", "failed": false, "began": "2026-01-02T03:04:05Z", "lasted_seconds": 87.0,
  "from": "phone:anna", "to": "trunk:carrier", "dialled": "15551234567", "outcome": null, "reason": null,
  "parties": [ {{"name":"phone:anna","address":"192.168.1.5:5060"}}, {{"name":"sbc","address":null}},
               {{"name":"trunk:backup","address":"203.0.113.7:5060"}}, {{"name":"trunk:carrier","address":"203.0.113.9:5060"}} ],
  "steps": [
    {{"at":0.0,"from":0,"to":1,"label":"INVITE","note":"G722 PCMU, media at 192.168.1.5:4000","transport":"udp","sdp":"v=0","message":"{invite}"}},
    {{"at":0.001,"from":1,"to":0,"label":"100 Trying","note":null,"transport":"udp","sdp":null,"message":null}},
    {{"at":0.001,"from":1,"to":1,"label":"route national","note":"trunk:backup, then trunk:carrier","transport":null,"sdp":null,"message":null}},
    {{"at":0.002,"from":1,"to":2,"label":"INVITE","note":"PCMU","transport":"udp","sdp":"v=0","message":"INVITE"}},
    {{"at":0.044,"from":2,"to":1,"label":"503 Service Unavailable","note":"Retry-After: 30","transport":"udp","sdp":null,"message":"503"}},
    {{"at":0.045,"from":1,"to":2,"label":"ACK","note":null,"transport":"udp","sdp":null,"message":"ACK"}},
    {{"at":0.046,"from":1,"to":3,"label":"INVITE","note":"PCMU","transport":"udp","sdp":"v=0","message":"INVITE"}},
    {{"at":1.310,"from":3,"to":1,"label":"180 Ringing","note":null,"transport":"udp","sdp":null,"message":"180"}},
    {{"at":1.311,"from":1,"to":0,"label":"180 Ringing","note":null,"transport":"udp","sdp":null,"message":"180"}},
    {{"at":4.020,"from":3,"to":1,"label":"200 OK","note":"PCMU, media at 203.0.113.9:30000","transport":"udp","sdp":"v=0","message":"200"}},
    {{"at":4.021,"from":1,"to":1,"label":"codec","note":"G722 <-> PCMU, transcoded: no shared codec","transport":null,"sdp":null,"message":null}},
    {{"at":4.022,"from":1,"to":0,"label":"200 OK","note":"G722","transport":"udp","sdp":"v=0","message":"200"}},
    {{"at":4.060,"from":0,"to":1,"label":"ACK","note":null,"transport":"udp","sdp":null,"message":"ACK"}},
    {{"at":4.061,"from":1,"to":3,"label":"ACK","note":null,"transport":"udp","sdp":null,"message":"ACK"}} ],
  "verdict": [ {{"hears":"caller","cause":"wrong-source","text":"phone:anna hears nothing: 812 packets came from 203.0.113.50, which nobody named"}} ],
  "omitted": 0 }}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn about() -> About {
    About {
        id: format!("{:0>16}", "1a"),
        detail: Ok((detail(), Vec::new())),
        trace: Ok(trace()),
    }
}

fn now(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn press(state: &mut State, keys: &[KeyCode]) {
    for key in keys {
        let key = KeyEvent::new(*key, KeyModifiers::NONE);
        state.handle_input(now(2), Input::Key(key));
    }
}

fn typed(state: &mut State, text: &str) {
    text.chars()
        .for_each(|letter| press(state, &[KeyCode::Char(letter)]));
}

/// After two answers, a second apart.
fn running() -> State {
    let mut state = State::new(now(1));
    state.handle_input(now(1), Input::Answer(Box::new(answer(1))));
    state.handle_input(now(2), Input::Answer(Box::new(answer(2))));
    while state.poll_action().is_some() {}
    state
}

/// The first call, with its ladder.
fn opened() -> State {
    let mut state = running();
    typed(&mut state, "/anna");
    press(&mut state, &[KeyCode::Enter, KeyCode::Enter]);
    let answer = Answer {
        call: Some(about()),
        ..answer(3)
    };
    state.handle_input(now(3), Input::Answer(Box::new(answer)));
    while state.poll_action().is_some() {}
    state
}

fn picture(state: &State, (width, height): (u16, u16), theme: Theme) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let frame = terminal
        .draw(|frame| {
            let area = frame.area();
            draw::draw(state, theme, area, frame.buffer_mut());
        })
        .unwrap();
    let buffer = frame.buffer;
    if theme == Theme::Plain {
        let coloured = buffer
            .content()
            .iter()
            .find(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert!(coloured.is_none(), "{coloured:?}");
    }
    let rows = buffer
        .content()
        .chunks(usize::from(width).max(1))
        .map(|row| {
            let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.trim_end().to_owned() + "\n"
        });
    rows.collect()
}

/// Holds a picture against the file.
fn golden(name: &str, state: &State, size: (u16, u16)) {
    let picture = picture(state, size, Theme::Plain);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/top/{name}.txt"));
    if std::env::var_os("SBC_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &picture).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        picture,
        expected,
        "{}: SBC_GOLDEN=write writes it anew",
        path.display()
    );
}

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);

#[test]
fn the_overview() {
    let state = running();
    golden("overview-80x24", &state, SMALL);
    golden("overview-200x60", &state, LARGE);
    golden("overview-40x12", &state, (40, 12));
}

#[test]
fn a_call_and_its_ladder() {
    let mut state = opened();
    golden("ladder-80x24", &state, SMALL);
    golden("ladder-200x60", &state, LARGE);
    golden("ladder-50x16", &state, (50, 16));
    press(&mut state, &[KeyCode::Tab]);
    golden("about-80x24", &state, SMALL);
    press(&mut state, &[KeyCode::Tab, KeyCode::Home, KeyCode::Enter]);
    golden("message-80x24", &state, SMALL);
}

#[test]
fn help_and_questions() {
    let mut state = running();
    typed(&mut state, "?");
    golden("help-80x24", &state, SMALL);
    typed(&mut state, " h");
    golden("hang-up-80x24", &state, SMALL);
}
