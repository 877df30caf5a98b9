//! `server` and `accept_from` of a trunk, `resolver` of the box: addresses, and names that DNS knows.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::error::{Report, shown};
use super::host_name::HostName;
use super::reader::{Section, Text};
use super::values::{self, Expected, bracketed, expected, expected_help};
use crate::sip::Transport;

/// Name servers that `resolver` may name.
const MAX_RESOLVERS: usize = 8;
/// Names that `accept_from` may have.
const MAX_NAMES: usize = 16;
/// Of SIP, where none is named.
const SIP_PORT: u16 = 5060;
/// Of DNS.
const DNS_PORT: u16 = 53;

/// `server = "sip:sip.carrier.example:5060;transport=tcp"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Where it is, or what it is called.
    pub host: Host,
    /// As the file has it, 1 to 65535; a name with one has no SRV records (RFC 3263 4.2).
    pub port: Option<u16>,
    /// As the file has it. Without one an address has UDP, and a name what DNS says (RFC 3263 4.1).
    pub transport: Option<Transport>,
}

/// The host of a [`Server`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Needs no DNS.
    Address(IpAddr),
    /// To be looked up (RFC 3263).
    Name(HostName),
}

impl Server {
    /// Where it is, if no DNS is needed to know.
    #[must_use]
    pub fn fixed(&self) -> Option<(SocketAddr, Transport)> {
        match self.host {
            Host::Address(ip) => Some((
                SocketAddr::new(ip, self.port.unwrap_or(SIP_PORT)),
                self.transport.unwrap_or(Transport::Udp),
            )),
            Host::Name(_) => None,
        }
    }

    /// What it is called, if it is called anything.
    #[must_use]
    pub fn name(&self) -> Option<&HostName> {
        match &self.host {
            Host::Address(_) => None,
            Host::Name(name) => Some(name),
        }
    }

    /// `host`, `host:port`: as in a URI.
    #[must_use]
    pub fn host_port(&self) -> String {
        match (&self.host, self.port) {
            (Host::Address(ip), port) => SocketAddr::new(*ip, port.unwrap_or(SIP_PORT)).to_string(),
            (Host::Name(name), Some(port)) => format!("{name}:{port}"),
            (Host::Name(name), None) => name.to_string(),
        }
    }
}

impl fmt::Display for Server {
    /// `udp:10.0.0.10:5060`, `tcp:sip.carrier.example`, `sip.carrier.example`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match &self.host {
            Host::Address(_) => Some(self.transport.unwrap_or(Transport::Udp)),
            Host::Name(_) => self.transport,
        };
        if let Some(transport) = transport {
            write!(f, "{transport}:")?;
        }
        f.write_str(&self.host_port())
    }
}

/// `accept_from`: which sources a trunk is recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) prefixes: Vec<IpNet>,
    pub(super) names: Vec<HostName>,
    /// The file says nothing: those of `server`.
    pub(super) are_usual: bool,
}

/// Reads `accept_from`; where it is not there, the address of the server, if that is one.
pub(super) fn sources(
    section: &Section<'_, '_>,
    server: Option<&Server>,
    report: &mut Report,
) -> Sources {
    let mut sources = Sources::default();
    match section.texts("accept_from", "address, prefix or name", report) {
        Some(texts) => {
            for text in texts {
                read_source(&text, &mut sources, report);
            }
        }
        None => {
            sources.are_usual = true;
            let address = server.and_then(Server::fixed);
            sources
                .prefixes
                .extend(address.map(|(address, _)| IpNet::from(address.ip())));
        }
    }
    sources
}

fn read_source(text: &Text<'_>, sources: &mut Sources, report: &mut Report) {
    // What has a letter beyond those of addresses is meant as a name.
    let is_name =
        !text.text.contains([':', '/']) && text.text.bytes().any(|b| b.is_ascii_alphabetic());
    if !is_name {
        sources
            .prefixes
            .extend(values::one(text, report, values::prefix));
        return;
    }
    let room = MAX_NAMES.saturating_sub(sources.names.len());
    let name = values::one(text, report, |text| match HostName::parse(text) {
        Ok(_) if room == 0 => expected(format!("at most {MAX_NAMES} names")),
        Ok(name) => Ok(name),
        Err(why) => expected_help(
            "an address, a prefix such as `198.51.100.0/24`, or a host name",
            why.to_string(),
        ),
    });
    sources.names.extend(name);
}

