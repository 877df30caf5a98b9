//! Who is told who calls.

use sbc::config::{Identity, Style};

use super::*;

/// Who called, as somebody was told, without the tag.
fn from(stage: &Stage, who: usize) -> String {
    let from = invited(stage, who, "from");
    from.split_once(";tag=").unwrap().0.to_owned()
}

#[test]
fn who_hides_his_number_hides_it_from_everybody() {
    let mut config = config(everyone(None), &[EVERYONE, ABROAD]);
    // Of what neither trunk is trusted with nothing passes, though both let all of it through.
    for trunk in &mut config.trunks {
        trunk.identity.style = Style::Asserted;
    }
    let mut stage = stage(config, 1, Weather::FAIR);
    stage.agents[CALLER].manner.lines = "Privacy: id\r\nP-Asserted-Identity: <sip:+15551234@10.71.2.2>\r\nDiversion: <sip:7@10.71.2.2>\r\n";
    for phone in PHONES {
        rings(&mut stage, phone, 500, 486);
    }
    rings(&mut stage, OUT, 500, 200);
    let own = call(&mut stage, SECOND * 20);
    let theirs = stage.last(OUT);
    stage.talk(own, theirs).unwrap();
    for who in [ONE, TWO, THREE, OUT] {
        assert_eq!(
            from(&stage, who),
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>"
        );
        for name in ["p-asserted-identity", "diversion", "remote-party-id"] {
            assert_eq!(invited(&stage, who, name), "");
        }
        assert_eq!(invited(&stage, who, "privacy"), "id");
    }
    end(&mut stage, own, theirs);
}

#[test]
fn between_trusted_trunks_what_is_asserted_goes_on() {
    let mut config = config(everyone(None), &[ABROAD]);
    for trunk in &mut config.trunks {
        trunk.identity = Identity {
            trusted: true,
            ..Identity::default()
        };
    }
    config.trunks[1].identity.domain = Some("carrier.example".to_owned());
    let mut stage = stage(config, 1, Weather::FAIR);
    stage.agents[CALLER].manner.lines = "Privacy: id\r\nP-Asserted-Identity: \"Ann\" <sip:+15551234@10.71.2.2>\r\n\
         Diversion: <sip:7@10.71.2.2>;reason=no-answer\r\nHistory-Info: <sip:7@10.71.2.2>;index=1\r\n\
         P-Preferred-Identity: <sip:9@10.71.2.2>\r\n";
    rings(&mut stage, OUT, 500, 200);
    let own = call(&mut stage, SECOND * 20);
    let told = [
        "p-asserted-identity",
        "diversion",
        "history-info",
        "p-preferred-identity",
    ];
    assert_eq!(
        told.map(|name| invited(&stage, OUT, name)),
        [
            "\"Ann\" <sip:+15551234@carrier.example>",
            "<sip:7@10.71.2.1>;reason=no-answer",
            "<sip:7@10.71.2.1>;index=1",
            ""
        ]
    );
    assert_eq!(
        from(&stage, OUT),
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>"
    );
    assert_eq!(invited(&stage, OUT, "to"), "<sip:100@carrier.example>");
    assert_eq!(
        stage.agents[OUT].requests["INVITE"].first,
        "INVITE sip:100@carrier.example SIP/2.0"
    );
    let theirs = stage.last(OUT);
    stage.talk(own, theirs).unwrap();
    end(&mut stage, own, theirs);
}

#[test]
fn a_trunk_that_is_not_trusted_is_told_nothing_of_whom_others_assert() {
    for (first, second) in [(true, false), (false, true), (false, false)] {
        let mut config = config(everyone(None), &[ABROAD]);
        config.trunks[0].identity.trusted = first;
        config.trunks[1].identity.trusted = second;
        let mut stage = stage(config, 1, Weather::FAIR);
        stage.agents[CALLER].manner.lines = "P-Asserted-Identity: <sip:+15551234@10.71.2.2>\r\n\
             Remote-Party-ID: <sip:1@10.71.2.2>\r\nDiversion: <sip:7@10.71.2.2>\r\nHistory-Info: <sip:7@10.71.2.2>;index=1\r\n";
        rings(&mut stage, OUT, 500, 200);
        let own = call(&mut stage, SECOND * 20);
        for name in [
            "p-asserted-identity",
            "remote-party-id",
            "diversion",
            "history-info",
        ] {
            assert_eq!(invited(&stage, OUT, name), "", "{first} {second}");
        }
        // Who is believed is believed in From, too.
        let user = if first { "+15551234" } else { "user" };
        assert_eq!(from(&stage, OUT), format!("<sip:{user}@10.71.2.1:5060>"));
        let theirs = stage.last(OUT);
        end(&mut stage, own, theirs);
    }
}
