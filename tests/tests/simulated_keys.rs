//! Keys of a telephone between sides that have them as telephone-events, as INFO, or as tones: every pair of forms, in every weather.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::time::Duration;

use sbc::config::Dtmf::{self, Inband, Info, Rtp};
use sbc::media::Transcoding;
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
username = "us"
password = "one"
dtmf = "FORM A"

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
username = "acct"
password = "two"
dtmf = "FORM B"

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

/// Whoever it is says that he has events.
const MU: Change = |media| {
    speaks(media, &[("0", "PCMU/8000"), ("96", "telephone-event/8000")]);
};
const WIDE: Change = |media| {
    speaks(
        media,
        &[("9", "G722/8000"), ("101", "telephone-event/8000")],
    );
};
const MU_ALONE: Change = |media| speaks(media, &[("0", "PCMU/8000")]);

fn stage(seed: u64, weather: Weather, forms: [Dtmf; 2], media: [Change; 2]) -> Stage {
    let config = CONFIG
        .replace("FORM A", forms[0].name())
        .replace("FORM B", forms[1].name());
    let mut stage = Stage::new(&config, seed, weather).transcoding(Transcoding::On);
    for (address, media) in ["10.71.1.2:5060", "10.71.2.2:5060"].into_iter().zip(media) {
        let who = stage.add(address);
        stage.agents[who].manner.media = Some(media);
    }
    stage
}

/// Every pair of forms, in fair weather once, in storms for some seeds.
fn for_all(media: [Change; 2], check: impl Fn(Stage, [Dtmf; 2])) {
    for forms in Dtmf::ALL.map(|a| Dtmf::ALL.map(|b| [a, b])).concat() {
        check(stage(1, Weather::FAIR, forms, media), forms);
        for seed in 0..5 {
            check(stage(seed, Weather::STORM, forms, media), forms);
        }
    }
}

fn connect(stage: &mut Stage, from: usize) -> [Leg; 2] {
    let own = (from, stage.act(from, |agent, now| agent.call(now, "100")));
    stage.run_for(SECOND * 40);
    let other = stage.last(1 - from);
    assert_eq!(stage.state(own), State::Up, "{}", stage.story());
    assert_eq!(stage.talk(own, other), Ok(()), "{}", stage.story());
    [own, other]
}

fn end(mut stage: Stage, legs: [Leg; 2]) {
    assert_eq!(stage.talk(legs[0], legs[1]), Ok(()), "{}", stage.story());
    stage.act(legs[0].0, |agent, now| agent.hang_up(now, legs[0].1, ""));
    stage.run_for(SECOND * 40);
    assert_eq!(stage.state(legs[1]), State::Over);
    stage.nothing_wrong().unwrap();
    stage.empty().unwrap();
}

fn info(stage: &mut Stage, leg: Leg, body: &str) {
    stage.act(leg.0, |agent, now| agent.say(now, leg.1, "INFO", "", body));
}

/// What it was told by INFO.
fn told(stage: &Stage, who: usize) -> Vec<String> {
    let heard = stage.agents[who].heard("INFO ");
    heard.into_iter().map(|line| line[5..].to_owned()).collect()
}

/// How many flow pairs are in user space for their keys, or for their codecs.
fn reasons(stage: &Stage) -> [u64; 2] {
    let fallbacks = stage.stats().flow_fallbacks;
    ["dtmf", "transcoded"].map(|label| fallbacks.get(label).copied().unwrap_or_default())
}

#[test]
fn each_side_has_keys_in_its_own_form_whoever_calls() {
    for (media, is_transcoded) in [([MU, MU], false), ([WIDE, MU], true)] {
        for from in [A, B] {
            for_all(media, |mut stage, mut forms| {
                let legs = connect(&mut stage, from);
                if from == B {
                    forms.reverse();
                }
                let differ = forms[0] != forms[1];
                // RTP and RTCP.
                let expected = match (differ, is_transcoded) {
                    (_, true) => [0, 2],
                    (true, false) => [2, 0],
                    (false, false) => [0, 0],
                };
                assert_eq!(reasons(&stage), expected, "{forms:?}");
                // In signalling: both bodies.
                for (index, body) in ["Signal=5\r\nDuration=100\r\n", "7"].iter().enumerate() {
                    let who = legs[index].0;
                    info(&mut stage, legs[index], body);
                    stage.run_for(SECOND * 40);
                    assert_eq!(stage.agents[who].heard("200 INFO").len(), 1);
                    let as_info = [vec!["Signal=5".to_owned()], vec!["7".to_owned()]];
                    let key = [5, 7][index];
                    let other = 1 - index;
                    let at_other = told(&stage, legs[other].0);
                    let dialled = stage.dialled();
                    match (forms[other], differ) {
                        (Info, true) => {
                            assert_eq!(at_other, [format!("Signal={key}")]);
                            assert_eq!(dialled, []);
                        }
                        // As it came.
                        (_, false) => {
                            assert_eq!(at_other, as_info[index]);
                            assert_eq!(dialled, []);
                        }
                        (Rtp | Inband, true) => {
                            assert_eq!(at_other, Vec::<String>::new());
                            assert_eq!(dialled, [(other, key)], "{forms:?}");
                        }
                    }
                }
                // In media.
                for to in [0, 1] {
                    let who = legs[to].0;
                    let before = told(&stage, who).len();
                    if forms[to] == Info && differ {
                        assert!(stage.hears(to, 11));
                        assert!(stage.hears(to, 3));
                        stage.run_for(SECOND * 40);
                        // The body is the one that it has sent itself.
                        let expected = match to {
                            0 => ["Signal=#", "Signal=3"],
                            _ => ["#", "3"],
                        };
                        assert_eq!(told(&stage, who)[before..], expected);
                    }
                }
                end(stage, legs);
            });
        }
    }
}

