//! Groups and routes: what is read, and what is refused.

use std::time::Duration;

use super::*;

const HEAD: &str = "[network.a]\naddress = [\"10.0.0.1\"]\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.2\"\n\
                    [phone.1]\npassword = \"x\"\n[phone.2]\npassword = \"x\"\n";

fn read(rest: &str) -> Result<Config, String> {
    Config::parse(&format!("{HEAD}{rest}"), "f", &Tables).map_err(|errors| {
        let problem = &errors.problems()[0];
        let help = problem.help.as_ref().map(|help| format!("; {help}"));
        format!("{}{}", problem.fault, help.unwrap_or_default())
    })
}

struct Tables;

impl Secrets for Tables {
    fn env(&self, _: &str) -> Result<String, NoSecret> {
        Err(NoSecret::Absent)
    }

    fn file(&self, path: &std::path::Path) -> Result<String, NoSecret> {
        match path.to_str() {
            Some("/good.csv") => Ok("41,trunk:t\n4179,group:g reject:480\n".to_owned()),
            Some("/bad.csv") => Ok("41,trunk:t\n42,trunk:tt\n".to_owned()),
            Some("/bare.csv") => Ok("41\n".to_owned()),
            _ => Err(NoSecret::Absent),
        }
    }
}

#[test]
fn groups_are_read() {
    let config = read(
        "[group.all]\nmembers = \"phone:1\"\n[group.g]\nmembers = [\"phone:2\", { target = \"trunk:t\", weight = 65535 }]\n\
         strategy = \"weighted\"\nring_for = \"25s\"\n",
    )
    .unwrap();
    let [all, g] = &config.groups[..] else {
        panic!("{:?}", config.groups);
    };
    let member = |target, weight| Member { target, weight };
    assert_eq!((all.strategy, all.ring_for), (Strategy::All, None));
    assert_eq!(all.members, [member(MemberTarget::Phone(PhoneId(0)), 1)]);
    assert_eq!(g.strategy, Strategy::Weighted);
    assert_eq!(g.ring_for, Some(Duration::from_secs(25)));
    let two = [
        member(MemberTarget::Phone(PhoneId(1)), 1),
        member(MemberTarget::Trunk(TrunkId(0)), 65535),
    ];
    assert_eq!(g.members, two);
}

#[test]
fn routes_are_read() {
    let config = read(
        "[group.g]\nmembers = [\"phone:1\"]\n[[route]]\nfrom = [\"phones:a\", \"network:a\", \"phone:*\"]\n\
         to = [\"group:g\", \"phone:{digits:1}\", \"reject:699\"]\nring_for = \"1h\"\non_failure = [408, \"5xx\", \"503\"]\nemergency = true\n\
         [[route]]\nfrom = \"phone:1\"\nto = \"trunk:t\"\non_failure = 500\n",
    )
    .unwrap();
    let route = &config.routes[0];
    let network = NetworkId(0);
    let from = [
        From::PhonesOn(network),
        From::Network(network),
        From::AnyPhone,
    ];
    assert_eq!(route.from, from);
    let digits = Template::parse("{digits:1}").unwrap();
    let to = [
        Target::Group(GroupId(0)),
        Target::DialledPhone(digits),
        Target::Reject(699),
    ];
    assert_eq!(route.to, to);
    assert_eq!(route.ring_for, Some(Duration::from_secs(3600)));
    let answers = vec![Answers::Code(408), Answers::Class(5), Answers::Code(503)];
    assert_eq!(route.on_failure, Some(answers));
    assert!(route.emergency);
    let other = &config.routes[1];
    assert_eq!(other.on_failure, Some(vec![Answers::Code(500)]));
    assert!(!other.emergency && other.ring_for.is_none() && other.when.is_none());
}

#[test]
fn tables_of_prefixes_are_read() {
    let table = |rest: &str| {
        let group =
            "[group.g]\nmembers = [\"phone:1\"]\n[[route]]\nname = \"r\"\nfrom = \"phone:*\"\n";
        read(&format!("{group}number = {{ file = {rest}\n"))
    };
    let config = table("\"/good.csv\" }").unwrap();
    let prefixes = config.routes[0].prefixes.as_ref().unwrap();
    let to = [Target::Group(GroupId(0)), Target::Reject(480)];
    assert_eq!(prefixes.leads("+41791").unwrap().to, to);
    assert!(config.routes[0].to.is_empty());
    assert!(table("\"/bare.csv\" }\nto = \"trunk:t\"").is_ok());
    for (rest, told) in [
        (
            "\"/bad.csv\" }",
            "number: file `/bad.csv` line 2: to: there is no trunk `tt`; did you mean `trunk:t`?",
        ),
        ("\"/none.csv\" }", "number: file `/none.csv` does not exist"),
        (
            "\"/bare.csv\" }",
            "number: file `/bare.csv` line 1: the prefix leads nowhere: expected a target such as `trunk:NAME` after it, or `to` in the route",
        ),
        (
            "\"/good.csv\" }\ndial = \"{1}\"",
            "dial: found `{1}`, expected groups that each number of the route has: a table of prefixes has no groups; such as `number = \"/^9(.*)$/\"` with `dial = \"{1}\"`",
        ),
    ] {
        assert_eq!(table(rest).map(|_| ()), Err(told.to_owned()), "{rest}");
    }
}

#[test]
fn very_many_numbers_are_refused() {
    let many = |kind: &str, count: usize| {
        let list: Vec<_> = (0..count).map(|at| format!("\"{kind}{at}\"")).collect();
        list.join(", ")
    };
    let routes = format!(
        "[[route]]\nfrom = [\"phone:1\", \"phone:2\", \"phone:*\", \"trunk:t\"]\nto = \"trunk:t\"\nnumber = [{}]\n",
        many("1", 300_000)
    );
    let told = "found 1200000 numbers of routes, each counted for each entry of `from`, expected at most 1048576";
    assert_eq!(read(&routes).map(|_| ()), Err(told.to_owned()));
    let expressions: Vec<_> = (0..1001).map(|at| format!("'/{at}/'")).collect();
    let routes = format!(
        "[[route]]\nfrom = \"phone:1\"\nto = \"trunk:t\"\nnumber = [{}]\n",
        expressions.join(", ")
    );
    let told = "found 1001 regular expressions, expected at most 1000";
    assert_eq!(read(&routes).map(|_| ()), Err(told.to_owned()));
}
