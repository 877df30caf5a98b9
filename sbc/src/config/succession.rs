//! A new file takes over from the one in force: what both have keeps its id, so that calls and registrations do not notice.
//!
//! What only the old one has stays as long as a call needs it, known to nobody else; its place is given away when none does.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::external::External;
use super::lookup::Lookup;
use super::model::{
    Bind, Config, From, GroupId, Member, MemberTarget, Network, NetworkId, Phone, PhoneId, Target,
    Trunk, TrunkId,
};
use super::phones::Phones;

/// What calls that are up refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Trunks.
    pub trunks: BTreeSet<TrunkId>,
    /// Phones.
    pub phones: BTreeSet<PhoneId>,
}

/// What a new file changes, by the ids that hold from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Trunks that are new.
    pub new_trunks: Vec<TrunkId>,
    /// Trunks that are another one's now: who had the id before is gone and forgotten.
    pub given_away: Vec<TrunkId>,
    /// Trunks that the file does not have any more.
    pub gone_trunks: Vec<TrunkId>,
    /// Trunks that say other things than before.
    pub changed_trunks: Vec<TrunkId>,
    /// Phones that are new.
    pub new_phones: Vec<PhoneId>,
    /// Phones that the file does not have any more.
    pub gone_phones: Vec<PhoneId>,
    /// Phones that say other things than before.
    pub changed_phones: Vec<PhoneId>,
    /// Phones with another password.
    pub new_passwords: Vec<PhoneId>,
    /// Networks that say other things than before.
    pub changed_networks: Vec<NetworkId>,
    /// Routes or groups are not what they were.
    pub routes: bool,
    /// `[trace]` says other things than before.
    pub trace: bool,
}

/// What the running daemon cannot take over: nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the config in force stays, as this wants a restart: {}", .0.join(", "))]
pub struct NeedsRestart(pub Vec<String>);

impl fmt::Display for Changes {
    /// `1 trunk new, 2 phones changed, routes changed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for (count, one, many, what) in [
            (
                self.changed_networks.len(),
                "network",
                "networks",
                "changed",
            ),
            (self.new_trunks.len(), "trunk", "trunks", "new"),
            (self.changed_trunks.len(), "trunk", "trunks", "changed"),
            (self.gone_trunks.len(), "trunk", "trunks", "gone"),
            (self.new_phones.len(), "phone", "phones", "new"),
            (self.changed_phones.len(), "phone", "phones", "changed"),
            (self.gone_phones.len(), "phone", "phones", "gone"),
        ] {
            if count > 0 {
                let noun = if count == 1 { one } else { many };
                words.push(format!("{count} {noun} {what}"));
            }
        }
        if self.routes {
            words.push("routes changed".to_owned());
        }
        if self.trace {
            words.push("[trace] changed".to_owned());
        }
        match words[..] {
            [] => f.write_str("nothing has changed"),
            _ => f.write_str(&words.join(", ")),
        }
    }
}

impl Config {
    /// This config as the successor of the one in force: what both have keeps its id, and networks the addresses that they have now.
    ///
    /// # Errors
    /// What cannot be changed while it runs.
    pub fn succeed(self, old: &Config, in_use: &InUse) -> Result<(Config, Changes), NeedsRestart> {
        let stuck = stuck(&self, old);
        if !stuck.is_empty() {
            return Err(NeedsRestart(stuck));
        }
        let full = |kind: &str| NeedsRestart(vec![format!("so many more {kind} than before")]);
        let mut changes = Changes {
            trace: self.trace != old.trace,
            ..Changes::default()
        };
        let networks = places(&self.networks, &old.networks, |_| false);
        let networks = networks.ok_or_else(|| full("networks"))?;
        let trunks = places(&self.trunks, &old.trunks, |id| {
            in_use.trunks.contains(&TrunkId(id))
        });
        let trunks = trunks.ok_or_else(|| full("trunks"))?;
        let phones = places(&self.phones, &old.phones, |id| {
            in_use.phones.contains(&PhoneId(id))
        });
        let phones = phones.ok_or_else(|| full("phones"))?;
        let ids = Ids {
            networks: &networks,
            trunks: &trunks,
            phones: &phones,
        };
        let mut new = Config {
            sbc: self.sbc,
            cdr: self.cdr,
            trace: self.trace,
            flight_recorder: self.flight_recorder,
            networks: Vec::new(),
            trunks: Vec::new(),
            phones: Phones::default(),
            groups: self.groups,
            routes: self.routes,
            lookup: Arc::default(),
        };
        for group in &mut new.groups {
            for member in &mut group.members {
                ids.renumber_member(member);
            }
        }
        for route in &mut new.routes {
            route
                .from
                .iter_mut()
                .for_each(|from| ids.renumber_from(from));
            route.to.iter_mut().for_each(|to| ids.renumber_target(to));
            if let Some(table) = &mut route.prefixes {
                // Read a moment ago: nobody else has it.
                let leads = Arc::make_mut(table).all_leads_mut();
                let targets = leads.flat_map(|leads| &mut leads.to);
                targets.for_each(|to| ids.renumber_target(to));
            }
        }
        new.lookup = Lookup::new(&new.routes).into();
        let renumbered = self.trunks.into_iter().map(|mut trunk| {
            trunk.network = NetworkId(ids.network(trunk.network));
            trunk
        });
        new.networks = placed(self.networks, &networks, &old.networks);
        new.trunks = placed(renumbered, &trunks, &old.trunks);
        new.phones = placed(self.phones.into_all(), &phones, &old.phones).into();
        for (network, before) in new.networks.iter_mut().zip(&old.networks) {
            network.addresses.clone_from(&before.addresses);
            // What was found goes on to hold.
            if let (Some(External::Auto { .. }), Some(External::Auto { .. })) =
                (&network.external, &before.external)
            {
                network.outside = before.outside;
            }
        }
        changes.tell(&new, old);
        Ok((new, changes))
    }
}

