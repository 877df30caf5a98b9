//! What is shed before anybody reads it: SIP of banned sources, and SIP that comes too fast.
//!
//! One function for the XDP program and for the daemon's own sockets. It looks at what is addressed to a socket where SIP is bound and at nothing
//! else: who bans the address that he sits at loses his phone, not his shell. Flows are looked up before it: the media of a call that is up goes on
//! after a ban, until the call is gone.
//!
//! Known sources (trunks, registered phones) have buckets of their own. Strangers have one each and one together: whoever forges a million sources
//! uses up what strangers have, and nothing of what known sources have.

use crate::abi::{Address, Port};
use crate::frame::Frame;
use crate::shed_abi::{Host, Rate, SipKey, Source, TCP, UDP, Who};

/// Why it was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shed {
    /// The source is banned.
    Banned,
    /// The source, or all strangers together, send faster than the network takes it in.
    Flood,
}

impl Shed {
    /// Both.
    pub const ALL: [Shed; 2] = [Shed::Banned, Shed::Flood];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Shed::Banned => "banned",
            Shed::Flood => "flood",
        }
    }
}

/// Takes a token: gives the moment at which the bucket is full again, or none if it is empty.
///
/// A token bucket kept as one number, `full_at`. Moments may wrap around; one that is further ahead than an empty bucket would be is of another
/// clock or another rate, and its bucket is taken to be full.
#[must_use]
#[inline(always)]
pub const fn take(full_at: u64, now: u64, rate: &Rate) -> Option<u64> {
    let ahead = full_at.wrapping_sub(now);
    // Behind us is a huge number here: full, like one that is too far ahead.
    let missing = if ahead > rate.capacity { 0 } else { ahead };
    let missing = missing.wrapping_add(rate.interval);
    if missing > rate.capacity {
        return None;
    }
    Some(now.wrapping_add(missing))
}

/// Takes a token out of a bucket that others take from too. Who loses the race for it four times gets none: it is a flood.
#[must_use]
#[inline(always)]
pub fn take_shared(bucket: &impl Word, now: u64, rate: &Rate) -> bool {
    if rate.interval == 0 {
        return true;
    }
    let mut seen = bucket.load();
    for _ in 0..4 {
        let Some(next) = take(seen, now, rate) else {
            return false;
        };
        let found = bucket.exchange(seen, next);
        if found == seen {
            return true;
        }
        seen = found;
    }
    false
}

/// A bucket, wherever it lives.
pub trait Word {
    /// The word as it is now.
    fn load(&self) -> u64;
    /// Puts `new` where `seen` is; gives what was there: `seen` if and only if it worked.
    fn exchange(&self, seen: u64, new: u64) -> u64;
}

impl Word for core::cell::Cell<u64> {
    #[inline]
    fn load(&self) -> u64 {
        self.get()
    }

    #[inline]
    fn exchange(&self, seen: u64, new: u64) -> u64 {
        let was = self.get();
        if was == seen {
            self.set(new);
        }
        was
    }
}

/// What is remembered about sources, in maps of the kernel or in tables of the daemon.
pub trait Tables {
    /// A bucket.
    type Bucket<'a>: Word
    where
        Self: 'a;

    /// Whether a ban covers it.
    fn is_banned(&self, source: &Source) -> bool;
    /// Whether it is a trunk or a registered phone.
    fn is_known(&self, source: &Source) -> bool;
    /// How fast the network takes in whose SIP; none: as fast as it comes.
    fn rate(&self, network: u16, who: Who) -> Option<&Rate>;
    /// The bucket of all strangers of a network.
    fn strangers(&self, network: u16) -> Option<Self::Bucket<'_>>;
    /// The bucket of a source that has been seen lately.
    fn bucket(&self, host: &Host) -> Option<Self::Bucket<'_>>;
    /// Begins to remember a source. No room is no error: then nothing is remembered.
    fn remember(&self, host: &Host, full_at: u64);
}

/// Whether a datagram, a connection or a message from there is taken in. `is_metered`: it costs a token; a segment of a connection that was
/// taken in does not.
///
/// # Errors
/// Why not.
#[inline(always)]
pub fn admit<T: Tables>(
    tables: &T,
    network: u16,
    address: &Address,
    is_metered: bool,
    now: u64,
) -> Result<(), Shed> {
    let source = Source::new(network, address);
    if tables.is_banned(&source) {
        return Err(Shed::Banned);
    }
    if !is_metered {
        return Ok(());
    }
    let is_known = tables.is_known(&source);
    let who = if is_known { Who::Known } else { Who::Stranger };
    let Some(own) = tables.rate(network, who) else {
        return Ok(());
    };
    let host = source.host(is_known);
    let bucket = tables.bucket(&host);
    let taken = bucket
        .as_ref()
        .is_none_or(|bucket| take_shared(bucket, now, own));
    // Its own first: who is over it takes nothing away from the others. And whoever is remembered anew has had a token of all: forged sources
    // do not push others out of the table faster than that.
    if !taken || !is_known && !common(tables, network, now) {
        return Err(Shed::Flood);
    }
    if bucket.is_none()
        && let Some(full_at) = take(now, now, own)
    {
        tables.remember(&host, full_at);
    }
    Ok(())
}

