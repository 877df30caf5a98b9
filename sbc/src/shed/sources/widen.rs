//! Bans of the box's own: of a source, and of all that is around it where one source after the other of that is banned.

use std::collections::BTreeSet;
use std::time::Instant;

use ipnet::{IpNet, Ipv6Net};

use super::{By, MAX_BANS, MAX_OFFENCE_BANS, Place, Sources, ban};
use crate::config::NetworkId;
use crate::shed::End;

/// An IPv6 prefix of so many bits is banned as a whole when so many of its /64s are: who has been given a /56 or a /48 has more /64s than there is
/// room for, and none of them has met anybody yet. Providers give nobody more than a /48: nothing wider is banned.
const WIDER: [(u8, usize); 2] = [(48, 16), (56, 4)];
/// The /64s for which a banned /56 stands.
const OF_A_56: usize = 4;

impl Sources {
    /// Bans a source for what it did, or what is around it.
    pub(super) fn ban_offender(&mut self, now: Instant, place: Place, by: By) {
        let Some(&lasting) = self.lasting.get(place.0.index()) else {
            return;
        };
        if self.is_within_banned(place) {
            return;
        }
        let (place, by, within) = match self.wider(place) {
            Some((wider, within)) => (wider, By::Several, within),
            None => (place, by, Vec::new()),
        };
        match self.bans.get(&place) {
            // What an operator said holds.
            Some(ban) if ban.by == By::Operator || ban.until >= now + lasting => return,
            None if self.by_offence - within.len() >= MAX_OFFENCE_BANS
                || self.bans.len() - within.len() >= MAX_BANS =>
            {
                self.full += 1;
                return;
            }
            _ => {}
        }
        for other in self.records.make_room(now, place) {
            self.note(other);
        }
        let (times, until) = self.records.next(now, place, lasting);
        let longest = within.iter().filter_map(|one| self.bans.get(one));
        let until = longest.map(|ban| ban.until).fold(until, Instant::max);
        self.put(place, until, by, times);
        // It stands for them: there is room for others.
        for one in within {
            self.records.forget(one);
            self.lift(one, End::Widened);
        }
    }

    /// Whether all that is around it is banned: what comes now was under way before that.
    fn is_within_banned(&self, (network, prefix): Place) -> bool {
        let is_banned = |length| {
            let around = around(&prefix, length);
            around.is_some_and(|around| self.bans.contains_key(&(network, around)))
        };
        WIDER.iter().any(|(length, _)| is_banned(*length))
    }

    /// The widest that is to be banned in its stead, and the bans that this makes needless.
    fn wider(&self, (network, prefix): Place) -> Option<(Place, Vec<Place>)> {
        WIDER.iter().find_map(|&(length, enough)| {
            let around = around(&prefix, length)?;
            let within = self.own_within(network, &around);
            let of_64s = |one: &IpNet| match one.prefix_len() {
                ..64 => None,
                _ => Some(ban::host(one.addr())),
            };
            let banned = within.iter().map(|(_, prefix)| prefix);
            let wide = banned.clone().filter(|one| of_64s(one).is_none()).count();
            let hosts: BTreeSet<IpNet> = banned.chain([&prefix]).filter_map(of_64s).collect();
            let is_enough = wide * OF_A_56 + hosts.len() >= enough;
            (is_enough && !self.is_protected(network, &around))
                .then_some(((network, around), within))
        })
    }

    /// Bans of the box's own within a prefix.
    fn own_within(&self, network: NetworkId, around: &IpNet) -> Vec<Place> {
        let last = IpNet::from(around.broadcast());
        let bans = self.bans.range((network, *around)..=(network, last));
        let own = bans.filter(|(_, ban)| ban.by != By::Operator);
        own.map(|(place, _)| *place).collect()
    }
}

/// The IPv6 prefix of so many bits around one that has more.
fn around(prefix: &IpNet, length: u8) -> Option<IpNet> {
    match prefix {
        IpNet::V6(v6) if v6.prefix_len() > length => {
            let around = Ipv6Net::new(v6.addr(), length).ok()?;
            Some(IpNet::V6(around.trunc()))
        }
        _ => None,
    }
}
