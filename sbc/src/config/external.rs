//! `local`, `external` and `stun` of a network: which address its peers are shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::check::At;
use super::error::{Conflict, Fault, Report, nearest, shown};
use super::model::{Config, Network};
use super::reader::{Section, Text};
use super::values::{self, Expected};
use crate::sip::Transport;

/// The port of STUN (RFC 8489 18.6).
const STUN_PORT: u16 = 3478;

/// What is inside where `external` is given and `local` is not: RFC 1918, RFC 4193, link-local, loopback.
const INSIDE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

/// `external` of a network: where what peers outside `local` are shown comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum External {
    /// `external = "203.0.113.8"`.
    Fixed,
    /// `external = "auto"`: it is found, and followed when it changes.
    Auto {
        /// `stun`; without it the network's trunks tell, by `received` in what they answer.
        stun: Option<StunServer>,
    },
}

/// `stun = "stun.example:3478"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunServer {
    /// An address or a host name.
    pub host: String,
    /// Default 3478.
    pub port: u16,
}

/// The addresses that peers outside `local` are shown; where there is none of a family, our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Of IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Of IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Outside {
    /// That of a family.
    #[must_use]
    pub fn of(&self, is_ipv4: bool) -> Option<IpAddr> {
        match is_ipv4 {
            true => self.v4.map(IpAddr::V4),
            false => self.v6.map(IpAddr::V6),
        }
    }

    /// From now on this one of its family.
    pub fn set(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.v4 = Some(v4),
            IpAddr::V6(v6) => self.v6 = Some(v6),
        }
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [self.of(true), self.of(false)].into_iter().flatten()
    }
}

impl Network {
    /// Whether a peer is elsewhere than in `local`: he is shown `external`. Peers on this host, and on
    /// a link of ours (the /64 of an IPv6 address), never are.
    #[must_use]
    pub fn is_outside(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.external.is_some()
            && !peer.is_loopback()
            && !self.local.iter().any(|net| net.contains(&peer))
            && !self.addresses.iter().any(|own| is_on_link(*own, peer))
    }

    /// The address that `peer` is shown where ours is `own`: in SIP and in SDP.
    #[must_use]
    pub fn shows(&self, own: IpAddr, peer: IpAddr) -> IpAddr {
        match self.outside.of(own.is_ipv4()) {
            Some(external) if self.is_outside(peer) => external,
            _ => own,
        }
    }

    /// Whether it is one that peers know us by.
    #[must_use]
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address) || self.outside.iter().any(|one| one == address)
    }

    /// Whether a peer would be shown an address that he cannot reach: a private one on the internet.
    #[must_use]
    pub fn misleads(&self, own: IpAddr, peer: IpAddr) -> bool {
        is_public(peer.to_canonical()) && !is_public(self.shows(own, peer))
    }
}

/// Whether an address can be one on the internet: none of RFC 1918, RFC 6598, RFC 4193, loopback, link-local, multicast or
/// unspecified. Those of examples (RFC 5737, RFC 3849) can.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private()
                || is_shared
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            !(v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast())
        }
    }
}

fn is_on_link(own: IpAddr, peer: IpAddr) -> bool {
    match (own, peer) {
        (IpAddr::V6(own), IpAddr::V6(peer)) => own.segments()[..4] == peer.segments()[..4],
        _ => own == peer,
    }
}

/// What the three keys come to.
pub(super) struct Faces {
    pub(super) local: Vec<IpNet>,
    pub(super) external: Option<External>,
    pub(super) outside: Outside,
}

