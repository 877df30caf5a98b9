//! Whole calls whose media is more than one stream of voice: what is ordered of those who forward it.
//!
//! [`World::run_to_rest`] itself checks that no flow or port is left and that no SDP goes out before its flow is there.

use std::time::Duration;

use sbc::media::{FlowCommand, FlowKind, FlowPair};
use sbc_tests::sim::{Fact, Plan, Report, Weather, World};

const SECOND: Duration = Duration::from_secs(1);

const VOICE: &str = "m=audio 4000 RTP/AVP 0 8\r\n";
const MUX: &str = "m=audio 4000 RTP/AVP 0 8\r\na=rtcp-mux\r\n";
const FAX: &str =
    "m=image 4010 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n";
const VIDEO: &str = "m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\nm=video 4002 RTP/AVP 96 97\r\n\
    a=rtpmap:96 H264/90000\r\na=rtpmap:97 VP8/90000\r\na=rtcp:4444\r\n";

fn caller(streams: &'static str) -> Plan {
    Plan {
        calls: Some("100".to_owned()),
        streams: Some(streams),
        hangs_up_after: Some(SECOND * 60),
        ..Plan::default()
    }
}

fn callee(streams: &'static str) -> Plan {
    Plan {
        streams: Some(streams),
        ..Plan::default()
    }
}

/// In fair weather once, in storms for many seeds: whatever is lost, the same is ordered.
fn in_all_weathers(caller: &Plan, callee: &Plan, check: impl Fn(&Report)) {
    let run = |seed, weather| {
        let mut world = World::new(seed, weather, caller.clone(), callee.clone());
        world.start();
        world.run_to_rest()
    };
    check(&run(1, Weather::FAIR));
    for seed in 0..100 {
        check(&run(seed, Weather::STORM));
    }
}

fn installed(report: &Report) -> Vec<&FlowPair> {
    let mut pairs = Vec::new();
    for command in &report.commands {
        if let FlowCommand::Install(pair) = command {
            pairs.push(&**pair);
        }
    }
    pairs
}

/// Letter and kind of each command, by which a call can be read.
fn shape(report: &Report) -> String {
    let kind_of = |id| {
        let pair = installed(report).into_iter().find(|pair| pair.id == id);
        match pair.map(|pair| pair.kind) {
            Some(FlowKind::Rtp) => "rtp",
            Some(FlowKind::Rtcp) => "rtcp",
            Some(FlowKind::Opaque) => "opaque",
            None => "unknown",
        }
    };
    // Readings change nothing, and come as often as the call's length has it.
    let changes = report.commands.iter();
    let changes = changes.filter(|command| !matches!(command, FlowCommand::Read(_)));
    let words = changes.map(|command| match command {
        FlowCommand::Install(pair) => format!("+{}", kind_of(pair.id)),
        FlowCommand::Update(pair) => format!("={}", kind_of(pair.id)),
        FlowCommand::Read(id) => format!("?{}", kind_of(*id)),
        FlowCommand::Key(id, ..) => format!("*{}", kind_of(*id)),
        FlowCommand::Remove(id) => format!("-{}", kind_of(*id)),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn rtcp_on_the_port_of_rtp_is_each_sides_own_business() {
    for (offers, answers, expected, multiplexed) in [
        (MUX, MUX, "+rtp -rtp", [true, true]),
        (MUX, VOICE, "+rtp +rtcp -rtcp -rtp", [true, false]),
        (VOICE, VOICE, "+rtp +rtcp -rtp -rtcp", [false, false]),
    ] {
        in_all_weathers(&caller(offers), &callee(answers), |report| {
            assert_eq!(shape(report), expected);
            let pairs = installed(report);
            for pair in &pairs {
                let sides = pair.sides.each_ref().map(|side| side.multiplexed);
                assert_eq!(sides, multiplexed);
            }
            if let [rtp, rtcp] = pairs[..] {
                let leans = multiplexed[0].then_some((rtcp.id, rtp.id));
                assert_eq!(rtp.companion.zip(rtcp.companion), leans);
                assert_eq!(rtp.sides[0].local == rtcp.sides[0].local, multiplexed[0]);
            }
            assert_eq!(report.caller.last(), Some(&Fact::HungUp));
        });
    }
}

#[test]
fn a_call_becomes_a_fax_and_a_call_again() {
    let caller = Plan {
        fax: Some(FAX),
        ..caller(VOICE)
    };
    let callee = Plan {
        fax: Some(FAX),
        faxes_after: Some(SECOND * 3),
        talks_after: Some(SECOND * 30),
        ..callee(VOICE)
    };
    in_all_weathers(&caller, &callee, |report| {
        assert_eq!(
            shape(report),
            "+rtp +rtcp -rtp -rtcp +opaque -opaque +rtcp +rtp -rtp -rtcp"
        );
        // RTP has the fax's port when that is closed; nobody has had RTCP's.
        let pairs = installed(report);
        let locals = |pair: &FlowPair| pair.sides.each_ref().map(|side| side.local);
        assert_eq!(locals(pairs[0]), locals(pairs[2]));
        assert_eq!(locals(pairs[0]), locals(pairs[4]));
        let named = pairs[2].sides.each_ref().map(|side| side.named);
        let expected = ["10.71.1.2:4010", "10.71.2.2:4010"];
        assert_eq!(named, expected.map(|text| text.parse().ok()));
        let accepted = report.callee.iter().filter(|f| **f == Fact::Held).count();
        assert_eq!(accepted, 2);
    });
}

#[test]
fn voice_and_video_each_have_flows_of_their_own() {
    in_all_weathers(&caller(VIDEO), &callee(VIDEO), |report| {
        assert_eq!(shape(report), "+rtp +rtp +rtcp -rtp -rtp -rtcp");
        let [voice, video, rtcp] = installed(report)[..] else {
            panic!("three pairs were expected");
        };
        assert_eq!(voice.sides[0].payload_types, 1 | 1 << 13);
        assert_eq!(video.sides[0].payload_types, 1 << 96 | 1 << 97);
        assert_eq!(video.sides[1].clock_rate, 90_000);
        assert_eq!(rtcp.sides[0].named, "10.71.1.2:4444".parse().ok());
        assert!(
            [voice, video, rtcp]
                .iter()
                .all(|pair| pair.companion.is_none())
        );
    });
}
