use proptest::prelude::*;

use super::*;

fn matching<'n>(pattern: &str, numbers: &[&'n str]) -> Vec<&'n str> {
    let pattern = Pattern::parse(pattern).unwrap();
    numbers
        .iter()
        .copied()
        .filter(|number| pattern.matches(number))
        .collect()
}

#[test]
fn patterns_match_whole_numbers() {
    let numbers = [
        "6001",
        "600",
        "60011",
        "911",
        "15551234567",
        "11551234567",
        "6o01",
        "",
        "9",
        "90",
        "+15551234567",
        "*97",
    ];
    assert_eq!(matching("6XXX", &numbers), ["6001"]);
    assert_eq!(matching("911", &numbers), ["911"]);
    assert_eq!(matching("1NXXNXXXXXX", &numbers), [] as [&str; 0]);
    assert_eq!(matching("1NXXZXXXXXX", &numbers), ["15551234567"]);
    assert_eq!(matching("+1N.", &numbers), ["+15551234567"]);
    assert_eq!(matching("9.", &numbers), ["911", "90"]);
    assert_eq!(matching("9!", &numbers), ["911", "9", "90"]);
    assert_eq!(matching("*97", &numbers), ["*97"]);
    assert_eq!(matching("!", &["", "a"]), ["", "a"]);
    assert_eq!(matching(".", &["", "a"]), ["a"]);
}

#[test]
fn sets_and_ranges() {
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    assert_eq!(matching("[15-7]", &digits), ["1", "5", "6", "7"]);
    assert_eq!(matching("[0-9]", &digits), digits);
    assert_eq!(matching("Z", &digits), digits[1..]);
    assert_eq!(matching("N", &digits), digits[2..]);
    assert_eq!(matching("X", &digits), digits);
    assert_eq!(matching("6[a-c]1", &["6b1", "6d1", "6B1"]), ["6b1"]);
}

#[test]
fn what_is_no_pattern() {
    for (text, fault) in [
        ("", PatternFault::Empty),
        ("/^6", PatternFault::Unclosed),
        ("//", PatternFault::Empty),
        ("/(/", PatternFault::Expression("unclosed group".to_owned())),
        ("/(a{1000}){1000}/", PatternFault::TooLarge),
        ("/(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)/", PatternFault::TooLarge),
        ("_6XXX", PatternFault::Underscore),
        ("6[1", PatternFault::Open),
        ("6[]", PatternFault::Range),
        ("6[7-1]", PatternFault::Range),
        ("6[1-]", PatternFault::Range),
        ("6[ä]", PatternFault::Range),
        ("6.1", PatternFault::NotLast('.')),
        ("6!1", PatternFault::NotLast('!')),
        ("6 1", PatternFault::Character(' ')),
        ("6]", PatternFault::Character(']')),
    ] {
        assert_eq!(Pattern::parse(text), Err(fault), "{text}");
    }
    assert_eq!(Pattern::parse(&"1".repeat(65)), Err(PatternFault::TooLong));
    assert!(Pattern::parse(&"1".repeat(64)).is_ok());
}

#[test]
fn expressions_find_and_have_groups() {
    let numbers = ["+41791234567", "0791234567", "911", "19115", ""];
    assert_eq!(matching("/^\\+41(\\d+)$/", &numbers), ["+41791234567"]);
    assert_eq!(matching("/911/", &numbers), ["911", "19115"]);
    let pattern = Pattern::parse("/^(?:\\+41|0)(7\\d)(\\d+)(x)?$/").unwrap();
    assert_eq!(pattern.group_count(), 3);
    let groups = pattern.groups("0791234567");
    assert_eq!(
        [1, 2, 3, 4].map(|n| groups.found(n)),
        ["79", "1234567", "", ""]
    );
    assert_eq!(pattern.groups("911"), Groups::default());
    // No digits of other scripts, and no half characters.
    assert!(!Pattern::parse("/^\\d$/").unwrap().matches("\u{664}"));
    let half = Pattern::parse("/(?s-u)(.)$/").unwrap();
    assert_eq!(half.groups("\u{e4}").found(1), "");
    let any = Pattern::parse("/./").unwrap();
    assert!(any.matches(&"1".repeat(256)) && !any.matches(&"1".repeat(257)));
}

#[test]
fn one_pattern_covers_another() {
    let covers = |one: &str, other: &str| {
        Pattern::parse(one)
            .unwrap()
            .covers(&Pattern::parse(other).unwrap())
    };
    for (one, other) in [
        (".", "6XXX"),
        ("6XXX", "6001"),
        ("6.", "6N!"),
        ("6!", "6"),
        ("X", "[3-5]"),
        ("/x/", "/x/"),
        ("6!", "6."),
        (".", "/x/"),
    ] {
        assert!(covers(one, other), "{one} {other}");
    }
    for (one, other) in [
        ("6001", "6XXX"),
        ("6.", "6"),
        ("6.", "6!"),
        ("N", "X"),
        ("6X", "6XX"),
        ("/x/", "x"),
        ("6XX", "6X"),
        ("6", "6!"),
    ] {
        assert!(!covers(one, other), "{one} {other}");
    }
}

proptest! {
    #[test]
    fn what_covers_matches_too(one in "[1-3XN]{0,3}[.!]?", other in "[1-3XN]{0,3}[.!]?", number in "[1-3]{1,5}") {
        if let (Ok(one), Ok(other)) = (Pattern::parse(&one), Pattern::parse(&other))
            && one.covers(&other) && other.matches(&number)
        {
            prop_assert!(one.matches(&number), "{one} {other} {number}");
        }
    }

    #[test]
    fn never_panics(text in "\\PC{0,80}", number in "\\PC{0,80}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            let _ = pattern.matches(&number);
            prop_assert_eq!(pattern.as_str(), text);
        }
    }

    #[test]
    fn a_plain_number_matches_itself_and_nothing_longer(number in "[+*]?[0-9]{1,20}") {
        let pattern = Pattern::parse(&number).unwrap();
        prop_assert!(pattern.matches(&number));
        prop_assert!(!pattern.matches(&format!("{number}0")), "longer");
    }
}
