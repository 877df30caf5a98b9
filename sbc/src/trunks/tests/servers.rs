//! A trunk of several servers, of which some fail.

use super::*;
use crate::routing::locate::{self, Answer, Kind, News, Records, Srv};

const ONE: &str = "10.0.0.9:5060";
const TWO: &str = "10.0.0.8:5070";
const PATIENCE: Duration = Duration::from_secs(4);
const TRUNK: Probed = Probed::Trunk(TrunkId(0));

/// The carrier by its name, and DNS that has two servers of it: [`ONE`] before [`TWO`].
fn two(transport: &str, more: &str) -> Bench {
    let sections = CARRIER.replace(
        "sip:10.0.0.9",
        &format!("sip:c.example;transport={transport}"),
    );
    let sections = sections.replace("accept_from = [\"10.0.0.8/31\"]\n", "");
    let mut bench = bench(&format!(
        "sip = [\"udp:5060\", \"tcp:5060\"]\n{sections}{more}"
    ));
    let srv = |priority, port, target: &str| Srv {
        priority,
        weight: 0,
        port,
        target: crate::config::HostName::parse(target).ok(),
    };
    while let Some(action) = bench.places.poll_action() {
        let locate::Action::Resolve(question) = action else {
            continue;
        };
        let address = |host: u8| Records::Addresses(vec![[10, 0, 0, host].into()]);
        let records = match (question.name.as_str(), question.kind) {
            (name, Kind::Srv) if name == format!("_sip._{transport}.c.example") => {
                Records::Srv(vec![
                    srv(1, 5060, "one.example"),
                    srv(2, 5070, "two.example"),
                ])
            }
            ("one.example", Kind::A) => address(9),
            ("two.example", Kind::A) => address(8),
            other => panic!("{other:?}"),
        };
        let ttl = Duration::from_secs(86_400);
        let answer = Answer::Found { records, ttl };
        let input = locate::Input::Resolved { question, answer };
        bench.places.handle_input(bench.now, &bench.config, input);
    }
    bench
}

fn news(bench: &mut Bench) -> Vec<String> {
    let actions = std::iter::from_fn(|| bench.places.poll_action());
    let told = actions.filter_map(|action| match action {
        locate::Action::News(News::Rests { place, how, .. }) => {
            Some(format!("{place} rests: {}", how.words()))
        }
        locate::Action::News(News::Recovered { place, .. }) => Some(format!("{place} is back")),
        _ => None,
    });
    told.collect()
}

fn to(sent: &Sent) -> String {
    sent.hop.remote.to_string()
}