/// Ids of the new file to those that hold.
struct Ids<'a> {
    networks: &'a [u16],
    trunks: &'a [u16],
    phones: &'a [u16],
}

impl Ids<'_> {
    fn network(&self, id: NetworkId) -> u16 {
        self.networks.get(id.index()).copied().unwrap_or(id.0)
    }

    fn trunk(&self, id: &mut TrunkId) {
        id.0 = self.trunks.get(id.index()).copied().unwrap_or(id.0);
    }

    fn phone(&self, id: &mut PhoneId) {
        id.0 = self.phones.get(id.index()).copied().unwrap_or(id.0);
    }

    fn renumber_member(&self, member: &mut Member) {
        match &mut member.target {
            MemberTarget::Trunk(id) => self.trunk(id),
            MemberTarget::Phone(id) => self.phone(id),
        }
    }

    fn renumber_from(&self, from: &mut From) {
        match from {
            From::Trunk(id) => self.trunk(id),
            From::Phone(id) => self.phone(id),
            From::PhonesOn(id) | From::Network(id) => *id = NetworkId(self.network(*id)),
            From::AnyPhone => {}
        }
    }

    fn renumber_target(&self, target: &mut Target) {
        match target {
            Target::Trunk(id) => self.trunk(id),
            Target::Phone(id) => self.phone(id),
            Target::Group(GroupId(_)) | Target::DialledPhone(_) | Target::Reject(_) => {}
        }
    }
}

/// What has a name and a place in a list.
trait Entry: Clone {
    fn name(&self) -> &str;
    /// Only left for calls.
    fn is_gone(&self) -> bool;
    /// Known to nobody but the calls that it is in.
    fn retire(&mut self);
}

impl Entry for Network {
    fn name(&self) -> &str {
        &self.name
    }
    fn is_gone(&self) -> bool {
        false
    }
    fn retire(&mut self) {}
}

impl Entry for Trunk {
    fn name(&self) -> &str {
        &self.name
    }
    fn is_gone(&self) -> bool {
        self.is_gone
    }
    fn retire(&mut self) {
        self.is_gone = true;
        self.accept_from.clear();
        self.accept_names.clear();
        self.accepts_server = false;
        self.probe = None;
    }
}

impl Entry for Phone {
    fn name(&self) -> &str {
        &self.name
    }
    fn is_gone(&self) -> bool {
        self.is_gone
    }
    fn retire(&mut self) {
        self.is_gone = true;
    }
}

/// A place for each new entry: that of its name, else one that nobody needs, else one at the end. `None`: there are no more.
fn places<T: Entry>(new: &[T], old: &[T], is_used: impl Fn(u16) -> bool) -> Option<Vec<u16>> {
    let known: HashMap<&str, u16> = (0..).zip(old).map(|(id, one)| (one.name(), id)).collect();
    let own: Vec<Option<u16>> = new
        .iter()
        .map(|one| known.get(one.name()).copied())
        .collect();
    let taken: BTreeSet<u16> = own.iter().flatten().copied().collect();
    // Who is only now gone may still be told of, in the log.
    let free = (0..)
        .zip(old)
        .filter(|(id, one)| one.is_gone() && !taken.contains(id) && !is_used(*id));
    let mut free = free.map(|(id, _)| id).collect::<Vec<_>>().into_iter();
    let mut next = u32::try_from(old.len()).ok()?;
    own.into_iter()
        .map(|own| {
            own.or_else(|| free.next()).or_else(|| {
                next += 1;
                // The last id stands for none in places.
                u16::try_from(next - 1).ok().filter(|id| *id < u16::MAX)
            })
        })
        .collect()
}

