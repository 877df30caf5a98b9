//! What media workers have no time for, or cannot do, in the middle of a call: the offer is refused, or both sides are brought back to what they
//! had, and the call goes on.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::time::Duration;

use sbc::engine::{Event, FlowFailure};
use sbc::media::{FlowPair, Transcoding};
use sbc_tests::sim::Weather;
use sbc_tests::stage::{Change, Leg, Media, Stage, State};

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

const SECOND: Duration = Duration::from_secs(1);

const SEEDS: std::ops::Range<u64> = 0..20;

fn speaks(media: &mut Media, formats: &[(&str, &str)]) {
    let owned = |(fmt, name): &(&str, &str)| ((*fmt).to_owned(), (*name).to_owned());
    media.streams[0].formats = formats.iter().map(owned).collect();
}

const WIDE: Change = |media| speaks(media, &[("9", "G722/8000")]);
const MU: Change = |media| speaks(media, &[("0", "PCMU/8000")]);
const AL: Change = |media| speaks(media, &[("8", "PCMA/8000")]);
const WIDE_OR_MU: Change = |media| speaks(media, &[("9", "G722/8000"), ("0", "PCMU/8000")]);

fn stage(config: &str, seed: u64, weather: Weather, media: [Change; 2]) -> Stage {
    let mut stage = Stage::new(config, seed, weather).transcoding(Transcoding::On);
    for (address, media) in ["10.71.1.2:5060", "10.71.2.2:5060"].into_iter().zip(media) {
        let who = stage.add(address);
        stage.agents[who].manner.media = Some(media);
    }
    stage
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(config: &str, media: [Change; 2], check: impl Fn(Stage)) {
    check(stage(config, 1, Weather::FAIR, media));
    for seed in SEEDS {
        check(stage(config, seed, Weather::STORM, media));
    }
}

/// The carrier may use mu-law and nothing else.
fn narrow() -> String {
    let server = "server = \"sip:10.71.2.2:5060\"";
    CONFIG.replace(server, &format!("{server}\ncodecs = [\"PCMU\"]"))
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

fn offers(stage: &mut Stage, by: Leg, change: Change) {
    stage.act(by.0, |agent, now| agent.offer(now, by.1, "INVITE", change));
    stage.run_for(SECOND * 60);
}

fn end(mut stage: Stage, legs: [Leg; 2]) {
    assert_eq!(stage.ended, [], "{}", stage.story());
    talk(&stage, legs);
    stage.act(legs[0].0, |agent, now| agent.hang_up(now, legs[0].1, ""));
    stage.run_for(SECOND * 40);
    assert_eq!(stage.state(legs[1]), State::Over);
    stage.empty().unwrap();
}

fn taken_back(stage: &Stage) -> usize {
    let is_it = |event: &&Event| matches!(event, Event::MediaTakenBack { .. });
    stage.events.iter().filter(is_it).count()
}

fn transcoded(stage: &Stage) -> usize {
    let is_it = |event: &&Event| matches!(event, Event::MediaTranscoded { .. });
    stage.events.iter().filter(is_it).count()
}

#[test]
fn an_offer_that_no_worker_has_time_for_is_refused_and_the_call_goes_on() {
    for method in ["INVITE", "UPDATE"] {
        in_all_weathers(&narrow(), [WIDE_OR_MU, MU], |mut stage| {
            let legs = connect(&mut stage, A);
            stage.workers_have_time(false);
            let [own, _] = legs;
            stage.act(own.0, |agent, now| agent.offer(now, own.1, method, WIDE));
            stage.run_for(SECOND * 60);
            let story = stage.story();
            assert!(story.contains("SIP/2.0 503"), "{story}");
            // He still has what he had, and the other side has heard nothing of it.
            assert_eq!((transcoded(&stage), taken_back(&stage)), (0, 0));
            talk(&stage, legs);
            // What both have needs nobody's time.
            offers(&mut stage, own, MU);
            talk(&stage, legs);
            // Who has time again is asked.
            stage.workers_have_time(true);
            offers(&mut stage, own, WIDE);
            assert_eq!(transcoded(&stage), 1);
            end(stage, legs);
        });
    }
}

#[test]
fn what_is_transcoded_goes_on_while_no_worker_has_time_for_more() {
    in_all_weathers(&narrow(), [WIDE, MU], |mut stage| {
        let legs = connect(&mut stage, A);
        stage.workers_have_time(false);
        offers(&mut stage, legs[0], |media| media.streams[0].port += 10);
        talk(&stage, legs);
        assert_eq!((transcoded(&stage), taken_back(&stage)), (1, 0));
        // A new call is refused before anyone rings, one of two who share a codec is not.
        let other = stage.act(A, |agent, now| agent.call(now, "200"));
        stage.run_for(SECOND * 40);
        assert_eq!(stage.state((A, other)), State::Refused(503));
        stage.agents[A].manner.media = Some(WIDE_OR_MU);
        let other = stage.act(A, |agent, now| agent.call(now, "300"));
        stage.run_for(SECOND * 40);
        assert_eq!(stage.state((A, other)), State::Up);
        stage.act(A, |agent, now| agent.hang_up(now, other, ""));
        stage.run_for(SECOND * 40);
        stage.ended.clear();
        end(stage, legs);
    });
}

/// A worker that has no time, although it was thought to have some.
fn no_time(pair: &FlowPair) -> Option<FlowFailure> {
    pair.transcoded().map(|_| FlowFailure::Overloaded)
}

#[test]
fn a_worker_that_takes_no_more_leaves_a_call_as_it_was() {
    for by in [0, 1] {
        in_all_weathers(CONFIG, [WIDE_OR_MU, MU], |mut stage| {
            let legs = connect(&mut stage, A);
            stage.refuses = no_time;
            offers(&mut stage, legs[by], if by == 0 { WIDE } else { AL });
            assert_eq!(transcoded(&stage), 1, "{}", stage.story());
            assert_eq!(taken_back(&stage), 1, "{}", stage.story());
            assert_eq!(stage.ended, [], "{}", stage.story());
            stage.refuses = |_| None;
            // Both have been told: what one says the other hears.
            end(stage, legs);
        });
    }
}

#[test]
fn a_call_that_begins_so_ends_with_a_reason() {
    let mut stage = stage(CONFIG, 1, Weather::FAIR, [WIDE, MU]);
    stage.refuses = no_time;
    stage.act(A, |agent, now| agent.call(now, "100"));
    stage.run_for(SECOND * 40);
    assert_eq!(stage.ended.len(), 1, "{}", stage.story());
    assert_eq!(taken_back(&stage), 0);
}
