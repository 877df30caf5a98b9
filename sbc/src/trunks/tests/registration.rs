//! Registrations of ours.

use super::*;

#[test]
fn it_is_made_with_the_password_refreshed_in_time_and_taken_back() {
    let mut bench = bench(CARRIER);
    assert!(bench.next() <= Duration::from_millis(500));
    let first = bench.one();
    let text = std::str::from_utf8(first.message.bytes()).unwrap();
    assert!(
        text.starts_with("REGISTER sip:10.0.0.9 SIP/2.0\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nTo: <sip:5555@10.0.0.9>\r\n"), "{text}");
    assert!(
        text.contains("\r\nFrom: <sip:5555@10.0.0.9>;tag="),
        "{text}"
    );
    assert!(
        text.contains("\r\nContact: <sip:5555@10.0.0.1:5060>\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nExpires: 3600\r\n"), "{text}");
    assert_eq!(first.hop.remote, "10.0.0.9:5060".parse().unwrap());
    assert_eq!(bench.trunks.poll_timeout(), None);
    assert!(!bench.is_registered());

    bench.answer(&first, 100, "");
    bench.answer(&first, 401, &challenge("n1", ", qop=\"auth\""));
    let second = bench.one();
    assert_eq!(second.message.call_id(), first.message.call_id());
    assert_eq!(second.message.from().tag(), first.message.from().tag());
    let number = first.message.cseq().number;
    assert_eq!(second.message.cseq().number, number + 1);
    assert_eq!(credentials(&second.message), ("n1".to_owned(), 1, true));
    // What was said of the one before says nothing any more.
    bench.answer(&first, 403, "");
    bench.nothing();
    bench.answer(
        &second,
        200,
        "Contact: <sip:5555@10.0.0.1:5060>;expires=600\r\nExpires: 60\r\n",
    );
    let expected = Event::TrunkRegistered {
        trunk: TrunkId(0),
        server: "10.0.0.9:5060".parse().unwrap(),
        expires: Duration::from_secs(600),
    };
    assert_eq!(bench.event(), expected);
    assert!(bench.is_registered());

    // Refreshed between half and three quarters of its time, with the nonce that is known, and without a word in the log.
    let waited = bench.next();
    assert!((300..=450).contains(&waited.as_secs()), "{waited:?}");
    let third = bench.one();
    assert_eq!(third.message.call_id(), first.message.call_id());
    assert_eq!(third.message.cseq().number, number + 2);
    assert_eq!(credentials(&third.message), ("n1".to_owned(), 2, true));
    // The carrier has a new nonce for each.
    bench.answer(&third, 401, &challenge("n2", ", qop=\"auth\""));
    let fourth = bench.one();
    assert_eq!(credentials(&fourth.message), ("n2".to_owned(), 1, true));
    bench.answer(&fourth, 200, "");
    bench.nothing();

    bench.input(Input::Stop);
    let last = bench.one();
    assert!(bench.trunks.is_leaving());
    assert_eq!(last.message.header(Name::Expires), Some("0"));
    assert_eq!(
        last.message.header(Name::Contact),
        first.message.header(Name::Contact)
    );
    bench.answer(&last, 401, &challenge("n3", ", stale=true"));
    let last = bench.one();
    assert_eq!(last.message.header(Name::Expires), Some("0"));
    bench.answer(&last, 200, "");
    assert_eq!(trouble(bench.event()), ("taken back".to_owned(), None));
    assert!(!bench.trunks.is_leaving());
    assert_eq!(bench.trunks.poll_timeout(), None);
    bench.input(Input::Stop);
    bench.nothing();
}

