//! SDP as people write it: what reaches the other side differs only in what must.

use proptest::prelude::*;
use proptest::sample::select;

use super::support::*;
use crate::sdp::holds_address;

/// Where the writer is, in all its forms.
const HIS: [&str; 4] = ["192.168.1.7", "2001:db8::7", "pbx.example.org", "fe80::7"];
const OURS: &str = "10.71.2.1";

fn offered(text: &str) -> String {
    let mut call = Call::new();
    call.offer((A, &phone("192.168.1.7")), (B, &carrier("192.0.2.9")), text)
        .unwrap()
}

/// The lines without o=, and m= and a=rtcp: without their ports.
fn shape(body: &str) -> Vec<String> {
    let port = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        if words[1] != "0" {
            words[1] = "PORT";
        }
        words.join(" ")
    };
    body.lines()
        .filter(|line| !line.starts_with("o="))
        .map(|line| match line.split_once(':') {
            _ if line.starts_with("m=") => port(line),
            Some(("a=rtcp", _)) => "a=rtcp:PORT".to_owned(),
            _ => line.to_owned(),
        })
        .collect()
}

fn head(more: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\ns=-\r\n{more}t=0 0\r\n")
}

const C: &str = "c=IN IP4 192.168.1.7\r\n";

#[test]
fn bodies_from_the_field() {
    let own = "c=IN IP4 10.71.2.1";
    let session = ["v=0", "s=-", own, "t=0 0"];
    // Between the head and its m= line, after it, and what becomes of both.
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        // Nothing but what must be there.
        (
            C,
            "m=audio 4000 RTP/AVP 0\r\n",
            &[],
            &["m=audio PORT RTP/AVP 0"],
        ),
        // telephone-event at any payload type, two codecs with their attributes, one that is not ours.
        (
            C,
            "m=audio 4000 RTP/AVP 98 0 127 8\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 useinbandfec=1\r\n\
             a=rtpmap:127 telephone-event/8000\r\na=fmtp:127 0-15\r\na=rtpmap:8 pcma/8000\r\na=ptime:30\r\n\
             a=maxptime:150\r\na=silenceSupp:off - - - -\r\na=X-odd  : as it   came \r\n",
            &[],
            &[
                "m=audio PORT RTP/AVP 8 0 127",
                "a=rtpmap:127 telephone-event/8000",
                "a=fmtp:127 0-15",
                "a=rtpmap:8 pcma/8000",
                "a=ptime:30",
                "a=maxptime:150",
                "a=silenceSupp:off - - - -",
                "a=X-odd  : as it   came ",
            ],
        ),
        // G.711 at a dynamic number stays there.
        (
            C,
            "m=audio 4000 RTP/AVP 111\r\na=rtpmap:111 PCMA/8000\r\n",
            &[],
            &["m=audio PORT RTP/AVP 111", "a=rtpmap:111 PCMA/8000"],
        ),
        // RTCP elsewhere, ICE, bundles: ours or not at all.
        (
            "c=IN IP4 192.168.1.7\r\nb=AS:64\r\nb=TIAS:64000\r\n",
            "a=group:BUNDLE a\r\na=ice-options:trickle\r\na=group:LS a b\r\nm=audio 4000 RTP/AVP 0\r\nb=RS:0\r\n\
             a=rtcp:4009 IN IP4 192.168.1.7\r\na=candidate:1 1 UDP 1 192.168.1.7 4000 typ host\r\na=candidate:2 1 UDP 1 x.local 4 typ host\r\n\
             a=ice-ufrag:x\r\na=end-of-candidates\r\na=remote-candidates:1 192.0.2.3 45664\r\na=mid:a\r\n\
             a=rtcp-xr:rcvr-rtt=all\r\na=sendonly\r\n",
            &["b=AS:64", "b=TIAS:64000", "a=group:LS a b"],
            &[
                "m=audio PORT RTP/AVP 0",
                "b=RS:0",
                "a=rtcp:PORT",
                "a=mid:a",
                "a=rtcp-xr:rcvr-rtt=all",
                "a=sendonly",
            ],
        ),
        // What is refused by its writer, an image, and a second audio with a c= of its own.
        (
            C,
            "m=video 0 RTP/AVP 31\r\nm=image 4002 udptl t38\r\na=T38FaxVersion:0\r\nm=audio 4004 RTP/AVP 0\r\nc=IN IP4 192.168.1.8\r\n",
            &[],
            &[
                "m=video 0 RTP/AVP 31",
                "m=image PORT udptl t38",
                "a=T38FaxVersion:0",
                "m=audio PORT RTP/AVP 0",
                own,
            ],
        ),
        // An address in a line that nobody expects one in.
        (
            "c=IN IP4 192.168.1.7\r\nb=X-192.168.1.7:1\r\ni=at 192.168.1.7\r\nu=http://[2001:db8::7]/\r\n",
            "m=audio 4000 RTP/AVP 0\r\ni=fe80::7\r\na=label:192.168.1.7\r\na=label:1\r\n",
            &[],
            &["m=audio PORT RTP/AVP 0", "a=label:1"],
        ),
    ];
    for (before, after, head_becomes, streams_become) in cases {
        let becomes = shape(&offered(&(head(before) + after)));
        // What stood after c= comes before t=.
        let mut expected: Vec<&str> = session[..3].to_vec();
        expected.extend(head_becomes.iter().filter(|line| line.starts_with("b=")));
        expected.push("t=0 0");
        expected.extend(head_becomes.iter().filter(|line| !line.starts_with("b=")));
        expected.extend(*streams_become);
        assert_eq!(becomes, expected, "{before}{after}");
    }
}

