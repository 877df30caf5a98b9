//! Who is not there is not asked, who is busy neither; and what carriers say to whom they know by name.

use super::dialogs::in_dialog;
use super::*;
use crate::engine::Event;
use crate::sip::Start;

/// The config with keys of a trunk or phone added.
fn with(section: &str, keys: &str) -> Bench {
    let header = format!("[{section}]\n");
    assert!(CONFIG.contains(&header));
    let config = CONFIG.replace(&header, &format!("{header}{keys}\n"));
    bench_of(&config, Limits::default())
}

impl Bench {
    /// A's call number so-and-so; what comes of it.
    fn call(&mut self, name: &str, number: &str) -> (SocketAddr, Message) {
        let text = invite(number)
            .replace("a-call", name)
            .replace("z9hG4bK", &format!("z9hG4bK{name}"));
        self.message(LEFT, A, &text);
        self.one()
    }

    fn reasons(&mut self) -> Vec<String> {
        let events = std::iter::from_fn(|| self.engine.poll_event());
        events
            .filter_map(|event| match event {
                Event::CallEnded { reason, .. } | Event::CallRefused { reason, .. } => Some(reason),
                _ => None,
            })
            .collect()
    }

    /// A's ACK to a refusal.
    fn acknowledge(&mut self, name: &str, number: &str, refusal: &Message) {
        let ack = request(
            "ACK",
            &format!("sip:{number}@10.71.1.1"),
            &format!("To: <sip:{number}@10.71.1.1>;tag={}\r\n", tag_of(refusal)),
            "",
        );
        let ack = ack
            .replace("CSeq: 2", "CSeq: 1")
            .replace("z9hG4bKACK2", &format!("z9hG4bK{name}INVITE1"))
            .replace("a-call", name);
        self.message(LEFT, A, &ack);
    }

    fn make_emergency(&mut self, route: usize) {
        Arc::make_mut(&mut self.engine.config).routes[route].emergency = true;
    }

    /// What has been sent there and is no copy of what was sent before.
    fn requests(&mut self, method: &str) -> Vec<(SocketAddr, Message)> {
        let mut sent = self.sent();
        sent.retain(|(_, message)| message.is_request() && message.method().name() == method);
        sent.dedup();
        sent
    }
}

#[test]
fn a_trunk_that_does_not_answer_is_skipped_until_it_does() {
    let mut bench = with("trunk.b", "probe = \"30s\"");
    bench.pass(Duration::from_secs(3));
    let probes = bench.requests("OPTIONS");
    assert!(probes.iter().all(|(to, _)| *to == B.parse().unwrap()));
    // So far nothing is known against it.
    let (to, ring) = bench.call("one", "200");
    assert_eq!(to, B.parse().unwrap());
    bench.message(RIGHT, B, &answer(&ring, B, 486, "b1", ""));
    bench.sent();
    bench.pass(Duration::from_secs(9));
    bench.sent();
    assert!(!bench.engine.stats(bench.now).trunk_up[&TrunkId(1)]);
    let (to, ring) = bench.call("two", "200");
    assert_eq!(to, C.parse().unwrap(), "the next target");
    bench.message(RIGHT, C, &answer(&ring, C, 486, "c1", ""));
    bench.sent();
    bench.reasons();
    let (_, refused) = bench.call("three", "100");
    assert_eq!(refused.code(), Some(503));
    assert_eq!(bench.reasons(), ["trunk:b does not answer its probes"]);
    bench.acknowledge("three", "100", &refused);
    // An emergency is tried.
    bench.make_emergency(1);
    let (to, ring) = bench.call("four", "100");
    assert_eq!(to, B.parse().unwrap());
    bench.message(RIGHT, B, &answer(&ring, B, 486, "b2", ""));
    bench.sent();
    // Whoever is there is tried before.
    bench.make_emergency(0);
    let (to, ring) = bench.call("urgent", "200");
    assert_eq!(to, C.parse().unwrap());
    bench.message(RIGHT, C, &answer(&ring, C, 503, "c2", ""));
    let asked = bench.requests("INVITE");
    let [(to, ring)] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert_eq!(*to, B.parse().unwrap());
    bench.message(RIGHT, B, &answer(ring, B, 486, "b3", ""));
    bench.sent();
    // It answers a copy of its probe.
    let (_, probe) = probes.last().unwrap();
    bench.message(RIGHT, B, &answer(probe, B, 405, "o", ""));
    assert_eq!(bench.actions(), []);
    assert!(bench.engine.stats(bench.now).trunk_up[&TrunkId(1)]);
    let (to, _) = bench.call("five", "200");
    assert_eq!(to, B.parse().unwrap());
}