#[test]
fn who_turns_out_to_have_no_events_has_tones() {
    for (forms, is_piped) in [
        ([Info, Rtp], true),
        ([Rtp, Info], true),
        ([Inband, Rtp], false),
        ([Rtp, Inband], false),
        ([Rtp, Rtp], false),
    ] {
        for from in [A, B] {
            let mut stage = stage(1, Weather::FAIR, forms, [MU_ALONE; 2]);
            let legs = connect(&mut stage, from);
            let expected = if is_piped { [2, 0] } else { [0, 0] };
            assert_eq!(reasons(&stage), expected, "{forms:?}");
            for (index, leg) in legs.into_iter().enumerate() {
                if stage.agents[leg.0].address.ip().to_string() == "10.71.1.2" {
                    info(&mut stage, leg, "Signal=4\r\n");
                    stage.run_for(SECOND * 40);
                    let dialled = stage.dialled();
                    match forms {
                        [Info, Rtp] => assert_eq!(dialled, [(1 - index, 4)]),
                        // Tones pass by themselves, and so does what nobody could put into them.
                        _ => assert_eq!((dialled, told(&stage, 1).len()), (vec![], 1)),
                    }
                }
            }
            end(stage, legs);
        }
    }
}

#[test]
fn a_trunk_that_asks_for_a_password_is_told_with_it() {
    use sbc_tests::stage::Challenge;
    for seed in 0..10 {
        let weather = if seed == 0 {
            Weather::FAIR
        } else {
            Weather::STORM
        };
        let mut stage = stage(seed, weather, [Rtp, Info], [MU; 2]);
        stage.agents[B].manner.challenge = Some(Challenge {
            code: 401 + 6 * (seed % 2) as u16,
            methods: &["INFO"],
            password: "two",
        });
        let legs = connect(&mut stage, A);
        for code in [1, 2, 3] {
            assert!(stage.hears(1, code));
        }
        stage.run_for(SECOND * 60);
        assert_eq!(told(&stage, B), ["Signal=1", "Signal=2", "Signal=3"]);
        end(stage, legs);
    }
}

#[test]
fn keys_go_on_through_hold_and_what_a_re_invite_changes() {
    for seed in 0..10 {
        let weather = if seed == 0 {
            Weather::FAIR
        } else {
            Weather::STORM
        };
        let mut stage = stage(seed, weather, [Info, Rtp], [MU; 2]);
        let legs = connect(&mut stage, A);
        let changes: [Change; 4] = [
            |media| media.hold = Some(Hold::SendOnly),
            |media| media.hold = None,
            |media| media.streams[0].port += 10,
            WIDE,
        ];
        for by in legs {
            for change in changes {
                stage.act(by.0, |agent, now| agent.offer(now, by.1, "INVITE", change));
                // While it is under way, too.
                info(&mut stage, legs[0], "Signal=1\r\n");
                stage.run_for(SECOND * 60);
                info(&mut stage, legs[0], "Signal=2\r\n");
                stage.run_for(SECOND * 60);
                assert_eq!(stage.dialled(), [(1, 1), (1, 2)], "{}", stage.story());
                assert!(stage.hears(0, 3));
                stage.run_for(SECOND * 40);
                assert_eq!(told(&stage, A).pop().unwrap(), "Signal=3");
            }
        }
        end(stage, legs);
    }
}

#[test]
fn before_the_answer_keys_are_put_into_early_media() {
    for seed in 0..10 {
        let weather = if seed == 0 {
            Weather::FAIR
        } else {
            Weather::STORM
        };
        for forms in [[Info, Rtp], [Rtp, Info]] {
            let mut stage = stage(seed, weather, forms, [MU; 2]);
            let announces = [300, 1000, 2000].map(|at| Step::says(at, 183).of("a").sdp(true));
            let takes = Step::says(90_000, 200).of("a").sdp(true);
            stage.agents[B].manner.steps = [&announces[..], &[takes]].concat();
            let own = (A, stage.act(A, |agent, now| agent.call(now, "100")));
            stage.run_for(SECOND * 30);
            assert_eq!(stage.state(own), State::Early, "{}", stage.story());
            if forms[0] == Info {
                info(&mut stage, own, "Signal=8\r\n");
                stage.run_for(SECOND * 40);
                assert_eq!(stage.dialled(), [(1, 8)], "{}", stage.story());
            } else {
                assert!(stage.hears(1, 9));
                stage.run_for(SECOND * 40);
                assert_eq!(told(&stage, B), ["Signal=9"], "{}", stage.story());
            }
            stage.run_for(SECOND * 60);
            let other = stage.last(B);
            end(stage, [own, other]);
        }
    }
}