/// Reads `resolver` of `[sbc]`; empty: those of the system.
pub(super) fn resolvers(section: &Section<'_, '_>, report: &mut Report) -> Vec<SocketAddr> {
    let Some(texts) = section.texts("resolver", "address", report) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for text in texts {
        let room = MAX_RESOLVERS.saturating_sub(found.len());
        found.extend(values::one(&text, report, |text| match resolver(text) {
            Ok(_) if room == 0 => expected(format!("at most {MAX_RESOLVERS} name servers")),
            other => other,
        }));
    }
    found
}

/// `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`.
fn resolver(text: &str) -> Result<SocketAddr, Expected> {
    const SHAPE: &str = "the address of a name server, perhaps with a port, such as `192.0.2.53` or `[2001:db8::53]:53`";
    let ip = text
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, DNS_PORT));
    let Ok(address) = ip.or_else(|_| text.parse::<SocketAddr>()) else {
        let help = HostName::parse(text)
            .is_ok()
            .then(|| "a name server cannot be named: who would look the name up?".to_owned());
        return expected_help(SHAPE, help);
    };
    let ip = address.ip();
    if address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
        return expected(SHAPE);
    }
    Ok(address)
}

/// `sip:10.0.0.10:5060;transport=tcp`, `sip:sip.carrier.example`.
pub(super) fn server(text: &str) -> Result<Server, Expected> {
    const SHAPE: &str = "`sip:ADDRESS` or `sip:NAME`, perhaps with `:PORT` and `;transport=udp` or `;transport=tcp`";
    let Some((scheme, rest)) = text.split_once(':') else {
        let ip = text.parse::<IpAddr>().ok().map(bracketed);
        let name = HostName::parse(text).ok().map(|name| name.to_string());
        return expected_help(SHAPE, ip.or(name).map(|host| format!("write `sip:{host}`")));
    };
    if scheme.eq_ignore_ascii_case("sips") {
        return expected_help(SHAPE, "`sips` is not supported: write `sip:`".to_owned());
    }
    if !scheme.eq_ignore_ascii_case("sip") {
        let is_host = HostName::parse(scheme).is_ok() && rest.parse::<u16>().is_ok();
        let help = (text.parse::<SocketAddr>().is_ok() || is_host)
            .then(|| format!("write `sip:{}`", shown(text)));
        return expected_help(SHAPE, help);
    }
    let (host_port, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let mut transport = None;
    for parameter in parameters.split(';').filter(|p| !p.is_empty()) {
        match parameter.split_once('=') {
            Some(("transport", value)) => {
                transport = Some(values::transport(&value.to_ascii_lowercase())?);
            }
            _ => return expected("no parameter but `transport`"),
        }
    }
    if host_port.contains('@') {
        return expected("no user part: the number that was dialled goes there");
    }
    let (host, port) = host_and_port(host_port)?;
    Ok(Server {
        host,
        port,
        transport,
    })
}

fn host_and_port(text: &str) -> Result<(Host, Option<u16>), Expected> {
    let (host, port) = match text.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or("none"))),
        None if text.matches(':').count() > 1 => {
            return expected_help(
                "an IPv6 address in brackets",
                format!("such as `sip:[{}]:5060`", shown(text)),
            );
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port.map(str::parse) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return expected("a port from 1 to 65535 after the host"),
    };
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.to_canonical() != ip => expected_help(
            "an IPv4 or IPv6 address",
            format!("write `{}`", ip.to_canonical()),
        ),
        Ok(ip) if ip.is_ipv6() != text.starts_with('[') => {
            expected("brackets around an IPv6 address and no other")
        }
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => expected("the address of one host"),
        Ok(ip) => Ok((Host::Address(ip), port)),
        Err(_) if text.starts_with('[') => expected("an IPv6 address between the brackets"),
        Err(_) => match HostName::parse(host) {
            Ok(name) => Ok((Host::Name(name), port)),
            Err(why) => expected_help(
                "an IPv4 or IPv6 address or a host name after `sip:`",
                why.to_string(),
            ),
        },
    }
}