/// A token out of the bucket of all strangers.
#[inline(always)]
fn common<T: Tables>(tables: &T, network: u16, now: u64) -> bool {
    match (
        tables.strangers(network),
        tables.rate(network, Who::Strangers),
    ) {
        (Some(bucket), Some(rate)) => take_shared(&bucket, now, rate),
        _ => true,
    }
}

/// A packet that might be SIP: UDP, or a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    /// Where it comes from.
    pub source: Address,
    /// What it is addressed to.
    pub to: SipKey,
    /// Where the header of UDP or TCP begins.
    pub at: u16,
}

const ETHERTYPE_V4: u16 = 0x0800_u16.to_be();
const ETHERTYPE_V6: u16 = 0x86dd_u16.to_be();
const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8_u16.to_be();
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// IPv6 extension headers that are walked.
const MAX_EXTENSIONS: usize = 3;

impl Knock {
    /// The packet in a frame; none if it is neither, or a later fragment: without its first one the stack makes nothing of it.
    #[inline(always)]
    pub fn of<F: Frame + ?Sized>(frame: &F) -> Option<Knock> {
        let [ethertype] = frame.words::<1>(12)?;
        match ethertype {
            ETHERTYPE_V4 => v4(frame, 14),
            ETHERTYPE_V6 => v6(frame, 14),
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
                let [inner] = frame.words::<1>(16)?;
                match inner {
                    ETHERTYPE_V4 => v4(frame, 18),
                    ETHERTYPE_V6 => v6(frame, 18),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether it is a datagram, or the first segment of a connection (SYN without ACK).
    #[inline(always)]
    pub fn is_metered<F: Frame + ?Sized>(&self, frame: &F) -> bool {
        if self.to.protocol() == UDP {
            return true;
        }
        match frame.words_behind::<1>(usize::from(self.at) + FLAGS) {
            Some([flags]) => flags & 0x12_u16.to_be() == 0x02_u16.to_be(),
            None => true,
        }
    }

    #[inline(always)]
    fn new(
        source: Address,
        destination: Address,
        port: u16,
        protocol: u8,
        at: usize,
    ) -> Option<Knock> {
        matches!(protocol, UDP | TCP).then_some(Knock {
            source,
            to: SipKey::new(destination, Port::from_word(port), protocol),
            at: at as u16,
        })
    }

    /// Behind headers that hardly any packet has.
    #[inline(always)]
    fn behind<F: Frame + ?Sized>(
        frame: &F,
        source: Address,
        destination: Address,
        protocol: u8,
        at: usize,
    ) -> Option<Knock> {
        let [_, port] = frame.words_behind::<2>(at)?;
        Knock::new(source, destination, port, protocol, at)
    }
}

/// Where the flags of TCP are.
const FLAGS: usize = 12;

#[inline(always)]
fn v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Knock> {
    // With the ports, where there are no options.
    let header = frame.words::<12>(at)?;
    let [version, _] = header[0].to_ne_bytes();
    let [_, protocol] = header[4].to_ne_bytes();
    let is_first = header[3] & 0x1fff_u16.to_be() == 0;
    if version >> 4 != 4 || version & 0xf < 5 || !is_first {
        return None;
    }
    let source = Address::from_v4_word(join(header[6], header[7]));
    let destination = Address::from_v4_word(join(header[8], header[9]));
    if version & 0xf != 5 {
        let behind = at + usize::from(version & 0xf) * 4;
        return Knock::behind(frame, source, destination, protocol, behind);
    }
    Knock::new(source, destination, header[11], protocol, at + 20)
}

#[inline(always)]
fn v6<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Knock> {
    // With the ports, where there are no extension headers.
    let header = frame.words::<22>(at)?;
    let [version, _] = header[0].to_ne_bytes();
    let [first, _] = header[3].to_ne_bytes();
    if version >> 4 != 6 {
        return None;
    }
    let (source, destination) = (v6_address(&header, 4), v6_address(&header, 12));
    if matches!(first, UDP | TCP) {
        return Knock::new(source, destination, header[21], first, at + 40);
    }
    let (mut protocol, mut behind) = (first, at + 40);
    for _ in 0..MAX_EXTENSIONS {
        let length = match protocol {
            FRAGMENT => {
                let [_, offset] = frame.words_behind::<2>(behind)?;
                if offset & 0xfff8_u16.to_be() != 0 {
                    return None;
                }
                8
            }
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let [head] = frame.words_behind::<1>(behind)?;
                let [_, size] = head.to_ne_bytes();
                (usize::from(size) + 1) * 8
            }
            _ => break,
        };
        let [head] = frame.words_behind::<1>(behind)?;
        let [next, _] = head.to_ne_bytes();
        protocol = next;
        behind += length;
    }
    Knock::behind(frame, source, destination, protocol, behind)
}

#[inline(always)]
fn v6_address(header: &[u16; 22], at: usize) -> Address {
    Address::from_v6_words([
        join(header[at], header[at + 1]),
        join(header[at + 2], header[at + 3]),
        join(header[at + 4], header[at + 5]),
        join(header[at + 6], header[at + 7]),
    ])
}

/// Two words that lie one behind the other, as one.
#[inline(always)]
const fn join(first: u16, second: u16) -> u32 {
    if cfg!(target_endian = "little") {
        first as u32 | (second as u32) << 16
    } else {
        (first as u32) << 16 | second as u32
    }
}