#[test]
fn a_phone_that_does_not_answer_is_not_called_until_it_registers_again() {
    let mut bench = with("phone.6001", "probe = \"1m\"");
    let phone = "10.71.1.50:6000";
    let text = register("<sip:6001@192.168.1.5:5060>", "");
    assert_eq!(
        with_credentials(&mut bench, phone, &text, "secret1").code(),
        Some(200)
    );
    bench.pass(Duration::from_secs(3));
    let probes = bench.requests("OPTIONS");
    assert_eq!(probes[0].0, phone.parse().unwrap());
    assert_eq!(probes[0].1.uri(), Some("sip:6001@192.168.1.5:5060"));
    bench.pass(Duration::from_secs(9));
    bench.sent();
    let (_, refused) = bench.call("one", "6001");
    assert_eq!(refused.code(), Some(480));
    assert_eq!(bench.reasons(), ["phone:6001 does not answer its probes"]);
    bench.acknowledge("one", "6001", &refused);
    let contacts: Vec<_> = bench.engine.contacts(crate::config::PhoneId(0)).collect();
    assert_eq!(contacts[0].silence.as_deref(), Some("no answer within 8 s"));
    let again = text
        .replace("CSeq: 1", "CSeq: 2")
        .replace("z9hG4bK", "z9hG4bKagain");
    assert_eq!(
        with_credentials(&mut bench, phone, &again, "secret1").code(),
        Some(200)
    );
    let (to, _) = bench.call("two", "6001");
    assert_eq!(to, phone.parse().unwrap());
}

#[test]
fn a_trunk_has_no_more_calls_than_it_may() {
    let mut bench = with("trunk.b", "max_calls = 1");
    let (ok, _, _) = set_up(&mut bench);
    let calls = |bench: &Bench| bench.engine.trunks(bench.now)[1].calls;
    assert_eq!(calls(&bench), 1);
    let (to, ring) = bench.call("two", "200");
    assert_eq!(to, C.parse().unwrap(), "the next target");
    bench.message(RIGHT, C, &answer(&ring, C, 486, "c1", ""));
    bench.sent();
    bench.reasons();
    let (_, refused) = bench.call("three", "100");
    assert_eq!(refused.code(), Some(503));
    assert_eq!(bench.reasons(), ["trunk:b has its 1 calls"]);
    bench.acknowledge("three", "100", &refused);
    assert_eq!(
        bench.engine.stats(bench.now).trunk_refused[&(TrunkId(1), "max-calls")],
        2
    );
    // An emergency is a call more.
    bench.make_emergency(1);
    let (to, ring) = bench.call("four", "100");
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(calls(&bench), 2);
    bench.message(RIGHT, B, &answer(&ring, B, 486, "b2", ""));
    let (_, refused) = bench.sent().remove(1);
    bench.acknowledge("four", "100", &refused);
    assert_eq!(calls(&bench), 1);
    // When the first is over there is room.
    bench.message(LEFT, A, &in_dialog("BYE", 2, &tag_of(&ok), ""));
    bench.actions();
    assert_eq!(calls(&bench), 0);
    let (to, _) = bench.call("five", "200");
    assert_eq!(to, B.parse().unwrap());
}

