//! Digest nonces (RFC 7616 3.3): the time, a number and who asked, sealed with a key. Only those that were answered rightly are remembered, so
//! that no answer is good twice.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Nonces in use that are remembered; the oldest give way, and are stale from then on.
pub const MAX_NONCES: usize = 262_144;
/// So far behind the highest count of its nonce a request may come: phones send several at once, and datagrams overtake each other.
const WINDOW: u32 = 32;
/// Hexadecimal digits: time, number, seal.
const DIGITS: [usize; 3] = [8, 16, 32];

/// What a nonce that comes back is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceAge {
    /// Ours, for this source, young enough.
    Fresh,
    /// Too old, another source's, or not ours: ask again, with `stale=true`.
    Stale,
}

/// Makes and checks nonces.
pub struct Nonces {
    key: [u8; 32],
    start: Instant,
    /// Of the next nonce.
    number: u64,
    /// By number, which is by age.
    used: BTreeMap<u64, Uses>,
    /// What is older is stale.
    oldest: u64,
    limit: usize,
    full: u64,
}

/// What was answered with a nonce.
#[derive(Clone, Copy, Debug)]
struct Uses {
    /// When the nonce was made.
    at: u32,
    /// The highest count.
    highest: u32,
    /// Bit n: the highest less n.
    seen: u32,
}

impl Nonces {
    /// `key` must be secret; nonces of another key are stale.
    #[must_use]
    pub fn new(key: [u8; 32], start: Instant) -> Self {
        Nonces::with_limit(key, start, MAX_NONCES)
    }

    /// The same with room for other than [`MAX_NONCES`].
    #[must_use]
    pub fn with_limit(key: [u8; 32], start: Instant, limit: usize) -> Self {
        Nonces {
            key,
            start,
            number: 0,
            used: BTreeMap::new(),
            oldest: 0,
            limit: limit.max(1),
            full: 0,
        }
    }

    /// A nonce for whoever asks from `source`: 56 hexadecimal digits. No two are alike: phones behind one NAT count each for himself.
    #[must_use]
    pub fn issue(&mut self, now: Instant, source: IpAddr) -> String {
        let (at, number) = (self.seconds(now), self.number);
        self.number += 1;
        format!(
            "{at:08x}{number:016x}{:032x}",
            self.seal(at, number, source)
        )
    }

    /// What a nonce is worth that comes from `source`.
    #[must_use]
    pub fn check(&self, now: Instant, source: IpAddr, nonce: &str) -> NonceAge {
        match parts(nonce) {
            Some((at, number, seal))
                // One comparison of integers: no byte-wise early exit to time.
                if seal == self.seal(at, number, source)
                    && number >= self.oldest
                    && !self.is_over(now, at) =>
            {
                NonceAge::Fresh
            }
            _ => NonceAge::Stale,
        }
    }

    /// Takes an answer to a fresh nonce that has proven right, with its count (`nc`) if it has one. `false`: it is a copy of one that was taken.
    /// Without a count a nonce is good for one answer.
    pub fn take(&mut self, now: Instant, nonce: &str, count: Option<u32>) -> bool {
        while self
            .used
            .first_key_value()
            .is_some_and(|(_, uses)| self.is_over(now, uses.at))
        {
            self.used.pop_first();
        }
        let Some((at, number, _)) = parts(nonce) else {
            return false;
        };
        if let Some(uses) = self.used.get_mut(&number) {
            return count.is_some_and(|count| uses.take(count));
        }
        if number < self.oldest {
            return false;
        }
        if self.used.len() >= self.limit {
            self.full += 1;
            if let Some((gone, _)) = self.used.pop_first() {
                self.oldest = gone + 1;
            }
        }
        let uses = match count {
            Some(highest) => Uses {
                at,
                highest,
                seen: 1,
            },
            None => Uses {
                at,
                highest: u32::MAX,
                seen: u32::MAX,
            },
        };
        // It may be older than what gave way for it.
        self.used.insert(number, uses);
        true
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// None is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// How many had to give way before their time.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.full
    }

    fn is_over(&self, now: Instant, at: u32) -> bool {
        u64::from(self.seconds(now).saturating_sub(at)) > NONCE_LIFETIME.as_secs()
    }

    fn seconds(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.start).as_secs();
        u32::try_from(elapsed).unwrap_or(u32::MAX)
    }

    /// ChaCha as a keyed function, twice: the key and the source give a key, that, the time and the number give the seal.
    fn seal(&self, at: u32, number: u64, source: IpAddr) -> u128 {
        let source = match source {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let source = u128::from(source);
        let mut outer = ChaCha12Rng::from_seed(self.key);
        outer.set_stream((source >> 64) as u64);
        outer.set_word_pos((source & u128::from(u64::MAX)) << 4);
        let mut key = [0; 32];
        outer.fill_bytes(&mut key);
        let mut inner = ChaCha12Rng::from_seed(key);
        inner.set_stream(u64::from(at));
        inner.set_word_pos(u128::from(number) << 4);
        u128::from(inner.next_u64()) << 64 | u128::from(inner.next_u64())
    }
}