#[test]
fn sha_256_is_answered_and_what_is_not_spoken_is_told() {
    let mut bench = bench(CARRIER);
    bench.next();
    let first = bench.one();
    bench.answer(&first, 401, &challenge("n1", ", qop=\"auth-int\""));
    let (why, retry) = trouble(bench.event());
    assert!(why.contains("its challenge cannot be answered"), "{why}");
    assert!((30..=60).contains(&retry.unwrap()), "{retry:?}");
    bench.next();
    let first = bench.one();
    let both = challenge("n1", ", algorithm=SHA-256, qop=\"auth\"") + &challenge("n2", "");
    bench.answer(&first, 401, &both);
    let second = bench.one();
    assert_eq!(credentials(&second.message), ("n1".to_owned(), 1, true));
    let by_proxy = challenge("n3", "").replace("WWW", "Proxy");
    bench.answer(&second, 407, &by_proxy);
    let third = bench.one();
    assert!(third.message.header(Name::ProxyAuthorization).is_some());
    assert!(third.message.header(Name::Authorization).is_some());
}

#[test]
fn a_wrong_password_is_not_final_and_not_hammered() {
    let mut bench = bench(CARRIER);
    let mut longest = Duration::ZERO;
    for index in 0..12 {
        longest = longest.max(bench.next());
        let first = bench.one();
        assert_eq!(first.message.header(Name::Authorization), None);
        bench.answer(&first, 401, &challenge("n", ""));
        let second = bench.one();
        // It asks for it again: the password is wrong.
        bench.answer(&second, 401, &challenge("m", ""));
        match index {
            0 => {
                let (why, retry) = trouble(bench.event());
                assert_eq!(
                    why,
                    "401 Whatever: it refuses its username or password; check both"
                );
                assert!((30..=60).contains(&retry.unwrap()), "{retry:?}");
            }
            // The same is not told again.
            _ => bench.nothing(),
        }
        assert!(!bench.is_registered());
    }
    assert!((450..=900).contains(&longest.as_secs()), "{longest:?}");
    // Somebody has mended it.
    bench.next();
    let first = bench.one();
    bench.answer(&first, 200, "");
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
}

#[test]
fn trouble_is_tried_again_soon_then_more_seldom_and_told_when_it_changes() {
    let mut bench = bench(CARRIER);
    bench.next();
    let mut delays = Vec::new();
    for index in 0..12 {
        let first = bench.one();
        bench.fail(&first, Failure::Timeout);
        match index {
            0 => {
                let (why, retry) = trouble(bench.event());
                assert_eq!(why, "10.0.0.9:5060: no answer in time");
                assert!((2..=4).contains(&retry.unwrap()), "{retry:?}");
            }
            _ => bench.nothing(),
        }
        delays.push(bench.next().as_secs());
    }
    assert!(
        delays[0] <= 4 && (120..=240).contains(&delays[11]),
        "{delays:?}"
    );
    let first = bench.one();
    bench.fail(&first, Failure::Transport);
    let (why, _) = trouble(bench.event());
    assert_eq!(why, "10.0.0.9:5060: it could not be sent");
    bench.next();
    let first = bench.one();
    bench.input(Input::Full(first.asker));
    assert_eq!(trouble(bench.event()).0, "the transaction table is full");
    bench.next();
    let first = bench.one();
    bench.answer(&first, 200, "");
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
    // The next trouble begins anew.
    bench.next();
    let first = bench.one();
    bench.fail(&first, Failure::Timeout);
    assert!(trouble(bench.event()).1.unwrap() <= 4);
    assert!(bench.is_registered(), "it still lasts");
}

