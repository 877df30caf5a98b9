//! Which interfaces a network lives on, and attaching to them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use aya::programs::links::FdLink;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use super::link::Link;
use super::netlink::{Drivers, Netlink};
use super::pins::{Pin, Pins};
use super::program::{Program, ProgramFailure};
use crate::config::FastPath as Wanted;
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
    /// Frames may pass.
    pub(super) is_up: bool,
    /// How it got there, for the log.
    pub(super) by: Way,
    _link: FdLink,
    _pin: Option<Pin>,
}

/// How the program got onto an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// For as long as this process lives.
    Plain,
    /// It stays when this process dies.
    Pinned,
    /// Likewise, in the place of the program of a process that died.
    TakenOver,
}

impl Way {
    /// As in the log.
    pub(super) fn label(self) -> &'static str {
        match self {
            Way::Plain => "",
            Way::Pinned => ", pinned",
            Way::TakenOver => ", in the place of the one that an earlier daemon left",
        }
    }
}

/// Where an address of ours is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On an interface that XDP can be attached to; of a VLAN, the one that carries it.
    Ethernet(u32, Link),
    /// On an interface without Ethernet, of this name.
    Other(String),
    /// On none.
    Missing,
}

impl Interfaces {
    pub(super) fn read() -> io::Result<Interfaces> {
        Ok(Interfaces {
            by_address: by_address()?,
            netlink: Netlink::new()?,
        })
    }

    /// Looks again which addresses there are.
    pub(super) fn reread(&mut self) -> io::Result<()> {
        self.by_address = by_address()?;
        Ok(())
    }

    /// An interface as it is now; none if it is gone.
    pub(super) fn link(&mut self, index: u32) -> Option<Link> {
        self.netlink.link(index).ok().flatten()
    }

    /// Where an address is.
    pub(super) fn place(&mut self, ip: IpAddr) -> Place {
        let Some(&index) = self.by_address.get(&ip) else {
            return Place::Missing;
        };
        let Some(link) = self.link(index) else {
            return Place::Missing;
        };
        let name = link.name.clone();
        let carrier = match link.vlan {
            // A VLAN in a VLAN has two tags: the program sees one.
            Some(vlan) => self
                .link(vlan.lower)
                .filter(|lower| lower.vlan.is_none())
                .map(|lower| (vlan.lower, lower)),
            None => Some((index, link)),
        };
        match carrier {
            Some((index, link)) if !ip.is_loopback() && link.mac.is_some() => {
                Place::Ethernet(index, link)
            }
            _ => Place::Other(name),
        }
    }
}

fn by_address() -> io::Result<BTreeMap<IpAddr, u32>> {
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
    Ok(by_address)
}

/// Why native mode is out of the question, if it is. A frame goes from driver to driver there, and one that does not take it loses it in
/// silence: all interfaces have to, whichever of them the program is attached to.
pub(super) fn no_native<'a>(
    links: impl IntoIterator<Item = (&'a u32, &'a Link)>,
) -> Option<String> {
    let drivers = Drivers::open()?;
    let lacking = |(index, _): &(&u32, &Link)| drivers.take_redirects(**index) == Some(false);
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

/// Attaches in the mode that is wanted, if it can be in the place of what an earlier daemon left. What happened on the way is in `notes`, a line each.
pub(super) fn attach(
    program: &mut Program,
    mut pins: Option<&mut Pins>,
    (index, link): (u32, &Link),
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
    let attached = |mode, by, _link, _pin| Attached {
        name: link.name.clone(),
        mode,
        is_up: link.is_up,
        by,
        _link,
        _pin,
    };
    let mut reason = Fallback::Unsupported;
    for &mode in modes {
        if mode == XdpMode::Native && !has_native {
            continue;
        }
        if let Some(pins) = &mut pins {
            if let Some((left, pin)) = pins.take(index, mode)
                && let Ok(link) = program.take_over(left)
            {
                return Ok(attached(mode, Way::TakenOver, link, Some(pin)));
            }
            // A link has its mode for good.
            pins.release(index);
        }
        match hold(program, pins.as_deref(), index, mode, notes) {
            Ok((link, None)) => return Ok(attached(mode, Way::Plain, link, None)),
            Ok((link, pin)) => return Ok(attached(mode, Way::Pinned, link, pin)),
            Err(failure) => {
                reason = fallback(&failure);
                notes.push(format!(
                    "{}: not in {} mode, {failure}{}",
                    link.name,
                    label(mode),
                    remedy(&failure)
                ));
            }
        }
    }
    Err(reason)
}

/// Attaches, and pins what comes of it if that is possible.
fn hold(
    program: &mut Program,
    pins: Option<&Pins>,
    index: u32,
    mode: XdpMode,
    notes: &mut Vec<String>,
) -> Result<(FdLink, Option<Pin>), ProgramFailure> {
    let link = program.attach(index, of_aya(mode))?;
    let Some(pins) = pins else {
        return Ok((link, None));
    };
    match pins.pin(link, index, mode) {
        Ok((link, pin)) => Ok((link, Some(pin))),
        Err(why) => {
            notes.push(format!("media stops when the daemon dies: {why}"));
            Ok((program.attach(index, of_aya(mode))?, None))
        }
    }
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

/// Why the programs are not loaded by one who has the capabilities for it. One line: a verifier's log has hundreds.
pub(super) fn not_loaded(failure: &ProgramFailure) -> String {
    let why = failure.to_string();
    let why = why.lines().next().unwrap_or_default();
    match failure.os_error() {
        Some(libc::EPERM) => format!(
            "bpf is forbidden here, by a seccomp profile (of a container, of systemd's SystemCallFilter) or a security module; allow bpf ({why})"
        ),
        _ => why.to_owned(),
    }
}

fn remedy(failure: &ProgramFailure) -> &'static str {
    match failure.os_error() {
        Some(libc::EBUSY | libc::EEXIST) => {
            ": another XDP program is attached; detach it (ip link set dev DEVICE xdp off), or remove its pin (rm) where it is a daemon's that died"
        }
        Some(libc::EPERM) => ": CAP_NET_ADMIN and CAP_BPF are needed",
        _ => "",
    }
}

fn of_aya(mode: XdpMode) -> aya::programs::XdpMode {
    match mode {
        XdpMode::Native => aya::programs::XdpMode::Driver,
        XdpMode::Generic => aya::programs::XdpMode::Skb,
    }
}
