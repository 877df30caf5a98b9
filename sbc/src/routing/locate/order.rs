//! The order in which one request tries the servers of a trunk (RFC 2782).

use std::iter::FusedIterator;
use std::net::SocketAddr;

use rand_core::RngCore;
use smallvec::SmallVec;

use super::Place;
use super::plan::{Choice, Tier};

/// The places of a trunk in the order in which one request tries them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The next one is the last.
    places: SmallVec<[Place; 1]>,
}

impl Way {
    /// To one place.
    #[must_use]
    pub fn to(place: Place) -> Way {
        Way {
            places: SmallVec::from_buf([place]),
        }
    }

    /// In this order.
    pub(super) fn of(mut places: SmallVec<[Place; 1]>) -> Way {
        places.reverse();
        Way { places }
    }

    /// Another one, before all others.
    pub fn push_front(&mut self, place: Place) {
        self.places.push(place);
    }

    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl Iterator for Way {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        self.places.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.places.len(), Some(self.places.len()))
    }
}

impl ExactSizeIterator for Way {}
impl FusedIterator for Way {}

/// All places: tiers in order, within each one servers by weight, of each server its addresses by chance, of one family before
/// those of the other.
pub(super) fn ordered(tiers: &[Tier], random: &mut impl RngCore) -> SmallVec<[Place; 1]> {
    let mut places = SmallVec::new();
    for tier in tiers {
        let mut left: SmallVec<[&Choice; 4]> = tier.servers.iter().collect();
        // Those without weight first: they have a small chance while others have weight (RFC 2782).
        left.sort_by_key(|choice| choice.weight > 0);
        while !left.is_empty() {
            let choice = left.remove(drawn(&left, random));
            let mut addresses = choice.addresses.clone();
            shuffle(&mut addresses, random);
            let places_of = addresses.into_iter().map(|address| Place {
                address,
                transport: tier.transport,
            });
            places.extend(places_of);
        }
    }
    let mut seen: SmallVec<[Place; 8]> = SmallVec::new();
    places.retain(|place| {
        let is_new = !seen.contains(place);
        if is_new {
            seen.push(*place);
        }
        is_new
    });
    places
}

/// Which one is next: a number up to the sum of weights, and the first whose running sum reaches it.
fn drawn(left: &[&Choice], random: &mut impl RngCore) -> usize {
    let sum: u32 = left.iter().map(|choice| u32::from(choice.weight)).sum();
    if left.len() == 1 {
        return 0;
    }
    if sum == 0 {
        return below(left.len(), random);
    }
    let wanted = below(sum as usize + 1, random);
    let mut running = 0;
    let reached = left.iter().position(|choice| {
        running += usize::from(choice.weight);
        running >= wanted
    });
    reached.unwrap_or(0)
}

/// By chance, those of one family before those of the other.
fn shuffle(addresses: &mut [SocketAddr], random: &mut impl RngCore) {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else {
        return;
    };
    let split = addresses.partition_point(|address| address.is_ipv4() == first);
    let (one, other) = addresses.split_at_mut(split);
    for part in [one, other] {
        for end in (1..part.len()).rev() {
            part.swap(end, below(end + 1, random));
        }
    }
}

/// From 0 to `bound` - 1; of so few the slight preference for low ones does not matter.
fn below(bound: usize, random: &mut impl RngCore) -> usize {
    (random.next_u32() as usize) % bound.max(1)
}
