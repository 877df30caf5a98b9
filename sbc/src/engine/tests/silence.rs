//! Media that stops.

use super::*;
use crate::engine::{Event, Silent};
use crate::media::{FlowCount, FlowReport, LegMedia, PairId, Quality};

const SECOND: Duration = Duration::from_secs(1);

/// The usual, with a key in the sections of both trunks.
fn bench_with_trunks(a: &str, b: &str) -> Bench {
    let after = |server: &str, key: &str| {
        (
            format!("\"sip:{server}\"\n"),
            format!("\"sip:{server}\"\n{key}\n"),
        )
    };
    let ((find_a, a), (find_b, b)) = (after(A, a), after(B, b));
    let config = CONFIG.replace(&find_a, &a).replace(&find_b, &b);
    bench_of(&config, Limits::default())
}

/// What the flows of a call let in, and who listens to them.
struct Media {
    /// Packets from the caller, and from who was called.
    packets: [u64; 2],
    /// So many more with each second.
    rates: [u64; 2],
    /// The pairs that were asked after.
    reads: Vec<PairId>,
}

impl Media {
    fn of(rates: [u64; 2]) -> Media {
        Media {
            packets: [0; 2],
            rates,
            reads: Vec::new(),
        }
    }

    /// Lets time pass until something is sent, and says how many seconds that took.
    fn until_sent(
        &mut self,
        bench: &mut Bench,
        most: u32,
    ) -> Option<(u32, Vec<(SocketAddr, Message)>)> {
        for second in 1..=most {
            for (packets, rate) in self.packets.iter_mut().zip(self.rates) {
                *packets += rate;
            }
            bench.pass(SECOND);
            let mut messages = Vec::new();
            loop {
                let actions = bench.actions();
                if actions.is_empty() {
                    break;
                }
                for action in actions {
                    match action {
                        Action::Flow(FlowCommand::Read(pair)) => self.answer(bench, pair),
                        Action::Flow(FlowCommand::Remove(pair)) => {
                            let report = self.report();
                            let input = Input::FlowEnded { pair, report };
                            bench.engine.handle_input(bench.now, input);
                        }
                        other => messages.push(sent(other)),
                    }
                }
            }
            if !messages.is_empty() {
                return Some((second, messages));
            }
        }
        None
    }

    /// Time in which nothing is said.
    fn quiet(&mut self, bench: &mut Bench, seconds: u32) {
        let said = self.until_sent(bench, seconds);
        assert!(said.is_none(), "{said:?}");
    }

    fn answer(&mut self, bench: &mut Bench, pair: PairId) {
        self.reads.push(pair);
        let report = self.report();
        bench
            .engine
            .handle_input(bench.now, Input::FlowRead { pair, report });
    }

    /// The same for each pair; one packet in fifty was lost on the way.
    fn report(&self) -> FlowReport {
        let count = |packets| FlowCount {
            packets,
            quality: Quality {
                lost: packets / 50,
                ..Quality::default()
            },
            ..FlowCount::default()
        };
        FlowReport {
            sides: self.packets.map(count),
        }
    }
}

fn events(bench: &mut Bench) -> Vec<Event> {
    std::iter::from_fn(|| bench.engine.poll_event()).collect()
}

/// Who fell silent, as the event has it.
fn silent(bench: &mut Bench) -> Option<(Silent, Duration)> {
    events(bench).into_iter().find_map(|event| match event {
        Event::MediaStopped { silent, time, .. } => Some((silent, time)),
        _ => None,
    })
}

/// Both legs are told, and the call is gone.
fn is_hung_up(bench: &mut Bench, said: &[(SocketAddr, Message)]) {
    let all: Vec<_> = said
        .iter()
        .map(|(to, m)| {
            (
                to.to_string(),
                m.cseq().method.name(),
                m.header(Name::Reason),
            )
        })
        .collect();
    let reason = Some("SIP;cause=408;text=\"Media timeout\"");
    let bye = |to: &str| (to.to_owned(), "BYE", reason);
    assert_eq!(all, [bye(A), bye(B)]);
    for (to, message) in said {
        let network = if to.to_string() == A { LEFT } else { RIGHT };
        let place = to.to_string();
        bench.message(network, &place, &answer(message, &place, 200, "", ""));
    }
    assert_eq!(bench.actions(), []);
    assert!(!bench.engine.has_calls());
}

