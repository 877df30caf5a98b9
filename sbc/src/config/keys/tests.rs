//! What the table says is what the reader does.

use super::super::{Config, Headers, InUse, METHODS, NoSecret, Secrets};
use super::*;

/// How a table is written.
enum Written {
    /// With this heading.
    Section(&'static str),
    /// As a value of a key of that section; in a list if so.
    Inside(&'static str, &'static str, bool),
}
use Written::{Inside, Section};

type Lines = Vec<(&'static str, &'static str)>;

/// For each of [`SECTIONS`], in its order, how it is written and what it needs besides the key in question.
fn tables() -> Vec<(Written, Lines)> {
    vec![
        (
            Section("[sbc]"),
            vec![("admin_token", "\"0123456789abcdef\"")],
        ),
        (
            Section("[network.wan]"),
            vec![
                ("address", "[\"10.0.0.1\"]"),
                ("external", "\"203.0.113.9\""),
            ],
        ),
        (Inside("[network.wan]", "limits", false), vec![]),
        (Inside("[network.wan]", "dscp", false), vec![]),
        (
            Section("[trunk.a]"),
            vec![
                ("network", "\"wan\""),
                ("server", "\"sip:198.51.100.1\""),
                ("username", "\"u\""),
                ("password", "\"p\""),
                ("register", "true"),
            ],
        ),
        (Section("[phone.6001]"), vec![("password", "\"p\"")]),
        (
            Section("[group.g]"),
            vec![
                ("members", "[\"phone:6001\"]"),
                ("strategy", "\"weighted\""),
            ],
        ),
        (
            Inside("[group.g]", "members", true),
            vec![("target", "\"phone:6001\"")],
        ),
        (
            Section("[[route]]"),
            vec![("from", "[\"trunk:a\"]"), ("to", "[\"phone:6001\"]")],
        ),
        (
            Inside("[[route]]", "number", false),
            vec![("file", "\"/other.csv\"")],
        ),
        (
            Inside("[[route]]", "when", false),
            vec![("hours", "\"01:00-02:00\""), ("zone", "\"UTC\"")],
        ),
        (
            Section("[cdr]"),
            vec![
                ("json", "\"/other.json\""),
                ("webhook", "\"http://127.0.0.1/\""),
            ],
        ),
        (Section("[trace]"), vec![]),
        (
            Section("[flight_recorder]"),
            vec![("directory", "\"/other\"")],
        ),
        (
            Inside("[phone.6001]", "password", false),
            vec![("env", "\"OTHER\"")],
        ),
    ]
}

/// What cannot stand beside the first.
const INSTEAD: [(&str, &str); 2] = [("interface", "address"), ("file", "env")];

/// What the first needs beside it.
const BESIDE: [(&str, &str, &str); 1] = [("stun", "external", "\"auto\"")];

/// Beside the sections of [`tables`]: what examples refer to.
const REST: &str = "\
[network.lan]
address = [\"10.0.0.2\"]
[trunk.b]
network = \"lan\"
server = \"sip:198.51.100.2\"
[phone.6002]
password = \"p\"
";

/// Sets a key, or takes it out.
fn set(lines: &mut Lines, key: &'static str, value: Option<&'static str>) {
    lines.retain(|(name, _)| *name != key);
    let Some(value) = value else { return };
    let instead = INSTEAD.iter().find(|(one, _)| *one == key);
    lines.retain(|(name, _)| instead.is_none_or(|(_, other)| name != other));
    lines.push((key, value));
    if let Some((_, other, needed)) = BESIDE.iter().find(|(one, ..)| *one == key) {
        set(lines, other, Some(needed));
    }
}

/// A whole file, with this key of the table of that number at that value, or without it.
fn file(number: usize, key: &'static str, value: Option<&'static str>) -> String {
    let mut tables = tables();
    set(&mut tables[number].1, key, value);
    let mut text = String::new();
    for (written, lines) in &tables {
        let Section(heading) = written else { continue };
        text.push_str(&format!("{heading}\n"));
        let (within, inner) = &tables[number];
        let nested = match within {
            Inside(outer, key, is_list) if outer == heading => Some((*key, *is_list)),
            _ => None,
        };
        for (name, value) in lines {
            if nested.is_none_or(|(key, _)| key != *name) {
                text.push_str(&format!("{name} = {value}\n"));
            }
        }
        if let Some((key, is_list)) = nested {
            let inner: Vec<_> = inner.iter().map(|(k, v)| format!("{k} = {v}")).collect();
            let table = format!("{{ {} }}", inner.join(", "));
            let value = if is_list { format!("[{table}]") } else { table };
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text + REST
}

/// Every variable and every file has the same secret, a table its line.
struct Same;

impl Secrets for Same {
    fn env(&self, _: &str) -> Result<String, NoSecret> {
        Ok("0123456789abcdef".to_owned())
    }

    fn file(&self, path: &std::path::Path) -> Result<String, NoSecret> {
        let is_table = path.extension().is_some_and(|kind| kind == "csv");
        let text = if is_table {
            "1,trunk:b\n"
        } else {
            "0123456789abcdef"
        };
        Ok(text.to_owned())
    }
}

fn config(text: &str) -> Config {
    Config::parse(text, "f", &Same).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// All of a config in words. What a network leaves out and others would ask it for is as if it had been said.
fn words(mut config: Config) -> String {
    for network in &mut config.networks {
        let methods = METHODS.map(str::to_owned).to_vec();
        network.passing.methods.get_or_insert(methods);
        let mut headers = Headers::NONE;
        headers.unknown = true;
        network.passing.headers.get_or_insert(headers);
    }
    // Without what is only found by hash, which has no order.
    let Config {
        sbc,
        networks,
        trunks,
        groups,
        routes,
        cdr,
        phones,
        trace,
        flight_recorder,
        ..
    } = config;
    let phones: Vec<_> = phones.iter().collect();
    format!(
        "{sbc:?} {networks:?} {trunks:?} {phones:?} {groups:?} {routes:?} {cdr:?} {trace:?} {flight_recorder:?}"
    )
}

fn each(mut check: impl FnMut(usize, &'static str, &'static Key)) {
    assert_eq!(tables().len(), SECTIONS.len());
    for (number, section) in SECTIONS.iter().enumerate() {
        for key in section.keys {
            check(number, section.heading, key);
        }
    }
}

#[test]
fn a_key_at_its_usual_value_is_a_key_that_is_not_there() {
    let mut checked = 0;
    each(|number, heading, key| {
        let Usual::Value(usual) = key.usual else {
            return;
        };
        let without = words(config(&file(number, key.name, None)));
        let with = words(config(&file(number, key.name, Some(usual))));
        assert!(with == without, "{heading}: {} = {usual}", key.name);
        checked += 1;
    });
    assert!(checked > 25, "{checked}");
}

#[test]
fn a_key_that_is_required_is_missed() {
    each(|number, heading, key| {
        let text = file(number, key.name, None);
        let errors = Config::parse(&text, "f", &Same).map(drop);
        let missed = errors.is_err_and(|e| e.to_string().contains(key.name));
        assert_eq!(missed, is_needed(key), "{heading}: {}\n{text}", key.name);
    });
}

#[test]
fn examples_are_read_and_a_reload_takes_what_wants_no_restart() {
    each(|number, heading, key| {
        let needed = base(number, key.name).filter(|_| is_needed(key));
        let usual = config(&file(number, key.name, needed));
        let other = config(&file(number, key.name, Some(key.example)));
        let is_secret = ["password", "token", "admin_token", "env", "file"].contains(&key.name);
        assert!(
            is_secret || words(other.clone()) != words(usual.clone()),
            "{heading}: the example of {} makes no difference",
            key.name
        );
        if key.name == "file" || key.name == "env" {
            return;
        }
        let taken = other.succeed(&usual, &InUse::default());
        assert_eq!(taken.is_err(), key.wants_restart, "{heading}: {}", key.name);
    });
}

/// Whether a key of [`tables`] cannot be left out there: it is required, one of two, or another one asks for it.
fn is_needed(key: &Key) -> bool {
    const HERE: [&str; 6] = ["address", "env", "to", "username", "password", "hours"];
    key.usual == Usual::Required || HERE.contains(&key.name)
}

/// What [`tables`] says of the key.
fn base(number: usize, key: &str) -> Option<&'static str> {
    let lines = &tables()[number].1;
    lines
        .iter()
        .find_map(|(name, value)| (*name == key).then_some(*value))
}

#[test]
fn each_section_of_the_file_is_told() {
    for key in ROOT {
        let heading = format!("`{}`", key.example);
        let told = SECTIONS.iter().any(|section| section.heading == heading);
        assert!(told, "{heading}");
    }
}

/// `cargo xtask docs` writes the page.
#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");
    let page = reference();
    if std::env::var_os("SBC_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == committed,
        "docs/config.md is not current: cargo xtask docs"
    );
}
