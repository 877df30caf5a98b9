//! Addresses and ports as they lie in the maps: part of the map ABI.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 or v4-mapped (RFC 4291 2.5.5.2) address; its bytes lie in memory as on the wire.
///
/// Aligned to 8, as all that the program keeps on its stack: it is moved in words of 8 bytes there.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Address([u32; 4]);

impl PartialEq for Address {
    /// In two steps of 64 bits, in registers: this is on the way of every packet.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.halves(), other.halves());
        (a ^ c) | (b ^ d) == 0
    }
}

impl Eq for Address {}

impl Address {
    const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

    /// From four bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Address([0, 0, Self::MAPPED, word])
    }

    /// From sixteen bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn from_v6_words(words: [u32; 4]) -> Self {
        Address(words)
    }

    /// The words as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.0
    }

    #[inline(always)]
    const fn halves(&self) -> [u64; 2] {
        let [a, b, c, d] = self.0;
        [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
    }

    /// Whether it stands for an IPv4 address.
    #[must_use]
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == Self::MAPPED
    }

    /// What a latch knows it by: all of an IPv4 address, a hash of an IPv6 one.
    #[must_use]
    #[inline(always)]
    pub const fn mark(&self) -> u32 {
        if self.is_v4() {
            return self.0[3];
        }
        let [high, low] = self.halves();
        let mixed = (high ^ low.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }

    /// What it adds to an Internet checksum.
    #[must_use]
    #[inline(always)]
    pub const fn sum(&self) -> u64 {
        let [a, b, c, d] = self.0;
        if self.is_v4() {
            return d as u64;
        }
        a as u64 + b as u64 + c as u64 + d as u64
    }

    /// What it adds when it goes.
    #[must_use]
    #[inline(always)]
    pub const fn complement_sum(&self) -> u64 {
        let [a, b, c, d] = self.0;
        if self.is_v4() {
            return !d as u64;
        }
        !a as u64 + !b as u64 + !c as u64 + !d as u64
    }

    /// Whether the first `length` bits are those of a prefix; IPv4 begins at bit 96.
    #[must_use]
    #[inline(always)]
    pub const fn is_in(&self, prefix: &Address, length: u8) -> bool {
        let ([a, b, c, d], [p, q, r, s]) = (self.0, prefix.0);
        let high = (u32::from_be(a ^ p) as u64) << 32 | u32::from_be(b ^ q) as u64;
        let low = (u32::from_be(c ^ r) as u64) << 32 | u32::from_be(d ^ s) as u64;
        if length >= 128 {
            return high | low == 0;
        }
        // Bits that do not count are shifted out; 64 would be one too many for a shift.
        if length > 64 {
            high | low >> (128 - length) as u32 == 0
        } else {
            length == 0 || high >> (64 - length) as u32 == 0
        }
    }

    /// Whether it can be one host's: no multicast, no broadcast, not "this network" (RFC 1122 3.2.1.3, RFC 4291 2.5.2, 2.7).
    #[must_use]
    #[inline(always)]
    pub const fn is_ones_own(&self) -> bool {
        let [a, b, c, d] = self.0;
        if self.is_v4() {
            let [first, ..] = d.to_ne_bytes();
            return first != 0 && first < 224;
        }
        let [first, ..] = a.to_ne_bytes();
        first != 0xff && a | b | c | d != 0
    }

    /// As the standard library has it; v4-mapped ones as IPv4.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        let [a, b, c, d] = self.0.map(u32::to_ne_bytes);
        if self.is_v4() {
            return IpAddr::V4(Ipv4Addr::from(d));
        }
        let mut octets = [0; 16];
        for (to, from) in octets.chunks_exact_mut(4).zip([a, b, c, d]) {
            to.copy_from_slice(&from);
        }
        IpAddr::V6(Ipv6Addr::from(octets))
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Address::from_v4_word(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let mut words = [0; 4];
                for (to, from) in words.iter_mut().zip(v6.octets().chunks_exact(4)) {
                    *to = u32::from_ne_bytes([from[0], from[1], from[2], from[3]]);
                }
                Address(words)
            }
        }
    }
}

/// A UDP port; its bytes lie in memory as on the wire.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port(u16);

impl Port {
    /// Port 0: none.
    pub const NONE: Port = Port(0);

    /// From its number.
    #[must_use]
    #[inline(always)]
    pub const fn new(number: u16) -> Self {
        Port(number.to_be())
    }

    /// From two bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn from_word(word: u16) -> Self {
        Port(word)
    }

    /// The two bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> u16 {
        self.0
    }

    /// Its number.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u16 {
        u16::from_be(self.0)
    }
}
