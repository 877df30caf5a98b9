//! What lies in the maps of [`crate::shed`]: where SIP is bound, who is banned, who is known, and how much each may send.
//!
//! All but the buckets is written by user space only, the buckets by the program only.

use core::net::IpAddr;

use crate::abi::{Address, Port};

/// Sockets of SIP: an address and a port each.
pub const MAX_SIP: usize = 1024;

/// Banned prefixes, those of each network counted by themselves.
pub const MAX_BANS: usize = 65_536;

/// Prefixes of trunks, addresses of registered phones.
pub const MAX_KNOWN: usize = 131_072;

/// Sources whose rate is remembered; the one that was silent longest makes room.
pub const MAX_BUCKETS: usize = 65_536;

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// Where SIP is bound: UDP datagrams and TCP segments to it are looked at, all others are the stack's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipKey {
    address: Address,
    port: Port,
    protocol: u16,
    reserved: u32,
}

impl SipKey {
    /// [`TCP`] or [`UDP`] at an address of ours.
    #[must_use]
    #[inline(always)]
    pub const fn new(address: Address, port: Port, protocol: u8) -> Self {
        SipKey {
            address,
            port,
            protocol: protocol as u16,
            reserved: 0,
        }
    }

    /// [`TCP`] or [`UDP`].
    #[must_use]
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        self.protocol as u8
    }
}

/// Who sent a packet, on which network: the key of the tries of banned and of known sources, all bits of it.
///
/// The network and the family come first, so that no prefix of one reaches into another: `::/0` is no IPv4 address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    side: u32,
    words: [u32; 4],
}

impl Source {
    /// A source on a network.
    #[must_use]
    #[inline(always)]
    pub const fn new(network: u16, address: &Address) -> Self {
        let family = if address.is_v4() { 0 } else { 1 << 16 };
        Source {
            side: network as u32 | family,
            words: address.words(),
        }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> u16 {
        self.side as u16
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> Address {
        Address::from_v6_words(self.words)
    }

    /// As the tries have it.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u32; 5] {
        let [a, b, c, d] = self.words;
        [self.side, a, b, c, d]
    }

    /// What its rate is remembered by: an IPv4 address, or the /64 that an IPv6 host has for itself. A stranger there does not
    /// empty a known one's bucket.
    #[must_use]
    #[inline(always)]
    pub const fn host(&self, is_known: bool) -> Host {
        let [a, b, _, v4] = self.words;
        let side = self.side | (is_known as u32) << 17;
        if self.side >> 16 == 0 {
            Host([side, v4, 0])
        } else {
            Host([side, a, b])
        }
    }
}

/// Bits of a whole [`Source`].
pub const SOURCE_BITS: u32 = 160;

/// A prefix of sources on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourcePrefix {
    /// How many bits of [`Source::words`] count.
    pub bits: u32,
    /// The lowest of them.
    pub source: Source,
}

impl SourcePrefix {
    /// `address/length` on a network; a length beyond the address's own is that of one host.
    #[must_use]
    pub fn new(network: u16, address: IpAddr, length: u8) -> Self {
        let (before, own) = match address {
            IpAddr::V4(_) => (32 + 96, 32),
            IpAddr::V6(_) => (32, 128),
        };
        SourcePrefix {
            bits: before + u32::from(length).min(own),
            source: Source::new(network, &address.into()),
        }
    }
}

/// The key of a [`crate::shed::Rate`]'s bucket: [`Source::host`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host([u32; 3]);

/// How fast a bucket fills, and how much it holds: both as time, in the unit of the clock that it is used with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// In which one token drips in. 0: everything is let through.
    pub interval: u64,
    /// In which an empty bucket is full again: tokens times `interval`.
    pub capacity: u64,
}

impl Rate {
    /// So many a second for ever, and `burst` at once before that; the clock has so many units a second, and no token is cheaper than one.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32, units_per_second: u64) -> Self {
        if per_second == 0 {
            return Rate {
                interval: 0,
                capacity: 0,
            };
        }
        let interval = units_per_second / per_second as u64;
        let interval = if interval == 0 { 1 } else { interval };
        let burst = if burst == 0 { 1 } else { burst };
        Rate {
            interval,
            capacity: interval.saturating_mul(burst as u64),
        }
    }
}

/// Whose SIP a network takes in at a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// One source that nobody knows.
    Stranger = 0,
    /// All of these together.
    Strangers = 1,
    /// One trunk or registered phone.
    Known = 2,
}

/// How many of them there are.
pub const WHO: usize = 3;

/// The row of a network's [`Rate`]. (Rates lie by themselves: not every program may choose one within a row.)
#[must_use]
#[inline(always)]
pub const fn rate_row(network: u16, who: Who) -> u32 {
    network as u32 * WHO as u32 + who as u32
}

/// The bucket that all strangers of a network share; a cache line of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// When it is full again.
    pub full_at: u64,
    /// Nothing.
    pub apart: [u64; 7],
}

/// The program's clock: jiffies, so many bits finer.
pub const TICK_BITS: u32 = 20;

const _: () = {
    assert!(size_of::<SipKey>() == 24);
    assert!(size_of::<Source>() == 20 && SOURCE_BITS == 8 * 20);
    assert!(size_of::<Host>() == 12);
    assert!(size_of::<Rate>() == 16);
    assert!(size_of::<Shared>() == 64);
};