/// Everyone at his place; whoever had one before and is not in the new file stays there, retired.
fn placed<T: Entry>(new: impl IntoIterator<Item = T>, places: &[u16], old: &[T]) -> Vec<T> {
    let mut at: Vec<Option<T>> = old.iter().map(|_| None).collect();
    for (one, &place) in new.into_iter().zip(places) {
        let place = usize::from(place);
        if at.len() <= place {
            at.resize_with(place + 1, || None);
        }
        if let Some(slot) = at.get_mut(place) {
            *slot = Some(one);
        }
    }
    let retired = |index: usize| {
        let mut one = old.get(index)?.clone();
        one.retire();
        Some(one)
    };
    let filled = at.into_iter().enumerate();
    filled
        .filter_map(|(index, one)| one.or_else(|| retired(index)))
        .collect()
}

/// What a running daemon cannot change, in words.
fn stuck(new: &Config, old: &Config) -> Vec<String> {
    let mut stuck = Vec::new();
    let mut compare = |is_same: bool, what: &str| {
        if !is_same {
            stuck.push(what.to_owned());
        }
    };
    compare(new.sbc.name == old.sbc.name, "`name` in [sbc]");
    compare(
        new.sbc.state_dir == old.sbc.state_dir,
        "`state_dir` in [sbc]",
    );
    compare(new.sbc.admin == old.sbc.admin, "`admin` in [sbc]");
    compare(
        new.sbc.admin_token == old.sbc.admin_token,
        "`admin_token` in [sbc]",
    );
    compare(new.sbc.resolver == old.sbc.resolver, "`resolver` in [sbc]");
    compare(new.cdr == old.cdr, "[cdr]");
    compare(
        new.flight_recorder == old.flight_recorder,
        "[flight_recorder]",
    );
    compare(
        new.sbc.media == old.sbc.media,
        "`media_cores`, `media_priority` or `media_gather` in [sbc]",
    );
    for network in &new.networks {
        let name = &network.name;
        let Some(before) = old.networks.iter().find(|old| old.name == *name) else {
            compare(false, &format!("a new [network.{name}]"));
            continue;
        };
        let is_bound_alike = match (&network.bind, &before.bind) {
            (Bind::Addresses(new), Bind::Addresses(old)) => new == old,
            (Bind::Interface(new), Bind::Interface(old)) => new == old,
            _ => false,
        };
        for (is_same, key) in [
            (is_bound_alike, "the address"),
            (network.sip == before.sip, "`sip`"),
            (network.media_ports == before.media_ports, "`media_ports`"),
            (network.fast_path == before.fast_path, "`fast_path`"),
            (network.dscp == before.dscp, "`dscp`"),
        ] {
            compare(is_same, &format!("{key} of [network.{name}]"));
        }
    }
    for before in &old.networks {
        let is_there = new.networks.iter().any(|new| new.name == before.name);
        compare(is_there, &format!("no [network.{}] any more", before.name));
    }
    stuck
}

impl Changes {
    fn tell(&mut self, new: &Config, old: &Config) {
        for (id, network) in (0..).map(NetworkId).zip(&new.networks) {
            if network != old.network(id) {
                self.changed_networks.push(id);
            }
        }
        for (id, trunk) in (0..).map(TrunkId).zip(&new.trunks) {
            match old.trunks.get(id.index()) {
                Some(before) if before.is_gone && trunk.is_gone => {}
                Some(before) if before.name == trunk.name && trunk.is_gone => {
                    self.gone_trunks.push(id);
                }
                Some(before) if before.name == trunk.name && before.is_gone => {
                    self.new_trunks.push(id);
                }
                Some(before) if before.name == trunk.name => {
                    if trunk != before {
                        self.changed_trunks.push(id);
                    }
                }
                Some(_) => {
                    self.new_trunks.push(id);
                    self.given_away.push(id);
                }
                None => self.new_trunks.push(id),
            }
        }
        for (id, phone) in (0..).map(PhoneId).zip(&new.phones) {
            match old.phones.get(id.index()) {
                Some(before) if before.is_gone && phone.is_gone => {}
                Some(before) if before.name == phone.name && phone.is_gone => {
                    self.gone_phones.push(id);
                }
                Some(before) if before.name == phone.name && !before.is_gone => {
                    if phone != before {
                        self.changed_phones.push(id);
                    }
                    if phone.password != before.password {
                        self.new_passwords.push(id);
                    }
                }
                _ => self.new_phones.push(id),
            }
        }
        self.routes = new.routes != old.routes || new.groups != old.groups;
    }
}
