//! What searches by words finds what a search by bytes does.

use super::super::Name;
use super::super::text::{below, find, find_mark, is_token_byte, is_token_bytes, number};
use super::super::text::{split_number, split_uri};
use super::{INVITE, parse};

#[test]
fn searching_by_words_finds_what_searching_by_bytes_does() {
    // At each place of a word: bytes that differ by one from what is looked for, or by the high bit.
    let near = [
        b';',
        b';' - 1,
        b';' + 1,
        b';' | 0x80,
        b' ',
        b'!',
        0,
        0x0d,
        0x0e,
        0x8d,
        0xff,
    ];
    let pairs = || near.into_iter().flat_map(|a| near.map(|b| (a, b)));
    for (length, at) in (0..20).flat_map(|length| (0..length).map(move |at| (length, at))) {
        for (first, second) in pairs() {
            let mut text = vec![b'x'; length];
            text[at] = first;
            if let Some(next) = text.get_mut(at + 1) {
                *next = second;
            }
            let expected = text.iter().position(|&b| b == b';');
            assert_eq!(find(&text, b';'), expected, "{text:?}");
            let expected = text.iter().position(|&b| b < 0x0e);
            let found = find_mark(&text, 0, |word| below(word, 0x0e));
            assert_eq!(found, expected, "{text:?}");
            let expected = text.iter().all(|&b| is_token_byte(b));
            assert_eq!(is_token_bytes(&text), expected, "{text:?}");
            if let Ok(text) = std::str::from_utf8(&text) {
                let expected = text.bytes().take_while(|&b| b > b' ' && b != b'<').count();
                assert_eq!(split_uri(text), text.split_at(expected), "{text:?}");
            }
        }
    }
}

#[test]
fn numbers_are_digits_that_fit() {
    assert_eq!(number::<u8>("255"), Some(255));
    assert_eq!(number::<u8>("000000000000000000000000000007"), Some(7));
    assert_eq!(number::<u64>("18446744073709551615"), Some(u64::MAX));
    for none in ["", "-1", "+1", "1 ", "18446744073709551616"] {
        assert_eq!(number::<u64>(none), None, "{none}");
    }
    assert_eq!(number::<u8>("256"), None);
    assert_eq!(split_number::<u16>("5060;x"), Some((5060, ";x")));
    assert_eq!(split_number::<u16>("x"), None);
    assert_eq!(split_number::<u16>("65536"), None);
}

#[test]
fn spaces_and_tabs_may_stand_before_the_colon_and_nothing_else() {
    let with = |spelled: &str| parse(INVITE.replace("Call-ID", spelled));
    for spelled in ["Call-ID\t", "i \t", "i\t  \t", "call-id "] {
        let message = with(spelled).unwrap();
        assert_eq!(message.call_id(), "1@192.0.2.9");
        let field = message.fields().find(|f| f.name == Name::CallId).unwrap();
        assert_eq!(field.spelled, spelled.trim_end());
    }
    for spelled in [
        "Call-ID\u{c} ",
        "Call-ID\0",
        "Ca\tll-ID",
        "Call-ID\tx",
        "Call-ID \u{b}",
    ] {
        assert_eq!(with(spelled).unwrap_err().label(), "header", "{spelled:?}");
    }
}
