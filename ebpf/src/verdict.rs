//! May a packet of a flow pass, and where to.
//!
//! One function for the XDP program and for the user-space relay. The latch (RFC 7362) is settled here: the first permitted source that looks
//! right has the flow to itself, except that what signalling named exactly takes it at once, whoever has it.

use crate::abi::{Address, FlowConfig, Latched, MAX_CANDIDATES, Port, RTCP, RTP};

/// Why a packet was dropped.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// In the media range, and no flow is there.
    NoFlow = 0,
    /// Not a source that signalling permits, or another one has the latch.
    WrongSource = 1,
    /// Neither RTP nor RTCP, or not the one that the port is for.
    NotRtp = 2,
    /// A payload type that was not negotiated.
    PayloadType = 3,
    /// The other side has not said where it listens.
    NoPeer = 4,
    /// No route to the other side, or its neighbour does not answer.
    NoNextHop = 5,
    /// A fragment: media fits into one packet.
    Fragment = 6,
    /// Lengths that contradict each other, IP options, a missing checksum.
    Malformed = 7,
    /// Larger than the way out takes.
    TooBig = 8,
    /// The frame has no room for the larger header of the other family.
    NoRoom = 9,
}

impl Drop {
    /// All of them, in order of their number.
    pub const ALL: [Drop; 10] = [
        Drop::NoFlow,
        Drop::WrongSource,
        Drop::NotRtp,
        Drop::PayloadType,
        Drop::NoPeer,
        Drop::NoNextHop,
        Drop::Fragment,
        Drop::Malformed,
        Drop::TooBig,
        Drop::NoRoom,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Drop::NoFlow => "no-flow",
            Drop::WrongSource => "wrong-source",
            Drop::NotRtp => "not-rtp",
            Drop::PayloadType => "payload-type",
            Drop::NoPeer => "no-peer",
            Drop::NoNextHop => "no-next-hop",
            Drop::Fragment => "fragment",
            Drop::Malformed => "malformed",
            Drop::TooBig => "too-big",
            Drop::NoRoom => "no-room",
        }
    }
}

/// The word that holds a flow's latch, wherever it lives. One compare-and-swap is all that is asked of it.
pub trait LatchWord {
    /// The word as it is now.
    fn load(&self) -> u64;
    /// Puts `new` where `seen` is; gives what was there: `seen` if and only if it worked.
    fn exchange(&self, seen: u64, new: u64) -> u64;
}

impl LatchWord for core::cell::Cell<u64> {
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

#[cfg(target_has_atomic = "64")]
impl LatchWord for core::sync::atomic::AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(core::sync::atomic::Ordering::Relaxed)
    }

    #[inline]
    fn exchange(&self, seen: u64, new: u64) -> u64 {
        use core::sync::atomic::Ordering::Relaxed;
        match self.compare_exchange(seen, new, Relaxed, Relaxed) {
            Ok(was) | Err(was) => was,
        }
    }
}

/// The first bytes of a UDP payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The first byte: version, padding, extension or count.
    pub first: u8,
    /// The second: marker and payload type, or RTCP packet type.
    pub second: u8,
    /// Bytes 4 to 7 as on the wire: RTCP's SSRC.
    pub word1: u32,
    /// Bytes 8 to 11 as on the wire: RTP's SSRC. 0 where the payload is shorter.
    pub word2: u32,
    /// Length in bytes.
    pub length: u16,
}

impl Payload {
    /// Of a whole payload. A short one reads as zeroes, which is version 0: no media.
    #[must_use]
    pub fn of(payload: &[u8]) -> Payload {
        let word = |at: usize| -> u32 {
            let bytes = payload.get(at..at + 4);
            bytes
                .and_then(|b| b.try_into().ok())
                .map_or(0, u32::from_ne_bytes)
        };
        Payload {
            first: payload.first().copied().unwrap_or(0),
            second: payload.get(1).copied().unwrap_or(0),
            word1: word(4),
            word2: word(8),
            length: u16::try_from(payload.len()).unwrap_or(u16::MAX),
        }
    }

    /// SSRC, if it is what the flow is for.
    #[inline(always)]
    fn admit(&self, config: &FlowConfig) -> Result<u32, Drop> {
        // Version 2 (RFC 3550 5.1); RTCP packet types of RFC 5761 4.
        if self.first >> 6 != 2 {
            return Err(Drop::NotRtp);
        }
        if self.second >= 192 && self.second <= 223 {
            if config.kind & RTCP == 0 || self.length < 8 {
                return Err(Drop::NotRtp);
            }
            return Ok(self.word1);
        }
        if config.kind & RTP == 0 || self.length < 12 {
            return Err(Drop::NotRtp);
        }
        let payload_type = self.second & 0x7f;
        let word = config.payload_types[usize::from(payload_type >> 6)];
        if word >> (payload_type & 63) & 1 == 0 {
            return Err(Drop::PayloadType);
        }
        Ok(self.word2)
    }
}

/// A datagram that arrived for a flow, wherever its bytes are. Asked no more than is needed: in the kernel each answer is a load from the
/// packet.
pub trait Arrived {
    /// Where it comes from.
    fn source(&self) -> Address;
    /// And its port.
    fn source_port(&self) -> Port;
    /// What it carries.
    fn payload(&self) -> Payload;
    /// What is wrong with its headers, if anything.
    fn fault(&self) -> Option<Drop>;
}

