//! One interface behind a router: who is shown which address, and what happens when the router gets another.

use super::*;
use crate::engine::Event;

const HOME: NetworkId = NetworkId(0);
const INSIDE: &str = "192.168.1.20:5060";
const CARRIER: &str = "198.51.100.9:5060";
const STUN: &str = "198.51.100.1:3478";
const OWN: &str = "192.168.1.2";
const FIRST: &str = "203.0.113.8";
const SECOND: &str = "203.0.113.9";

fn home(keys: &str) -> Bench {
    bench_of(&file(keys), Limits::default())
}

fn file(keys: &str) -> String {
    format!(
        "[network.home]\naddress = [\"{OWN}\"]\nmedia_ports = \"20000-20099\"\n{keys}\n\
         [trunk.pbx]\nnetwork = \"home\"\nserver = \"sip:192.168.1.20\"\ncodecs = [\"PCMU\"]\n\
         [trunk.carrier]\nnetwork = \"home\"\nserver = \"sip:198.51.100.9\"\ncodecs = [\"PCMU\"]\n\
         [trunk.other]\nnetwork = \"home\"\nserver = \"sip:198.51.100.10\"\ncodecs = [\"PCMU\"]\n\
         [[route]]\nfrom = [\"trunk:pbx\"]\nto = [\"trunk:carrier\"]\n\
         [[route]]\nfrom = [\"trunk:carrier\"]\nnumber = \"6XXX\"\nto = [\"trunk:pbx\"]\n\
         [[route]]\nfrom = [\"trunk:carrier\"]\nto = [\"trunk:other\"]\n"
    )
}

fn hear(bench: &mut Bench, from: &str, text: &str) {
    let hop = Hop {
        network: HOME,
        transport: Transport::Udp,
        local: format!("{OWN}:5060").parse().unwrap(),
        remote: from.parse().unwrap(),
        connection: None,
    };
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    bench
        .engine
        .handle_input(bench.now, Input::Message { hop, bytes });
}

/// What is sent by SIP, whatever flows do.
fn said(bench: &mut Bench) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for action in bench.actions() {
        if let Action::Send { hop, bytes } = action {
            assert_eq!(hop.local.to_string(), format!("{OWN}:5060"));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            all.push((hop.remote.to_string(), text));
        }
    }
    all
}

/// The one request that is sent to somebody, with what else is sent there.
fn asked(bench: &mut Bench, who: &str, method: &str) -> String {
    let all = said(bench);
    let mut found = all
        .iter()
        .filter(|(to, text)| to == who && text.starts_with(method));
    let one = found.next().unwrap_or_else(|| panic!("{all:?}")).1.clone();
    assert!(found.next().is_none(), "{all:?}");
    one
}

fn body(address: &str, port: u16) -> String {
    sdp(address, port)
}

/// A call from one to the other: what the callee got, what the caller got, and the callee's answer.
fn call(bench: &mut Bench, [from, to]: [&str; 2], number: &str) -> (String, String) {
    let ip = |who: &str| who.split(':').next().unwrap_or_default().to_owned();
    let offer = body(&ip(from), 4000);
    let invite = format!(
        "INVITE sip:{number}@{FIRST} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKa{number};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:1@{from}>;tag=a{number}\r\nTo: <sip:{number}@{FIRST}>\r\nCall-ID: {number}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:1@{from}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        offer.len()
    );
    hear(bench, from, &invite);
    let asked = asked(bench, to, "INVITE");
    let ok = accepts(&asked, to, &body(&ip(to), 5000), None);
    hear(bench, to, &ok);
    let all = said(bench);
    let find = |who: &str, start: &str| {
        let found = all
            .iter()
            .find(|(to, text)| to == who && text.starts_with(start));
        found.unwrap_or_else(|| panic!("{all:?}")).1.clone()
    };
    find(to, "ACK");
    let answered = find(from, "SIP/2.0 200");
    let header = |name: &str| line(&answered, name);
    let ack = format!(
        "ACK sip:{OWN} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKack{number}\r\n{}\r\n{}\r\nCall-ID: {number}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        header("From"),
        header("To"),
    );
    hear(bench, from, &ack);
    (asked, answered)
}