#[test]
fn a_leg_that_falls_silent_ends_the_call() {
    let mut bench = bench_with_trunks("media_timeout = \"60s\"", "");
    let (_, _, flows) = set_up(&mut bench);
    let mut media = Media::of([50, 50]);
    media.quiet(&mut bench, 1000);
    assert_eq!(media.reads.len() as u64, 1000 / 15 * flows.len() as u64);
    media.rates = [0, 50];
    let (took, said) = media.until_sent(&mut bench, 200).unwrap();
    assert!((60..=75).contains(&took), "{took}");
    let all = events(&mut bench);
    let told = all.iter().find(|e| matches!(e, Event::MediaStopped { .. }));
    let Some(Event::MediaStopped {
        from,
        to,
        silent,
        time,
        ..
    }) = told
    else {
        panic!("{all:?}");
    };
    let parties = (Party::Trunk(TrunkId(0)), Party::Trunk(TrunkId(1)));
    assert_eq!(
        (*from, *to, *silent),
        (parties.0, parties.1, Silent::Caller)
    );
    assert!((60..=75).contains(&time.as_secs()), "{time:?}");
    is_hung_up(&mut bench, &said);
    let stats = bench.engine.stats(bench.now);
    let key = (parties.0, parties.1, Outcome::MediaTimeout);
    assert_eq!(stats.calls_total[&key], 1);
    assert_eq!(stats.calls_total.len(), 1);
    bench.assert_empty();
}

#[test]
fn the_log_says_which_leg_and_for_how_long() {
    let mut bench = bench_with_trunks("", "media_timeout = \"20s\"");
    set_up(&mut bench);
    let (took, said) = Media::of([50, 0]).until_sent(&mut bench, 200).unwrap();
    // Nothing ever came: the first reading is the beginning.
    assert_eq!(took, 25);
    is_hung_up(&mut bench, &said);
    let ended = events(&mut bench)
        .into_iter()
        .find_map(|event| match event {
            Event::CallEnded {
                outcome,
                reason,
                media,
                ..
            } => Some((outcome, reason, media)),
            _ => None,
        });
    let reason = "nothing came from the callee for 20 s".to_owned();
    let caller = LegMedia {
        packets: 1250,
        lost: 25,
        ..LegMedia::default()
    };
    let media = [caller, LegMedia::default()];
    assert_eq!(ended, Some((Outcome::MediaTimeout, reason, media)));
    // The RTCP pair says the same here.
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.media_quality[&LEFT].lost, 50);
    assert_eq!(stats.media_quality[&RIGHT].lost, 0);
    bench.assert_empty();
}

#[test]
fn an_announcement_keeps_its_own_leg_alive_and_the_other_needs_a_limit_to_end_the_call() {
    let mut bench = bench_with_trunks("", "media_timeout = \"60s\"");
    set_up(&mut bench);
    let mut media = Media::of([0, 50]);
    media.quiet(&mut bench, 2000);
    // Neither: that is the usual limit of trunks.
    media.rates = [0, 0];
    let (took, _) = media.until_sent(&mut bench, 200).unwrap();
    assert!((60..=75).contains(&took), "{took}");
}

#[test]
fn trunks_end_a_call_by_themselves_only_when_both_are_silent() {
    let mut bench = bench();
    set_up(&mut bench);
    let mut media = Media::of([50, 0]);
    media.quiet(&mut bench, 1000);
    media.rates = [0, 0];
    let (took, said) = media.until_sent(&mut bench, 200).unwrap();
    assert!((60..=75).contains(&took), "{took}");
    is_hung_up(&mut bench, &said);
    assert_eq!(silent(&mut bench).map(|(who, _)| who), Some(Silent::Both));
    bench.assert_empty();
}

