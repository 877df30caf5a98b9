//! Who is there.

use super::*;

const PROBED: &str = "\
[trunk.carrier]
network = \"a\"
server = \"sip:10.0.0.9:5070\"
probe = \"30s\"
";
const TRUNK: Probed = Probed::Trunk(TrunkId(0));

#[test]
fn a_trunk_that_does_not_answer_is_not_there_until_it_does() {
    let mut bench = bench(PROBED);
    assert!(bench.trunks.is_there(&TRUNK), "nothing is known against it");
    assert!(bench.next() <= Duration::from_secs(3));
    let first = bench.one();
    let text = std::str::from_utf8(first.message.bytes()).unwrap();
    assert!(
        text.starts_with("OPTIONS sip:10.0.0.9:5070 SIP/2.0\r\n"),
        "{text}"
    );
    // Whatever it says but 503, it is there.
    bench.answer(&first, 404, "");
    bench.nothing();
    let waited = bench.next();
    assert!((27..=33).contains(&waited.as_secs()), "{waited:?}");
    let second = bench.one();
    assert_eq!(bench.next(), Duration::from_secs(8));
    let reason = "no answer within 8 s".to_owned();
    assert_eq!(bench.event(), Event::Silent { who: TRUNK, reason });
    assert!(!bench.trunks.is_there(&TRUNK));
    assert!(!bench.trunks.up(bench.now, &bench.config)[&TrunkId(0)]);
    // Late, but there.
    assert_eq!(bench.trunks.poll_timeout(), None);
    bench.now += Duration::from_secs(10);
    bench.answer(&second, 200, "");
    assert_eq!(bench.event(), Event::Answers { who: TRUNK });
    assert!(bench.trunks.is_there(&TRUNK));
    bench.next();
    let third = bench.one();
    bench.next();
    bench.event();
    bench.fail(&third, Failure::Timeout);
    bench.nothing();
    // Sooner at first, then as often as ever.
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(bench.next().as_secs());
        let again = bench.one();
        bench.answer(&again, 503, "");
        bench.nothing();
    }
    assert!(
        waits[0] <= 5 && waits[5] <= 30 && waits[5] >= 15,
        "{waits:?}"
    );
    assert_eq!(
        bench.trunks.view(bench.now, &bench.config)[0]
            .silence
            .as_deref(),
        Some("503 Service Unavailable")
    );
    bench.next();
    let again = bench.one();
    bench.answer(&again, 200, "");
    assert_eq!(bench.event(), Event::Answers { who: TRUNK });
}

#[test]
fn who_answers_again_is_registered_with_again() {
    let mut bench = Bench::registered(&format!("{CARRIER}probe = \"5m\"\n"));
    bench.next();
    let first = bench.one();
    assert_eq!(first.message.method().name(), "OPTIONS");
    bench.next();
    assert!(matches!(bench.event(), Event::Silent { .. }));
    bench.now += Duration::from_secs(5);
    bench.answer(&first, 200, "");
    assert!(matches!(bench.event(), Event::Answers { .. }));
    assert!(bench.next() <= Duration::from_secs(2));
    let again = bench.one();
    assert_eq!(again.message.method().name(), "REGISTER");
    bench.answer(&again, 403, "");
    trouble(bench.event());
    // Whoever has refused us is not asked sooner.
    let retry = bench.trunks.view(bench.now, &bench.config)[0]
        .registration
        .clone();
    let retry = bench.now + retry.unwrap().next.unwrap();
    while bench.trunks.poll_timeout().is_some_and(|at| at < retry) {
        bench.next();
        let probe = bench.one();
        bench.answer(&probe, 503, "");
        bench.actions();
        bench.next();
        if let (sent, ..) = bench.actions()
            && let [probe] = sent.as_slice()
        {
            assert_eq!(probe.message.method().name(), "OPTIONS");
            bench.answer(probe, 200, "");
            bench.event();
            break;
        }
    }
    let view = bench.trunks.view(bench.now, &bench.config)[0]
        .registration
        .clone();
    assert_eq!(bench.now + view.unwrap().next.unwrap(), retry);
}

#[test]
fn a_probe_that_cannot_be_sent_is_an_answer_too() {
    let mut bench = bench(PROBED);
    bench.next();
    let first = bench.one();
    bench.fail(&first, Failure::Transport);
    assert!(
        matches!(bench.event(), Event::Silent { reason, .. } if reason == "it could not be sent")
    );
    bench.next();
    let second = bench.one();
    bench.input(Input::Full(second.asker));
    bench.nothing();
    assert_eq!(bench.next(), Duration::from_secs(5));
    let third = bench.one();
    bench.answer_over(&third, 200, "", Some(ConnectionId(3)));
    bench.event();
    bench.next();
    let fourth = bench.one();
    bench.next();
    bench.event();
    bench.fail(&fourth, Failure::Timeout);
    let (sent, events, closed) = bench.actions();
    assert_eq!(
        (sent.len(), events.len(), closed),
        (0, 0, vec![ConnectionId(3)])
    );
    bench.input(Input::Stop);
    assert_eq!(bench.trunks.poll_timeout(), None);
    assert!(bench.trunks.is_there(&TRUNK));
}