#[test]
fn what_the_carrier_asks_for_is_honoured_within_bounds() {
    for (code, header, least, most) in [
        (503, "Retry-After: 30\r\n", 30, 33),
        (503, "Retry-After: 0\r\n", 4, 4),
        (503, "Retry-After: 86400 (tomorrow)\r\n", 600, 660),
        (503, "", 2, 4),
        (480, "Retry-After: 20\r\n", 20, 22),
        // Who refuses is not asked sooner because of it.
        (403, "Retry-After: 1\r\n", 30, 60),
        (403, "Retry-After: 300\r\n", 300, 330),
        (404, "", 30, 60),
        (603, "", 30, 60),
    ] {
        let mut bench = bench(CARRIER);
        bench.next();
        let first = bench.one();
        bench.answer(&first, code, header);
        let (why, retry) = trouble(bench.event());
        assert!(why.starts_with(&code.to_string()), "{why}");
        let retry = retry.unwrap();
        assert!((least..=most).contains(&retry), "{code} {header}: {retry}");
    }
    let mut bench = Bench::registered(CARRIER);
    bench.next();
    let refresh = bench.one();
    bench.answer(&refresh, 403, "");
    let (why, _) = trouble(bench.event());
    assert_eq!(why, "403 Forbidden: wrong username or password?");
    assert!(!bench.is_registered(), "whoever refuses it has it no more");
}

#[test]
fn a_longer_time_is_taken_once_it_is_asked_for() {
    let mut bench = bench(&format!("{CARRIER}expires = \"2m\"\n"));
    bench.next();
    let first = bench.one();
    assert_eq!(first.message.header(Name::Expires), Some("120"));
    bench.answer(&first, 423, "Min-Expires: 1800\r\n");
    let second = bench.one();
    assert_eq!(second.message.header(Name::Expires), Some("1800"));
    // It wants ever more: that is trouble.
    bench.answer(&second, 423, "Min-Expires: 1800\r\n");
    assert!(trouble(bench.event()).0.starts_with("423"));
    bench.next();
    let third = bench.one();
    assert_eq!(third.message.header(Name::Expires), Some("1800"));
    bench.answer(&third, 423, "Min-Expires: 86401\r\n");
    bench.nothing();
    bench.next();
    let fourth = bench.one();
    bench.answer(&fourth, 200, "Expires: 0\r\n");
    assert_eq!(trouble(bench.event()).0, "200 OK, but for no time at all");
}

#[test]
fn a_redirection_is_followed_among_the_sources_of_the_trunk() {
    let mut bench = bench(CARRIER);
    bench.next();
    let first = bench.one();
    let places = "Contact: <sip:192.0.2.1>, <sip:10.0.0.8:5070>\r\n";
    bench.answer(&first, 302, places);
    let second = bench.one();
    assert_eq!(second.hop.remote, "10.0.0.8:5070".parse().unwrap());
    assert_eq!(second.message.uri(), Some("sip:10.0.0.8:5070"));
    assert_eq!(second.message.to().uri(), "sip:5555@10.0.0.9");
    bench.answer(&second, 200, "");
    assert!(
        matches!(bench.event(), Event::TrunkRegistered { server, .. } if server == second.hop.remote)
    );
    // It stays there as long as that goes well.
    bench.next();
    let third = bench.one();
    assert_eq!(third.hop.remote, second.hop.remote);
    bench.fail(&third, Failure::Timeout);
    trouble(bench.event());
    bench.next();
    let fourth = bench.one();
    assert_eq!(fourth.hop.remote, first.hop.remote);
    bench.answer(&fourth, 302, "Contact: <sip:192.0.2.1>\r\n");
    let (why, _) = trouble(bench.event());
    assert_eq!(
        why,
        "302 Whatever: it leads to where this trunk is not (`accept_from`)"
    );
    // Round and round it does not go.
    bench.next();
    let mut turns = 0;
    loop {
        let (mut sent, events, _) = bench.actions();
        let Some(one) = sent.pop() else {
            let (why, _) = trouble(events[0].clone());
            assert_eq!(why, "302 Whatever: it leads on and on");
            break;
        };
        turns += 1;
        let to = if turns % 2 == 1 { 8 } else { 9 };
        bench.answer(&one, 302, &format!("Contact: <sip:10.0.0.{to}>\r\n"));
    }
    assert_eq!(turns, 8);
}

