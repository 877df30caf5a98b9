//! Which addresses each network has, as this host's come and go. Opens nothing: the daemon does what is found out here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::host::HostAddress;
use crate::config::{Bind, Config, NetworkId, usable};

/// The addresses of this host, and of each network.
pub(super) struct Addresses {
    host: Vec<IpAddr>,
    networks: Vec<Standing>,
}

struct Standing {
    /// Whose addresses they are, if not those that the file names.
    interface: Option<String>,
    addresses: Vec<IpAddr>,
    /// Those of them that this host does not have now.
    absent: BTreeSet<IpAddr>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// All addresses of this host are these now.
    Host(Vec<IpAddr>),
    /// A network's address is there no more. It stays the network's: there is no other in its place.
    Gone(NetworkId, IpAddr),
    /// And is there again.
    Back(NetworkId, IpAddr),
    /// A network's interface has other addresses now, these.
    Moved(NetworkId, Vec<IpAddr>),
}

impl Addresses {
    /// As the config was bound.
    pub(super) fn new(config: &Config) -> Addresses {
        let standing = config.networks.iter().map(|network| Standing {
            interface: match &network.bind {
                Bind::Interface(name) => Some(name.clone()),
                Bind::Addresses(_) => None,
            },
            addresses: network.addresses.clone(),
            absent: BTreeSet::new(),
        });
        Addresses {
            host: Vec::new(),
            networks: standing.collect(),
        }
    }

    /// The network's addresses from now on, those of a [`Change::Moved`] that could be had. What the change named and is missing here will be
    /// named again.
    pub(super) fn adopt(&mut self, network: NetworkId, addresses: Vec<IpAddr>) {
        if let Some(standing) = self.networks.get_mut(network.index()) {
            standing.absent.retain(|ip| addresses.contains(ip));
            standing.addresses = addresses;
        }
    }

    /// What has changed since the last look.
    pub(super) fn look(&mut self, found: &[HostAddress]) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut host: Vec<IpAddr> = found.iter().map(|one| one.address).collect();
        host.sort_unstable();
        host.dedup();
        if host != self.host {
            self.host.clone_from(&host);
            changes.push(Change::Host(host));
        }
        for (id, standing) in (0..).map(NetworkId).zip(&mut self.networks) {
            if let Some(wanted) = standing.wanted(found)
                && wanted != standing.addresses
            {
                changes.push(Change::Moved(id, wanted));
            }
            for &ip in &standing.addresses {
                // All of 127.0.0.0/8 is the host's, though it lists one.
                let is_there = ip.is_loopback() || self.host.binary_search(&ip).is_ok();
                if is_there && standing.absent.remove(&ip) {
                    changes.push(Change::Back(id, ip));
                } else if !is_there && standing.absent.insert(ip) {
                    changes.push(Change::Gone(id, ip));
                }
            }
        }
        changes
    }
}

