//! Which addresses of this host a network has.

use std::fmt;
use std::net::IpAddr;

use super::check;
use super::error::{Conflict, nearest};
use super::model::{Bind, Config};

/// An interface of the host, as the shell found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// As `eth0`.
    pub name: String,
    /// All its addresses, both families, in the system's order.
    pub addresses: Vec<IpAddr>,
}

impl Config {
    /// Gives each network its addresses: those of its `interface` that hold beyond the link, or those that the file names,
    /// which must be the host's. Then checks what can only be checked now.
    ///
    /// # Errors
    /// All that does not fit; the config is not to be used then.
    pub fn bind(&mut self, interfaces: &[HostInterface]) -> Result<(), BindErrors> {
        let mut errors = Vec::new();
        for network in &mut self.networks {
            match &network.bind {
                Bind::Interface(name) => {
                    match interfaces.iter().find(|interface| interface.name == *name) {
                        Some(interface) => {
                            network.addresses = usable(&interface.addresses);
                            if network.addresses.is_empty() {
                                errors.push(BindError::NoAddress {
                                    network: network.name.clone(),
                                    interface: name.clone(),
                                });
                            }
                        }
                        None => errors.push(BindError::NoInterface {
                            network: network.name.clone(),
                            interface: name.clone(),
                            near: nearest(name, interfaces.iter().map(|i| i.name.as_str()))
                                .map(str::to_owned),
                            host: interfaces.to_vec(),
                        }),
                    }
                }
                Bind::Addresses(addresses) => {
                    network.addresses.clone_from(addresses);
                    for address in addresses {
                        if !interfaces.iter().any(|i| i.addresses.contains(address)) {
                            errors.push(BindError::NotOurs {
                                network: network.name.clone(),
                                address: *address,
                                host: interfaces.to_vec(),
                            });
                        }
                    }
                }
            }
        }
        if errors.is_empty() {
            errors = check::conflicts(self)
                .into_iter()
                .map(|(_, conflict)| BindError::Conflict(conflict))
                .collect();
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(BindErrors(errors))
        }
    }
}

/// All that does not fit this host; never empty. One line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindErrors(pub Vec<BindError>);

impl fmt::Display for BindErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for BindErrors {}

/// Why a network cannot be on this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// No such interface.
    #[error("network `{network}`: this host has no interface `{interface}`{}; it has {}", meant(near.as_deref()), Listing(host))]
    NoInterface {
        /// The network.
        network: String,
        /// As the file names it.
        interface: String,
        /// The interface that may be meant.
        near: Option<String>,
        /// What there is.
        host: Vec<HostInterface>,
    },
    /// Nothing to listen on.
    #[error(
        "network `{network}`: interface `{interface}` has no address that holds beyond the link; give it one, or name an `address`"
    )]
    NoAddress {
        /// The network.
        network: String,
        /// Its interface.
        interface: String,
    },
    /// Not one of the host's addresses.
    #[error(
        "network `{network}`: {address} is no address of this host; it has {}",
        Listing(host)
    )]
    NotOurs {
        /// The network.
        network: String,
        /// As the file names it.
        address: IpAddr,
        /// What there is.
        host: Vec<HostInterface>,
    },
    /// Two parts that cannot be together, now that the addresses are known.
    #[error("{conflict}: {remedy}", conflict = .0, remedy = .0.remedy())]
    Conflict(Conflict),
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean `{near}`?)"))
        .unwrap_or_default()
}

/// `eth0 (192.168.1.2, 2001:db8::2), lo (127.0.0.1)`.
struct Listing<'h>(&'h [HostInterface]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SOME: usize = 8;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, HostInterface { name, addresses }) in self.0.iter().take(SOME).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let addresses: Vec<_> = usable(addresses)
                .iter()
                .take(SOME)
                .map(IpAddr::to_string)
                .collect();
            let addresses = if addresses.is_empty() {
                "no address".to_owned()
            } else {
                addresses.join(", ")
            };
            write!(f, "{comma}{name} ({addresses})")?;
        }
        if self.0.len() > SOME {
            f.write_str(", …")?;
        }
        Ok(())
    }
}

/// The addresses that hold beyond the link, each once.
#[must_use]
pub fn usable(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut usable = Vec::new();
    for ip in addresses {
        let holds = match ip {
            IpAddr::V4(ip) => {
                !(ip.is_unspecified()
                    || ip.is_multicast()
                    || ip.is_broadcast()
                    || ip.is_link_local())
            }
            IpAddr::V6(ip) => {
                !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local())
            }
        };
        if holds && !usable.contains(ip) {
            usable.push(*ip);
        }
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn host() -> Vec<HostInterface> {
        [
            ("lo", vec!["127.0.0.1", "::1"]),
            ("eth0", vec!["192.168.1.2", "fe80::1", "2001:db8::2"]),
            ("eth1", vec!["fe80::2"]),
        ]
        .into_iter()
        .map(|(name, addresses)| HostInterface {
            name: name.to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        })
        .collect()
    }

    fn bind(text: &str) -> Result<Vec<Vec<String>>, String> {
        let mut config = Config::parse(text, "test.toml", &NoSecrets).unwrap();
        config.bind(&host()).map_err(|e| e.to_string())?;
        Ok(config
            .networks
            .iter()
            .map(|n| n.addresses.iter().map(IpAddr::to_string).collect())
            .collect())
    }

    #[test]
    fn an_interface_stands_for_its_global_addresses() {
        assert_eq!(
            bind("[network.a]\ninterface = \"eth0\""),
            Ok(vec![vec![
                "192.168.1.2".to_owned(),
                "2001:db8::2".to_owned()
            ]])
        );
    }

    #[test]
    fn what_the_host_does_not_have() {
        assert_eq!(
            bind("[network.a]\ninterface = \"eth2\"").unwrap_err(),
            "network `a`: this host has no interface `eth2` (did you mean `eth0`?); it has lo (127.0.0.1, ::1), \
             eth0 (192.168.1.2, 2001:db8::2), eth1 (no address)"
        );
        assert_eq!(
            bind("[network.a]\ninterface = \"eth1\"").unwrap_err(),
            "network `a`: interface `eth1` has no address that holds beyond the link; give it one, or name an `address`"
        );
        assert_eq!(
            bind("[network.a]\naddress = [\"127.0.0.1\", \"192.168.1.3\"]").unwrap_err(),
            "network `a`: 192.168.1.3 is no address of this host; it has lo (127.0.0.1, ::1), \
             eth0 (192.168.1.2, 2001:db8::2), eth1 (no address)"
        );
    }

    #[test]
    fn conflicts_that_only_addresses_show() {
        assert_eq!(
            bind(
                "[network.a]\ninterface = \"eth0\"\n[network.b]\naddress = \"192.168.1.2\"\n\
                 sip = \"udp:5070\"\nmedia_ports = \"29000-30999\""
            )
            .unwrap_err(),
            "networks `a` and `b` share 192.168.1.2, and their media ports 29000-30999 and 20000-29999 overlap: \
             give each its own range in `media_ports`"
        );
        assert_eq!(
            bind("[network.a]\ninterface = \"lo\"\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:127.0.0.1\"")
                .unwrap_err(),
            "server: 127.0.0.1:5060 is the box itself, in network `a`: `server` is the other side's address"
        );
    }
}