/// Reads the three keys. None where one is wrong, which is reported.
pub(super) fn read(network: &Section<'_, '_>, report: &mut Report) -> Option<Faces> {
    let given = network.optional("local");
    let local = given
        .as_ref()
        .map(|value| value.texts("prefix", report))
        .map(|texts| {
            let texts = texts?;
            let nets = values::each(&texts, report, values::prefix);
            (nets.len() == texts.len()).then_some(nets)
        });
    let texts = network.texts("external", "address", report);
    let stun = network.text("stun", report);
    let is_auto = texts
        .as_ref()
        .is_some_and(|texts| texts.iter().any(|text| text.text == "auto"));
    let stun = stun.map(|text| {
        if !is_auto {
            let fault = Fault::Value {
                key: text.key,
                found: shown(text.text),
                expected: "no `stun` unless `external` is \"auto\"".to_owned(),
            };
            let help = "write `external = \"auto\"` to have the address found there";
            report.add_with(text.at.clone(), fault, Some(help.to_owned()));
        }
        values::one(&text, report, stun_server)
    });
    let (external, outside) = match texts {
        None if network.optional("external").is_some() => return None,
        None => (None, Outside::default()),
        Some(texts) if is_auto => {
            if let Some(more) = texts.iter().find(|text| text.text != "auto") {
                let fault = Fault::Value {
                    key: more.key,
                    found: shown(more.text),
                    expected: "\"auto\" alone, or addresses alone".to_owned(),
                };
                report.add(more.at.clone(), fault);
                return None;
            }
            let stun = match stun {
                Some(stun) => Some(stun?),
                None => None,
            };
            (Some(External::Auto { stun }), Outside::default())
        }
        Some(texts) => (Some(External::Fixed), fixed(&texts, report)?),
    };
    let inside = || INSIDE.iter().filter_map(|net| net.parse().ok()).collect();
    let is_given = local.is_some();
    let local: Vec<IpNet> = match local {
        Some(local) => local?,
        None if external.is_some() => inside(),
        None => Vec::new(),
    };
    let among = outside
        .iter()
        .find_map(|ip| Some((ip, local.iter().find(|net| net.contains(&ip))?)));
    if let (Some((address, net)), Some(value)) = (among, network.optional("external")) {
        let fault = Fault::Value {
            key: "external",
            found: address.to_string(),
            expected: format!("an address outside `local`, which has {net}"),
        };
        let help = match is_given {
            true => "peers in `local` see our own address, all others `external`".to_owned(),
            false => format!(
                "name those who reach our own address: without `local` all private addresses are inside, such as {address}"
            ),
        };
        report.add_with(value.at, fault, Some(help));
        return None;
    }
    Some(Faces {
        local,
        external,
        outside,
    })
}

