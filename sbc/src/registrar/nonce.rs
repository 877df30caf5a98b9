//! Digest nonces without state: the time and who asked, sealed with a key (RFC 7616 3.3).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);

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
}

impl Nonces {
    /// `key` must be secret; nonces of another key are stale.
    #[must_use]
    pub fn new(key: [u8; 32], start: Instant) -> Self {
        Nonces { key, start }
    }

    /// A nonce for whoever asks from `source`: 40 hexadecimal digits.
    #[must_use]
    pub fn issue(&self, now: Instant, source: IpAddr) -> String {
        let at = self.seconds(now);
        format!("{at:08x}{:032x}", self.seal(at, source))
    }

    /// What a nonce is worth that comes from `source`.
    #[must_use]
    pub fn check(&self, now: Instant, source: IpAddr, nonce: &str) -> NonceAge {
        let parts = || {
            let at = u32::from_str_radix(nonce.get(..8)?, 16).ok()?;
            let seal = nonce.get(8..).filter(|seal| seal.len() == 32)?;
            Some((at, u128::from_str_radix(seal, 16).ok()?))
        };
        match parts() {
            Some((at, seal))
                // One comparison of integers: no byte-wise early exit to time.
                if seal == self.seal(at, source)
                    && u64::from(self.seconds(now).saturating_sub(at)) <= NONCE_LIFETIME.as_secs() =>
            {
                NonceAge::Fresh
            }
            _ => NonceAge::Stale,
        }
    }

    fn seconds(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.start).as_secs();
        u32::try_from(elapsed).unwrap_or(u32::MAX)
    }

    /// ChaCha as a keyed function, twice: the key and the source give a key, that and the time give the seal.
    fn seal(&self, at: u32, source: IpAddr) -> u128 {
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
        u128::from(inner.next_u64()) << 64 | u128::from(inner.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_its_source_and_five_minutes() {
        let start = Instant::now();
        let nonces = Nonces::new([3; 32], start);
        let nonce = nonces.issue(start + Duration::from_secs(10), ip("192.0.2.1"));
        assert_eq!(nonce.len(), 40);
        let check = |seconds, from: &str, nonce: &str| {
            nonces.check(start + Duration::from_secs(seconds), ip(from), nonce)
        };
        assert_eq!(check(10, "192.0.2.1", &nonce), NonceAge::Fresh);
        assert_eq!(check(310, "192.0.2.1", &nonce), NonceAge::Fresh);
        assert_eq!(check(311, "192.0.2.1", &nonce), NonceAge::Stale);
        assert_eq!(check(10, "192.0.2.2", &nonce), NonceAge::Stale);
        assert_eq!(check(10, "::ffff:192.0.2.1", &nonce), NonceAge::Fresh);
        let mut forged = nonce.clone().into_bytes();
        forged[7] ^= 1;
        assert_eq!(
            check(10, "192.0.2.1", std::str::from_utf8(&forged).unwrap()),
            NonceAge::Stale
        );
        for garbage in ["", "00", "zzzzzzzz", "00000000ä", &nonce[1..], "+0000001+2"] {
            assert_eq!(check(10, "192.0.2.1", garbage), NonceAge::Stale);
        }
    }

    #[test]
    fn another_key_makes_another_nonce() {
        let start = Instant::now();
        let one = Nonces::new([3; 32], start).issue(start, ip("2001:db8::1"));
        let two = Nonces::new([4; 32], start).issue(start, ip("2001:db8::1"));
        let three = Nonces::new([3; 32], start).issue(start, ip("2001:db8:0:1::1"));
        assert_ne!(one, two);
        assert_ne!(one, three);
    }
}
