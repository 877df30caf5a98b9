//! Calls between those who share no codec: what each is told, what of each is let in, and how a call goes into transcoding and out of it.
//!
//! [`Stage::talk`] itself checks that a side is heard with the codec that it sends and no other, and that the other side is sent what it has named,
//! under its own numbers.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::time::Duration;

use sbc::config::Codec::{self, G722, Pcma, Pcmu};
use sbc::engine::Event;
use sbc::media::{Fallback, Transcoding};
use sbc_tests::sim::Weather;
use sbc_tests::stage::{Change, Hold, Leg, Media, Stage, State, Step};

const CONFIG: &str = r#"
[sbc]
name = "sim"
state_dir = "/tmp/sbc-sim"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]

[[route]]
from = ["trunk:b"]
to = ["trunk:a"]
"#;

const A: usize = 0;
const B: usize = 1;

const SECOND: Duration = Duration::from_secs(1);

fn speaks(media: &mut Media, formats: &[(&str, &str)]) {
    let owned = |(fmt, name): &(&str, &str)| ((*fmt).to_owned(), (*name).to_owned());
    media.streams[0].formats = formats.iter().map(owned).collect();
}

const WIDE: Change = |media| speaks(media, &[("9", "G722/8000")]);
const MU: Change = |media| speaks(media, &[("0", "PCMU/8000")]);
const AL: Change = |media| speaks(media, &[("8", "PCMA/8000")]);
const WIDE_OR_MU: Change = |media| speaks(media, &[("9", "G722/8000"), ("0", "PCMU/8000")]);
const MU_OR_AL: Change = |media| speaks(media, &[("0", "PCMU/8000"), ("8", "PCMA/8000")]);
const MU_AL_OR_WIDE: Change = |media| {
    speaks(
        media,
        &[("0", "PCMU/8000"), ("8", "PCMA/8000"), ("9", "G722/8000")],
    );
};
const WIDE_AND_KEYS: Change = |media| {
    speaks(
        media,
        &[("9", "G722/8000"), ("101", "telephone-event/8000")],
    );
};
const MU_AND_KEYS: Change = |media| {
    speaks(media, &[("0", "PCMU/8000"), ("96", "telephone-event/8000")]);
};

