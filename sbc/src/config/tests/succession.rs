//! One file after another.

use super::*;

const BEFORE: &str = r#"
[network.home]
address = "192.0.2.1"
[network.office]
address = "192.0.2.2"
sip = ["udp:5070"]
media_ports = "30000-30999"
[trunk.a]
network = "home"
server = "sip:198.51.100.1"
[trunk.b]
network = "office"
server = "sip:198.51.100.2"
[phone.6001]
password = "one"
[phone.6002]
password = "two"
[[route]]
from = "phone:*"
to = ["trunk:a", "phone:6002"]
"#;

fn of(text: &str) -> Config {
    Config::parse(text, "sbc.toml", &NoSecrets).unwrap_or_else(|e| panic!("{e}"))
}

fn names(config: &Config) -> [Vec<String>; 2] {
    let trunks = config.trunks.iter().map(|one| (&one.name, one.is_gone));
    let phones = config.phones.iter().map(|one| (&one.name, one.is_gone));
    let shown = |(name, is_gone): (&String, bool)| match is_gone {
        true => format!("({name})"),
        false => name.clone(),
    };
    [trunks.map(shown).collect(), phones.map(shown).collect()]
}

fn used(trunks: &[u16], phones: &[u16]) -> InUse {
    InUse {
        trunks: trunks.iter().map(|id| TrunkId(*id)).collect(),
        phones: phones.iter().map(|id| PhoneId(*id)).collect(),
    }
}

#[test]
fn what_both_files_have_keeps_its_id() {
    let mut old = of(BEFORE);
    // As an interface has it now.
    old.networks[0].addresses = vec!["192.0.2.77".parse().unwrap()];
    let turned = r#"
[network.office]
address = "192.0.2.2"
sip = ["udp:5070"]
media_ports = "30000-30999"
limits = { ban = "1h" }
[network.home]
address = "192.0.2.1"
[trunk.new]
network = "office"
server = "sip:198.51.100.3"
[trunk.b]
network = "office"
server = "sip:198.51.100.9"
[phone.6002]
password = "other"
[phone.6003]
password = "three"
[[route]]
from = ["phone:6003", "trunk:new", "phone:*"]
to = ["trunk:b", "phone:6002", "trunk:new", "phone:{number}"]
"#;
    let (new, changes) = of(turned).succeed(&old, &InUse::default()).unwrap();
    assert_eq!(
        names(&new),
        [vec!["(a)", "b", "new"], vec!["(6001)", "6002", "6003"]]
    );
    assert_eq!(new.networks[0].name, "home");
    assert_eq!(new.networks[0].addresses[0].to_string(), "192.0.2.77");
    assert_eq!(new.trunks[1].network, NetworkId(1));
    assert_eq!(new.trunks[2].network, NetworkId(1));
    assert!(new.trunks[0].accept_from.is_empty());
    let route = &new.routes[0];
    assert_eq!(
        route.from,
        [
            From::Phone(PhoneId(2)),
            From::Trunk(TrunkId(2)),
            From::AnyPhone
        ]
    );
    assert_eq!(
        route.to,
        [
            Target::Trunk(TrunkId(1)),
            Target::Phone(PhoneId(1)),
            Target::Trunk(TrunkId(2)),
            Target::DialledPhone(Template::parse("{number}").unwrap())
        ]
    );
    assert_eq!(new.phone_named("6001"), None);
    assert_eq!(new.phone_named("6002"), Some(PhoneId(1)));
    assert_eq!(new.trunks().count(), 2);
    assert_eq!(new.phones().count(), 2);
    let expected = Changes {
        new_trunks: vec![TrunkId(2)],
        gone_trunks: vec![TrunkId(0)],
        changed_trunks: vec![TrunkId(1)],
        new_phones: vec![PhoneId(2)],
        gone_phones: vec![PhoneId(0)],
        changed_phones: vec![PhoneId(1)],
        new_passwords: vec![PhoneId(1)],
        changed_networks: vec![NetworkId(1)],
        routes: true,
        ..Changes::default()
    };
    assert_eq!(changes, expected);
    assert_eq!(
        changes.to_string(),
        "1 network changed, 1 trunk new, 1 trunk changed, 1 trunk gone, 1 phone new, 1 phone changed, 1 phone gone, routes changed"
    );
}

#[test]
fn the_same_file_changes_nothing() {
    let old = of(BEFORE);
    let (new, changes) = of(BEFORE).succeed(&old, &InUse::default()).unwrap();
    assert_eq!(changes, Changes::default());
    assert_eq!(changes.to_string(), "nothing has changed");
    assert_eq!(new.trunks, old.trunks);
    assert_eq!(new.phones[..], old.phones[..]);
    assert_eq!(new.routes, old.routes);
}

#[test]
fn a_place_is_given_away_once_no_call_needs_it() {
    let with = |trunk: &str, phone: &str| {
        of(&BEFORE
            .replace("[trunk.b]", &format!("[trunk.{trunk}]"))
            .replace("[phone.6001]", &format!("[phone.{phone}]")))
    };
    let nothing = InUse::default();
    let (one, _) = with("c", "6005").succeed(&of(BEFORE), &nothing).unwrap();
    assert_eq!(
        names(&one),
        [vec!["a", "(b)", "c"], vec!["(6001)", "6002", "6005"]]
    );
    // A call of trunk b and phone 6001 is still up.
    let (two, changes) = with("d", "6006").succeed(&one, &used(&[1], &[0])).unwrap();
    assert_eq!(
        names(&two),
        [
            vec!["a", "(b)", "(c)", "d"],
            vec!["(6001)", "6002", "(6005)", "6006"]
        ]
    );
    assert!(changes.given_away.is_empty(), "{changes:?}");
    let (three, changes) = with("e", "6007").succeed(&two, &nothing).unwrap();
    assert_eq!(
        names(&three),
        [
            vec!["a", "e", "(c)", "(d)"],
            vec!["6007", "6002", "(6005)", "(6006)"]
        ]
    );
    assert_eq!(changes.given_away, [TrunkId(1)]);
    // Back under its own name it has its place again.
    let (four, changes) = with("c", "6005").succeed(&three, &nothing).unwrap();
    assert_eq!(
        names(&four),
        [
            vec!["a", "(e)", "c", "(d)"],
            vec!["(6007)", "6002", "6005", "(6006)"]
        ]
    );
    assert_eq!(changes.new_trunks, [TrunkId(2)]);
    // However often: no more places than were ever needed at once.
    let mut config = four;
    for turn in 0..1000 {
        let (trunk, phone) = (format!("t{turn}"), format!("7{turn:03}"));
        (config, _) = with(&trunk, &phone).succeed(&config, &nothing).unwrap();
        assert!(config.trunks.len() <= 5 && config.phones.len() <= 5);
    }
}

#[test]
fn what_needs_a_restart_is_told_and_nothing_is_taken() {
    let old = of(BEFORE);
    let new = of(&format!(
        "[sbc]\nname = \"other\"\nadmin = \"127.0.0.1:9961\"\n{}",
        BEFORE
            .replace("30000-30999", "31000-31999")
            .replace("192.0.2.1\"", "192.0.2.3\"")
    ));
    let error = new.succeed(&old, &InUse::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the config in force stays, as this wants a restart: `name` in [sbc], `admin` in [sbc], the address of [network.home], `media_ports` of [network.office]"
    );
    let renamed = BEFORE.replace("home", "house");
    let error = of(&renamed).succeed(&old, &InUse::default()).unwrap_err();
    assert_eq!(
        error.0,
        ["a new [network.house]", "no [network.home] any more"]
    );
}
