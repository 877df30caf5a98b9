//! One call for each cause, and what is said of it.

use super::*;
use crate::config::NetworkId;

const CALLER: &str = "phone:anna";
const CALLEE: &str = "trunk:carrier";

/// A call in which both are heard.
struct Stage {
    sides: [Side; 2],
    counts: [FlowCount; 2],
    directions: [Direction; 2],
    unreachable: Option<Unreachable>,
    talked: u64,
    has_flow: bool,
}

impl Stage {
    fn new() -> Stage {
        let side = |number: u16, named: &str, signalling: &str| Side {
            named: Some(named.parse().unwrap()),
            sources: [signalling.parse().unwrap()].into_iter().collect(),
            payload_types: 1 | 1 << 101,
            ..Side::new(
                NetworkId(number),
                format!("192.0.2.1:2000{number}").parse().unwrap(),
            )
        };
        Stage {
            sides: [
                side(0, "10.0.0.5:4000", "198.51.100.7/32"),
                side(1, "203.0.113.9:6000", "203.0.113.8/32"),
            ],
            counts: ["198.51.100.7:40112", "203.0.113.9:6000"].map(|at| FlowCount {
                packets: 500,
                latched: Some(at.parse().unwrap()),
                silent: Some(Duration::from_millis(20)),
                ..FlowCount::default()
            }),
            directions: [Direction::SendRecv; 2],
            unreachable: None,
            talked: 20,
            has_flow: true,
        }
    }

    /// One whose callee has sent nothing that was let in.
    fn mute() -> Stage {
        let mut stage = Stage::new();
        stage.counts[1] = FlowCount::default();
        stage
    }

    fn faults(&mut self) -> &mut Faults {
        &mut self.counts[1].faults
    }

    fn found(&self) -> Vec<Finding> {
        let leg = |index: usize, name: &str, signalling: &str| LegFacts {
            name: name.to_owned(),
            direction: self.directions[index],
            signalling: signalling.parse().unwrap(),
            flow: self
                .has_flow
                .then(|| (&self.sides[index], self.counts[index])),
            unreachable: self.unreachable.filter(|_| index == 0),
        };
        findings(&Facts {
            legs: [
                leg(0, CALLER, "198.51.100.7"),
                leg(1, CALLEE, "203.0.113.8"),
            ],
            is_direct: false,
            talked: Duration::from_secs(self.talked),
        })
    }

    /// That the caller alone hears nothing, and why.
    fn says(&self, cause: Cause, words: &str) {
        let [found] = &self.found()[..] else {
            panic!("{:#?}", self.found());
        };
        assert_eq!(
            (found.hears, found.cause),
            (Hears::Caller, cause),
            "{found:?}"
        );
        assert_eq!(found.text, words);
    }
}

#[test]
fn who_hears_is_told_nothing() {
    assert_eq!(Stage::new().found(), []);
    // What every call may have at its beginning.
    let mut stage = Stage::new();
    *stage.faults() = Faults {
        wrong_source: 2,
        payload_type: 40,
        unsent: 10,
        listened: 12,
        quiet: 11,
        ..Faults::default()
    };
    assert_eq!(stage.found(), []);
}

#[test]
fn a_call_that_has_just_begun_is_waited_for() {
    let mut stage = Stage::mute();
    stage.talked = 1;
    assert_eq!(stage.found(), []);
}

#[test]
fn a_wrong_source() {
    let mut stage = Stage::mute();
    stage.faults().wrong_source = 412;
    stage.faults().source = Some("203.0.113.77:40112".parse().unwrap());
    stage.says(
        Cause::WrongSource,
        "phone:anna hears nothing: 412 packets for it came from 203.0.113.77:40112 and were dropped: audio of trunk:carrier may come from \
         203.0.113.9:6000 (its SDP) or 203.0.113.8 (its signalling) only. If it sends from elsewhere, name that prefix in the trunk's media_from",
    );
}

#[test]
fn nothing_arrived() {
    Stage::mute().says(
        Cause::NothingArrived,
        "phone:anna hears nothing: no packet at all came from trunk:carrier, of which audio was to come from 203.0.113.9:6000 (its SDP) or \
         203.0.113.8 (its signalling) only to 192.0.2.1:20001. It does not send, or a firewall or NAT on the way drops it",
    );
    let mut stage = Stage::new();
    stage.counts[1].silent = Some(Duration::from_secs(12));
    stage.says(
        Cause::NothingArrived,
        "phone:anna hears nothing any more: nothing has come from trunk:carrier for 12 s, after 500 packets. It does not send, or a firewall or NAT \
         on the way drops it",
    );
}

#[test]
fn another_codec() {
    let mut stage = Stage::mute();
    (stage.faults().payload_type, stage.faults().last_type) = (300, 18);
    stage.says(
        Cause::CodecMismatch,
        "phone:anna hears nothing: 300 packets of trunk:carrier have payload type 18 (G729), which was not agreed upon (0 (PCMU), 101 were); they were \
         dropped. It has changed its codec without a re-INVITE, or does not keep to the answer",
    );
}

#[test]
fn another_ssrc() {
    let mut stage = Stage::mute();
    (stage.faults().ssrc, stage.faults().last_ssrc) = (300, 7);
    stage.sides[1].ssrcs.push(11);
    stage.says(
        Cause::WrongSsrc,
        "phone:anna hears nothing: 300 packets of trunk:carrier have SSRC 7, but its SDP fixes 11 (a=ssrc); they were dropped. It sends another stream \
         than it has announced, or changed it without a re-INVITE",
    );
}

