//! Who is told what, over what the config and the caller say.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::call::unescaped;
use crate::config::{NetworkId, NoSecrets, TrunkId};

const PHONE: Peer = Peer {
    trunk: None,
    phone: Some(PhoneId(0)),
    network: NetworkId(0),
};
const PBX: Peer = Peer {
    trunk: Some(TrunkId(0)),
    phone: None,
    network: NetworkId(0),
};
const TRUSTED: Peer = Peer {
    trunk: Some(TrunkId(1)),
    ..PBX
};

fn config(lines: &str) -> Config {
    let text = format!(
        "[network.a]\naddress = [\"192.0.2.1\"]\n\
         [phone.6001]\npassword = \"x\"\nname = \"Living Room\"\n\
         [trunk.pbx]\nnetwork = \"a\"\nserver = \"sip:192.0.2.9\"\n\
         [trunk.trusted]\nnetwork = \"a\"\nserver = \"sip:192.0.2.10\"\ntrusted = true\n\
         [trunk.carrier]\nnetwork = \"a\"\nserver = \"sip:192.0.2.11\"\n\
         username = \"555\"\npassword = \"y\"\n{lines}"
    );
    Config::parse(&text, "identity.toml", &NoSecrets).unwrap()
}

fn invite(from: &str, lines: &str) -> Message {
    let text = format!(
        "INVITE sip:1@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: {from};tag=f\r\nTo: <sip:1@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\n{lines}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text), &Default::default()).unwrap()
}

fn home() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

/// From, then the other headers, as the carrier gets them.
fn carried(lines: &str, from: Peer, request: &Message) -> Vec<String> {
    let config = config(lines);
    let caller = Caller::of(&config, from, request);
    let trunk = config.trunk(TrunkId(2));
    let told = caller.told(Some(trunk), home(), false);
    let writer = told.write(request, Writer::request("INVITE", "sip:1@192.0.2.11"));
    let text = String::from_utf8(writer.finish().to_vec()).unwrap();
    let lines = text.lines().skip(1).map(str::to_owned);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("Content-Length"));
    std::iter::once(told.from).chain(lines).collect()
}

const ROOM: &str = "\"Living Room\" <sip:6001@192.0.2.1:5060>";

#[test]
fn a_phone_is_who_its_digest_says_in_each_style() {
    let request = invite(
        "\"Boss\" <sip:boss@192.0.2.77>",
        "P-Asserted-Identity: <sip:boss@x>\r\n",
    );
    let pai = format!("P-Asserted-Identity: {ROOM}");
    let rpid = format!("Remote-Party-ID: {ROOM};party=calling;screen=yes;privacy=off");
    for (lines, expected) in [
        ("", vec![ROOM.to_owned()]),
        ("style = \"from\"", vec![ROOM.to_owned()]),
        (
            "style = \"p-asserted-identity\"",
            vec![ROOM.to_owned(), pai.clone()],
        ),
        (
            "style = \"p-preferred-identity\"",
            vec![ROOM.to_owned(), format!("P-Preferred-Identity: {ROOM}")],
        ),
        ("style = \"remote-party-id\"", vec![ROOM.to_owned(), rpid]),
        // Those who trust each other assert it.
        ("trusted = true", vec![ROOM.to_owned(), pai]),
        (
            "style = \"p-asserted-identity\"\nfrom_user = \"account\"\ndomain = \"c.example\"",
            vec![
                "\"Living Room\" <sip:555@c.example>".to_owned(),
                "P-Asserted-Identity: \"Living Room\" <sip:6001@c.example>".to_owned(),
            ],
        ),
        (
            "domain = \"c.example\"\nuser_phone = true",
            vec!["\"Living Room\" <sip:6001@c.example;user=phone>".to_owned()],
        ),
    ] {
        assert_eq!(carried(lines, PHONE, &request), expected, "{lines}");
    }
}

#[test]
fn who_hides_is_nobody_to_all_but_the_trusted() {
    let hidden = [
        invite("<sip:6001@192.0.2.1>", "Privacy: id\r\n"),
        invite("<sip:6001@192.0.2.1>", "Privacy: critical; Header\r\n"),
        invite("<sip:6001@192.0.2.1>", "Privacy: user\r\n"),
        invite("\"Anonymous\" <sip:anonymous@anonymous.invalid>", ""),
    ];
    for request in &hidden {
        // Its own Privacy passes by itself.
        let says = match request.header(Name::Privacy) {
            None => vec!["Privacy: id".to_owned()],
            Some(_) => vec![],
        };
        let with = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned());
            lines.chain(says.clone()).collect::<Vec<_>>()
        };
        for style in [
            "from",
            "p-asserted-identity",
            "p-preferred-identity",
            "remote-party-id",
        ] {
            let lines = format!("style = \"{style}\"");
            assert_eq!(carried(&lines, PHONE, request), with(&[ANONYMOUS]));
        }
        let account = "style = \"remote-party-id\"\nfrom_user = \"account\"";
        assert_eq!(
            carried(account, PHONE, request),
            with(&["\"Anonymous\" <sip:555@192.0.2.1:5060>"])
        );
        let asserted = format!("P-Asserted-Identity: {ROOM}");
        assert_eq!(
            carried("trusted = true", PHONE, request),
            with(&[ANONYMOUS, &asserted])
        );
        let rpid = format!("Remote-Party-ID: {ROOM};party=calling;screen=yes;privacy=full");
        assert_eq!(
            carried(
                "trusted = true\nstyle = \"remote-party-id\"",
                PHONE,
                request
            ),
            with(&[ANONYMOUS, &rpid])
        );
        // A phone that is called learns nothing either; an emergency is no time to hide.
        let config = config("");
        let caller = Caller::of(&config, PHONE, request);
        let told = caller.told(None, home(), false);
        assert_eq!(
            (told.from.as_str(), told.withholds),
            (ANONYMOUS, Withholds::All)
        );
        let told = caller.told(Some(config.trunk(TrunkId(2))), home(), true);
        assert_eq!(told.from, ROOM);
    }
    for open in ["Privacy: none\r\n", "Privacy: session\r\n", ""] {
        let request = invite("<sip:6001@192.0.2.1>", open);
        assert_eq!(carried("", PHONE, &request), [ROOM], "{open}");
    }
}