fn stage(seed: u64, weather: Weather, media: [Change; 2]) -> Stage {
    let mut stage = Stage::new(CONFIG, seed, weather).transcoding(Transcoding::On);
    for (address, media) in ["10.71.1.2:5060", "10.71.2.2:5060"].into_iter().zip(media) {
        let who = stage.add(address);
        stage.agents[who].manner.media = Some(media);
    }
    stage
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(media: [Change; 2], check: impl Fn(Stage)) {
    check(stage(1, Weather::FAIR, media));
    for seed in 0..20 {
        check(stage(seed, Weather::STORM, media));
    }
}

fn connect(stage: &mut Stage, from: usize) -> [Leg; 2] {
    let own = (from, stage.act(from, |agent, now| agent.call(now, "100")));
    stage.run_for(SECOND * 40);
    let other = stage.last(1 - from);
    assert_eq!(stage.state(own), State::Up, "{}", stage.story());
    [own, other]
}

fn talk(stage: &Stage, legs: [Leg; 2]) {
    let talked = stage.talk(legs[0], legs[1]);
    assert_eq!(talked, Ok(()), "{}", stage.story());
}

fn end(mut stage: Stage, legs: [Leg; 2]) {
    talk(&stage, legs);
    stage.act(legs[0].0, |agent, now| agent.hang_up(now, legs[0].1, ""));
    stage.run_for(SECOND * 40);
    assert_eq!(stage.state(legs[1]), State::Over);
    stage.empty().unwrap();
}

/// What the log was told of transcoding: the codec of who called, and of who was called.
fn told(stage: &Stage) -> Vec<[Codec; 2]> {
    let told = stage.events.iter().filter_map(|event| match event {
        Event::MediaTranscoded { codecs, .. } => Some(*codecs),
        _ => None,
    });
    told.collect()
}

/// How many flow pairs have been transcoded so far.
fn transcoded(stage: &Stage) -> u64 {
    let fallbacks = stage.stats().flow_fallbacks;
    fallbacks
        .get(Fallback::Transcoded.label())
        .copied()
        .unwrap_or_default()
}

/// One of them offers something else.
fn offers(stage: &mut Stage, by: Leg, change: Change) {
    stage.act(by.0, |agent, now| agent.offer(now, by.1, "INVITE", change));
    stage.run_for(SECOND * 60);
}

#[test]
fn each_speaks_its_own_codec_whoever_calls_and_whoever_offers() {
    for (media, codecs) in [
        ([WIDE, MU], [G722, Pcmu]),
        ([WIDE, AL], [G722, Pcma]),
        ([MU, AL], [Pcmu, Pcma]),
        ([WIDE_AND_KEYS, MU_AND_KEYS], [G722, Pcmu]),
        ([WIDE_AND_KEYS, MU], [G722, Pcmu]),
        ([WIDE, MU_AND_KEYS], [G722, Pcmu]),
    ] {
        for (from, is_late) in [(A, false), (B, false), (A, true), (B, true)] {
            in_all_weathers(media, |mut stage| {
                stage.agents[from].manner.is_late = is_late;
                let legs = connect(&mut stage, from);
                let mut expected = codecs;
                if from == B {
                    expected.reverse();
                }
                assert_eq!(told(&stage), [expected]);
                // RTP and RTCP.
                assert_eq!(transcoded(&stage), 2);
                end(stage, legs);
            });
        }
    }
}

#[test]
fn without_transcoding_such_a_call_is_refused() {
    // Who is called has what is offered, as far as he may: it is the box that would have to refuse.
    let config = CONFIG.replace(
        "server = \"sip:10.71.2.2:5060\"",
        "server = \"sip:10.71.2.2:5060\"\ncodecs = [\"PCMU\"]",
    );
    for (transcoding, expected) in [
        (Transcoding::Off, State::Refused(488)),
        (Transcoding::On, State::Up),
    ] {
        let mut stage = Stage::new(&config, 1, Weather::FAIR).transcoding(transcoding);
        for address in ["10.71.1.2:5060", "10.71.2.2:5060"] {
            stage.add(address);
        }
        stage.agents[A].manner.media = Some(WIDE);
        let dialog = stage.act(A, |agent, now| agent.call(now, "100"));
        stage.run_for(SECOND * 40);
        assert_eq!(stage.state((A, dialog)), expected);
    }
}

#[test]
fn what_both_have_is_forwarded_and_nothing_is_transcoded() {
    for (media, from) in [
        ([WIDE_OR_MU, MU], A),
        ([WIDE_AND_KEYS, WIDE_OR_MU], A),
        ([MU, MU], A),
        ([MU, MU], B),
        ([WIDE_AND_KEYS, WIDE], A),
        ([WIDE_AND_KEYS, WIDE], B),
    ] {
        in_all_weathers(media, |mut stage| {
            let legs = connect(&mut stage, from);
            assert_eq!((told(&stage), transcoded(&stage)), (vec![], 0));
            end(stage, legs);
        });
    }
}

#[test]
fn who_answers_with_what_only_he_has_is_heard_with_it() {
    in_all_weathers([WIDE_OR_MU, MU], |mut stage| {
        let legs = connect(&mut stage, B);
        assert_eq!(told(&stage), [[Pcmu, G722]]);
        end(stage, legs);
    });
}

#[test]
fn who_answers_with_several_codecs_of_his_own_is_heard_with_each() {
    in_all_weathers([WIDE, MU_OR_AL], |mut stage| {
        let legs = connect(&mut stage, A);
        assert_eq!(told(&stage), [[G722, Pcmu]]);
        end(stage, legs);
    });
    // One that both have is among them, behind what he begins with.
    in_all_weathers([WIDE, MU_AL_OR_WIDE], |mut stage| {
        let legs = connect(&mut stage, A);
        assert_eq!(told(&stage), [[G722, Pcmu]]);
        end(stage, legs);
    });
}

#[test]
fn a_re_invite_leads_into_transcoding_and_out_of_it() {
    for by in [0, 1] {
        in_all_weathers([WIDE_OR_MU, MU], |mut stage| {
            let legs = connect(&mut stage, A);
            assert_eq!(transcoded(&stage), 0);
            // What each of the two can say that the other does not share, and what it has said at first.
            let (other, first, codecs) = match by {
                0 => (WIDE, WIDE_OR_MU, [G722, Pcmu]),
                _ => (AL, MU, [Pcmu, Pcma]),
            };
            for round in 1..=2_usize {
                offers(&mut stage, legs[by], other);
                talk(&stage, legs);
                let now = told(&stage);
                assert!(now.len() >= round, "{}", stage.story());
                // Of several that the other one has, it may answer with any.
                assert_eq!(now.last().unwrap()[by], codecs[by]);
                offers(&mut stage, legs[by], first);
                talk(&stage, legs);
                let flows: u64 = stage.stats().flows.values().sum();
                assert_eq!(flows, 4);
            }
            end(stage, legs);
        });
    }
}

#[test]
fn hold_resume_and_a_move_change_nothing_of_who_speaks_what() {
    in_all_weathers([WIDE_AND_KEYS, MU_AND_KEYS], |mut stage| {
        let legs = connect(&mut stage, A);
        for by in legs {
            for hold in [Hold::SendOnly, Hold::Inactive, Hold::Zero] {
                let change: Change = match hold {
                    Hold::SendOnly => |media| media.hold = Some(Hold::SendOnly),
                    Hold::Inactive => |media| media.hold = Some(Hold::Inactive),
                    Hold::Zero => |media| media.hold = Some(Hold::Zero),
                };
                offers(&mut stage, by, change);
                let held = stage.talk_as_held(legs[0], legs[1]);
                assert_eq!(held, Ok(()), "{}", stage.story());
                offers(&mut stage, by, |media| media.hold = None);
                talk(&stage, legs);
            }
            offers(&mut stage, by, |media| media.streams[0].port += 10);
            talk(&stage, legs);
        }
        assert_eq!(told(&stage), [[G722, Pcmu]]);
        assert_eq!(transcoded(&stage), 2);
        end(stage, legs);
    });
}

#[test]
fn of_early_media_and_who_takes_the_call_each_may_have_another_codec() {
    // An announcement in one codec, then the one who answers in another: in the same dialog, or in one of its own.
    for (early, last) in [("a", "a"), ("a", "b")] {
        for (media, first, then) in [
            ([WIDE, MU], MU, AL),
            ([WIDE, MU], MU, WIDE),
            ([WIDE, WIDE], WIDE, MU),
        ] {
            in_all_weathers(media, |mut stage| {
                stage.agents[B].manner.media = Some(first);
                let announces = [300, 1000, 2000].map(|at| Step::says(at, 183).of(early).sdp(true));
                let takes = Step::says(6000, 200).of(last).moves(then);
                stage.agents[B].manner.steps = [&announces[..], &[takes]].concat();
                let own = (A, stage.act(A, |agent, now| agent.call(now, "100")));
                stage.run_for(SECOND * 60);
                assert_eq!(stage.state(own), State::Up, "{}", stage.story());
                let up = stage.up(B);
                let [other] = up[..] else {
                    panic!("one of them is up: {up:?}");
                };
                end(stage, [own, other]);
            });
        }
    }
}
