//! May a packet of a flow pass, and where to.
//!
//! One set of functions for the XDP program and for the user-space relay. [`admit`] settles the latch (RFC 7362): the first permitted source that looks
//! right has the flow to itself, except that what signalling named exactly takes it at once, whoever has it, and that a phone whose NAT
//! rebinds may go on from another port. [`whither`] says where a packet goes that was admitted.

use crate::abi::{
    Address, FlowConfig, FlowState, Latched, MAX_CANDIDATES, OPAQUE, OUT_V4, Port, REBINDS, RTCP,
    RTP, SSRCS,
};
use crate::quality::MAX_DROPOUT;
pub use crate::reason::Drop;

/// A flow's state, wherever it lives. One compare-and-swap is all that is asked of it.
pub trait Latch {
    /// The latch as it is now.
    fn load(&self) -> u64;
    /// Puts `new` where `seen` is; gives what was there: `seen` if and only if it worked.
    fn exchange(&self, seen: u64, new: u64) -> u64;
    /// [`FlowState::source`].
    fn source(&self) -> Address;
    /// Sets it.
    fn remember(&self, source: Address);
    /// Epoch, SSRC and highest sequence number of its stream.
    fn last(&self) -> (u16, u32, u16);
}

impl Latch for core::cell::Cell<FlowState> {
    #[inline]
    fn load(&self) -> u64 {
        self.get().latch
    }

    #[inline]
    fn exchange(&self, seen: u64, new: u64) -> u64 {
        let mut state = self.get();
        let was = state.latch;
        if was == seen {
            state.latch = new;
            self.set(state);
        }
        was
    }

    #[inline]
    fn source(&self) -> Address {
        self.get().source
    }

    #[inline]
    fn remember(&self, source: Address) {
        self.set(FlowState {
            source,
            ..self.get()
        });
    }

    #[inline]
    fn last(&self) -> (u16, u32, u16) {
        let stream = self.get().stream;
        (stream.epoch, stream.ssrc, stream.sequence)
    }
}

/// The first bytes of a UDP payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The first byte: version, padding, extension or count.
    pub first: u8,
    /// The second: marker and payload type, or RTCP packet type.
    pub second: u8,
    /// RTP's sequence number.
    pub sequence: u16,
    /// Bytes 4 to 7 as on the wire: RTP's timestamp, RTCP's SSRC.
    pub word1: u32,
    /// Bytes 8 to 11 as on the wire: RTP's SSRC. 0 where the payload is shorter.
    pub word2: u32,
    /// Length in bytes.
    pub length: u16,
}

/// What a payload was admitted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
    /// Anything.
    Opaque,
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
        let [_, _, high, low] = word(0).to_ne_bytes();
        Payload {
            first: payload.first().copied().unwrap_or(0),
            second: payload.get(1).copied().unwrap_or(0),
            sequence: u16::from_be_bytes([high, low]),
            word1: word(4),
            word2: word(8),
            length: u16::try_from(payload.len()).unwrap_or(u16::MAX),
        }
    }

    /// RTP's payload type.
    #[must_use]
    #[inline(always)]
    pub const fn payload_type(&self) -> u8 {
        self.second & 0x7f
    }

    /// RTP's timestamp.
    #[must_use]
    #[inline(always)]
    pub const fn timestamp(&self) -> u32 {
        u32::from_be(self.word1)
    }

    /// What it is, if the flow is for that.
    ///
    /// # Errors
    /// [`Drop::NotRtp`], [`Drop::PayloadType`], [`Drop::Ssrc`].
    #[inline(always)]
    pub fn admit(&self, config: &FlowConfig) -> Result<Kind, Drop> {
        if config.kind & OPAQUE != 0 {
            return Ok(Kind::Opaque);
        }
        // Version 2 (RFC 3550 5.1); RTCP packet types of RFC 5761 4.
        if self.first >> 6 != 2 {
            return Err(Drop::NotRtp);
        }
        if self.second >= 192 && self.second <= 223 {
            if config.kind & RTCP == 0 || self.length < 8 {
                return Err(Drop::NotRtp);
            }
            return self.is_one_of(config, self.word1).map(|()| Kind::Rtcp);
        }
        if config.kind & RTP == 0 || self.length < 12 {
            return Err(Drop::NotRtp);
        }
        if !holds(&config.payload_types, self.payload_type()) {
            return Err(Drop::PayloadType);
        }
        self.is_one_of(config, self.word2).map(|()| Kind::Rtp)
    }

    /// Whether the flow is held to other SSRCs.
    #[inline(always)]
    fn is_one_of(&self, config: &FlowConfig, ssrc: u32) -> Result<(), Drop> {
        let [a, b, c, d] = config.ssrcs;
        // Places that are not set repeat the first.
        if !config.has(SSRCS) || ssrc == a || ssrc == b || ssrc == c || ssrc == d {
            return Ok(());
        }
        Err(Drop::Ssrc)
    }
}

