//! What `check` and `explain` say of the example files, word for word. `SBC_GOLDEN=write cargo test -p sbc --test golden` writes
//! the files anew: look at what changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::{Path, PathBuf};

use sbc::config::{Config, Fault, NoSecret, Secrets, describe};
use sbc::routing::{Caller, Question, network_named};

/// Every variable and every secret's file has a value; the one table is that of the examples.
struct Examples;

impl Secrets for Examples {
    fn env(&self, name: &str) -> Result<String, NoSecret> {
        Ok(format!("secret of {name}"))
    }

    fn file(&self, path: &Path) -> Result<String, NoSecret> {
        if path.extension().is_none_or(|kind| kind != "csv") {
            return Ok("0123456789abcdef".to_owned());
        }
        assert_eq!(path, Path::new("/etc/sbc/prefixes.csv"));
        Ok(read("../deploy/examples/prefixes.csv"))
    }
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn config(path: &str) -> Config {
    Config::parse(&read(path), path, &Examples).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Holds what was told against the file.
fn golden(name: &str, told: &str) {
    let path = format!("tests/golden/{name}.txt");
    if std::env::var_os("SBC_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::write(at(&path), told).unwrap();
    }
    let expected = read(&path);
    let lines = (1..).zip(told.lines().zip(expected.lines()));
    for (line, (told, expected)) in lines {
        assert_eq!(
            told, expected,
            "{path}:{line}; SBC_GOLDEN=write writes it anew"
        );
    }
    assert_eq!(told.len(), expected.len(), "{path}: one is longer");
}

/// `CALLER NUMBER [FROM] [TIME] [NETWORK]` a line: what becomes of each.
fn explained(config: &Config, questions: &[[&str; 5]]) -> String {
    let told = questions
        .iter()
        .map(|[caller, number, from, time, network]| {
            let question = Question {
                caller: Caller::parse(config, caller).unwrap(),
                network: (!network.is_empty()).then(|| network_named(config, network).unwrap()),
                from: (!from.is_empty()).then_some(*from),
                number,
                at: time.parse().unwrap(),
            };
            let explanation = question.explain(config);
            let json = serde_json::to_value(&explanation).unwrap();
            assert_eq!(json["number"], *number);
            explanation.to_string()
        });
    told.collect::<Vec<_>>().join("\n----\n\n")
}

const NOON: &str = "2026-07-01T16:00Z";
const NIGHT: &str = "2026-07-01T04:00Z";

#[test]
fn the_lab() {
    let config = config("../deploy/lab.toml");
    golden("lab.check", &describe(&config));
    let questions = [
        ["trunk:a", "15551234567", "", NOON, ""],
        ["trunk:b", "1", "2", NOON, ""],
    ];
    golden("lab.explain", &explained(&config, &questions));
}

#[test]
fn a_home() {
    let config = config("../deploy/examples/home.toml");
    golden("home.check", &describe(&config));
    let questions = [
        ["phone:6001", "911", "", NOON, ""],
        ["phone:6001", "6002", "", NOON, ""],
        ["phone:6001", "6009", "", NOON, ""],
        ["phone:6001", "15551234567", "", NOON, ""],
        ["phone:6001", "15552345678", "", NOON, ""],
        ["phone:6002", "5551234", "", NOON, ""],
        ["phone:6002", "0791234567", "", NOON, ""],
        ["trunk:voipms", "5555555555", "+15551112222", NOON, ""],
        ["trunk:voipms", "5555555555", "", NIGHT, ""],
    ];
    golden("home.explain", &explained(&config, &questions));
}

#[test]
fn carriers_by_prefix() {
    let config = config("../deploy/examples/carriers.toml");
    golden("carriers.check", &describe(&config));
    let questions = [
        ["trunk:pbx", "+41791234567", "+41441112233", NOON, ""],
        ["trunk:pbx", "18005551234", "", NOON, ""],
        ["trunk:pbx", "0041791234567", "", NOON, ""],
        ["trunk:pbx", "+41900123456", "", NOON, ""],
        ["trunk:pbx", "+861012345678", "", NOON, ""],
        ["trunk:carrier-a", "0900123", "", NOON, ""],
        ["trunk:carrier-b", "100", "", NOON, ""],
    ];
    golden("carriers.explain", &explained(&config, &questions));
}

#[test]
fn in_front_of_a_pbx() {
    let config = config("../deploy/examples/asterisk.toml");
    golden("asterisk.check", &describe(&config));
    let questions = [
        ["trunk:carrier", "15551234567", "+15559876543", NOON, ""],
        ["trunk:pbx", "15552345678", "6001", NOON, ""],
        ["trunk:pbx", "6003", "6001", NOON, ""],
        ["trunk:pbx", "112", "6001", NOON, ""],
        ["phone:6003", "6001", "", NOON, ""],
    ];
    golden("asterisk.explain", &explained(&config, &questions));
}

/// What stands in the documentation as config is some: its parts may lack what other parts have, and nothing else.
#[test]
fn the_documentation_names_keys_and_values_that_there_are() {
    let mut blocks = 0;
    for folder in ["..", "../docs"] {
        for entry in std::fs::read_dir(at(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|kind| kind != "md") {
                continue;
            }
            let page = std::fs::read_to_string(&path).unwrap();
            for block in page.split("```toml\n").skip(1) {
                let block = block.split("```").next().unwrap();
                blocks += 1;
                let Err(errors) = Config::parse(block, &path.to_string_lossy(), &Examples) else {
                    continue;
                };
                let lacking = |fault: &Fault| {
                    matches!(
                        fault,
                        Fault::NoNetwork | Fault::MissingKey { .. } | Fault::NoSuch { .. }
                    ) || matches!(
                        fault,
                        Fault::Bind {
                            found: "neither",
                            ..
                        }
                    )
                };
                let wrong = errors.problems().iter().any(|one| !lacking(&one.fault));
                assert!(!wrong, "{errors}\n{block}");
            }
        }
    }
    assert!(blocks > 8, "{blocks}");
}

#[test]
fn a_typo_in_each_section() {
    for name in ["typos", "typos-routes"] {
        let path = format!("tests/golden/{name}.toml");
        let file = format!("{name}.toml");
        let errors = Config::parse(&read(&path), &file, &Examples).unwrap_err();
        golden(name, &(errors.to_string() + "\n"));
    }
}

/// Routes of an edge in front of a PBX, and what is odd in a file.
#[test]
fn what_check_notes() {
    let text = r#"
[network.outside]
address = "198.51.100.1"
[network.inside]
address = "10.0.0.2"
[trunk.pbx]
network = "inside"
server = "sip:10.0.0.10"
[trunk.a]
network = "outside"
server = "sip:198.51.100.10"
[trunk.lost]
network = "outside"
server = "sip:198.51.100.11"
[phone.6001]
password = "x"
[[route]]
name = "remote"
from = ["phones:outside"]
to = ["trunk:pbx"]
[[route]]
name = "office"
from = ["network:inside"]
number = ["1X.", "/911/"]
when = { days = ["mon-fri", "12-31"], hours = ["08:00-12:00", "13:00-17:00"], zone = "Europe/Zurich" }
to = ["trunk:a"]
[[route]]
name = "all"
from = ["network:inside"]
number = ["1X.", "2."]
to = ["trunk:a"]
[[route]]
name = "never"
from = ["trunk:pbx"]
number = ["1234", "12N.", "2X"]
to = ["phone:6001"]
"#;
    let config = Config::parse(text, "f", &Examples).unwrap_or_else(|errors| panic!("{errors}"));
    golden("notes.check", &describe(&config));
    let questions = [
        ["phone:6001", "1234", "", NOON, ""],
        ["phone:6001", "1234", "", NOON, "inside"],
        ["phone:6001", "1234", "", "2026-07-01T14:00Z", "inside"],
        ["phone:6001", "1234", "", NOON, "outside"],
        ["trunk:lost", "1", "", NOON, ""],
    ];
    golden("notes.explain", &explained(&config, &questions));
}

#[test]
fn callers_that_are_not_there() {
    let config = config("../deploy/examples/home.toml");
    for (caller, told) in [
        (
            "trunk:voipm",
            "there is no trunk `voipm`; did you mean `trunk:voipms`?",
        ),
        (
            "phone:7",
            "there is no phone `7`; the config has 6001, 6002 and 6003",
        ),
        (
            "6001",
            "found `6001`, expected `trunk:NAME` or `phone:NAME`; did you mean `phone:6001`?",
        ),
        (
            "phones:6001",
            "found `phones:6001`, expected `trunk:NAME` or `phone:NAME`; did you mean `phone:6001`?",
        ),
        (
            "voipms",
            "found `voipms`, expected `trunk:NAME` or `phone:NAME`; did you mean `trunk:voipms`?",
        ),
        ("", "found ``, expected `trunk:NAME` or `phone:NAME`"),
    ] {
        assert_eq!(
            Caller::parse(&config, caller).unwrap_err().to_string(),
            told
        );
    }
    let told = network_named(&config, "hom").unwrap_err().to_string();
    assert_eq!(told, "there is no network `hom`; did you mean `home`?");
}