#[test]
fn nobody_is_asked_where_no_silence_ends_a_call() {
    for (a, b) in [("off", "off"), ("0", "off")] {
        let key = |value: &str| format!("media_timeout = \"{value}\"");
        let mut bench = bench_with_trunks(&key(a), &key(b));
        set_up(&mut bench);
        let mut media = Media::of([0, 0]);
        media.quiet(&mut bench, 5000);
        assert_eq!(media.reads, []);
    }
}

#[test]
fn what_nobody_answers_ends_nothing() {
    let mut bench = bench_with_trunks("media_timeout = \"60s\"", "media_timeout = \"60s\"");
    set_up(&mut bench);
    bench.pass(1000 * SECOND);
    let actions = bench.actions();
    let is_read = |action: &Action| matches!(action, Action::Flow(FlowCommand::Read(_)));
    assert!(actions.iter().all(is_read), "{actions:?}");
    // A report that nobody asked for does not either.
    for pair in [PairId(0), PairId(u64::MAX)] {
        let report = FlowReport::default();
        bench
            .engine
            .handle_input(bench.now, Input::FlowRead { pair, report });
    }
    assert_eq!(bench.actions(), []);
    assert!(bench.engine.has_calls());
}

#[test]
fn before_the_answer_silence_is_no_matter_and_early_media_does_not_count() {
    let mut bench = bench_with_trunks("media_timeout = \"20s\"", "media_timeout = \"20s\"");
    bench.message(LEFT, A, &invite("100"));
    let (_, b_invite) = bench.one();
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&b_invite, B, 183, "bb", &body));
    let actions = bench.actions();
    assert!(matches!(actions[0], Action::Flow(FlowCommand::Install(_))));
    let mut media = Media::of([0, 50]);
    media.quiet(&mut bench, 100);
    assert_eq!(media.reads, []);
    bench.message(RIGHT, B, &answer(&b_invite, B, 200, "bb", &body));
    let ok = bench.sent().remove(1).1;
    let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ok));
    let ack = request("ACK", "sip:10.71.1.1:5060", &to, "").replace("CSeq: 2", "CSeq: 1");
    bench.message(LEFT, A, &ack);
    media.rates = [50, 0];
    let (took, said) = media.until_sent(&mut bench, 200).unwrap();
    assert_eq!(took, 25);
    is_hung_up(&mut bench, &said);
    assert_eq!(silent(&mut bench), Some((Silent::Called, 20 * SECOND)));
}

#[test]
fn a_hold_is_no_silence_and_the_time_begins_anew_when_it_ends() {
    let mut bench = bench_with_trunks("media_timeout = \"60s\"", "media_timeout = \"60s\"");
    let (ok, ..) = set_up(&mut bench);
    let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ok));
    let mut number = 1;
    let mut offer = |bench: &mut Bench, says: &str, answers: &str| {
        number += 1;
        let body = sdp("10.71.1.2", 4000).replace("1 1 IN", &format!("1 {number} IN")) + says;
        let invite = request("INVITE", "sip:10.71.1.1:5060", &to, &body)
            .replace("CSeq: 1", &format!("CSeq: {number}"))
            .replace("z9hG4bKINVITE1", &format!("z9hG4bKre{number}"));
        bench.message(LEFT, A, &invite);
        let (_, to_b) = bench.one();
        let body = sdp("10.71.2.2", 5000).replace("1 1 IN", &format!("1 {number} IN")) + answers;
        bench.message(RIGHT, B, &answer(&to_b, B, 200, "", &body));
        let accepted = bench
            .actions()
            .into_iter()
            .filter(|action| matches!(action, Action::Send { .. }))
            .map(sent)
            .any(|(_, message)| message.code() == Some(200));
        assert!(accepted);
        let ack = request("ACK", "sip:10.71.1.1:5060", &to, "")
            .replace("CSeq: 2", &format!("CSeq: {number}"))
            .replace("z9hG4bKACK2", &format!("z9hG4bKack{number}"));
        bench.message(LEFT, A, &ack);
        assert_eq!(bench.actions(), []);
    };
    let mut media = Media::of([50, 50]);
    media.quiet(&mut bench, 100);
    media.rates = [0, 0];
    media.quiet(&mut bench, 40);
    let before = media.reads.len();
    offer(&mut bench, "a=sendonly\r\n", "a=recvonly\r\n");
    media.quiet(&mut bench, 1001);
    assert_eq!(
        media.reads.len(),
        before,
        "nothing is read while there is nothing to hear"
    );
    offer(&mut bench, "a=sendrecv\r\n", "");
    media.quiet(&mut bench, 59);
    offer(&mut bench, "a=inactive\r\n", "a=inactive\r\n");
    media.quiet(&mut bench, 1007);
    offer(&mut bench, "", "");
    let (took, said) = media.until_sent(&mut bench, 200).unwrap();
    assert!((60..=75).contains(&took), "{took}");
    is_hung_up(&mut bench, &said);
}

