//! `sbc check --firewall`: the nftables rules that are left to write.
//!
//! One table of our own, replaced at once. It guards the networks' addresses and says nothing about any other.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use ipnet::IpNet;

use sbc::config::{Bind, Config, Network, NetworkId, Trunk};
use sbc::io::fast_path::{Foreseen, foresee};
use sbc::media::{NetworkPath, XdpMode};
use sbc::sip::Transport;

use super::servers::Looked;

/// Where comments are broken, in characters.
const WIDTH: usize = 100;

/// What the rules are made from.
pub(super) struct Firewall<'a> {
    config: &'a Config,
    /// Where DNS says that trunks are.
    looked: &'a Looked,
    /// The file, or that there is none.
    origin: String,
    foreseen: Foreseen,
}

impl<'a> Firewall<'a> {
    /// For this host.
    pub(super) fn of_host(config: &'a Config, looked: &'a Looked, origin: String) -> Self {
        Firewall {
            config,
            looked,
            origin,
            foreseen: foresee(config),
        }
    }

    /// Networks that other hosts can reach, with how their media goes and the name of their chain.
    fn guarded(&self) -> impl Iterator<Item = Guarded<'_>> {
        let all = self.config.networks.iter().zip(&self.foreseen.paths);
        all.filter(|(network, _)| !network.addresses.iter().all(IpAddr::is_loopback))
            .map(|(network, &(id, path))| Guarded {
                network,
                id,
                path,
                chain: format!("network_{}_{}", id.0, plain(&network.name)),
            })
    }
}

struct Guarded<'a> {
    network: &'a Network,
    id: NetworkId,
    path: NetworkPath,
    chain: String,
}

impl fmt::Display for Firewall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        if self.guarded().next().is_none() {
            return comment(
                f,
                0,
                "Every network is on loopback, which no other host reaches: there is nothing to write.",
            );
        }
        f.write_str("table inet sbc\ndelete table inet sbc\n\ntable inet sbc {\n")?;
        self.input(f)?;
        self.common(f)?;
        for guarded in self.guarded() {
            f.write_str("\n")?;
            self.network(f, &guarded)?;
        }
        f.write_str("}\n")
    }
}

