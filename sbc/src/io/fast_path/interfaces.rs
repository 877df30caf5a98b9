//! Which interfaces a network lives on, and attaching to them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use aya::programs::links::FdLink;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use super::netlink::{Link, Netlink, takes_redirects};
use super::program::{Program, ProgramFailure};
use crate::config::{FastPath as Wanted, Network};
use crate::media::{Fallback, XdpMode};

/// The interfaces that have addresses, by address.
pub(super) struct Interfaces {
    by_address: BTreeMap<IpAddr, u32>,
    netlink: Netlink,
}

/// An interface that the program is attached to. Dropping it detaches.
pub(super) struct Attached {
    /// Its name.
    pub(super) name: String,
    /// How.
    pub(super) mode: XdpMode,
    _link: FdLink,
}

impl Interfaces {
    pub(super) fn read() -> io::Result<Interfaces> {
        let mut by_address = BTreeMap::new();
        for entry in getifaddrs()? {
            let Some(storage) = entry.address else {
                continue;
            };
            let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let v6 = || storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
            let Some(ip) = v4.or_else(v6) else { continue };
            // An alias "eth0:1" is eth0.
            let name = entry.interface_name.split(':').next().unwrap_or_default();
            if let Ok(index) = if_nametoindex(name) {
                by_address.insert(ip, index);
            }
        }
        Ok(Interfaces {
            by_address,
            netlink: Netlink::new()?,
        })
    }

    /// The Ethernet interfaces that a network's addresses are on; none if one of them is on no such interface.
    pub(super) fn of(&mut self, network: &Network) -> Option<BTreeMap<u32, Link>> {
        let mut found = BTreeMap::new();
        for ip in &network.addresses {
            let index = *self.by_address.get(ip)?;
            let link = self.netlink.link(index).ok()??;
            if ip.is_loopback() || link.mac.is_none() {
                return None;
            }
            found.insert(index, link);
        }
        (!found.is_empty()).then_some(found)
    }
}

/// Why native mode is out of the question, if it is. A frame goes from driver to driver there, and one that does not take it loses it in
/// silence: all interfaces have to, whichever of them the program is attached to.
pub(super) fn no_native<'a>(
    links: impl IntoIterator<Item = (&'a u32, &'a Link)>,
) -> Option<String> {
    let lacking = |(index, _): &(&u32, &Link)| takes_redirects(**index) == Some(false);
    let (_, link) = links.into_iter().find(lacking)?;
    let remedy = if link.is_veth {
        ": turn GRO on at its far end (ethtool -K PEER gro on)"
    } else {
        ""
    };
    let name = &link.name;
    Some(format!(
        "no native mode: the driver of {name} takes no redirected frames now{remedy}"
    ))
}

/// Attaches in the mode that is wanted. What happened on the way is in `notes`, a line each.
pub(super) fn attach(
    program: &mut Program,
    index: u32,
    link: &Link,
    wanted: Wanted,
    has_native: bool,
    notes: &mut Vec<String>,
) -> Result<Attached, Fallback> {
    let modes: &[XdpMode] = match wanted {
        Wanted::Auto => &[XdpMode::Native, XdpMode::Generic],
        Wanted::Native => &[XdpMode::Native],
        Wanted::Generic => &[XdpMode::Generic],
        Wanted::Off => return Err(Fallback::Off),
    };
    let name = &link.name;
    let mut reason = Fallback::Unsupported;
    for &mode in modes {
        if mode == XdpMode::Native && !has_native {
            continue;
        }
        match program.attach(index, of_aya(mode)) {
            Ok(link) => {
                return Ok(Attached {
                    name: name.clone(),
                    mode,
                    _link: link,
                });
            }
            Err(failure) => {
                reason = fallback(&failure);
                notes.push(format!(
                    "{name}: not in {} mode, {failure}{}",
                    label(mode),
                    remedy(&failure)
                ));
            }
        }
    }
    Err(reason)
}

/// Why the program could not be used.
pub(super) fn fallback(failure: &ProgramFailure) -> Fallback {
    match failure.os_error() {
        Some(libc::EPERM) => Fallback::Unprivileged,
        _ => Fallback::Unsupported,
    }
}

/// As in the log.
pub(super) fn label(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
    }
}

fn remedy(failure: &ProgramFailure) -> &'static str {
    match failure.os_error() {
        Some(libc::EBUSY | libc::EEXIST) => {
            ": another XDP program is attached; detach it (ip link set dev DEVICE xdp off)"
        }
        Some(libc::EPERM) => ": CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON are needed",
        _ => "",
    }
}

fn of_aya(mode: XdpMode) -> aya::programs::XdpMode {
    match mode {
        XdpMode::Native => aya::programs::XdpMode::Driver,
        XdpMode::Generic => aya::programs::XdpMode::Skb,
    }
}
