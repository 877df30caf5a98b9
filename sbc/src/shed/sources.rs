//! What the box thinks of sources: who is known, who is banned and until when.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::ban::{self, Ban, BanError, Banned, By, Offence, UnbanError, Warning};
use super::challenges::Challenges;
use super::io::{Action, End, Input};
use super::records::{self, Records};
use super::slots::Slots;
use crate::config::{Config, NetworkId, TrunkId};
use crate::engine::Census;

mod trunks;
mod widen;

/// As many as the kernel's table holds.
pub(super) const MAX_BANS: usize = sbc_ebpf::shed_abi::MAX_BANS;
/// Bans that the box gives by itself: an operator always has room.
pub(super) const MAX_OFFENCE_BANS: usize = MAX_BANS / 2;
/// Sources whose offences are counted.
const MAX_OFFENDERS: usize = 4096;
/// So many offences of one kind within [`WINDOW`] are a ban.
const STRIKES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Bits that a banned prefix has at least.
const SHORTEST: (u8, u8) = (8, 16);
/// Sources of which something is kept: every ban, and every offender of whom it is known that he was banned.
const MAX_KEPT: u32 = (MAX_BANS + records::MAX_OFFENDERS) as u32;

pub(super) type Place = (NetworkId, IpNet);

/// Who is known and who is banned. Drain [`Sources::poll_action`] after every call.
#[derive(Debug)]
pub struct Sources {
    /// How long a ban lasts, by network.
    lasting: Vec<Duration>,
    trunks: Vec<(TrunkId, Place)>,
    known: HashMap<Place, Known>,
    /// The addresses of this host.
    own: BTreeSet<IpAddr>,
    pub(super) bans: BTreeMap<Place, Ban>,
    census: Census<NetworkId>,
    ends: BTreeSet<(Instant, Place)>,
    pub(super) by_offence: usize,
    offenders: HashMap<Place, Strikes>,
    pub(super) records: Records,
    pub(super) slots: Slots,
    challenges: Challenges,
    pub(super) full: u64,
    actions: VecDeque<Action>,
}

/// What a source is known for; one of the two at least. Nearly all of them are of phones, and there may be tens of thousands.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// How often it is a trunk's.
    trunks: u32,
    /// How many contacts are registered from there.
    phones: u32,
}

#[derive(Clone, Copy, Debug)]
struct Strikes {
    since: Instant,
    /// Wrong credentials.
    guesses: u32,
    /// Requests of nobody. A phone's own first one counts, until its second says whose they are.
    nobody: u32,
}