/// At most one of each family.
fn fixed(texts: &[Text<'_>], report: &mut Report) -> Option<Outside> {
    let mut outside = Outside::default();
    let mut is_right = true;
    for text in texts {
        let Some(address) = values::one(text, report, address) else {
            is_right = false;
            continue;
        };
        if outside.of(address.is_ipv4()).is_some() {
            let fault = Fault::Value {
                key: text.key,
                found: shown(text.text),
                expected: "at most one address of IPv4 and one of IPv6".to_owned(),
            };
            report.add(text.at.clone(), fault);
            is_right = false;
        }
        outside.set(address);
    }
    is_right.then_some(outside)
}

fn address(text: &str) -> Result<IpAddr, Expected> {
    const SHAPE: &str = "an address, or \"auto\"";
    let wrong = |help: Option<String>| {
        Err(Expected {
            expected: SHAPE.to_owned(),
            help,
        })
    };
    let Ok(ip) = text.parse::<IpAddr>() else {
        let with_port = text.rsplit_once(':').map(|(host, _)| host);
        let with_port = with_port.filter(|host| host.parse::<Ipv4Addr>().is_ok());
        return wrong(match with_port {
            Some(host) => Some(format!(
                "write `{host}`: ports are the same outside, which the router has to forward as they are"
            )),
            None if text.contains('.') => Some(
                "a host name may change at any time: `external = \"auto\"` finds the address and follows it".to_owned(),
            ),
            None => nearest(text, ["auto"]).map(|near| format!("did you mean `{near}`?")),
        });
    };
    let is_unusable = match ip {
        _ if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() => true,
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match ip {
        _ if ip.to_canonical() != ip => wrong(Some(format!("write `{}`", ip.to_canonical()))),
        _ if is_unusable => wrong(Some("others have to reach it".to_owned())),
        ip => Ok(ip),
    }
}

fn stun_server(text: &str) -> Result<StunServer, Expected> {
    let wrong = || {
        Err(Expected {
            expected: "a host or address, perhaps with `:PORT`, such as `stun.example:3478`"
                .to_owned(),
            help: None,
        })
    };
    let text = text.strip_prefix("stun:").unwrap_or(text);
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port.strip_prefix(':')),
        Some(_) => return wrong(),
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |host: &str| {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        host.len() <= 253 && host.split('.').all(is_label)
    };
    let port = match port.map(str::parse::<u16>) {
        None => STUN_PORT,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return wrong(),
    };
    if host.parse::<IpAddr>().is_err() && !is_name(host) {
        return wrong();
    }
    Ok(StunServer {
        host: host.to_owned(),
        port,
    })
}

/// What cannot be, as against the rest of the config.
pub(super) fn conflicts(config: &Config) -> Vec<(At, Conflict)> {
    let mut found = Vec::new();
    for (index, network) in config.networks.iter().enumerate() {
        let at = At::External(index);
        let name = || network.name.clone();
        match &network.external {
            None => {}
            Some(External::Fixed) => {
                for ip in network.outside.iter() {
                    let has = |own: &IpAddr| own.is_ipv4() == ip.is_ipv4();
                    if !network.addresses.is_empty() && !network.addresses.iter().any(has) {
                        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
                        let network = name();
                        found.push((at, Conflict::ExternalFamily { family, network }));
                    }
                }
            }
            Some(External::Auto { stun }) => {
                let has_udp = network.sip.iter().any(|l| l.transport == Transport::Udp);
                let is_there = |trunk: &super::Trunk| usize::from(trunk.network.0) == index;
                if stun.is_some() && !has_udp {
                    found.push((at, Conflict::StunOverUdp { network: name() }));
                }
                if stun.is_none() && !config.trunks.iter().any(is_there) {
                    found.push((at, Conflict::NobodyTells { network: name() }));
                }
            }
        }
    }
    found
}

/// Trunks on the internet that would be told an address which they cannot reach, and what to do about it; a sentence each.
#[must_use]
pub fn misled(config: &Config) -> Vec<String> {
    let each = config.trunks.iter().filter_map(|trunk| {
        let network = config.network(trunk.network);
        let server = trunk.server.fixed()?.0.ip();
        let mut owns = network.addresses.iter();
        let own = owns.find(|own| own.is_ipv4() == server.is_ipv4())?;
        let is_found = matches!(network.external, Some(External::Auto { .. }));
        (!is_found && network.misleads(*own, server)).then(|| {
            format!(
                "trunk:{} is on the internet and sees {}, which it cannot reach: set `external` in [network.{}]",
                trunk.name,
                network.shows(*own, server),
                network.name
            )
        })
    });
    each.collect()
}

/// Who sees what, in sentences; nothing where there is nothing to say.
pub(super) fn told(config: &Config) -> Vec<String> {
    let mut lines: Vec<String> = config.networks.iter().flat_map(seen).collect();
    if !config.phones.is_empty() {
        lines.extend(config.networks.iter().filter_map(open_to_phones));
    }
    let notes = misled(config).into_iter();
    lines.extend(notes.map(|note| format!("  Note: {note}.")));
    lines
}

fn seen(network: &Network) -> Vec<String> {
    let name = &network.name;
    let Some(external) = &network.external else {
        return Vec::new();
    };
    let nets: Vec<String> = match is_usual(&network.local) {
        true => vec!["private and link-local addresses".to_owned()],
        false => network.local.iter().map(ToString::to_string).collect(),
    };
    let all = |ips: &mut dyn Iterator<Item = IpAddr>| {
        let texts: Vec<String> = ips.map(|ip| ip.to_string()).collect();
        texts.join(" and ")
    };
    let own = match network.addresses.is_empty() {
        true => "our own address".to_owned(),
        false => all(&mut network.addresses.iter().copied()),
    };
    let others = match external {
        External::Fixed => all(&mut network.outside.iter()),
        External::Auto { stun: Some(stun) } => {
            format!(
                "the address that {}:{} sees us at, followed when it changes",
                stun.host, stun.port
            )
        }
        External::Auto { stun: None } => {
            "the address that its trunks see us at, followed when it changes".to_owned()
        }
    };
    let mut lines = vec![format!(
        "  Peers of network:{name} at {} see {own}; all others see {others}.",
        nets.join(", ")
    )];
    for ip in network.outside.iter().filter(|ip| !is_public(*ip)) {
        lines.push(format!(
            "  Note: {ip} is no address of the internet: who is there cannot reach it."
        ));
    }
    lines
}

/// What a phone on the internet would be told that it cannot reach.
fn open_to_phones(network: &Network) -> Option<String> {
    let is_private = |own: &&IpAddr| !is_public(**own) && !own.is_loopback();
    let own = network.addresses.iter().find(is_private)?;
    network.external.is_none().then(|| {
        format!(
            "  A phone of network:{} on the internet would see {own}, which it cannot reach: set `external`.",
            network.name
        )
    })
}

fn is_usual(local: &[IpNet]) -> bool {
    let usual: Vec<IpNet> = INSIDE.iter().filter_map(|net| net.parse().ok()).collect();
    local == usual
}