impl Standing {
    /// The addresses that an interface's network should have: those that it has and the interface still has, then new ones. Where the interface has
    /// none of a family (it is gone, or waits for DHCP), the old ones of it: most likely they come back.
    fn wanted(&self, found: &[HostAddress]) -> Option<Vec<IpAddr>> {
        let interface = self.interface.as_ref()?;
        let on_it = found.iter().filter(|one| one.interface == *interface);
        let new = usable(&on_it.map(|one| one.address).collect::<Vec<_>>());
        let is_replaced = |ip: &IpAddr| new.iter().any(|new| new.is_ipv4() == ip.is_ipv4());
        let kept = self.addresses.iter().copied();
        let mut wanted: Vec<IpAddr> = kept
            .filter(|ip| new.contains(ip) || !is_replaced(ip))
            .collect();
        for ip in new {
            if !wanted.contains(&ip) {
                wanted.push(ip);
            }
        }
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::Kind;
    use super::*;
    use crate::config::{HostInterface, NoSecrets};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn host(addresses: &[(&str, &str)]) -> Vec<HostAddress> {
        let one = |&(interface, address): &(&str, &str)| HostAddress {
            interface: interface.to_owned(),
            address: ip(address),
            kind: Kind::Ethernet,
        };
        addresses.iter().map(one).collect()
    }

    fn begin() -> Addresses {
        let text = "[network.a]\ninterface = \"eth0\"\n[network.b]\naddress = [\"10.0.0.9\", \"127.0.0.2\"]\n";
        let mut config = Config::parse(text, "test.toml", &NoSecrets).unwrap();
        let interface = |name: &str, address: &[&str]| HostInterface {
            name: name.to_owned(),
            addresses: address.iter().map(|address| ip(address)).collect(),
        };
        let eth0 = interface("eth0", &["10.0.0.1", "2001:db8::1"]);
        let others = interface("eth1", &["10.0.0.9", "127.0.0.2"]);
        config.bind(&[eth0, others]).unwrap();
        Addresses::new(&config)
    }

    const A: NetworkId = NetworkId(0);
    const B: NetworkId = NetworkId(1);
    const V4: (&str, &str) = ("eth0", "10.0.0.1");
    const V6: (&str, &str) = ("eth0", "2001:db8::1");
    const FIXED: (&str, &str) = ("eth1", "10.0.0.9");

    #[test]
    fn nothing_changes_nothing() {
        let mut addresses = begin();
        let all = host(&[V4, V6, FIXED]);
        let first = addresses.look(&all);
        assert!(matches!(first.as_slice(), [Change::Host(_)]), "{first:?}");
        assert_eq!(addresses.look(&all), []);
    }

    #[test]
    fn a_lease_that_changes_moves_its_family_alone() {
        let mut addresses = begin();
        addresses.look(&host(&[V4, V6, FIXED]));
        let changes = addresses.look(&host(&[("eth0", "10.0.0.7"), V6, FIXED]));
        let wanted = vec![ip("2001:db8::1"), ip("10.0.0.7")];
        assert_eq!(changes[1], Change::Moved(A, wanted.clone()));
        addresses.adopt(A, wanted);
        // The old address is none of its any more: that it is gone is not said again.
        assert_eq!(
            addresses.look(&host(&[("eth0", "10.0.0.7"), V6, FIXED])),
            []
        );
    }

    #[test]
    fn what_could_not_be_had_is_asked_for_again() {
        let mut addresses = begin();
        let more = host(&[V4, V6, ("eth0", "10.0.0.2"), FIXED]);
        let wanted = vec![ip("10.0.0.1"), ip("2001:db8::1"), ip("10.0.0.2")];
        assert_eq!(
            addresses.look(&more)[1..],
            [Change::Moved(A, wanted.clone())]
        );
        assert_eq!(addresses.look(&more), [Change::Moved(A, wanted.clone())]);
        addresses.adopt(A, wanted);
        assert_eq!(addresses.look(&more), []);
    }

    #[test]
    fn an_interface_that_is_gone_keeps_its_place() {
        let mut addresses = begin();
        addresses.look(&host(&[V4, V6, FIXED]));
        let gone = addresses.look(&host(&[FIXED]));
        assert_eq!(
            gone[1..],
            [
                Change::Gone(A, ip("10.0.0.1")),
                Change::Gone(A, ip("2001:db8::1"))
            ]
        );
        assert_eq!(addresses.look(&host(&[FIXED])), []);
        let back = addresses.look(&host(&[V4, V6, FIXED]));
        assert_eq!(
            back[1..],
            [
                Change::Back(A, ip("10.0.0.1")),
                Change::Back(A, ip("2001:db8::1"))
            ]
        );
    }

    #[test]
    fn an_address_of_the_file_is_missed_and_not_replaced() {
        let mut addresses = begin();
        addresses.look(&host(&[V4, V6, FIXED]));
        let changes = addresses.look(&host(&[V4, V6, ("eth1", "10.0.0.10")]));
        assert_eq!(changes[1..], [Change::Gone(B, ip("10.0.0.9"))]);
    }
}