impl Uses {
    /// Whether a count is new.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = 1_u32.checked_shl(behind).unwrap_or(0);
        let is_new = behind < WINDOW && self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

/// Time, number and seal.
fn parts(nonce: &str) -> Option<(u32, u64, u128)> {
    if !nonce.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let [time, number, seal] = DIGITS;
    let (at, rest) = nonce.split_at_checked(time)?;
    let (number, rest) = rest.split_at_checked(number)?;
    let rest = Some(rest).filter(|rest| rest.len() == seal)?;
    Some((
        u32::from_str_radix(at, 16).ok()?,
        u64::from_str_radix(number, 16).ok()?,
        u128::from_str_radix(rest, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_its_source_and_five_minutes() {
        let start = Instant::now();
        let mut nonces = Nonces::new([3; 32], start);
        let nonce = nonces.issue(start + Duration::from_secs(10), ip("192.0.2.1"));
        assert_eq!(nonce.len(), 56);
        let check = |seconds, from: &str, nonce: &str| {
            nonces.check(start + Duration::from_secs(seconds), ip(from), nonce)
        };
        assert_eq!(check(10, "192.0.2.1", &nonce), NonceAge::Fresh);
        assert_eq!(check(310, "192.0.2.1", &nonce), NonceAge::Fresh);
        assert_eq!(check(311, "192.0.2.1", &nonce), NonceAge::Stale);
        assert_eq!(check(10, "192.0.2.2", &nonce), NonceAge::Stale);
        assert_eq!(check(10, "::ffff:192.0.2.1", &nonce), NonceAge::Fresh);
        for digit in [7, 20, 40] {
            let mut forged = nonce.clone().into_bytes();
            forged[digit] ^= 1;
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(check(10, "192.0.2.1", &forged), NonceAge::Stale);
        }
        for garbage in ["", "00", "zzzzzzzz", "00000000ä", &nonce[1..], "+0000001+2"] {
            assert_eq!(check(10, "192.0.2.1", garbage), NonceAge::Stale);
        }
    }

    #[test]
    fn no_two_nonces_are_alike() {
        let start = Instant::now();
        let mut one = Nonces::new([3; 32], start);
        let here = ip("2001:db8::1");
        let all = [
            one.issue(start, here),
            one.issue(start, here),
            Nonces::new([4; 32], start).issue(start, here),
            Nonces::new([3; 32], start).issue(start, ip("2001:db8:0:1::1")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn an_answer_is_good_once() {
        let start = Instant::now();
        let mut nonces = Nonces::new([3; 32], start);
        let nonce = nonces.issue(start, ip("192.0.2.1"));
        let mut take = |count| nonces.take(start, &nonce, count);
        let first = [Some(1), Some(1), Some(3), Some(2), Some(2), None];
        assert_eq!(
            first.map(&mut take),
            [true, false, true, true, false, false]
        );
        // What is too far behind may be a copy.
        assert!(take(Some(100)));
        assert_eq!(
            [Some(68), Some(69), Some(69)].map(take),
            [false, true, false]
        );

        let other = nonces.issue(start, ip("192.0.2.1"));
        let uses = [None, None, Some(1), Some(u32::MAX)];
        let taken = uses.map(|count| nonces.take(start, &other, count));
        assert_eq!(taken, [true, false, false, false]);
    }

    #[test]
    fn what_has_no_room_is_stale() {
        let start = Instant::now();
        let mut nonces = Nonces::with_limit([3; 32], start, 2);
        let here = ip("192.0.2.1");
        let all: Vec<String> = (0..4).map(|_| nonces.issue(start, here)).collect();
        for nonce in &all[1..] {
            assert!(nonces.take(start, nonce, Some(1)));
        }
        assert_eq!((nonces.len(), nonces.full()), (2, 1));
        let ages: Vec<_> = all.iter().map(|n| nonces.check(start, here, n)).collect();
        let (stale, fresh) = (NonceAge::Stale, NonceAge::Fresh);
        assert_eq!(ages, [stale, stale, fresh, fresh]);
        assert!(!nonces.take(start, &all[0], Some(1)));
        // Their time is over.
        let later = start + NONCE_LIFETIME + Duration::from_secs(1);
        let new = nonces.issue(later, here);
        assert!(nonces.take(later, &new, Some(1)));
        assert_eq!((nonces.len(), nonces.full()), (1, 1));
    }

    proptest! {
        #[test]
        fn of_any_counts_each_is_taken_once_at_most(counts in prop::collection::vec(0_u32..80, 0..200)) {
            let start = Instant::now();
            let mut nonces = Nonces::new([3; 32], start);
            let nonce = nonces.issue(start, ip("192.0.2.1"));
            let mut taken = std::collections::BTreeSet::new();
            let mut highest = 0;
            for count in counts {
                let is_near = count + WINDOW > highest;
                let is_new = is_near && !taken.contains(&count);
                prop_assert_eq!(nonces.take(start, &nonce, Some(count)), is_new);
                taken.insert(count);
                highest = highest.max(count);
            }
        }
    }
}