#[test]
fn a_lost_connection_is_made_again_at_once() {
    let sections = CARRIER.replace("10.0.0.9\"", "10.0.0.9;transport=tcp\"");
    let mut bench = bench(&sections);
    bench.next();
    let first = bench.one();
    assert_eq!(first.hop.transport, Transport::Tcp);
    let contact = first.message.header(Name::Contact).unwrap();
    assert_eq!(contact, "<sip:5555@10.0.0.1:5060;transport=tcp>");
    let connection = ConnectionId(7);
    bench.answer_over(&first, 200, "", Some(connection));
    bench.event();
    bench.input(Input::ConnectionClosed(ConnectionId(8)));
    bench.nothing();
    bench.input(Input::ConnectionClosed(connection));
    let (why, retry) = trouble(bench.event());
    assert_eq!(why, "its connection was closed");
    assert!(retry.unwrap() <= 2);
    assert!(!bench.is_registered());
    assert!(bench.next() <= Duration::from_secs(2));
    let again = bench.one();
    assert_eq!(again.message.call_id(), first.message.call_id());
    bench.answer_over(&again, 200, "", Some(ConnectionId(9)));
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
    // While it is refreshed: what was asked over it is not answered any more.
    bench.next();
    let refresh = bench.one();
    bench.answer_over(&refresh, 401, &challenge("n", ""), Some(ConnectionId(9)));
    let refresh = bench.one();
    bench.input(Input::ConnectionClosed(ConnectionId(9)));
    assert_eq!(trouble(bench.event()).0, "its connection was closed");
    bench.fail(&refresh, Failure::Timeout);
    bench.nothing();
    bench.next();
    let again = bench.one();
    bench.answer_over(&again, 200, "", Some(ConnectionId(9)));
    assert!(matches!(bench.event(), Event::TrunkRegistered { .. }));
    // One over which nothing comes back is closed.
    bench.next();
    let refresh = bench.one();
    bench.fail(&refresh, Failure::Timeout);
    let (sent, events, closed) = bench.actions();
    assert_eq!(
        (sent.len(), events.len(), closed),
        (0, 1, vec![ConnectionId(9)])
    );
}

#[test]
fn another_address_of_ours_is_told_at_once() {
    let mut bench = Bench::registered(CARRIER);
    bench.input(Input::Readdressed(NetworkId(1)));
    bench.nothing();
    let until = bench.trunks.poll_timeout();
    bench.input(Input::Readdressed(NetworkId(0)));
    assert!(bench.trunks.poll_timeout() < until);
    bench.config.networks[0].addresses = vec!["10.0.0.7".parse().unwrap()];
    assert!(bench.next() <= Duration::from_millis(500));
    let told = bench.one();
    let contact = told.message.header(Name::Contact).unwrap();
    assert_eq!(contact, "<sip:5555@10.0.0.7:5060>");
    // It changes again before that is answered.
    bench.input(Input::Readdressed(NetworkId(0)));
    bench.nothing();
    bench.config.networks[0].addresses = vec!["10.0.0.6".parse().unwrap()];
    bench.answer(&told, 200, "");
    let told = bench.one();
    let contact = told.message.header(Name::Contact).unwrap();
    assert_eq!(contact, "<sip:5555@10.0.0.6:5060>");
    bench.answer(&told, 200, "");
    bench.nothing();
    // A network that has lost its address of that family.
    bench.config.networks[0].addresses = vec!["2001:db8::1".parse().unwrap()];
    bench.next();
    assert!(trouble(bench.event()).0.contains("has no listener"));
}

#[test]
fn who_was_never_registered_has_nothing_to_take_back() {
    let mut bench = bench(CARRIER);
    bench.input(Input::Stop);
    bench.nothing();
    assert!(!bench.trunks.is_leaving());
    assert_eq!(bench.trunks.poll_timeout(), None);
    let mut bench = Bench::registered(CARRIER);
    bench.input(Input::Stop);
    let last = bench.one();
    // Nobody waits for ever for a carrier that says nothing.
    assert_eq!(bench.next(), Duration::from_secs(2));
    assert!(!bench.trunks.is_leaving());
    bench.fail(&last, Failure::Timeout);
    bench.nothing();
}