fn registered_at(bench: &mut Bench) -> String {
    match bench.event() {
        Event::TrunkRegistered { server, .. } => server.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_is_silent_is_not_waited_for() {
    let mut bench = two("udp", "");
    bench.next();
    let first = bench.one();
    assert_eq!(to(&first), ONE);
    news(&mut bench);
    assert_eq!(bench.next(), PATIENCE);
    let second = bench.one();
    assert_eq!(to(&second), TWO);
    assert_eq!(second.message.uri(), first.message.uri());
    assert_eq!(second.message.call_id(), first.message.call_id());
    assert_eq!(
        second.message.cseq().number,
        first.message.cseq().number + 1
    );
    assert_eq!(
        news(&mut bench),
        ["udp:10.0.0.9:5060 rests: it does not answer"]
    );
    // The second one is the last: it has all the time that there is.
    assert_eq!(bench.trunks.poll_timeout(), None);
    bench.answer(&second, 200, "");
    assert_eq!(registered_at(&mut bench), TWO);
    // The first one wakes up: it has slept, and that is all.
    bench.answer(&first, 200, "");
    bench.nothing();
    assert_eq!(news(&mut bench), ["udp:10.0.0.9:5060 is back"]);
    let view = bench.trunks.view(bench.now, &bench.config).remove(0);
    let registration = view.registration.unwrap();
    assert_eq!(registration.server, Some(TWO.parse().unwrap()));
    assert_eq!(registration.trouble, None);
    // Its transaction may as well end without an answer.
    bench.fail(&first, Failure::Timeout);
    bench.nothing();
    // A refresh begins at the beginning.
    bench.next();
    let refresh = bench.one();
    assert_eq!(to(&refresh), ONE);
    bench.answer(&refresh, 200, "");
    assert_eq!(registered_at(&mut bench), ONE);
    // It is taken back where it was made.
    bench.input(Input::Stop);
    assert_eq!(to(&bench.one()), ONE);
}

#[test]
fn a_server_that_fails_is_passed_over_at_once() {
    for (fails, rests) in [
        ("transport", "udp:10.0.0.9:5060 rests: it cannot be reached"),
        ("timeout", "udp:10.0.0.9:5060 rests: it does not answer"),
        ("503", "udp:10.0.0.9:5060 rests: it says 503"),
    ] {
        let mut bench = two("udp", "");
        bench.next();
        let first = bench.one();
        news(&mut bench);
        bench.answer(&first, 401, &challenge("n1", ", qop=\"auth\""));
        let first = bench.one();
        assert_eq!(to(&first), ONE);
        let begun = bench.now;
        match fails {
            "transport" => bench.fail(&first, Failure::Transport),
            "timeout" => bench.fail(&first, Failure::Timeout),
            _ => bench.answer(&first, 503, "Retry-After: 60\r\n"),
        }
        let second = bench.one();
        assert_eq!((to(&second).as_str(), bench.now), (TWO, begun), "{fails}");
        assert_eq!(news(&mut bench), [rests]);
        // Its nonce is not the first one's: to be asked for a password is no refusal of one.
        assert_eq!(second.message.header(Name::Authorization), None);
        bench.answer(&second, 401, &challenge("n2", ", qop=\"auth\""));
        let second = bench.one();
        assert_eq!(to(&second), TWO);
        bench.answer(&second, 200, "");
        assert_eq!(registered_at(&mut bench), TWO);
        // What refuses is the account's, not the server's.
        bench.next();
        let refresh = bench.one();
        bench.answer(&refresh, 403, "");
        let (why, _) = trouble(bench.event());
        assert_eq!(why, "403 Forbidden: wrong username or password?");
        assert_eq!(news(&mut bench), ["udp:10.0.0.9:5060 is back"]);
        bench.nothing();
    }
}

#[test]
fn who_says_that_he_is_at_it_is_waited_for() {
    let mut bench = two("udp", "");
    bench.next();
    let first = bench.one();
    bench.answer(&first, 100, "");
    assert_eq!(bench.trunks.poll_timeout(), None);
    bench.answer(&first, 200, "");
    assert_eq!(registered_at(&mut bench), ONE);
}

#[test]
fn when_all_servers_fail_it_is_tried_again_after_the_usual_pause_and_told_once() {
    let mut bench = two("udp", "");
    bench.next();
    let first = bench.one();
    bench.fail(&first, Failure::Transport);
    let second = bench.one();
    bench.answer(&second, 503, "Retry-After: 300\r\n");
    let (why, retry) = trouble(bench.event());
    assert_eq!(
        why,
        "udp:10.0.0.8:5070: 503 Service Unavailable; udp:10.0.0.9:5060: it could not be sent"
    );
    // One of them wants to be left alone, the other one may be there again soon.
    assert!((2..=4).contains(&retry.unwrap()), "{retry:?}");
    // Both rest, and are asked all the same; whoever is first, the same is not told again.
    bench.next();
    for _ in 0..2 {
        let asked = bench.one();
        match to(&asked).as_str() {
            ONE => bench.fail(&asked, Failure::Transport),
            _ => bench.answer(&asked, 503, "Retry-After: 300\r\n"),
        }
    }
    bench.nothing();
    // Both want to be left alone.
    bench.next();
    for wait in [100, 200] {
        let asked = bench.one();
        bench.answer(&asked, 503, &format!("Retry-After: {wait}\r\n"));
    }
    let (_, retry) = trouble(bench.event());
    assert!((100..=110).contains(&retry.unwrap()), "{retry:?}");
}

#[test]
fn of_a_silent_connection_the_end_is_awaited_and_a_lost_one_is_no_reason_to_wait() {
    let mut bench = two("tcp", "");
    let [one, two] = [7, 8].map(ConnectionId);
    bench.next();
    let first = bench.one();
    assert_eq!(first.hop.transport, Transport::Tcp);
    bench.answer_over(&first, 401, &challenge("n1", ""), Some(one));
    let first = bench.one();
    assert_eq!(bench.next(), PATIENCE);
    // Slow, perhaps: what else goes over its connection goes on.
    let second = bench.one();
    assert_eq!(to(&second), TWO);
    bench.answer_over(&second, 200, "", Some(two));
    assert_eq!(registered_at(&mut bench), TWO);
    bench.fail(&first, Failure::Timeout);
    let (sent, events, closed) = bench.actions();
    assert_eq!((sent.len(), events.len(), closed), (0, 0, vec![one]));
    // The connection that it was made over ends while another server is asked to refresh it: nothing is lost of that.
    bench.now += Duration::from_secs(400);
    bench.next();
    let refresh = bench.one();
    assert_eq!(to(&refresh), ONE);
    bench.answer_over(&refresh, 401, &challenge("n3", ""), Some(ConnectionId(9)));
    let refresh = bench.one();
    bench.input(Input::ConnectionClosed(ConnectionId(9)));
    let again = bench.one();
    assert_eq!(to(&again), TWO);
    bench.fail(&refresh, Failure::Transport);
    bench.nothing();
    bench.answer_over(&again, 200, "", Some(ConnectionId(10)));
    assert_eq!(registered_at(&mut bench), TWO);
}

#[test]
fn a_trunk_is_there_as_long_as_one_server_answers_its_probes() {
    let mut bench = two("udp", "probe = \"30s\"\n");
    bench.config.trunks[0].register = None;
    bench.trunks = Trunks::new(&bench.config, [5; 32], bench.now);
    bench.next();
    let first = bench.one();
    assert_eq!(to(&first), ONE);
    news(&mut bench);
    assert_eq!(bench.next(), PATIENCE);
    let second = bench.one();
    assert_eq!(to(&second), TWO);
    assert_eq!(
        news(&mut bench),
        ["udp:10.0.0.9:5060 rests: it does not answer"]
    );
    bench.answer(&second, 200, "");
    bench.nothing();
    assert!(bench.trunks.is_there(&TRUNK));
    bench.fail(&first, Failure::Timeout);
    bench.nothing();
    // Who has failed is asked first again once it has rested.
    let waited = bench.next();
    assert!((27..=33).contains(&waited.as_secs()), "{waited:?}");
    let third = bench.one();
    bench.answer(&third, 200, "");
    bench.next();
    let first = bench.one();
    assert_eq!(to(&first), ONE);
    bench.fail(&first, Failure::Transport);
    let second = bench.one();
    assert_eq!(to(&second), TWO);
    bench.answer(&second, 503, "");
    let reason =
        "udp:10.0.0.8:5070: 503 Service Unavailable; udp:10.0.0.9:5060: it could not be sent";
    let reason = reason.to_owned();
    assert_eq!(bench.event(), Event::Silent { who: TRUNK, reason });
    assert!(!bench.trunks.is_there(&TRUNK));
    // And so on until one of them answers, be it late.
    let waited = bench.next();
    assert!(waited <= Duration::from_secs(5), "{waited:?}");
    let first = bench.one();
    assert_eq!(bench.next(), PATIENCE);
    let second = bench.one();
    assert_ne!(to(&first), to(&second));
    assert_eq!(bench.next(), 2 * PATIENCE);
    bench.nothing();
    bench.answer(&first, 200, "");
    assert_eq!(bench.event(), Event::Answers { who: TRUNK });
    assert!(bench.trunks.is_there(&TRUNK));
    // The other one comes to its end, which is nothing to wait for any more.
    bench.fail(&second, Failure::Timeout);
    bench.nothing();
    assert!((27..=33).contains(&bench.next().as_secs()));
}