#[test]
fn a_trunk_may_have_so_many_calls_taken_and_no_more() {
    for (keys, reason) in [
        ("max_calls = 1", "trunk:a has its 1 calls"),
        (
            "max_calls_per_second = 1",
            "trunk:a has had its 1 calls of this second",
        ),
    ] {
        let mut bench = with("trunk.a", keys);
        set_up(&mut bench);
        let (to, refused) = bench.call("two", "100");
        assert_eq!(to, A.parse().unwrap());
        assert_eq!(refused.code(), Some(503));
        assert_eq!(refused.header(Name::RetryAfter), Some("1"));
        bench.acknowledge("two", "100", &refused);
        assert_eq!(bench.reasons().last().unwrap(), reason);
        bench.make_emergency(1);
        let (to, _) = bench.call("three", "100");
        assert_eq!(to, B.parse().unwrap());
        assert_eq!(bench.engine.trunks(bench.now)[0].calls, 2);
    }
}

#[test]
fn a_trunk_is_registered_with_called_by_name_and_left() {
    let account = "username = \"5555\"\npassword = \"rosebud\"\nregister = true";
    let second = "[trunk.second]\nnetwork = \"left\"\nserver = \"sip:10.71.1.2\"\nusername = \"6666\"\npassword = \"x\"\nregister = true\n";
    let config = CONFIG
        .replace("[trunk.a]\n", &format!("[trunk.a]\n{account}\n"))
        .replace("[phone.6001]", &format!("{second}[phone.6001]"))
        .replace(
            "from = [\"trunk:a\"]\nnumber = \"2XX\"",
            "from = [\"trunk:second\"]\nnumber = \"2XX\"",
        );
    let mut bench = bench_of(&config, Limits::default());
    bench.pass(Duration::from_millis(600));
    let asked = bench.requests("REGISTER");
    assert_eq!(asked.len(), 2);
    for (to, register) in &asked {
        assert_eq!(*to, A.parse().unwrap());
        bench.message(LEFT, A, &answer(register, A, 200, "r", ""));
    }
    assert_eq!(bench.actions(), []);
    let stats = bench.engine.stats(bench.now);
    let registered: Vec<_> = stats.trunk_registered.into_iter().collect();
    assert_eq!(registered, [(TrunkId(0), true), (TrunkId(3), true)]);

    // By the first account's name: what To says was dialled.
    let text = invite("100").replacen("sip:100@10.71.1.1", "sip:5555@10.71.1.1", 1);
    bench.message(LEFT, A, &text);
    let (to, ring) = bench.one();
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(ring.uri(), Some("sip:100@10.71.2.2:5060"));
    bench.message(RIGHT, B, &answer(&ring, B, 486, "b", ""));
    bench.sent();
    // By the second's: its routes, not those of the first that is at the same source.
    let text = invite("200")
        .replacen("sip:200@10.71.1.1", "sip:6666@10.71.1.1", 1)
        .replace("a-call", "b-call")
        .replace("z9hG4bK", "z9hG4bKb");
    bench.message(LEFT, A, &text);
    let (to, ring) = bench.one();
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(ring.uri(), Some("sip:200@10.71.2.2:5060"));
    bench.message(RIGHT, B, &answer(&ring, B, 603, "b", ""));
    bench.sent();
    // From elsewhere the name is worth nothing.
    bench.message(LEFT, "10.71.1.66:5060", &text.replace("b-call", "c-call"));
    let (_, refused) = bench.one();
    assert_eq!(refused.code(), Some(401));

    bench.pass(Duration::from_secs(64));
    bench.sent();
    assert!(!bench.engine.has_calls());
    bench.engine.handle_input(bench.now, Input::Stop);
    let left = bench.requests("REGISTER");
    assert_eq!(left.len(), 2);
    assert!(
        left.iter()
            .all(|(_, m)| m.header(Name::Expires) == Some("0"))
    );
    assert!(bench.engine.has_calls(), "they are waited for");
    bench.message(LEFT, A, &answer(&left[0].1, A, 200, "r", ""));
    assert!(bench.engine.has_calls());
    bench.message(LEFT, A, &answer(&left[1].1, A, 481, "r", ""));
    assert!(!bench.engine.has_calls());
    assert!(matches!(left[0].1.start(), Start::Request { .. }));
}