/// Whether a set of payload types has this one, which is below 128.
#[must_use]
#[inline(always)]
pub const fn holds(types: &[u64; 2], payload_type: u8) -> bool {
    // Chosen in registers: who may not see pointers may not choose between two of them.
    let [low, high] = *types;
    let is_high = (payload_type >> 6) as u64;
    let word = low ^ (low ^ high) & is_high.wrapping_neg();
    word >> (payload_type & 63) & 1 != 0
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

/// Where a packet goes. What it leaves from, DSCP and TTL are the flow's own ([`FlowConfig::out_address`] and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The peer's address.
    pub destination: Address,
    /// The peer's port.
    pub port: Port,
    /// Row of the next-hop table; 0: none.
    pub next_hop: u32,
}

impl Send {
    /// As the standard library has it.
    #[must_use]
    pub fn to(&self) -> core::net::SocketAddr {
        core::net::SocketAddr::new(self.destination.ip(), self.port.number())
    }
}

/// Lets a datagram of the flow that `config` describes in, and takes the latch for its source where that may have it.
///
/// # Errors
/// Why it is to be dropped. Nothing has changed then, the latch neither.
#[inline(always)]
pub fn admit(config: &FlowConfig, own: &impl Latch, datagram: &impl Arrived) -> Result<Kind, Drop> {
    if let Some(fault) = datagram.fault() {
        return Err(fault);
    }
    if is_settled(config, own, datagram) {
        return datagram.payload().admit(config);
    }
    settle(config, own, datagram)
}

/// Whether the datagram comes from the source that has the latch.
#[inline(always)]
pub fn is_settled(config: &FlowConfig, own: &impl Latch, datagram: &impl Arrived) -> bool {
    let source = datagram.source();
    let (word, mark) = (own.load(), source.mark());
    Latched::is(word, config.latch, datagram.source_port(), mark)
        && (source.is_v4() || own.source() == source)
}

/// Whether what comes from here, which is not the source that has the latch, may not take it: [`admit`] would say [`Drop::WrongSource`] to a datagram
/// without a fault.
#[inline(always)]
pub fn is_stranger(config: &FlowConfig, latch: u64, source: &Address, port: Port) -> bool {
    let found = candidate(config, source, port);
    if latch >> Latched::SET != config.latch >> Latched::SET {
        return found == NOBODY;
    }
    // A phone whose NAT rebinds comes from the same address.
    let may_rebind = config.has(REBINDS) && latch as u32 == source.mark();
    found != 0 && !may_rebind
}

/// Where what was let in goes: the flow that `config` describes, whose twin's state is `twin`.
///
/// # Errors
/// [`Drop::NoPeer`].
#[inline(always)]
pub fn whither(config: &FlowConfig, twin: &impl Latch) -> Result<Send, Drop> {
    let send = match Latched::unpack(twin.load(), config.twin_latch) {
        Some(peer) => {
            let destination = if config.has(OUT_V4) {
                Address::from_v4_word(peer.mark)
            } else {
                twin.source()
            };
            // The one who won the latch has not got round to say who he is.
            if destination.mark() != peer.mark {
                return Err(Drop::NoPeer);
            }
            Send {
                destination,
                port: peer.port,
                next_hop: next_hop(config, peer.candidate),
            }
        }
        None => Send {
            destination: config.peer,
            port: config.peer_port,
            next_hop: config.next_hops[0],
        },
    };
    if send.port == Port::NONE {
        return Err(Drop::NoPeer);
    }
    Ok(send)
}