/// The 200 of who was asked; `received` is where he saw it come from.
fn accepts(asked: &str, who: &str, body: &str, received: Option<&str>) -> String {
    let via = line(asked, "Via");
    let via = match received {
        Some(received) => format!("{via};received={received}"),
        None => via,
    };
    let to = line(asked, "To");
    let to = match to.contains(";tag=") {
        true => to,
        false => format!("{to};tag=b"),
    };
    format!(
        "SIP/2.0 200 OK\r\n{via}\r\n{}\r\n{to}\r\n{}\r\n{}\r\nContact: <sip:{who}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        line(asked, "From"),
        line(asked, "Call-ID"),
        line(asked, "CSeq"),
        body.len()
    )
}

fn line(text: &str, name: &str) -> String {
    let is_it = |line: &&str| line.starts_with(&format!("{name}:"));
    let found = text.split("\r\n").find(is_it);
    found.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// The answer of a STUN server to what it was asked.
fn maps(bench: &mut Bench, address: &str) {
    let ask = bench.actions().into_iter().find_map(|action| match action {
        Action::Send { hop, bytes } if hop.remote.to_string() == STUN => Some(bytes),
        _ => None,
    });
    let ask = ask.expect("a question");
    let octets = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let cookie = [0x21, 0x12, 0xa4, 0x42];
    let mut answer = vec![1, 1, 0, 12];
    answer.extend(&ask[4..20]);
    answer.extend([0, 0x20, 0, 8, 0, 1, 0x32, 0xd6]);
    answer.extend(octets.iter().zip(cookie).map(|(byte, mask)| byte ^ mask));
    let hop = Hop {
        remote: STUN.parse().unwrap(),
        ..hop_at_home()
    };
    let bytes = Bytes::from(answer);
    bench
        .engine
        .handle_input(bench.now, Input::Message { hop, bytes });
}

fn hop_at_home() -> Hop {
    Hop {
        network: HOME,
        transport: Transport::Udp,
        local: format!("{OWN}:5060").parse().unwrap(),
        remote: CARRIER.parse().unwrap(),
        connection: None,
    }
}

/// Goes on to when STUN asks next.
fn next_question(bench: &mut Bench) {
    let at = bench.engine.externals.poll_timeout().unwrap();
    bench.now = at;
    bench.engine.handle_timeout(at);
}

/// With `external = "auto"`, found out by STUN.
fn found() -> Bench {
    let mut bench = home("external = \"auto\"\nstun = \"stun.example\"");
    bench.engine.handle_timeout(bench.now);
    let look_up = Action::LookUp {
        network: HOME,
        host: "stun.example".to_owned(),
        port: 3478,
    };
    assert_eq!(bench.actions(), [look_up]);
    let addresses = vec![STUN.parse().unwrap()];
    let network = HOME;
    bench
        .engine
        .handle_input(bench.now, Input::LookedUp { network, addresses });
    maps(&mut bench, FIRST);
    next_question(&mut bench);
    maps(&mut bench, FIRST);
    bench
}

fn events(bench: &mut Bench) -> Vec<Event> {
    let all = std::iter::from_fn(|| bench.engine.poll_event());
    all.filter(|event| {
        matches!(
            event,
            Event::ExternalChanged { .. } | Event::ExternalUnknown { .. } | Event::Misled { .. }
        )
    })
    .collect()
}

fn change(from: Option<&str>, to: &str, calls: usize) -> Event {
    Event::ExternalChanged {
        network: HOME,
        from: from.map(|ip| ip.parse().unwrap()),
        to: to.parse().unwrap(),
        calls,
    }
}

#[test]
fn who_is_outside_sees_the_external_address_alone_and_who_is_inside_our_own() {
    for (from, to, number) in [(INSIDE, CARRIER, "123"), (CARRIER, INSIDE, "6001")] {
        let mut bench = home(&format!("external = \"{FIRST}\""));
        let (asked, answered) = call(&mut bench, [from, to], number);
        let (outside, inside) = match to {
            CARRIER => (asked, answered),
            _ => (answered, asked),
        };
        // What he sent himself names what he dialled.
        let named = outside.replace(CARRIER, "").replace("198.51.100.9", "");
        assert!(!named.contains(OWN), "{outside}");
        assert!(outside.contains(&format!("c=IN IP4 {FIRST}\r\n")));
        assert!(outside.contains(&format!("Contact: <sip:{FIRST}:5060>")));
        assert!(inside.contains(&format!("c=IN IP4 {OWN}\r\n")), "{inside}");
        assert!(inside.contains(&format!("Contact: <sip:{OWN}:5060>")));
        let ours: Vec<&str> = inside
            .split("\r\n")
            .filter(|line| line.contains(FIRST))
            .collect();
        assert!(ours.iter().all(|line| line.starts_with("To:")), "{ours:?}");
        assert_eq!(events(&mut bench), []);
    }
}

#[test]
fn everyone_sees_our_own_address_where_there_is_no_other_and_that_is_told_once() {
    let mut bench = home("");
    for number in ["123", "124"] {
        let (asked, _) = call(&mut bench, [INSIDE, CARRIER], number);
        assert!(asked.contains(&format!("c=IN IP4 {OWN}\r\n")), "{asked}");
    }
    let misled = Event::Misled {
        network: HOME,
        address: OWN.parse().unwrap(),
        peer: CARRIER.parse().unwrap(),
    };
    assert_eq!(events(&mut bench), [misled]);
    assert_eq!(bench.engine.stats(bench.now).misled[&HOME], 2);
}

#[test]
fn a_call_is_told_of_the_new_address_and_stays() {
    let mut bench = found();
    assert_eq!(events(&mut bench), [change(None, FIRST, 0)]);
    assert_eq!(bench.actions(), []);
    let (asked_first, _) = call(&mut bench, [INSIDE, CARRIER], "123");
    assert!(asked_first.contains(&format!("c=IN IP4 {FIRST}\r\n")));
    bench.actions();
    next_question(&mut bench);
    maps(&mut bench, SECOND);
    // A single answer may be forged.
    assert_eq!(events(&mut bench), []);
    next_question(&mut bench);
    maps(&mut bench, SECOND);
    assert_eq!(events(&mut bench), [change(Some(FIRST), SECOND, 1)]);
    let actions = bench.actions();
    assert_eq!(actions[0], Action::CloseOutside(HOME));
    let (to, again) = sent(actions[1].clone());
    assert_eq!((to.to_string().as_str(), actions.len()), (CARRIER, 2));
    let again = String::from_utf8_lossy(again.bytes()).into_owned();
    assert!(again.starts_with("INVITE "), "{again}");
    assert!(again.contains(&format!("c=IN IP4 {SECOND}\r\n")), "{again}");
    assert!(again.contains(&format!("Contact: <sip:{SECOND}:5060>")));
    assert!(line(&again, "Via").contains(SECOND));
    // The same session in its next version, under the name that it has had (RFC 3264 8).
    let origin = |text: &str| {
        let found = text.split("\r\n").find(|line| line.starts_with("o="));
        let words = found.unwrap().split(' ').map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    let (old, new) = (origin(&asked_first), origin(&again));
    assert_eq!((&old[1], &old[3..]), (&new[1], &new[3..]));
    assert_eq!(
        new[2].parse::<u64>().unwrap(),
        old[2].parse::<u64>().unwrap() + 1
    );
    let ok = accepts(&again, CARRIER, &body("198.51.100.9", 5000), None);
    hear(&mut bench, CARRIER, &ok);
    asked(&mut bench, CARRIER, "ACK");
    // That was all: who is inside has heard nothing of it.
    bench.pass(Duration::from_secs(10));
    assert_eq!(said(&mut bench), []);
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
}

#[test]
fn both_parties_outside_are_told_one_after_the_other() {
    let other = "198.51.100.10:5060";
    let mut bench = found();
    call(&mut bench, [CARRIER, other], "123");
    bench.actions();
    next_question(&mut bench);
    maps(&mut bench, SECOND);
    next_question(&mut bench);
    maps(&mut bench, SECOND);
    let again = asked(&mut bench, CARRIER, "INVITE");
    let ok = accepts(&again, CARRIER, &body("198.51.100.9", 4000), None);
    hear(&mut bench, CARRIER, &ok);
    asked(&mut bench, CARRIER, "ACK");
    bench.pass(Duration::from_secs(1));
    let again = asked(&mut bench, other, "INVITE");
    assert!(again.contains(&format!("c=IN IP4 {SECOND}\r\n")), "{again}");
    let ok = accepts(&again, other, &body("198.51.100.10", 5000), None);
    hear(&mut bench, other, &ok);
    asked(&mut bench, other, "ACK");
    bench.pass(Duration::from_secs(10));
    assert_eq!(said(&mut bench), []);
}

#[test]
fn who_refuses_is_asked_again_and_keeps_his_call() {
    let mut bench = found();
    call(&mut bench, [INSIDE, CARRIER], "123");
    bench.actions();
    next_question(&mut bench);
    maps(&mut bench, SECOND);
    next_question(&mut bench);
    maps(&mut bench, SECOND);
    let start = bench.now;
    let mut when = Vec::new();
    for _ in 0..300 {
        let all = said(&mut bench);
        let again = all.iter().find(|(_, text)| text.starts_with("INVITE"));
        if let Some((_, again)) = again {
            when.push((bench.now - start).as_secs());
            let no = accepts(again, CARRIER, "", None).replace("200 OK", "488 No");
            hear(&mut bench, CARRIER, &no);
            asked(&mut bench, CARRIER, "ACK");
        }
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(when, [0, 1, 3, 7, 15, 31, 63, 127]);
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
}

#[test]
fn trunks_that_answer_tell_the_address_where_there_is_no_stun() {
    let mut bench = home("external = \"auto\"");
    let seen = |bench: &mut Bench, number: &str, at: &str, by: &str, to: &str| {
        let offer = body("192.168.1.20", 4000);
        let invite = format!(
            "INVITE sip:{number}@{OWN} SIP/2.0\r\nVia: SIP/2.0/UDP {by};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{by}>;tag=a{number}\r\nTo: <sip:{number}@{OWN}>\r\nCall-ID: {number}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:1@{by}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
            offer.len()
        );
        hear(bench, by, &invite);
        let asked = asked(bench, to, "INVITE");
        let busy = accepts(&asked, to, "", Some(at)).replace("200 OK", "486 Busy");
        hear(bench, to, &busy);
        bench.actions();
        asked
    };
    seen(&mut bench, "1", FIRST, INSIDE, CARRIER);
    // What cannot be is not believed; nor what those inside see.
    seen(&mut bench, "2", "127.0.0.1", INSIDE, CARRIER);
    seen(&mut bench, "3", "192.168.1.77", INSIDE, CARRIER);
    seen(&mut bench, "6001", FIRST, CARRIER, INSIDE);
    assert!(!events(&mut bench).contains(&change(None, FIRST, 0)));
    let before = seen(&mut bench, "4", FIRST, INSIDE, CARRIER);
    assert!(before.contains(&format!("c=IN IP4 {OWN}\r\n")));
    let after = seen(&mut bench, "5", FIRST, INSIDE, CARRIER);
    assert!(after.contains(&format!("c=IN IP4 {FIRST}\r\n")), "{after}");
}

#[test]
fn an_answer_that_nobody_asked_for_is_counted_and_dropped() {
    let mut bench = home("");
    let mut answer = vec![1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    answer.extend([7; 12]);
    answer.extend([0, 0x20, 0, 8, 0, 1, 0x32, 0xd6, 1, 2, 3, 4]);
    let bytes = Bytes::from(answer);
    let hop = hop_at_home();
    bench
        .engine
        .handle_input(bench.now, Input::Message { hop, bytes });
    assert_eq!(bench.actions(), []);
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_refused[&(HOME, "stray-response")], 1);
    assert!(stats.sip_malformed.is_empty());
}

#[test]
fn another_external_in_the_file_moves_the_calls_that_are_up() {
    let mut bench = home(&format!("external = \"{FIRST}\""));
    call(&mut bench, [INSIDE, CARRIER], "15551234567");
    let new = file(&format!("external = \"{SECOND}\""));
    let new = Config::parse(&new, "f", &NoSecrets).unwrap();
    bench.engine.reload(bench.now, new).unwrap();
    let again = asked(&mut bench, CARRIER, "INVITE");
    assert!(again.contains(&format!("c=IN IP4 {SECOND}")), "{again}");
    // The dialog is the one that it was, and so is the session (RFC 4566 5.2): From and o= stay.
    assert_eq!(again.matches(FIRST).count(), 2, "{again}");
    // What was found out goes on to hold in another file that wants it found out.
    let mut bench = found();
    let auto = "external = \"auto\"\nstun = \"stun.example\"\nmedia_timeout = \"50s\"";
    let new = Config::parse(&file(auto), "f", &NoSecrets).unwrap();
    bench.engine.reload(bench.now, new).unwrap();
    let known = bench.engine.config().networks[0].outside.of(true);
    assert_eq!(known, Some(FIRST.parse().unwrap()));
    assert_eq!(bench.actions(), []);
}

#[test]
fn a_phone_that_goes_out_in_a_call_is_shown_the_external_address_from_then_on() {
    let keys = format!("external = \"{FIRST}\"\n[phone.6001]\npassword = \"secret1\"");
    let text = "[[route]]\nfrom = [\"phone:*\"]\nto = [\"trunk:pbx\"]\n";
    let mut bench = home(&format!("{keys}\n{text}"));
    let (at_home, on_the_road) = ("192.168.1.50:5060", "192.0.2.77:40000");
    let offer = body("192.168.1.50", 4000);
    let request = |from: &str, to: &str, cseq: u32, extra: &str| {
        format!(
            "INVITE sip:20@{OWN} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.50;branch=z9hG4bK{from}{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:6001@{OWN}>;tag=p\r\nTo: <sip:20@{OWN}>{to}\r\nCall-ID: p\r\nCSeq: {cseq} INVITE\r\n{extra}\
             Contact: <sip:6001@192.168.1.50>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
            offer.len()
        )
    };
    hear(&mut bench, at_home, &request("a", "", 1, ""));
    let challenge = asked(&mut bench, at_home, "SIP/2.0 401");
    let offered = line(&challenge, "WWW-Authenticate").replace("WWW-Authenticate: ", "");
    let uri = format!("sip:20@{OWN}");
    let value = digest::answer(&offered, "6001", "secret1", "INVITE", &uri, "cn").unwrap();
    let extra = format!("Authorization: {value}\r\n");
    hear(&mut bench, at_home, &request("b", "", 2, &extra));
    let invited = asked(&mut bench, INSIDE, "INVITE");
    let ok = accepts(&invited, INSIDE, &body("192.168.1.20", 5000), None);
    hear(&mut bench, INSIDE, &ok);
    let answered = asked(&mut bench, at_home, "SIP/2.0 200");
    assert!(
        answered.contains(&format!("c=IN IP4 {OWN}\r\n")),
        "{answered}"
    );
    let tag = line(&answered, "To");
    let tag = &tag[tag.find(";tag=").unwrap()..];
    let ack = request("ack", tag, 2, "").replace("INVITE", "ACK");
    hear(&mut bench, at_home, &ack);
    // He has left the house; his phone says so.
    hear(&mut bench, on_the_road, &request("c", tag, 3, ""));
    let relayed = asked(&mut bench, INSIDE, "INVITE");
    assert!(relayed.contains(&format!("c=IN IP4 {OWN}\r\n")));
    let ok = accepts(&relayed, INSIDE, &body("192.168.1.20", 5000), None);
    hear(&mut bench, INSIDE, &ok);
    let answered = asked(&mut bench, on_the_road, "SIP/2.0 200");
    assert!(
        answered.contains(&format!("c=IN IP4 {FIRST}\r\n")),
        "{answered}"
    );
    assert!(answered.contains(&format!("Contact: <sip:{FIRST}:5060>")));
}