#[test]
fn what_may_be_missing() {
    let audio = "m=audio 4000 RTP/AVP 0\r\n";
    let long = "o=jdoe x 18446744073709551615 99999999999999999999 IN IP6 2001:db8::7\r\n";
    for (text, becomes) in [
        // s=, t= and a c= for all.
        (
            format!("v=0\r\no=- 1 1 IN IP4 pbx.example.org\r\n{audio}{C}"),
            vec!["v=0", "m=audio PORT RTP/AVP 0", "c=IN IP4 10.71.2.1"],
        ),
        (
            format!("v=0\r\n{long}s= \r\n{C}t=0 0\r\n{audio}"),
            vec![
                "v=0",
                "s= ",
                "c=IN IP4 10.71.2.1",
                "t=0 0",
                "m=audio PORT RTP/AVP 0",
            ],
        ),
        // The end of the last line.
        (
            format!("v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\n{C}m=audio 4000 RTP/AVP 0"),
            vec!["v=0", "c=IN IP4 10.71.2.1", "m=audio PORT RTP/AVP 0"],
        ),
    ] {
        assert_eq!(shape(&offered(&text)), becomes, "{text}");
        let bare = text.replace("\r\n", "\n");
        let out = offered(&bare);
        assert_eq!(shape(&out), becomes, "{bare}");
        assert_eq!(
            out.matches('\r').count(),
            usize::from(!bare.ends_with('\n'))
        );
    }
}

#[test]
fn each_side_has_its_own_numbers() {
    let mut call = Call::new();
    let (a, b) = (phone("192.168.1.7"), carrier("192.0.2.9"));
    let says = |ip: &str, g711: u8, events: u8| {
        body(
            ip,
            4000,
            &format!("{g711} {events}"),
            &format!("a=rtpmap:{g711} PCMU/8000\r\na=rtpmap:{events} telephone-event/8000\r\n"),
        )
    };
    let to_b = call
        .offer((A, &a), (B, &b), &says("192.168.1.7", 100, 96))
        .unwrap();
    assert!(to_b.contains(" RTP/AVP 100 96\r\n"), "{to_b}");
    let to_a = call.answer(B, &says("192.0.2.9", 0, 101)).unwrap();
    assert!(to_a.contains(" RTP/AVP 0 101\r\n"), "{to_a}");
    let installed = call
        .commands()
        .into_iter()
        .find_map(|command| match command {
            crate::media::FlowCommand::Install(pair) => Some(pair),
            _ => None,
        });
    let types = installed
        .unwrap()
        .sides
        .each_ref()
        .map(|side| side.payload_types);
    // What comes from A has the numbers that B named, and the other way round; comfort noise may always come.
    assert_eq!(
        types,
        [1 | 1 << 101 | 1 << 13, 1 << 100 | 1 << 96 | 1 << 13]
    );
}

