//! Checks of one part of a config against another. Run when the file has been read, and again when interfaces have addresses.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::error::{Conflict, Fault, Report};
use super::external;
use super::model::{Bind, Config, Network};
use super::parse::Places;
use crate::sip::Transport;

/// The key that a conflict is told at.
#[derive(Clone, Copy)]
pub(super) enum At {
    Admin,
    Sip(usize),
    MediaPorts(usize),
    Server(usize),
    External(usize),
}

/// Reports what cannot be together.
pub(super) fn parts(config: &Config, places: &Places, report: &mut Report) {
    for (at, conflict) in conflicts(config) {
        let network = |index: usize| places.networks.get(index);
        let span = match at {
            At::Admin => Some(places.admin.clone()),
            At::Sip(index) => network(index).map(|place| place.sip.clone()),
            At::MediaPorts(index) => network(index).map(|place| place.media_ports.clone()),
            At::External(index) => network(index).map(|place| place.external.clone()),
            At::Server(index) => places.servers.get(index).cloned(),
        };
        let help = conflict.remedy();
        report.add_with(
            span.unwrap_or(0..0),
            Fault::Conflict(conflict),
            Some(help.to_owned()),
        );
    }
}

/// What cannot be together, as far as the addresses are known.
pub(super) fn conflicts(config: &Config) -> Vec<(At, Conflict)> {
    let mut found = external::conflicts(config);
    if config.sbc.admin.is_wide() && config.sbc.admin_token.is_none() {
        let admin = config.sbc.admin.to_string();
        found.push((At::Admin, Conflict::OpenAdmin { admin }));
    }
    for (index, network) in config.networks.iter().enumerate() {
        for other in &config.networks[..index] {
            if let Some(place) = shared(network, other) {
                between(index, network, other, &place, &mut found);
            }
        }
        for owner in &config.networks {
            if std::ptr::eq(owner, network) || shared(network, owner).is_some() {
                among_media(index, network, owner, &mut found);
            }
        }
        if config.sbc.admin.tcp().is_some_and(|at| takes(network, at)) {
            let conflict = Conflict::Admin {
                admin: config.sbc.admin.to_string(),
                network: network.name.clone(),
            };
            found.push((At::Admin, conflict));
        }
    }
    for (index, trunk) in config.trunks.iter().enumerate() {
        let network = config.network(trunk.network);
        let family = |ip: IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let at = At::Server(index);
        // What a name leads to is known later; its transport, where the file says one, is known now.
        let fixed = trunk.server.fixed();
        let transport = fixed.map_or(trunk.server.transport, |(_, transport)| Some(transport));
        if let Some(wanted) = fixed.map(|(address, _)| family(address.ip()))
            && !network.addresses.is_empty()
            && !network.addresses.iter().any(|ip| family(*ip) == wanted)
        {
            let conflict = Conflict::Family {
                family: wanted,
                network: network.name.clone(),
            };
            found.push((at, conflict));
        }
        if let Some(transport) = transport
            && !network.sip.iter().any(|l| l.transport == transport)
        {
            let conflict = Conflict::Transport {
                transport: transport.name(),
                network: network.name.clone(),
            };
            found.push((at, conflict));
        }
        let Some((server, transport)) = fixed else {
            continue;
        };
        let ourselves = config.networks.iter().find(|network| {
            network.addresses.contains(&server.ip())
                && network
                    .sip
                    .iter()
                    .any(|l| l.transport == transport && l.port == server.port())
        });
        if let Some(ourselves) = ourselves {
            let conflict = Conflict::Ourselves {
                server: server.to_string(),
                network: ourselves.name.clone(),
            };
            found.push((at, conflict));
        }
    }
    found
}

/// Two networks at one place.
fn between(
    index: usize,
    network: &Network,
    other: &Network,
    place: &str,
    found: &mut Vec<(At, Conflict)>,
) {
    if let Some(listener) = network.sip.iter().find(|l| other.sip.contains(l)) {
        let conflict = Conflict::Listener {
            first: other.name.clone(),
            second: network.name.clone(),
            listener: listener.to_string(),
            place: place.to_owned(),
        };
        found.push((At::Sip(index), conflict));
    }
    let (ours, theirs) = (&network.media_ports, &other.media_ports);
    if ours.start() <= theirs.end() && theirs.start() <= ours.end() {
        let conflict = Conflict::MediaPorts {
            first: other.name.clone(),
            second: network.name.clone(),
            place: place.to_owned(),
            ours: range(ours),
            theirs: range(theirs),
        };
        found.push((At::MediaPorts(index), conflict));
    }
}

fn among_media(index: usize, network: &Network, owner: &Network, found: &mut Vec<(At, Conflict)>) {
    let among = network.sip.iter().find(|listener| {
        listener.transport == Transport::Udp && owner.media_ports.contains(&listener.port)
    });
    if let Some(listener) = among {
        let conflict = Conflict::SipAmongMedia {
            network: network.name.clone(),
            listener: listener.to_string(),
            range: range(&owner.media_ports),
            owner: owner.name.clone(),
        };
        found.push((At::Sip(index), conflict));
    }
}

/// An address, or an interface, that both networks have.
fn shared(one: &Network, other: &Network) -> Option<String> {
    if let Some(ip) = one.addresses.iter().find(|ip| other.addresses.contains(ip)) {
        return Some(ip.to_string());
    }
    match (&one.bind, &other.bind) {
        (Bind::Interface(a), Bind::Interface(b)) if a == b => Some(a.clone()),
        _ => None,
    }
}

/// Whether a network listens for SIP over TCP at the admin address.
fn takes(network: &Network, admin: SocketAddr) -> bool {
    let ip = admin.ip();
    (ip.is_unspecified() || network.addresses.contains(&ip))
        && network
            .sip
            .iter()
            .any(|l| l.transport == Transport::Tcp && l.port == admin.port())
}

/// As in the file.
pub(super) fn range(ports: &RangeInclusive<u16>) -> String {
    format!("{}-{}", ports.start(), ports.end())
}

impl Conflict {
    /// What to change.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Conflict::Listener { .. } => "give one of them another port in `sip`",
            Conflict::MediaPorts { .. } => "give each its own range in `media_ports`",
            Conflict::SipAmongMedia { .. } => {
                "in the media range only media comes through: move the port or the range"
            }
            Conflict::Admin { .. } => "give `admin` another port",
            Conflict::OpenAdmin { .. } => {
                "add `admin_token = { file = \"/etc/sbc/admin.token\" }`, which they have to know, or take `127.0.0.1:9960`"
            }
            Conflict::Family { .. } => "add an address of that family to the network",
            Conflict::Transport { .. } => {
                "add a listener of that transport to `sip` of the network"
            }
            Conflict::ExternalFamily { .. } => "add an address of that family to the network",
            Conflict::StunOverUdp { .. } => "add `udp:5060` to `sip` of the network",
            Conflict::NobodyTells { .. } => {
                "name a STUN server in `stun`, such as `stun.example:3478`"
            }
            Conflict::Ourselves { .. } => "`server` is the other side's address",
        }
    }
}
