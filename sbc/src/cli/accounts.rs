//! Phone accounts with passwords that nobody can guess and anybody can type.

use std::io;

use sbc::io::host;

/// No 0/O, 1/l/I: what is read off a screen. 32 of them: five bits each, without bias.
const ALPHABET: [u8; 32] = *b"abcdefghijkmnpqrstuvwxyz23456789";
/// 16 characters: 80 bits.
const LENGTH: usize = 16;

/// The accounts of the built-in settings.
pub(super) const NAMES: [&str; 2] = ["6001", "6002"];

/// Names and fresh passwords.
///
/// # Errors
/// There is no random source.
pub(super) fn fresh() -> io::Result<Vec<(String, String)>> {
    NAMES
        .iter()
        .map(|name| Ok(((*name).to_owned(), password(host::random::<LENGTH>()?))))
        .collect()
}

fn password(random: [u8; LENGTH]) -> String {
    random
        .into_iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied())
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn passwords_are_long_and_easy_to_read() {
        let distinct: BTreeSet<u8> = ALPHABET.into_iter().collect();
        assert_eq!(distinct.len(), ALPHABET.len());
        assert!(b"0O1lI".iter().all(|c| !distinct.contains(c)));
        let all: [u8; LENGTH] = std::array::from_fn(|i| u8::try_from(i * 17).unwrap());
        assert_eq!(password(all).len(), LENGTH);
    }

    #[test]
    fn every_start_has_its_own() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert_eq!(one.len(), 2);
        assert!(one.iter().all(|a| other.iter().all(|b| a.1 != b.1)));
    }
}