/// A line, and whether it may be gone on the other side.
type Written = (String, bool);

fn attribute() -> impl Strategy<Value = Written> {
    let stays = select(vec![
        "a=ptime:20",
        "a=maxptime:150",
        "a=sendrecv",
        "a=X-odd thing:  with   spaces ",
        "a=label:1",
        "a=mid:x",
        "a=tool:phone 1.0",
        "a=ssrc:12345 cname:u",
        "a=rtcp-xr:rcvr-rtt=all",
        "a=quality:9",
        "b=AS:64",
        "i=a title with \u{e4}",
    ]);
    let goes = select(vec![
        "a=rtcp-mux-only",
        "a=candidate:1 1 UDP 1 192.168.1.7 4000 typ host",
        "a=ice-ufrag:abcd",
        "a=fingerprint:sha-1 AA:BB",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
        "a=msid:s t",
        "a=X-seen:192.168.1.7",
        "a=X-seen:[2001:db8::7]:5",
        "a=X-seen:pbx.example.org",
        "a=ssrc:7 cname:u@192.168.1.7",
        "a=fmtp:0 annexb=no",
        "a=rtpmap:99 opus/48000/2",
        "a=fmtp:99 x=y",
        "a=rtpmap:nonsense",
        "k=clear:secret",
        "b=X-192.168.1.7:1",
        "i=fe80::7",
    ]);
    prop_oneof![
        3 => stays.prop_map(|line| (line.to_owned(), false)),
        2 => goes.prop_map(|line| (line.to_owned(), true)),
    ]
}

fn lines(of: impl Strategy<Value = Written>) -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec(of, 0..6)
}

fn stream() -> impl Strategy<Value = Vec<Written>> {
    let media = select(vec![
        "m=audio 4000 RTP/AVP 0 8",
        "m=audio 4000 RTP/AVP 8 0 101",
        "m=audio 4002 RTP/AVPF 0",
        "m=audio 0 RTP/AVP 0",
        "m=video 4004 RTP/AVP 31",
        "m=image 4006 udptl t38",
        "m=application 4008 TCP/MRCPv2 1",
        "m=audio 4010 RTP/SAVP 0",
    ]);
    let own = prop_oneof![
        Just(Vec::new()),
        Just(vec![("c=IN IP4 192.168.1.7".to_owned(), false)]),
        Just(vec![("c=IN IP4 192.168.1.7/127".to_owned(), false)]),
    ];
    (media, own, lines(attribute()), any::<bool>()).prop_map(|(media, own, more, mux)| {
        let mut all = vec![(media.to_owned(), false)];
        all.extend(own);
        all.extend(more);
        all.extend(mux.then(|| ("a=rtcp-mux".to_owned(), true)));
        all
    })
}

/// The lines of a body whose first stream can be carried, and their end.
fn written() -> impl Strategy<Value = (Vec<Written>, &'static str, bool)> {
    let origin = select(vec![
        "o=- 1 1 IN IP4 192.168.1.7",
        "o=j doe 18446744073709551615 99999999999999999999 IN IP6 2001:db8::7",
        "o=- 0 0 IN IP4 pbx.example.org",
    ]);
    let title = select(vec!["s=-", "s= ", "s=call", "s=from 192.168.1.7"]);
    let first = (
        Just(("m=audio 4000 RTP/AVP 0 8".to_owned(), false)),
        lines(attribute()),
    )
        .prop_map(|(media, mut more)| {
            more.insert(0, media);
            more
        });
    let session = lines(attribute()).prop_map(|all| -> Vec<Written> {
        // What belongs to a stream says nothing here.
        let of_stream = |line: &str| line.starts_with("a=rtpmap") || line.starts_with("a=fmtp");
        all.into_iter()
            .filter(|(line, _)| !of_stream(line))
            .collect()
    });
    let ends = (select(vec!["\r\n", "\n"]), any::<bool>());
    (
        origin,
        title,
        session,
        first,
        prop::collection::vec(stream(), 0..4),
        ends,
    )
        .prop_map(|(origin, title, session, first, streams, (end, last))| {
            let mut all: Vec<Written> = ["v=0", origin, title, "c=IN IP4 192.168.1.7", "t=0 0"]
                .map(|line| (line.to_owned(), false))
                .to_vec();
            all.extend(session);
            all.extend(first);
            all.extend(streams.into_iter().flatten());
            (all, end, last)
        })
}