/// Row of the next-hop table for one of the twin's candidates. Chosen in registers, as in [`holds`].
#[inline(always)]
const fn next_hop(config: &FlowConfig, candidate: u8) -> u32 {
    let [a, b, c, d] = config.next_hops;
    let (low, high) = (a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32);
    let is_high = (candidate >> 1 & 1) as u64;
    let two = low ^ (low ^ high) & is_high.wrapping_neg();
    (two >> (32 * (candidate & 1))) as u32
}

/// Takes the latch for a source that does not have it, if it may.
#[inline(always)]
fn settle(config: &FlowConfig, own: &impl Latch, datagram: &impl Arrived) -> Result<Kind, Drop> {
    let seen = own.load();
    let payload = datagram.payload();
    let candidate = match (
        candidate(config, &datagram.source(), datagram.source_port()),
        Latched::unpack(seen, config.latch),
    ) {
        (NOBODY, None) => return Err(Drop::WrongSource),
        (candidate, None) => candidate,
        (0, Some(_)) => 0,
        (_, Some(latched)) if goes_on(config, own, &latched, datagram) => latched.candidate,
        _ => return Err(Drop::WrongSource),
    };
    let kind = payload.admit(config)?;
    let source = datagram.source();
    let mine = Latched {
        candidate,
        port: datagram.source_port(),
        mark: source.mark(),
    }
    .pack(config.latch);
    let was = own.exchange(seen, mine);
    if was != seen {
        // Someone was faster. The named source takes it from him; any other passes only if that was its own packet.
        if candidate == 0 {
            own.exchange(was, mine);
        } else if was != mine {
            return Err(Drop::WrongSource);
        }
    }
    if !source.is_v4() {
        own.remember(source);
    }
    Ok(kind)
}

/// Whether this is the latched phone behind a NAT that has given it another port: nobody else knows its SSRC and where its sequence numbers are.
#[inline(always)]
fn goes_on(
    config: &FlowConfig,
    own: &impl Latch,
    latched: &Latched,
    datagram: &impl Arrived,
) -> bool {
    let source = datagram.source();
    let same = latched.mark == source.mark() && (source.is_v4() || own.source() == source);
    if !config.has(REBINDS) || !same {
        return false;
    }
    let (epoch, ssrc, sequence) = own.last();
    let payload = datagram.payload();
    if latch_epoch(config.latch) != epoch {
        return false;
    }
    if config.kind & RTP == 0 {
        return payload.word1 == ssrc;
    }
    let step = payload.sequence.wrapping_sub(sequence);
    let is_rtp = payload.second < 192 || payload.second > 223;
    is_rtp && payload.word2 == ssrc && step != 0 && step <= MAX_DROPOUT
}

/// The epoch of latches that are made of this.
#[must_use]
#[inline(always)]
pub const fn latch_epoch(base: u64) -> u16 {
    (base >> 51) as u16
}

/// No candidate. (A number like theirs: of an `Option` the compiler looks at what is not there, and the verifier does not take it.)
const NOBODY: u8 = MAX_CANDIDATES as u8;

/// Which of the permitted sources it comes from; the named one first.
#[inline(always)]
fn candidate(config: &FlowConfig, source: &Address, port: Port) -> u8 {
    let count = config.candidate_count;
    let [named, b, c, d] = &config.candidates;
    if count > 0 && config.named_port == port && named == source {
        return 0;
    }
    // However wide the prefix: nobody is there to be answered.
    if port == Port::NONE || !source.is_ones_own() {
        return NOBODY;
    }
    if count > 1 && source.is_in(b, config.lengths[1]) {
        return 1;
    }
    if count > 2 && source.is_in(c, config.lengths[2]) {
        return 2;
    }
    if count > 3 && source.is_in(d, config.lengths[3]) {
        return 3;
    }
    NOBODY
}
