//! Trunks with names: which server is asked, which one next, and who is recognised.

mod outside;

use std::net::IpAddr;

use super::*;
use crate::config::HostName;
use crate::routing::locate::{Answer, Kind, News, Records, Srv, Trouble};
use crate::sip::Method;

const D: &str = "10.71.2.9:5070";
const TTL: Duration = Duration::from_secs(60);

fn named(server: &str) -> Bench {
    let text = CONFIG.replace("sip:10.71.2.2:5060", server);
    bench_of(&text, Limits::default())
}

/// DNS: two servers, B before D; what else is asked is not there.
fn dns(name: &HostName, kind: Kind) -> Answer {
    let address = |ip: [u8; 4]| Records::Addresses(vec![IpAddr::from(ip)]);
    let srv = |priority, port, target: &str| Srv {
        priority,
        weight: 0,
        port,
        target: HostName::parse(target).ok(),
    };
    let records = match (name.as_str(), kind) {
        ("_sip._udp.carrier.example", Kind::Srv) => {
            Records::Srv(vec![srv(1, 5060, "b.example"), srv(2, 5070, "d.example")])
        }
        ("b.example", Kind::A) => address([10, 71, 2, 2]),
        ("d.example", Kind::A) => address([10, 71, 2, 9]),
        _ => return Answer::Nothing { ttl: TTL },
    };
    Answer::Found { records, ttl: TTL }
}

/// All that is sent; DNS answers whatever it is asked.
fn sent_after(bench: &mut Bench, dns: fn(&HostName, Kind) -> Answer) -> Vec<(Hop, Message)> {
    let mut messages = Vec::new();
    while let Some(action) = bench.engine.poll_action() {
        match action {
            Action::Resolve(question) => {
                let answer = dns(&question.name, question.kind);
                let input = Input::Resolved { question, answer };
                bench.engine.handle_input(bench.now, input);
            }
            Action::Send { hop, bytes } => {
                messages.push((hop, Message::parse(bytes, &Default::default()).unwrap()));
            }
            Action::Flow(_)
            | Action::Close(_)
            | Action::CloseOutside(_)
            | Action::LookUp { .. } => {}
        }
    }
    messages
}

fn out(bench: &mut Bench) -> Vec<(Hop, Message)> {
    sent_after(bench, dns)
}

/// The one INVITE of those that are sent, and where to.
fn asked(bench: &mut Bench) -> (String, Message) {
    let mut invites = out(bench);
    invites.retain(|(_, message)| message.is_request() && message.method() == Method::Invite);
    assert_eq!(invites.len(), 1, "{invites:?}");
    let (hop, message) = invites.remove(0);
    (hop.remote.to_string(), message)
}

/// To the two servers by SRV.
fn carrier() -> Bench {
    let mut bench = named("sip:carrier.example;transport=udp");
    assert_eq!(out(&mut bench), []);
    bench
}

fn news(bench: &mut Bench) -> Vec<News> {
    let events = std::iter::from_fn(|| bench.engine.poll_event());
    let news = events.filter_map(|event| match event {
        crate::engine::Event::Servers(news) => Some(news),
        _ => None,
    });
    news.collect()
}

fn stop(mut bench: Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    out(&mut bench);
    bench.pass(Duration::from_secs(400));
    out(&mut bench);
    bench.assert_empty();
}

/// What A hears, apart from 100.
fn told(messages: &[(Hop, Message)]) -> Vec<u16> {
    let left = messages.iter().filter(|(hop, _)| hop.network == LEFT);
    left.filter_map(|(_, message)| message.code())
        .filter(|code| *code > 100)
        .collect()
}

#[test]
fn the_uri_names_the_server_and_the_way_leads_to_its_address() {
    let mut bench = carrier();
    bench.message(LEFT, A, &invite("100"));
    let (to, invite) = asked(&mut bench);
    assert_eq!(to, B);
    assert_eq!(invite.uri(), Some("sip:100@carrier.example;transport=udp"));
    assert_eq!(invite.to().uri(), "sip:100@carrier.example");
    stop(bench);
}

