//! Files with slips, and no files at all.

use proptest::prelude::*;

use super::*;

/// A file with all there is.
const FULL: &str = r#"
[sbc]
name = "x"
admin = "127.0.0.1:9960"
[network.a]
address = ["10.0.0.1", "2001:db8::1"]
sip = ["udp:5060", "tcp:5060"]
media_ports = "20000-29999"
fast_path = "off"
[trunk.t]
network = "a"
server = "sip:10.0.0.2:5060;transport=tcp"
accept_from = ["10.0.0.0/24"]
media_from = ["10.0.1.0/24", "fd00::/8"]
codecs = ["G722"]
[phone.6001]
password = { env = "GOOD" }
name = "Living Room"
[phone.6002]
password = "SECRET"
[group.g]
members = [{ target = "phone:6001", weight = 3 }, "trunk:t"]
strategy = "weighted"
ring_for = "25s"
[[route]]
name = "q"
from = ["phones:a", "network:a"]
number = ["/^9(.*)$/"]
when = { days = ["mon-fri", "12-25"], hours = ["08:00-18:00"], zone = "Europe/Zurich" }
dial = "+1{1}"
caller_id = "John <{from}>"
to = ["group:g", "reject:480"]
on_failure = [408, "5xx"]
ring_for = "10s"
emergency = true
[[route]]
name = "r"
from = ["phone:*", "trunk:t", "phone:6001"]
number = ["6XXX", "[15-7]N.", "+1!"]
to = ["trunk:t", "phone:{number}"]
"#;

/// Whole: ids count what the file has, and all that it refers to is there.
fn sound(config: &Config) {
    assert!(!config.networks.is_empty());
    for trunk in &config.trunks {
        assert!(trunk.network.index() < config.networks.len());
        assert!(!trunk.codecs.is_empty());
        assert!(
            !trunk.accept_from.is_empty()
                || !trunk.accept_names.is_empty()
                || trunk.server.name().is_some()
        );
    }
    for route in &config.routes {
        assert!(!route.from.is_empty() && !route.to.is_empty());
    }
    for network in &config.networks {
        assert!(!network.sip.is_empty());
        assert!(network.media_ports.start() % 2 == 0 && network.media_ports.end() % 2 == 1);
    }
    let _ = describe(config);
}

fn parse(text: &str) -> String {
    match Config::parse(text, "f", &Vault) {
        Ok(config) => {
            sound(&config);
            String::new()
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            errors.to_string()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        parse(&text);
    }

    #[test]
    fn any_toml_like_text(
        text in "(\\[{1,2}(sbc|network|trunk|phone|route)(\\.[a-c1\"]{1,2})?\\]{1,2}|(sip|address|to|from|number|password|server|network|codecs) ?= ?[\\[\"{]{0,2}(udp:5060|10\\.0\\.0\\.1|phone:\\*|sip:|G722|[a-z0-9é])[\\]\"}]{0,2}|\n|,|'''|\"\"\"){0,30}"
    ) {
        parse(&text);
    }

    #[test]
    fn a_file_with_slips(
        slips in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<char>>(), 0usize..4), 1..6)
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, insert, remove) in slips {
            let at = at.index(text.len());
            text.drain(at..(at + remove).min(text.len()));
            text.splice(at..at, insert);
        }
        parse(&text.into_iter().collect::<String>());
    }

    /// Whatever is wrong elsewhere, with the characters that matter to TOML most of all.
    #[test]
    fn a_secret_in_a_file_with_slips(
        slips in prop::collection::vec((any::<prop::sample::Index>(), "[\"'=\\[\\]{},#\n .a\\\\]?", 0usize..3), 1..5)
    ) {
        let mut text = FULL.to_owned();
        for (at, insert, remove) in slips {
            let at = at.index(text.len());
            let end = (at + remove).min(text.len());
            let secret = text.find("SECRET").unwrap();
            if end <= secret || at >= secret + "SECRET".len() {
                text.replace_range(at..end, &insert);
            }
        }
        let told = parse(&text);
        prop_assert!(!told.contains("SECRET"), "{told}");
    }
}