#[test]
fn a_phones_contact_is_asked_while_it_is_there() {
    let mut bench =
        bench("[phone.6001]\npassword = \"x\"\nprobe = \"1m\"\n[phone.6002]\npassword = \"x\"\n");
    let hop = Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: "192.0.2.5:4444".parse().unwrap(),
        connection: None,
    };
    let who = |phone| Probed::Contact {
        phone: PhoneId(phone),
        network: hop.network,
        source: hop.remote,
    };
    let register = "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:6001@h>;tag=1\r\nTo: <sip:6001@h>\r\n\
        Call-ID: c\r\nCSeq: 1 REGISTER\r\nContact: <sip:6001@10.9.9.9:5060;ob?a=b>\r\nContent-Length: 0\r\n\r\n";
    let register = Message::parse(Bytes::from(register), &Default::default()).unwrap();
    bench
        .registrar
        .register(bench.now, (PhoneId(0), 4), hop, &register, "t");
    for phone in [0, 1] {
        bench.input(Input::Registered(who(phone)));
    }
    bench.next();
    let first = bench.one();
    assert_eq!(first.message.uri(), Some("sip:6001@10.9.9.9:5060;ob"));
    assert_eq!(first.hop, hop);
    assert_eq!(bench.next(), Duration::from_secs(8));
    assert!(matches!(bench.event(), Event::Silent { .. }));
    assert!(!bench.trunks.is_there(&who(0)));
    assert!(bench.trunks.is_there(&who(1)));
    // Its REGISTER says as much as an answer.
    bench.input(Input::Heard(who(0)));
    assert_eq!(bench.event(), Event::Answers { who: who(0) });
    bench.fail(&first, Failure::Timeout);
    assert!(matches!(bench.event(), Event::Silent { .. }));
    bench.next();
    let second = bench.one();
    // To a phone its 503 is an answer as good as any.
    bench.answer(&second, 503, "");
    assert_eq!(bench.event(), Event::Answers { who: who(0) });
    bench.input(Input::Unregistered(who(0)));
    assert_eq!(bench.trunks.poll_timeout(), None);
    // What is gone without a word is forgotten.
    bench.input(Input::Registered(who(0)));
    bench.registrar = Registrar::new(10);
    bench.next();
    bench.nothing();
    assert_eq!(bench.trunks.poll_timeout(), None);
}

#[test]
fn probes_that_wait_have_a_bound() {
    let phones: String = (0..5000)
        .map(|n| format!("[phone.p{n}]\npassword = \"x\"\nprobe = \"5s\"\n"))
        .collect();
    let mut bench = bench(&phones);
    bench.registrar = Registrar::new(10_000);
    for n in 0..5000_u16 {
        let source = format!("192.0.2.5:{}", 10_000 + n).parse().unwrap();
        let hop = Hop {
            network: NetworkId(0),
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: source,
            connection: None,
        };
        let text = format!(
            "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{n}\r\nFrom: <sip:p@h>;tag=1\r\nTo: <sip:p@h>\r\n\
             Call-ID: c{n}\r\nCSeq: 1 REGISTER\r\nContact: <sip:p@h:{n}>\r\nContent-Length: 0\r\n\r\n"
        )
        .replace("h:0>", "h>");
        let message = Message::parse(Bytes::from(text), &Default::default()).unwrap();
        bench
            .registrar
            .register(bench.now, (PhoneId(n), 4), hop, &message, "t");
        bench.input(Input::Registered(Probed::Contact {
            phone: PhoneId(n),
            network: NetworkId(0),
            source,
        }));
    }
    let end = bench.now + Duration::from_millis(3_900);
    while bench.trunks.poll_timeout().is_some_and(|at| at <= end) {
        bench.next();
    }
    let (sent, ..) = bench.actions();
    assert_eq!(sent.len(), 4096);
    assert!(bench.trunks.full() >= 904);
    // When those have ended the others have their turn.
    for one in &sent {
        bench.answer(one, 200, "");
    }
    while bench
        .trunks
        .poll_timeout()
        .is_some_and(|at| at <= end + Duration::from_secs(5))
    {
        bench.next();
    }
    let (sent, ..) = bench.actions();
    assert!(sent.len() >= 904, "{}", sent.len());
}