impl Sources {
    /// Knows the trunks; the first actions say so.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut sources = Sources {
            lasting: config.networks.iter().map(|one| one.limits.ban).collect(),
            trunks: Vec::new(),
            known: HashMap::new(),
            own: BTreeSet::new(),
            bans: BTreeMap::new(),
            census: Census::default(),
            ends: BTreeSet::new(),
            by_offence: 0,
            offenders: HashMap::new(),
            records: Records::default(),
            slots: Slots::new(MAX_KEPT),
            challenges: Challenges::new(),
            full: 0,
            actions: VecDeque::new(),
        };
        sources.know_trunks(config);
        sources
    }

    /// Another config is in force: its trunks are known, and its limits hold. Bans stay.
    pub fn reload(&mut self, config: &Config) {
        self.lasting = config.networks.iter().map(|one| one.limits.ban).collect();
        let before = std::mem::take(&mut self.trunks);
        self.know_trunks(config);
        let places = |trunks: &[(TrunkId, Place)]| trunks.iter().map(|(_, place)| *place).collect();
        let (new, old): (BTreeSet<Place>, BTreeSet<Place>) =
            (places(&self.trunks), places(&before));
        for &place in new.difference(&old) {
            self.absolve(place);
        }
        for (_, place) in before {
            self.forget(place, |known| &mut known.trunks);
        }
        for (network, one) in (0..).map(NetworkId).zip(&config.networks) {
            let limits = one.limits;
            self.actions.push_back(Action::Limits { network, limits });
        }
    }

    fn know_trunks(&mut self, config: &Config) {
        for (id, trunk) in config.trunks() {
            for &prefix in &trunk.accept_from {
                let place = (trunk.network, ban::canonical(prefix));
                self.trunks.push((id, place));
                self.know(place, |known| &mut known.trunks);
            }
        }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Offence {
                network,
                source,
                offence,
            } => self.offend(now, network, source.to_canonical(), offence),
            Input::Authenticated { network, source } => {
                let place = (network, ban::host(source));
                if let Some(strikes) = self.offenders.get_mut(&place) {
                    strikes.nobody = 0;
                }
                self.challenges.answered(place);
            }
            Input::Registered { network, source } => {
                let place = (network, IpNet::from(source.to_canonical()));
                self.know(place, |known| &mut known.phones);
                self.offenders.remove(&(network, ban::host(source)));
            }
            Input::Unregistered { network, source } => {
                let place = (network, IpNet::from(source.to_canonical()));
                self.forget(place, |known| &mut known.phones);
            }
            Input::TrunkFound {
                trunk,
                network,
                source,
            } => self.trunk_found(trunk, network, source),
            Input::TrunkGone {
                trunk,
                network,
                source,
            } => self.trunk_gone(trunk, network, source),
            Input::HostAddresses(addresses) => {
                self.own = addresses.iter().map(IpAddr::to_canonical).collect();
            }
        }
    }

    /// Whether a source that is not proven is to be asked who it is: a trunk and an address of a registered phone always are, another only so often
    /// without an answer.
    pub fn may_ask(&mut self, now: Instant, network: NetworkId, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.knows(network, source) || self.challenges.ask(now, (network, ban::host(source)))
    }

    /// Whether a trunk, a registered phone or this host has this address.
    #[must_use]
    pub fn knows(&self, network: NetworkId, source: IpAddr) -> bool {
        self.is_protected(network, &IpNet::from(source.to_canonical()))
    }

    /// Bans a prefix on every network, for as long as `lasting` or each network's limits say; again: from now on. A trunk or a phone is no
    /// hindrance, but a warning.
    ///
    /// # Errors
    /// Nothing is banned then.
    pub fn ban(
        &mut self,
        now: Instant,
        prefix: IpNet,
        lasting: Option<Duration>,
    ) -> Result<Banned, BanError> {
        let prefix = bannable(prefix)?;
        let networks = (0..).map(NetworkId).zip(self.lasting.clone());
        let places: Vec<(Place, Duration)> = networks
            .map(|(network, usual)| ((network, prefix), lasting.unwrap_or(usual)))
            .collect();
        let new = places
            .iter()
            .filter(|(place, _)| !self.bans.contains_key(place));
        if self.bans.len() + new.count() > MAX_BANS {
            self.full += 1;
            return Err(BanError::Full { limit: MAX_BANS });
        }
        let bans = places
            .into_iter()
            .map(|(place, lasting)| self.put(place, now + lasting, By::Operator, 1))
            .collect();
        Ok(Banned {
            bans,
            warnings: self.warnings(&prefix),
        })
    }

    /// Lifts the ban of a prefix and of everything in it, on every network; gives what was lifted.
    ///
    /// # Errors
    /// There is none; a wider one may be.
    pub fn unban(&mut self, prefix: IpNet) -> Result<Vec<Ban>, UnbanError> {
        let prefix = ban::canonical(prefix);
        let lifted: Vec<Ban> = self
            .bans
            .values()
            .filter(|ban| prefix.contains(&ban.prefix))
            .copied()
            .collect();
        if lifted.is_empty() {
            let within = self.bans.values().map(|ban| ban.prefix);
            let within = within
                .filter(|wider| wider.contains(&prefix))
                .max_by_key(IpNet::prefix_len);
            return Err(UnbanError { prefix, within });
        }
        for ban in &lifted {
            self.records.forget((ban.network, ban.prefix));
            self.lift((ban.network, ban.prefix), End::Lifted);
        }
        Ok(lifted)
    }

    /// All bans that hold, by network and prefix.
    pub fn bans(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values()
    }

    /// The same, those that come after the one of this network and prefix.
    pub fn bans_after(&self, after: Option<(NetworkId, IpNet)>) -> impl Iterator<Item = &Ban> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let bans = self.bans.range((after, Bound::Unbounded));
        bans.map(|(_, ban)| ban)
    }

    /// How many hold on each network.
    #[must_use]
    pub fn count(&self) -> BTreeMap<NetworkId, u64> {
        self.census.counts().clone()
    }

    /// How often there was no room for a ban, or for counting an offence.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.full + self.challenges.full() + self.records.full()
    }

    /// What to enforce next, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When the next ban ends.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Ends what is over by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, place)) = self.ends.first() {
            if at > now {
                return;
            }
            self.lift(place, End::Expired);
        }
    }

    fn offend(&mut self, now: Instant, network: NetworkId, source: IpAddr, offence: Offence) {
        let alone = IpNet::from(source);
        if self.is_protected(network, &alone) {
            return;
        }
        let host = ban::host(source);
        let offender = (network, host);
        let is_full = self.offenders.len() >= MAX_OFFENDERS;
        if is_full && !self.offenders.contains_key(&offender) {
            self.offenders
                .retain(|_, strikes| now.saturating_duration_since(strikes.since) < WINDOW);
            if self.offenders.len() >= MAX_OFFENDERS {
                self.full += 1;
                return;
            }
        }
        let new = Strikes {
            since: now,
            guesses: 0,
            nobody: 0,
        };
        let strikes = self.offenders.entry(offender).or_insert(new);
        if now.saturating_duration_since(strikes.since) >= WINDOW {
            *strikes = new;
        }
        let count = match offence {
            Offence::Credentials => &mut strikes.guesses,
            Offence::Stranger => &mut strikes.nobody,
        };
        *count += 1;
        if *count < STRIKES {
            return;
        }
        self.offenders.remove(&offender);
        // Where a phone or a trunk shares the offender's /64, he alone.
        let prefix = if self.is_protected(network, &host) {
            alone
        } else {
            host
        };
        self.ban_offender(now, (network, prefix), By::Offence(offence));
    }

    /// Whether a trunk, a registered phone or this host itself has an address of these.
    pub(super) fn is_protected(&self, network: NetworkId, prefix: &IpNet) -> bool {
        let is_here = |place: &Place| place.0 == network && ban::overlap(&place.1, prefix);
        let is_alone = prefix.prefix_len() == prefix.max_prefix_len();
        let is_phone = match is_alone {
            true => {
                let known = self.known.get(&(network, *prefix));
                known.is_some_and(|known| known.phones > 0)
            }
            false => self.phones().any(is_here),
        };
        is_phone || self.trunks.iter().any(|(_, place)| is_here(place)) || self.is_own(prefix)
    }

    fn is_own(&self, prefix: &IpNet) -> bool {
        let loopback = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ];
        prefix.addr().is_loopback()
            || loopback
                .iter()
                .chain(&self.own)
                .any(|own| prefix.contains(own))
    }

    fn warnings(&self, prefix: &IpNet) -> Vec<Warning> {
        let mut warnings: BTreeSet<Warning> = self
            .trunks
            .iter()
            .filter(|(_, (_, trunk))| ban::overlap(trunk, prefix))
            .map(|(id, _)| Warning::Trunk(*id))
            .collect();
        let phones = self
            .phones()
            .filter(|(_, phone)| prefix.contains(phone))
            .count();
        if phones > 0 {
            warnings.insert(Warning::Phones(phones));
        }
        if self.is_own(prefix) {
            warnings.insert(Warning::Host);
        }
        warnings.into_iter().collect()
    }

    fn put(&mut self, place: Place, until: Instant, by: By, times: u32) -> Ban {
        let ban = self.insert(place, until, by, times);
        self.note(place);
        ban
    }

    /// The same of a ban that is kept as it is.
    pub(super) fn insert(&mut self, place: Place, until: Instant, by: By, times: u32) -> Ban {
        let (network, prefix) = place;
        let ban = Ban {
            network,
            prefix,
            until,
            by,
            times,
        };
        if let Some(old) = self.bans.insert(place, ban) {
            self.removed(&old);
        }
        self.by_offence += usize::from(by != By::Operator);
        self.census.add(network);
        self.ends.insert((until, place));
        self.actions.push_back(Action::Ban(ban));
        ban
    }

    fn lift(&mut self, place: Place, end: End) {
        let Some(ban) = self.bans.remove(&place) else {
            return;
        };
        self.removed(&ban);
        self.note(place);
        self.actions.push_back(Action::Unban {
            network: ban.network,
            prefix: ban.prefix,
            end,
        });
    }

    /// What is to be kept of it has changed.
    fn note(&mut self, place: Place) {
        let is_kept = self.bans.contains_key(&place) || self.records.of(place).is_some();
        self.full += u64::from(!self.slots.note(place, is_kept));
    }

    fn removed(&mut self, ban: &Ban) {
        self.census.take(ban.network);
        self.ends.remove(&(ban.until, (ban.network, ban.prefix)));
        self.by_offence -= usize::from(ban.by != By::Operator);
    }

    /// Where phones are registered.
    fn phones(&self) -> impl Iterator<Item = &Place> {
        let phones = self.known.iter().filter(|(_, known)| known.phones > 0);
        phones.map(|(place, _)| place)
    }

    fn know(&mut self, place: Place, of: impl Fn(&mut Known) -> &mut u32) {
        let is_new = !self.known.contains_key(&place);
        let times = of(self.known.entry(place).or_default());
        *times = times.saturating_add(1);
        if is_new {
            let (network, prefix) = place;
            self.actions.push_back(Action::Known { network, prefix });
        }
    }

    fn forget(&mut self, place: Place, of: impl Fn(&mut Known) -> &mut u32) {
        let Some(known) = self.known.get_mut(&place) else {
            return;
        };
        let times = of(known);
        *times = times.saturating_sub(1);
        if known.trunks == 0 && known.phones == 0 {
            self.known.remove(&place);
            let (network, prefix) = place;
            self.actions.push_back(Action::Unknown { network, prefix });
        }
    }
}

/// What may be banned of this.
pub(super) fn bannable(prefix: IpNet) -> Result<IpNet, BanError> {
    let prefix = ban::canonical(prefix);
    let shortest = match prefix {
        IpNet::V4(_) => SHORTEST.0,
        IpNet::V6(_) => SHORTEST.1,
    };
    if prefix.prefix_len() < shortest {
        return Err(BanError::TooWide { prefix, shortest });
    }
    let address = prefix.addr();
    // Sources with IPv4 addresses are never called by these.
    let mapped = IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());
    if address.is_unspecified() || address.is_multicast() || prefix.contains(&mapped) {
        return Err(BanError::NoSource(prefix));
    }
    Ok(prefix)
}