fn joined(all: &[Written], end: &str, last: bool) -> String {
    let lines: Vec<&str> = all.iter().map(|(line, _)| line.as_str()).collect();
    lines.join(end) + if last { end } else { "" }
}

/// Whether a line of ours stands in the place of one of this kind.
fn replaces(ours: &str, theirs: &str) -> bool {
    let kind = |line: &str| line.as_bytes().first().copied();
    match kind(ours) {
        Some(b'o' | b'c') => kind(theirs) == kind(ours),
        Some(b'm') => theirs.split(' ').next() == ours.split(' ').next(),
        Some(b's') => ours == "s=-" && holds_address(theirs.as_bytes()),
        _ => false,
    }
}

proptest! {
    #[test]
    fn only_what_must_change_does((all, end, last) in written(), bandwidth in 1..1000_u32) {
        let text = joined(&all, end, last);
        let mut call = Call::new();
        let (a, b) = (phone("192.168.1.7"), carrier("192.0.2.9"));
        let out = call.offer((A, &a), (B, &b), &text).unwrap();

        // Every line is one of theirs in their order, or stands in its place; what is not there may be gone.
        let mut rest = all.iter();
        let mut refused = false;
        for line in out.lines() {
            if line == "a=rtcp-mux" {
                continue;
            }
            let found = rest.by_ref().find(|(theirs, may_go)| {
                let it = theirs == line || replaces(line, theirs);
                assert!(it || *may_go || refused, "{theirs} is gone\n{text}\n---\n{out}");
                it
            });
            prop_assert!(found.is_some(), "{line} is new\n{text}\n---\n{out}");
            if line.starts_with("m=") {
                refused = line.split(' ').nth(1) == Some("0");
            }
        }
        prop_assert!(rest.all(|(_, may_go)| *may_go || refused), "{text}\n---\n{out}");
        let count = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
        prop_assert_eq!(count(&out), count(&text));
        prop_assert_eq!(out.contains('\r'), end == "\r\n" || !last && out.ends_with("\r\n"));

        // A name is his where o= says so.
        let says = |his: &&str| holds_address(his.as_bytes()) || text.lines().nth(1).is_some_and(|o| o.contains(his));
        for his in HIS.into_iter().filter(says) {
            prop_assert!(!out.contains(his), "{his}\n{out}");
        }
        prop_assert!(!holds_address(out.replace(OURS, "").as_bytes()), "{out}");

        // The same again is the same; another body has the next version, whatever the writer's o= says.
        let (_, session, version) = named(&out);
        prop_assert_eq!(version, 1);
        let other_origin = text.replacen("o=", "o=x", 1);
        prop_assert_eq!(&call.offer((A, &a), (B, &b), &other_origin).unwrap(), &out);
        let mut more = all.clone();
        more.insert(5, (format!("b=CT:{bandwidth}"), false));
        let changed = call.offer((A, &a), (B, &b), &joined(&more, end, last)).unwrap();
        let (_, again, version) = named(&changed);
        prop_assert_eq!((&again, version), (&session, 2));
        let back = call.offer((A, &a), (B, &b), &text).unwrap();
        let (_, again, version) = named(&back);
        prop_assert_eq!((&again, version), (&session, 3));
        let without_origin = |body: &str| -> Vec<String> {
            body.lines().filter(|line| !line.starts_with("o=")).map(str::to_owned).collect()
        };
        prop_assert_eq!(without_origin(&back), without_origin(&out));
    }
}