#[test]
fn before_dns_has_answered_a_call_fails_at_once() {
    let mut bench = named("sip:carrier.example;transport=udp");
    bench.message(LEFT, A, &invite("100"));
    let silent = |_: &HostName, _: Kind| Answer::Failed(Trouble::Timeout);
    assert_eq!(told(&sent_after(&mut bench, silent)), [503]);
    assert!(matches!(
        news(&mut bench).as_slice(),
        [News::Lost { kept: 0, .. }]
    ));
    stop(bench);
}

#[test]
fn who_says_503_is_not_asked_again_for_as_long_as_he_wants() {
    let mut bench = carrier();
    news(&mut bench);
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = asked(&mut bench);
    let busy = answer(&first, B, 503, "b", "");
    let busy = busy.replace("Contact:", "Retry-After: 20 (soon)\r\nContact:");
    bench.message(RIGHT, B, &busy);
    let (to, second) = asked(&mut bench);
    assert_eq!((to.as_str(), second.uri()), (D, first.uri()));
    assert!(matches!(
        news(&mut bench).as_slice(),
        [News::Rests { time, .. }] if *time == Duration::from_secs(20)
    ));
    bench.message(
        RIGHT,
        D,
        &answer(&second, D, 200, "d", &sdp("10.71.2.9", 5000)),
    );
    assert_eq!(told(&out(&mut bench)), [200]);
    // The next call goes there at once, until the time is over.
    let again = invite("100")
        .replace("a-call", "b-call")
        .replace("INVITE1", "INVITE2");
    bench.message(LEFT, A, &again);
    assert_eq!(asked(&mut bench).0, D);
    bench.pass(Duration::from_secs(21));
    out(&mut bench);
    let again = invite("100")
        .replace("a-call", "c-call")
        .replace("INVITE1", "INVITE3");
    bench.message(LEFT, A, &again);
    assert_eq!(asked(&mut bench).0, B);
    stop(bench);
}

#[test]
fn who_cannot_be_reached_is_passed_over() {
    let mut bench = carrier();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = asked(&mut bench);
    let bytes = first.bytes().clone();
    let hop = hop(RIGHT, B);
    bench
        .engine
        .handle_input(bench.now, Input::SendFailed { hop, bytes });
    let (to, second) = asked(&mut bench);
    assert_eq!(to, D);
    // Nobody is left: the caller is told.
    bench.message(RIGHT, D, &answer(&second, D, 503, "d", ""));
    assert_eq!(told(&out(&mut bench)), [503]);
    stop(bench);
}

#[test]
fn who_is_silent_is_not_waited_for_and_called_off_when_he_speaks() {
    let mut bench = carrier();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = asked(&mut bench);
    bench.pass(Duration::from_millis(3999));
    assert!(
        out(&mut bench)
            .iter()
            .all(|(hop, _)| hop.remote.to_string() != D)
    );
    bench.pass(Duration::from_millis(1));
    let (to, second) = asked(&mut bench);
    assert_eq!(to, D);
    assert_ne!(second.call_id(), first.call_id());
    bench.message(RIGHT, D, &answer(&second, D, 180, "d", ""));
    assert_eq!(told(&out(&mut bench)), [180]);
    // He wakes up.
    bench.message(RIGHT, B, &answer(&first, B, 180, "b", ""));
    let woken = out(&mut bench);
    assert_eq!(woken.len(), 1, "{woken:?}");
    assert_eq!(woken[0].1.method(), Method::Cancel);
    assert_eq!(woken[0].1.call_id(), first.call_id());
    // And takes the call all the same.
    bench.message(
        RIGHT,
        B,
        &answer(&first, B, 200, "b", &sdp("10.71.2.2", 5000)),
    );
    let methods: Vec<Method> = out(&mut bench).iter().map(|(_, m)| m.method()).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
    bench.message(
        RIGHT,
        D,
        &answer(&second, D, 200, "d", &sdp("10.71.2.9", 5000)),
    );
    assert_eq!(told(&out(&mut bench)), [200]);
    stop(bench);
}