#[test]
fn a_fax_is_media_too() {
    let mut bench = bench_with_trunks("media_timeout = \"60s\"", "media_timeout = \"60s\"");
    let fax = |body: &str| {
        body.replace("RTP/AVP 0", "udptl t38")
            .replace("audio", "image")
    };
    bench.message(LEFT, A, &fax(&invite("100")));
    let (_, b_invite) = bench.one();
    let body = fax(&sdp("10.71.2.2", 5000));
    bench.message(RIGHT, B, &answer(&b_invite, B, 200, "bb", &body));
    let mut actions = bench.actions();
    let flow = actions.remove(0);
    let Action::Flow(FlowCommand::Install(pair)) = flow else {
        panic!("{flow:?}");
    };
    assert_eq!(pair.kind, FlowKind::Opaque);
    let ok = sent(actions.remove(1)).1;
    let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(&ok));
    let ack = request("ACK", "sip:10.71.1.1:5060", &to, "").replace("CSeq: 2", "CSeq: 1");
    bench.message(LEFT, A, &ack);
    assert_eq!(bench.actions(), []);
    let mut media = Media::of([50, 50]);
    media.quiet(&mut bench, 300);
    assert!(media.reads.iter().all(|read| *read == pair.id));
    assert_eq!(media.reads.len(), 20);
    media.rates = [50, 0];
    let (took, said) = media.until_sent(&mut bench, 200).unwrap();
    assert!((60..=75).contains(&took), "{took}");
    is_hung_up(&mut bench, &said);
}

#[test]
fn a_phone_that_vanished_is_noticed_without_a_word_in_the_config() {
    let mut bench = bench();
    let phone = "10.71.1.50:6000";
    let contact = register("<sip:6001@192.168.1.5>", "");
    with_credentials(&mut bench, phone, &contact, "secret1");
    bench.message(LEFT, A, &invite("6001"));
    let (_, ring) = bench.one();
    let body = sdp("10.71.1.50", 5000);
    bench.message(LEFT, phone, &answer(&ring, phone, 200, "pp", &body));
    let ok = bench
        .actions()
        .into_iter()
        .filter(|action| matches!(action, Action::Send { .. }))
        .map(sent)
        .find(|(_, message)| message.code() == Some(200))
        .unwrap()
        .1;
    let to = format!("To: <sip:6001@10.71.1.1>;tag={}\r\n", tag_of(&ok));
    let ack = request("ACK", "sip:10.71.1.1:5060", &to, "").replace("CSeq: 2", "CSeq: 1");
    bench.message(LEFT, A, &ack);
    let mut media = Media::of([50, 50]);
    media.quiet(&mut bench, 300);
    media.rates = [50, 0];
    let (took, said) = media.until_sent(&mut bench, 200).unwrap();
    assert!((60..=75).contains(&took), "{took}");
    let to: Vec<_> = said.iter().map(|(to, _)| to.to_string()).collect();
    assert_eq!(to, [A, phone]);
    assert_eq!(silent(&mut bench).map(|(who, _)| who), Some(Silent::Called));
}