#[test]
fn no_rtp() {
    let mut stage = Stage::mute();
    stage.faults().not_rtp = 300;
    stage.says(
        Cause::NotRtp,
        "phone:anna hears nothing: 300 packets that came from trunk:carrier were neither RTP nor RTCP, and were dropped. Encryption (DTLS) or ICE that \
         was not agreed upon looks like that",
    );
}

#[test]
fn a_private_address_on_both_ways() {
    let mut stage = Stage::new();
    stage.counts[0] = FlowCount::default();
    let found = stage.found();
    let told: Vec<_> = found.iter().map(|one| (one.hears, one.cause)).collect();
    let both = [
        (Hears::Caller, Cause::SentToPrivateAddress),
        (Hears::Callee, Cause::PrivateAddress),
    ];
    assert_eq!(told, both, "{found:#?}");
    assert_eq!(
        found[0].text,
        "phone:anna hears nothing: 500 packets went to 10.0.0.5:4000, a private address that its SDP names, but its signalling comes from 198.51.100.7. \
         As no packet came from it, where it can be reached is not known. It has to send audio first, or to name its public address"
    );
    assert_eq!(
        found[1].text,
        "trunk:carrier hears nothing: no packet came from phone:anna. Its SDP names 10.0.0.5:4000, a private address, but its signalling comes from \
         198.51.100.7: audio is taken from either, and came from neither. It is behind a NAT or firewall that lets no audio out, or cannot reach \
         192.0.2.1:20000"
    );
    // Near its signalling it is one that can be reached.
    stage.sides[0].named = Some("198.51.100.5:4000".parse().unwrap());
    let causes: Vec<_> = stage.found().iter().map(|one| one.cause).collect();
    assert_eq!(causes, [Cause::NothingArrived]);
}

#[test]
fn what_cannot_be_sent() {
    let mut stage = Stage::mute();
    stage.faults().unsent = 300;
    stage.faults().why_unsent = Some(crate::media::Unsent::NoNextHop);
    stage.says(
        Cause::SendFailed,
        "phone:anna hears nothing: 300 packets for it could not be sent to 198.51.100.7:40112, as no route leads there or its next hop does not answer. \
         Look at `ip route get 198.51.100.7` and `ip neigh` on the box",
    );
    // User space has counted them as let in.
    stage.counts[1].packets = 310;
    stage.counts[1].silent = Some(Duration::ZERO);
    let causes: Vec<_> = stage.found().iter().map(|one| one.cause).collect();
    assert_eq!(causes, [Cause::SendFailed]);
}

#[test]
fn what_nobody_takes() {
    let mut stage = Stage::new();
    let told = Unreachable {
        to: "198.51.100.7:40112".parse().unwrap(),
        by: "198.51.100.7".parse().unwrap(),
        what: "port",
        count: 9,
        lasting: Duration::from_secs(8),
        ago: Duration::from_secs(1),
    };
    stage.unreachable = Some(told);
    stage.says(
        Cause::SendFailed,
        "phone:anna hears nothing: 500 packets went to 198.51.100.7:40112, but 198.51.100.7 says, 9 times, that nobody listens at that port (ICMP port \
         unreachable)",
    );
    // Who hangs up has closed his port a moment before.
    stage.unreachable = Some(Unreachable {
        lasting: Duration::from_millis(40),
        ..told
    });
    assert_eq!(stage.found(), []);
    // That was over long ago.
    stage.unreachable = Some(Unreachable {
        ago: Duration::from_secs(60),
        ..told
    });
    assert_eq!(stage.found(), []);
}

#[test]
fn silence() {
    let mut stage = Stage::new();
    (stage.faults().listened, stage.faults().quiet) = (15, 15);
    stage.says(
        Cause::Silence,
        "phone:anna hears nothing: 500 packets came from trunk:carrier and went on, but all 15 of them that were listened to are digital silence or \
         comfort noise. Its microphone is muted or missing, or the call is silent behind it",
    );
}

#[test]
fn a_hold_that_nobody_ends() {
    let mut stage = Stage::new();
    stage.directions = [Direction::RecvOnly, Direction::SendOnly];
    // Music.
    stage.counts[0].silent = Some(Duration::from_secs(5));
    stage.counts[0].faults.payload_type = 250;
    let [callee] = &stage.found()[..] else {
        panic!("{:#?}", stage.found());
    };
    assert_eq!((callee.hears, callee.cause), (Hears::Callee, Cause::Held));
    assert_eq!(
        callee.text,
        "trunk:carrier hears nothing any more: it has put phone:anna on hold (its last SDP says a=sendonly) and has not resumed. 250 packets that \
         phone:anna sent all the same were dropped"
    );
    stage.counts[1].silent = Some(Duration::from_secs(5));
    let found = stage.found();
    assert_eq!(
        found[0].text,
        "phone:anna hears nothing any more: trunk:carrier has put it on hold (its last SDP says a=sendonly), has not resumed and plays nothing"
    );
    // Resumed, and they talk.
    stage.directions = [Direction::SendRecv; 2];
    for count in &mut stage.counts {
        count.silent = Some(Duration::ZERO);
    }
    assert_eq!(stage.found(), []);
}

#[test]
fn no_media_at_all() {
    let mut stage = Stage::new();
    stage.has_flow = false;
    let causes: Vec<_> = stage
        .found()
        .iter()
        .map(|one| (one.hears, one.cause))
        .collect();
    assert_eq!(causes, Hears::ALL.map(|hears| (hears, Cause::NoMedia)));
}

#[test]
fn each_cause_has_a_label_of_its_own() {
    let mut labels: Vec<&str> = Cause::ALL.into_iter().map(Cause::label).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Cause::ALL.len());
}