/// A datagram that arrived for a flow, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where it comes from.
    pub source: Address,
    /// And its port.
    pub source_port: Port,
    /// What it carries.
    pub payload: Payload,
    /// What is wrong with its headers, if anything.
    pub fault: Option<Drop>,
}

impl Datagram {
    /// As a socket received it.
    #[must_use]
    pub fn received(source: core::net::SocketAddr, payload: &[u8]) -> Datagram {
        let ip = source.ip();
        Datagram {
            source: ip.into(),
            source_port: Port::new(source.port()),
            payload: Payload::of(payload),
            fault: None,
        }
    }
}

impl Arrived for Datagram {
    #[inline(always)]
    fn source(&self) -> Address {
        self.source
    }

    #[inline(always)]
    fn source_port(&self) -> Port {
        self.source_port
    }

    #[inline(always)]
    fn payload(&self) -> Payload {
        self.payload
    }

    #[inline(always)]
    fn fault(&self) -> Option<Drop> {
        self.fault
    }
}

/// What happens to a packet that is not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is user space's.
    Local,
    /// It is sent on.
    Send(Send<'a>),
}

/// Where a packet goes. What it leaves from, DSCP and TTL are the flow's own ([`FlowConfig::out_address`] and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send<'a> {
    /// The peer's address.
    pub destination: &'a Address,
    /// The peer's port.
    pub port: Port,
    /// Row of the next-hop table; 0: none.
    pub next_hop: u32,
}

impl Send<'_> {
    /// As the standard library has it.
    #[must_use]
    pub fn to(&self) -> core::net::SocketAddr {
        core::net::SocketAddr::new(self.destination.ip(), self.port.number())
    }
}

/// The verdict on a datagram of the flow that `config` describes, whose latch is `own` and whose twin's is `twin`.
///
/// # Errors
/// Why it is to be dropped. Nothing has changed then, the latch neither.
#[inline(always)]
pub fn decide<'a>(
    config: &'a FlowConfig,
    own: &impl LatchWord,
    twin: &impl LatchWord,
    datagram: &impl Arrived,
) -> Result<Verdict<'a>, Drop> {
    if config.local != 0 {
        return Ok(Verdict::Local);
    }
    if let Some(fault) = datagram.fault() {
        return Err(fault);
    }
    let word = own.load();
    let latched = Latched::unpack(word, config.epoch);
    let settled = match latched {
        Some(latched) => is_from(config, &latched, datagram),
        None => false,
    };
    if settled {
        datagram.payload().admit(config)?;
    } else {
        settle(config, own, word, latched.is_some(), datagram)?;
    }
    let (index, port) = match Latched::unpack(twin.load(), config.twin_epoch) {
        Some(peer) => (usize::from(peer.candidate), peer.port),
        None => (0, config.peer_port),
    };
    if port == Port::NONE || config.peer_count == 0 {
        return Err(Drop::NoPeer);
    }
    Ok(Verdict::Send(Send {
        destination: &config.peers[index % MAX_CANDIDATES],
        port,
        next_hop: config.next_hops[index % MAX_CANDIDATES],
    }))
}

/// Takes the latch for a source that does not have it, if it may.
#[inline(always)]
fn settle(
    config: &FlowConfig,
    own: &impl LatchWord,
    seen: u64,
    taken: bool,
    datagram: &impl Arrived,
) -> Result<(), Drop> {
    let candidate = candidate(config, datagram).ok_or(Drop::WrongSource)?;
    if taken && candidate != 0 {
        return Err(Drop::WrongSource);
    }
    let ssrc = datagram.payload().admit(config)?;
    let mine = Latched {
        candidate,
        port: datagram.source_port(),
        ssrc,
    }
    .pack(config.epoch);
    let was = own.exchange(seen, mine);
    if was == seen {
        return Ok(());
    }
    // Someone was faster. The named source takes it from him; any other passes only if that was its own packet.
    match Latched::unpack(was, config.epoch) {
        Some(winner) if is_from(config, &winner, datagram) => Ok(()),
        _ if candidate == 0 => {
            own.exchange(was, mine);
            Ok(())
        }
        _ => Err(Drop::WrongSource),
    }
}

/// Whether the datagram comes from the source that is latched.
#[inline(always)]
fn is_from(config: &FlowConfig, latched: &Latched, datagram: &impl Arrived) -> bool {
    latched.port == datagram.source_port()
        && config.candidates[usize::from(latched.candidate) % MAX_CANDIDATES] == datagram.source()
}

/// Which of the permitted sources it comes from; the named one first.
#[inline(always)]
fn candidate(config: &FlowConfig, datagram: &impl Arrived) -> Option<u8> {
    let count = config.candidate_count;
    if count > 0
        && config.named_port == datagram.source_port()
        && config.candidates[0] == datagram.source()
    {
        return Some(0);
    }
    if count > 1 && config.candidates[1] == datagram.source() {
        return Some(1);
    }
    if count > 2 && config.candidates[2] == datagram.source() {
        return Some(2);
    }
    if count > 3 && config.candidates[3] == datagram.source() {
        return Some(3);
    }
    None
}