impl Firewall<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.config.sbc.name;
        comment(
            f,
            0,
            &format!("nftables rules for sbc `{name}`, from {}.", self.origin),
        )?;
        comment(
            f,
            0,
            "To load them: sbc check --firewall --config FILE | nft -f -   Only the table `inet sbc` is replaced, all at once. \
             To be rid of them: nft delete table inet sbc",
        )?;
        comment(
            f,
            0,
            "Print them again when the config, the addresses of this host or the way of its media have changed.",
        )?;
        let is_named = |trunk: &&Trunk| {
            trunk.accepts_server && trunk.server.name().is_some() || !trunk.accept_names.is_empty()
        };
        let named: Vec<&str> = self
            .config
            .trunks
            .iter()
            .filter(is_named)
            .map(|trunk| trunk.name.as_str())
            .collect();
        if !named.is_empty() {
            let text = format!(
                "Where {} may call from is what DNS said when this was printed: print it again when that has changed, or name prefixes \
                 in `accept_from`.",
                named.join(", ")
            );
            comment(f, 0, &text)?;
        }
        f.write_str("#\n")?;
        let untried = &self.foreseen.untried;
        let how = match untried.is_empty() {
            true => "How media goes was found out on this host, as the daemon does when it starts."
                .to_owned(),
            false => format!(
                "How media goes is what the config wants: whether this kernel can was not tried, which needs {}.",
                untried.join(", ")
            ),
        };
        comment(f, 0, &how)
    }

    /// Which packets this is about.
    fn input(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("    chain input {\n")?;
        f.write_str("        type filter hook input priority filter; policy accept;\n")?;
        comment(
            f,
            8,
            "Other addresses of this host, broadcast and multicast are not ours to decide on: hence `policy accept`.",
        )?;
        f.write_str("        iifname \"lo\" accept\n")?;
        for guarded in self.guarded() {
            for rule in matching(guarded.network) {
                writeln!(f, "        {rule} jump guarded")?;
            }
        }
        f.write_str("    }\n\n")
    }

    /// What holds for all networks.
    fn common(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("    chain guarded {\n")?;
        f.write_str("        ct state established,related accept\n")?;
        comment(
            f,
            8,
            "Without fragmentation-needed and packet-too-big large messages vanish; without neighbour discovery all of IPv6.",
        )?;
        f.write_str(
            "        icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept\n",
        )?;
        f.write_str(
            "        icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request } accept\n",
        )?;
        f.write_str(
            "        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } ip6 hoplimit 255 accept\n",
        )?;
        comment(
            f,
            8,
            "Answers of a DHCPv6 server: they do not come from the address that was asked.",
        )?;
        f.write_str("        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n")?;
        comment(
            f,
            8,
            "ssh, so that loading this locks nobody out: narrow it to where you administer this host from.",
        )?;
        f.write_str("        tcp dport 22 accept\n")?;
        self.admin(f)?;
        f.write_str("\n")?;
        for guarded in self.guarded() {
            for rule in matching(guarded.network) {
                writeln!(f, "        {rule} jump {}", guarded.chain)?;
            }
        }
        comment(
            f,
            8,
            "All else to these addresses, other services of this host included: name them above if there are any.",
        )?;
        f.write_str("        counter drop\n    }\n")
    }

    /// Metrics, health and API.
    fn admin(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(admin) = self.config.sbc.admin.tcp() else {
            let text = "Management: a Unix socket, which needs no rule.";
            return comment(f, 8, text);
        };
        let ip = admin.ip();
        if ip.is_loopback() {
            let text = format!("Management: {admin} is loopback, and needs no rule.");
            return comment(f, 8, &text);
        }
        let guarded = self.guarded().any(|g| g.network.addresses.contains(&ip));
        if !(guarded || ip.is_unspecified()) {
            let text = format!(
                "Management: {admin} is an address of no network, so that this table leaves it open. Metrics and API are there, for whoever has `admin_token`."
            );
            return comment(f, 8, &text);
        }
        comment(
            f,
            8,
            &format!(
                "Management: {admin} has metrics and API, for whoever has `admin_token`, and is closed to other hosts. For a Prometheus \
                 elsewhere, put its address in place of the example and take the # away:"
            ),
        )?;
        let (family, example) = match ip {
            IpAddr::V4(_) => ("ip", "192.0.2.10"),
            IpAddr::V6(_) => ("ip6", "2001:db8::10"),
        };
        writeln!(
            f,
            "        # {family} saddr {example} tcp dport {} accept",
            admin.port()
        )
    }

    fn network(&self, f: &mut fmt::Formatter<'_>, guarded: &Guarded<'_>) -> fmt::Result {
        let Guarded {
            network,
            path,
            chain,
            ..
        } = guarded;
        writeln!(f, "    chain {chain} {{")?;
        if let Bind::Interface(name) = &network.bind {
            let text = format!("{}: all addresses of {name}.", network.name);
            comment(f, 8, &text)?;
        }
        let sources = self.trunk_sources(guarded.id);
        self.sip(f, network, &sources)?;
        self.media(f, network, *path, &sources)?;
        f.write_str("    }\n")
    }

    fn sip(&self, f: &mut fmt::Formatter<'_>, network: &Network, sources: &[IpNet]) -> fmt::Result {
        let name = &network.name;
        // An account may register from any network.
        let trunks_only = self.config.phones.is_empty();
        match (trunks_only, sources.is_empty()) {
            (true, true) => {
                return comment(
                    f,
                    8,
                    &format!("SIP: {name} has neither trunks nor phones: nobody may."),
                );
            }
            (true, false) => comment(
                f,
                8,
                &format!("SIP: the trunks of {name}, and nobody else."),
            )?,
            (false, true) => comment(f, 8, "SIP: phones register from anywhere.")?,
            (false, false) => {
                let text = format!(
                    "SIP: phones register from anywhere. If none are on {name}, put in front of these rules, for its trunks: {}",
                    listed(sources).join(" and ")
                );
                comment(f, 8, &text)?;
            }
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            let listeners = network.sip.iter().filter(|l| l.transport == transport);
            let mut ports: Vec<u16> = listeners.map(|listener| listener.port).collect();
            ports.sort_unstable();
            ports.dedup();
            if ports.is_empty() {
                continue;
            }
            let ports = set(&ports);
            match trunks_only {
                false => writeln!(f, "        {transport} dport {ports} accept")?,
                true => {
                    for from in listed(sources) {
                        writeln!(f, "        {from} {transport} dport {ports} accept")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn media(
        &self,
        f: &mut fmt::Formatter<'_>,
        network: &Network,
        path: NetworkPath,
        sources: &[IpNet],
    ) -> fmt::Result {
        let (first, last) = (network.media_ports.start(), network.media_ports.end());
        let text = match path {
            NetworkPath::Kernel { mode } => {
                let mode = match mode {
                    XdpMode::Native => "native",
                    XdpMode::Generic => "generic",
                };
                format!(
                    "Media: the kernel program ({mode} mode) drops what belongs to no flow before any rule sees it, and forwards the \
                     rest itself. What is left to accept here it has let through, for calls that user space carries."
                )
            }
            NetworkPath::User(reason) => format!(
                "Media goes through user space: {}. Nothing but these rules guards the ports of no call; a call's own take packets \
                 from its peers only.",
                reason.words()
            ),
        };
        comment(f, 8, &text)?;
        if let (NetworkPath::User(_), true, false) =
            (path, self.config.phones.is_empty(), sources.is_empty())
        {
            let text = format!(
                "Carriers send media from other addresses than signalling. If none of {} does, put in front of the next rule: {}",
                network.name,
                listed(sources).join(" and ")
            );
            comment(f, 8, &text)?;
        }
        writeln!(f, "        udp dport {first}-{last} accept")
    }

    /// Where the trunks of a network call from; what lies within another is left out.
    fn trunk_sources(&self, network: NetworkId) -> Vec<IpNet> {
        let trunks = self.config.trunks.iter();
        let sources: Vec<IpNet> = trunks
            .filter(|trunk| trunk.network == network)
            .flat_map(|trunk| trunk.accept_from.iter().map(IpNet::trunc))
            .chain(self.looked.sources(self.config, network).map(IpNet::from))
            .collect();
        IpNet::aggregate(&sources)
    }
}

/// What is for a network: its addresses; if they are an interface's and may change, also whatever is for this host there.
fn matching(network: &Network) -> Vec<String> {
    let mut rules = Vec::new();
    let (v4, v6): (Vec<&IpAddr>, Vec<&IpAddr>) =
        network.addresses.iter().partition(|ip| ip.is_ipv4());
    for (family, addresses) in [("ip", v4), ("ip6", v6)] {
        if !addresses.is_empty() {
            rules.push(format!("{family} daddr {}", set(&addresses)));
        }
    }
    if let Bind::Interface(name) = &network.bind {
        rules.push(format!("iifname \"{}\" meta pkttype host", quoted(name)));
    }
    rules
}

/// `ip saddr { … }` and `ip6 saddr { … }`, those that are needed.
fn listed(sources: &[IpNet]) -> Vec<String> {
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
        sources.iter().partition(|net| matches!(net, IpNet::V4(_)));
    let text = |net: &IpNet| match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    };
    let [v4, v6]: [Vec<String>; 2] = [v4, v6].map(|nets| nets.iter().map(text).collect());
    let mut rules = Vec::new();
    if !v4.is_empty() {
        rules.push(format!("ip saddr {}", set(&v4)));
    }
    if !v6.is_empty() {
        rules.push(format!("ip6 saddr {}", set(&v6)));
    }
    rules
}

/// `5060`, or `{ 5060, 5070 }`.
fn set<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    match items.as_slice() {
        [one] => one.clone(),
        all => format!("{{ {} }}", all.join(", ")),
    }
}

/// As a part of a chain's name.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(plain).collect()
}

/// Within quotes.
fn quoted(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control() && *c != '"')
        .collect()
}

/// A comment in lines. Whatever is in the text, it stays one.
fn comment(f: &mut fmt::Formatter<'_>, indent: usize, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !line.is_empty() && indent + 2 + line.chars().count() + 1 + word.chars().count() > WIDTH
        {
            writeln!(f, "{:indent$}# {line}", "")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let _ = line.write_str(word);
    }
    writeln!(f, "{:indent$}# {line}", "")
}

#[cfg(test)]
mod tests;