#[test]
fn the_last_one_is_waited_for_as_long_as_ever() {
    let mut bench = carrier();
    bench.message(LEFT, A, &invite("100"));
    bench.pass(Duration::from_millis(3999));
    out(&mut bench);
    bench.pass(Duration::from_millis(1));
    assert_eq!(asked(&mut bench).0, D);
    bench.pass(Duration::from_secs(31));
    assert_eq!(told(&out(&mut bench)), [0_u16; 0]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(told(&out(&mut bench)), [408]);
    stop(bench);
}

#[test]
fn a_provisional_answer_is_an_answer() {
    let mut bench = carrier();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = asked(&mut bench);
    bench.message(RIGHT, B, &answer(&first, B, 100, "", ""));
    bench.pass(Duration::from_secs(20));
    assert!(
        out(&mut bench)
            .iter()
            .all(|(hop, _)| hop.remote.to_string() != D)
    );
    stop(bench);
}

#[test]
fn a_call_that_is_taken_back_goes_nowhere_else() {
    let mut bench = carrier();
    bench.message(LEFT, A, &invite("100"));
    asked(&mut bench);
    let cancel = request(
        "CANCEL",
        "sip:100@10.71.1.1",
        "To: <sip:100@10.71.1.1>\r\n",
        "",
    );
    bench.message(LEFT, A, &cancel);
    out(&mut bench);
    bench.pass(Duration::from_secs(10));
    assert!(
        out(&mut bench)
            .iter()
            .all(|(hop, _)| hop.remote.to_string() != D)
    );
    stop(bench);
}

#[test]
fn refusals_of_people_are_no_failures_of_servers() {
    for code in [486, 404, 500, 603] {
        let mut bench = carrier();
        news(&mut bench);
        bench.message(LEFT, A, &invite("100"));
        let (_, first) = asked(&mut bench);
        bench.message(RIGHT, B, &answer(&first, B, code, "b", ""));
        assert_eq!(told(&out(&mut bench)), [code]);
        assert_eq!(news(&mut bench), []);
        stop(bench);
    }
}

#[test]
fn who_dns_names_is_the_trunk() {
    let mut bench = named("sip:carrier.example;transport=udp");
    let from = |bench: &mut Bench, number: u8| {
        let call = invite("300").replace("a-call", &format!("call-{number}"));
        let call = call.replace("INVITE1", &format!("INVITE{number}x"));
        bench.message(RIGHT, D, &call);
    };
    from(&mut bench, 1);
    let silent = |_: &HostName, _: Kind| Answer::Failed(Trouble::Timeout);
    // A stranger's, who would have to be a phone.
    let codes: Vec<_> = sent_after(&mut bench, silent)
        .iter()
        .map(|(_, m)| m.code())
        .collect();
    assert_eq!(codes, [Some(401)]);
    bench.pass(Duration::from_secs(3));
    out(&mut bench);
    from(&mut bench, 2);
    // The trunk's, which no route is for.
    let codes: Vec<_> = out(&mut bench).iter().map(|(_, m)| m.code()).collect();
    assert_eq!(codes, [Some(403)]);
    let known = std::iter::from_fn(|| bench.engine.poll_shed());
    let known: Vec<_> = known
        .filter_map(|action| match action {
            crate::shed::Action::Known {
                network: RIGHT,
                prefix,
            } => Some(prefix.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(known, ["10.71.2.3/32", "10.71.2.2/32", "10.71.2.9/32"]);
    stop(bench);
}

#[test]
fn a_dialog_stays_where_it_is_and_its_contact_may_be_a_name_that_is_known() {
    for (contact, to) in [
        ("<sip:bob@carrier.example>", D),
        ("<sip:bob@unknown.example>", D),
        ("<sip:bob@b.example>", B),
        ("<sip:bob@10.71.2.77:5099>", "10.71.2.77:5099"),
    ] {
        let mut bench = carrier();
        bench.message(LEFT, A, &invite("100"));
        let (_, first) = asked(&mut bench);
        bench.message(RIGHT, B, &answer(&first, B, 503, "b", ""));
        let (_, second) = asked(&mut bench);
        let ok = answer(&second, D, 200, "d", &sdp("10.71.2.9", 5000));
        let ok = ok.replace(&format!("<sip:bob@{D}>"), contact);
        bench.message(RIGHT, D, &ok);
        let sent = out(&mut bench);
        let ack = sent
            .iter()
            .find(|(_, message)| message.method() == Method::Ack);
        assert_eq!(ack.unwrap().0.remote.to_string(), to, "{contact}");
        stop(bench);
    }
}

/// An INVITE that is too large for a datagram once it is ours.
fn large_invite() -> String {
    let attributes: String = (0..40)
        .map(|n| format!("a=x-{n}:{}\r\n", "y".repeat(30)))
        .collect();
    let body = sdp("10.71.1.2", 4000) + &attributes;
    let to = "To: <sip:100@10.71.1.1>\r\nMax-Forwards: 70\r\n";
    request("INVITE", "sip:100@10.71.1.1", to, &body)
}

#[test]
fn a_large_request_goes_over_tcp_and_its_cancel_too() {
    let mut bench = bench();
    bench.message(LEFT, A, &large_invite());
    let sent = out(&mut bench);
    let (hop, invite) = sent.iter().find(|(hop, _)| hop.network == RIGHT).unwrap();
    assert_eq!(
        (hop.transport, hop.remote),
        (Transport::Tcp, B.parse().unwrap())
    );
    let via = invite.values(Name::Via).next().unwrap();
    assert!(
        via.starts_with("SIP/2.0/TCP 10.71.2.1:5060;branch="),
        "{via}"
    );
    let contact = invite.header(Name::Contact);
    assert_eq!(contact, Some("<sip:10.71.2.1:5060;transport=tcp>"));
    assert!(invite.bytes().len() > 1300 && invite.body().ends_with(b"y\r\n"));
    let ringing = answer(invite, B, 180, "b", "");
    bench.message(RIGHT, B, &ringing);
    out(&mut bench);
    let cancel = request(
        "CANCEL",
        "sip:100@10.71.1.1",
        "To: <sip:100@10.71.1.1>\r\n",
        "",
    );
    bench.message(LEFT, A, &cancel);
    let sent = out(&mut bench);
    let (hop, cancel) = sent.iter().find(|(hop, _)| hop.network == RIGHT).unwrap();
    assert_eq!(
        (hop.transport, cancel.method()),
        (Transport::Tcp, Method::Cancel)
    );
    assert_eq!(cancel.values(Name::Via).next(), Some(via));
    stop(bench);
}

#[test]
fn where_tcp_is_refused_it_goes_over_udp_and_so_does_the_next() {
    let mut bench = bench();
    bench.message(LEFT, A, &large_invite());
    let sent = out(&mut bench);
    let (tcp, invite) = sent.iter().find(|(hop, _)| hop.network == RIGHT).unwrap();
    let failed = Input::SendFailed {
        hop: *tcp,
        bytes: invite.bytes().clone(),
    };
    bench.engine.handle_input(bench.now, failed);
    let sent = out(&mut bench);
    assert_eq!(sent.len(), 1);
    let (hop, plain) = &sent[0];
    assert_eq!((hop.transport, hop.remote), (Transport::Udp, tcp.remote));
    assert_eq!(plain.via().branch(), invite.via().branch());
    assert_eq!(plain.header(Name::Contact), Some("<sip:10.71.2.1:5060>"));
    // A datagram may get lost.
    bench.pass(Duration::from_millis(500));
    let repeats = out(&mut bench);
    assert!(
        repeats
            .iter()
            .any(|(_, message)| message.bytes() == plain.bytes())
    );
    bench.message(RIGHT, B, &answer(plain, B, 486, "b", ""));
    assert_eq!(told(&out(&mut bench)), [486]);
    let again = large_invite()
        .replace("a-call", "b-call")
        .replace("INVITE1", "INVITE2");
    bench.message(LEFT, A, &again);
    let sent = out(&mut bench);
    let (hop, _) = sent.iter().find(|(hop, _)| hop.network == RIGHT).unwrap();
    assert_eq!(hop.transport, Transport::Udp);
    stop(bench);
}

#[test]
fn who_says_udp_means_it() {
    let text = CONFIG.replace("sip:10.71.2.2:5060", "sip:10.71.2.2:5060;transport=udp");
    let mut bench = bench_of(&text, Limits::default());
    bench.message(LEFT, A, &large_invite());
    let sent = out(&mut bench);
    let (hop, _) = sent.iter().find(|(hop, _)| hop.network == RIGHT).unwrap();
    assert_eq!(hop.transport, Transport::Udp);
    stop(bench);
}
