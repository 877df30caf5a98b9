//! Sources that are a trunk because DNS says so.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{By, Place, Sources, ban};
use crate::config::{NetworkId, TrunkId};
use crate::shed::End;

impl Sources {
    pub(super) fn trunk_found(&mut self, trunk: TrunkId, network: NetworkId, source: IpAddr) {
        let source = source.to_canonical();
        let place = (network, IpNet::from(source));
        self.trunks.push((trunk, place));
        self.know(place, |known| &mut known.trunks);
        self.offenders.remove(&(network, ban::host(source)));
        self.absolve(place);
    }

    pub(super) fn trunk_gone(&mut self, trunk: TrunkId, network: NetworkId, source: IpAddr) {
        let place = (network, IpNet::from(source.to_canonical()));
        let known = self.trunks.iter().position(|one| *one == (trunk, place));
        if let Some(index) = known {
            self.trunks.remove(index);
            self.forget(place, |known| &mut known.trunks);
        }
    }

    /// Lifts bans of the box's own that cover a trunk: what it was banned for it did while nobody knew who it is.
    pub(super) fn absolve(&mut self, (network, prefix): Place) {
        let undeserved: Vec<Place> = self
            .bans
            .values()
            .filter(|ban| ban.by != By::Operator && ban.network == network)
            .filter(|ban| ban::overlap(&ban.prefix, &prefix))
            .map(|ban| (ban.network, ban.prefix))
            .collect();
        for place in undeserved {
            self.records.forget(place);
            self.lift(place, End::Lifted);
        }
    }
}
