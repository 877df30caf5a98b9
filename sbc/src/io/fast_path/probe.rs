//! What the daemon would find, found without attaching anything.

use std::collections::BTreeMap;

use sbc_ebpf::abi::MAX_NETWORKS;

use super::interfaces::{self, Interfaces};
use super::link::Link;
use super::networks;
use super::privileges;
use super::program::Program;
use crate::config::{Config, FastPath as Wanted, Network, NetworkId};
use crate::media::{Fallback, NetworkPath, XdpMode};

/// The tables' size does not matter for whether the kernel takes the program.
const ONE_PORT: u32 = 1;

/// How each network's media would be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// In the config's order.
    pub paths: Vec<(NetworkId, NetworkPath)>,
    /// Capabilities that this process lacks for the trial that the daemon makes: without it, the kernel is taken to be able.
    pub untried: Vec<&'static str>,
}

/// Loads the program, if this process may, and looks at the interfaces of all networks. Attaches nothing and leaves nothing behind;
/// whether an interface takes the program shows only when the daemon starts.
#[must_use]
pub fn foresee(config: &Config) -> Foreseen {
    let ids = (0_u16..).map(NetworkId);
    let all_networks: Vec<(NetworkId, &Network)> = ids.zip(&config.networks).collect();
    let is_wanted = |network: &Network| network.fast_path != Wanted::Off;
    let none = || all_networks.iter().all(|(_, network)| !is_wanted(network));
    let untried = match none() {
        true => Vec::new(),
        false => privileges::missing(),
    };
    let loads = match none() || !untried.is_empty() {
        true => Ok(()),
        false => Program::load(ONE_PORT)
            .map(drop)
            .map_err(|failure| interfaces::fallback(&failure)),
    };
    let mut interfaces = Interfaces::read().ok();
    let mut links = |network: &Network| networks::links(interfaces.as_mut()?, network).ok();
    let all: BTreeMap<u32, Link> = all_networks
        .iter()
        .filter(|(_, network)| is_wanted(network))
        .filter_map(|(_, network)| links(network))
        .flatten()
        .collect();
    let has_native = interfaces::no_native(&all).is_none();
    let path = |(id, network): (NetworkId, &Network)| {
        let path = match (network.fast_path, loads) {
            (Wanted::Off, _) => Err(Fallback::Off),
            (_, Err(reason)) => Err(reason),
            _ if id.index() >= MAX_NETWORKS => Err(Fallback::Full),
            _ if links(network).is_none() => Err(Fallback::Interface),
            (Wanted::Native, _) if !has_native => Err(Fallback::Unsupported),
            (Wanted::Native | Wanted::Auto, _) if has_native => Ok(XdpMode::Native),
            _ => Ok(XdpMode::Generic),
        };
        let path = path.map(|mode| NetworkPath::Kernel { mode });
        (id, path.unwrap_or_else(NetworkPath::User))
    };
    Foreseen {
        paths: all_networks.into_iter().map(path).collect(),
        untried,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bind, NoSecrets};

    #[test]
    fn loopback_and_what_is_off_are_never_the_kernel_s() {
        let text = "[network.a]\naddress = [\"127.0.0.1\"]\n\
                    [network.b]\naddress = [\"127.0.0.2\"]\nfast_path = \"off\"\n";
        let mut config = Config::parse(text, "test.toml", &NoSecrets).unwrap();
        for network in &mut config.networks {
            if let Bind::Addresses(addresses) = &network.bind {
                network.addresses = addresses.clone();
            }
        }
        let paths: Vec<NetworkPath> = foresee(&config).paths.into_iter().map(|p| p.1).collect();
        assert!(
            matches!(
                paths[0],
                NetworkPath::User(
                    Fallback::Interface | Fallback::Unsupported | Fallback::Unprivileged
                )
            ),
            "{paths:?}"
        );
        assert_eq!(paths[1], NetworkPath::User(Fallback::Off));
    }
}
