use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Prefixes, String> {
    let target = |word: &str| match word.strip_prefix("reject:") {
        Some(code) => Ok(Target::Reject(code.parse().unwrap())),
        None => Err(format!("found `{word}`, expected a target")),
    };
    Prefixes::parse(text, "p.csv", false, target).map_err(|fault| fault.to_string())
}

fn led(table: &Prefixes, number: &str) -> Option<(String, Vec<Target>)> {
    table
        .find(number)
        .map(|(prefix, leads)| (prefix, leads.to.clone()))
}

#[test]
fn the_longest_prefix_leads() {
    let table = read(
        "# carriers\nto,prefix,dial\nreject:401,41\nreject:402 reject:403,+4179,\"0{digits:2}\"\n\nreject:404,1\nreject:401,417912345678901",
    )
    .unwrap();
    assert_eq!(table.len(), 4);
    assert_eq!(table.all_leads().count(), 3);
    let to = |prefix: &str, codes: &[u16]| {
        let codes = codes.iter().map(|code| Target::Reject(*code)).collect();
        Some((prefix.to_owned(), codes))
    };
    assert_eq!(led(&table, "+41443334455"), to("41", &[401]));
    assert_eq!(led(&table, "41791112233"), to("4179", &[402, 403]));
    assert_eq!(
        led(&table, "+417912345678901"),
        to("417912345678901", &[401])
    );
    assert_eq!(
        led(&table, "4179123456789012345"),
        to("417912345678901", &[401])
    );
    assert_eq!(led(&table, "4180"), to("41", &[401]));
    assert_eq!(led(&table, "41"), to("41", &[401]));
    assert_eq!(led(&table, "1x"), to("1", &[404]));
    for number in ["4", "", "+", "0041", "x41", "9"] {
        assert_eq!(led(&table, number), None, "{number}");
    }
    let dial = table.leads("4179").unwrap().dial.clone().unwrap();
    assert_eq!(dial.as_str(), "0{digits:2}");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, told) in [
        (
            "",
            "has no prefix, expected lines such as `4179,trunk:NAME`",
        ),
        (
            "# nothing\n",
            "has no prefix, expected lines such as `4179,trunk:NAME`",
        ),
        (
            "1,reject:404\n2x,reject:404\n",
            "line 2: found `2x`, expected a prefix of 1 to 16 digits",
        ),
        (
            "prefix,to\n,reject:404\n",
            "line 2: found ``, expected a prefix of 1 to 16 digits",
        ),
        (
            "12345678901234567,reject:404",
            "line 1: found `12345678901234567`, expected a prefix of 1 to 16 digits",
        ),
        ("1,trunk:x\n", "line 1: found `trunk:x`, expected a target"),
        (
            "1\n",
            "line 1: the prefix leads nowhere: expected a target such as `trunk:NAME` after it, or `to` in the route",
        ),
        (
            "1,reject:404,1,2\n",
            "line 1: 4 columns, expected `prefix,to,dial`",
        ),
        (
            "1,reject:404,{numbr}\n",
            "line 1: dial: expected `{number}`, `{digits}`, `{from}`, or a group of a regular expression, `{1}` to `{9}`",
        ),
        (
            "1,reject:404,{1}\n",
            "line 1: dial: a prefix has no groups such as `{1}`",
        ),
        (
            "1,reject:404\n\n# again\n+1,reject:404\n",
            "line 4: the prefix 1 is in line 1 already",
        ),
        (
            "prefix,rate\n1,2\n",
            "line 1: found the column `rate`, expected `prefix`, `to` and `dial`, each once",
        ),
        (
            "prefix,prefix\n1,2\n",
            "line 1: found the column `prefix`, expected `prefix`, `to` and `dial`, each once",
        ),
    ] {
        assert_eq!(read(text), Err(told.to_owned()), "{text}");
    }
    let many = "1,reject:400 reject:401 reject:402 reject:403 reject:404 reject:405 reject:406 reject:407 reject:408";
    assert_eq!(read(many), Err("line 1: more than 8 targets".to_owned()));
    assert!(
        read("1,\"reject:404").is_ok(),
        "a quotation mark that is not closed ends with the file"
    );
}

proptest! {
    #[test]
    fn as_a_search_through_all(
        prefixes in proptest::collection::btree_set("[0-3]{1,6}", 1..60),
        numbers in proptest::collection::vec("\\+?[0-3]{0,8}x?", 1..20),
    ) {
        let lines: String = prefixes.iter().map(|prefix| format!("{prefix},reject:404\n")).collect();
        let table = read(&lines).unwrap();
        for number in numbers {
            let plain = number.trim_start_matches('+');
            let longest = prefixes.iter().filter(|prefix| plain.starts_with(prefix.as_str())).max_by_key(|prefix| prefix.len());
            let found = table.find(&number).map(|(prefix, _)| prefix);
            prop_assert_eq!(found.as_ref(), longest, "{}", number);
            prop_assert_eq!(table.has(&number), longest.is_some());
        }
    }

    #[test]
    fn never_panics(text in "\\PC{0,80}", rows in "([0-9+,\"#\n]|reject){0,40}") {
        let _ = Prefixes::parse(&text, "p", true, |_| Ok(Target::Reject(404)));
        let _ = Prefixes::parse(&rows, "p", true, |_| Ok(Target::Reject(404)));
    }
}