#[test]
fn a_trunk_is_believed_in_from_and_a_trusted_one_in_more() {
    let from = "\"Main\" <sip:+1555@192.0.2.9>";
    let asserted = "P-Asserted-Identity: \"Ann\" <sip:+1666@192.0.2.9>, <tel:+1666>\r\n";
    let party = "Remote-Party-ID: <sip:+1777@192.0.2.9>;party=calling;privacy=full\r\n";
    let pai = "style = \"p-asserted-identity\"";
    for (peer, lines, expected) in [
        (
            PBX,
            asserted.to_owned(),
            "\"Main\" <sip:+1555@192.0.2.1:5060>",
        ),
        (
            TRUSTED,
            String::new(),
            "\"Main\" <sip:+1555@192.0.2.1:5060>",
        ),
        (
            TRUSTED,
            asserted.to_owned(),
            "\"Ann\" <sip:+1666@192.0.2.1:5060>",
        ),
        (
            TRUSTED,
            format!("{party}{asserted}"),
            "\"Ann\" <sip:+1666@192.0.2.1:5060>",
        ),
        (
            TRUSTED,
            "P-Asserted-Identity: <tel:+1888>\r\n".to_owned(),
            "<sip:+1888@192.0.2.1:5060>",
        ),
        (PBX, party.to_owned(), "\"Main\" <sip:+1555@192.0.2.1:5060>"),
        (TRUSTED, party.to_owned(), ANONYMOUS),
    ] {
        let told = carried(pai, peer, &invite(from, &lines));
        assert_eq!(told[0], expected, "{peer:?} {lines}");
        if expected != ANONYMOUS {
            assert_eq!(told[1..], [format!("P-Asserted-Identity: {expected}")]);
        }
    }
    // What From hides a trusted trunk says elsewhere.
    let request = invite(
        "<sip:anonymous@anonymous.invalid>",
        "Privacy: id\r\nP-Asserted-Identity: <sip:+1666@192.0.2.9>\r\n",
    );
    assert_eq!(
        carried("trusted = true", TRUSTED, &request),
        [ANONYMOUS, "P-Asserted-Identity: <sip:+1666@192.0.2.1:5060>"]
    );
    assert_eq!(carried("", TRUSTED, &request), [ANONYMOUS]);
}

#[test]
fn the_route_says_who_calls() {
    let given = CallerId {
        display: Some("John \"J\" Doe".to_owned()),
        number: "+1 555#".to_owned(),
    };
    let config = config("style = \"p-asserted-identity\"");
    let carrier = config.trunk(TrunkId(2));
    let request = invite("<sip:6001@192.0.2.1>", "");
    let caller = Caller::of(&config, PHONE, &request).given(Some(&given));
    let told = caller.told(Some(carrier), home(), false);
    let expected = "\"John \\\"J\\\" Doe\" <sip:+1%20555%23@192.0.2.1:5060>";
    assert_eq!(told.from, expected);
    assert_eq!(
        told.lines.as_slice(),
        [(Name::PAssertedIdentity, expected.to_owned())]
    );
    assert_eq!(told.withholds, Withholds::Own);
    // He may hide that, too.
    let request = invite("<sip:6001@192.0.2.1>", "Privacy: id\r\n");
    let caller = Caller::of(&config, PHONE, &request).given(Some(&given));
    assert_eq!(caller.told(Some(carrier), home(), false).from, ANONYMOUS);
}

#[test]
fn a_trunk_is_asked_at_its_domain() {
    let at = "192.0.2.11:5060";
    for (lines, number, uri, to) in [
        (
            "",
            "1555",
            "sip:1555@192.0.2.11:5060",
            "sip:1555@192.0.2.11:5060",
        ),
        (
            "domain = \"c.example\"\nuser_phone = true",
            "+1555",
            "sip:+1555@c.example;user=phone;transport=tcp",
            "sip:+1555@c.example;user=phone",
        ),
        (
            "user_phone = true",
            "alice",
            "sip:alice@192.0.2.11:5060",
            "sip:alice@192.0.2.11:5060",
        ),
    ] {
        let parameter = if uri.ends_with("tcp") {
            ";transport=tcp"
        } else {
            ""
        };
        let config = config(lines);
        let found = called(config.trunk(TrunkId(2)), number, at, parameter);
        assert_eq!(found, [uri, to]);
    }
}

proptest! {
    #[test]
    fn any_number_is_a_user_part_once_it_is_escaped(number in "\\PC{1,40}") {
        let uri = format!("sip:{}@192.0.2.1", escaped(&number));
        let uri = Uri::parse(&uri).unwrap();
        prop_assert_eq!(unescaped(uri.user().unwrap()), number);
    }

    #[test]
    fn any_display_name_is_one(display in "\\PC{0,40}") {
        let value = format!("{} <sip:a@b>", quoted(&display));
        let read = NameAddr::parse(&value).unwrap();
        prop_assert_eq!(read.display().unwrap_or_default(), display);
    }
}
