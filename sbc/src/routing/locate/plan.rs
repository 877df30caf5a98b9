//! From what DNS says to servers in their order (RFC 3263 4).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use smallvec::SmallVec;

use super::book::{Book, Said};
use super::question::{Kind, Naptr, Question, Records, Srv, Trouble};
use crate::config::{Config, Host, HostName, Network, TrunkId};
use crate::sip::Transport;

/// Of SIP, where nothing says another.
const SIP_PORT: u16 = 5060;
/// Of each answer so many are looked at, the best first.
const MAX_NAPTR: usize = 8;
const MAX_SRV: usize = 16;
const MAX_ADDRESSES: usize = 8;
/// Servers of a trunk.
pub(super) const MAX_PLACES: usize = 32;
/// What may be asked for one trunk.
const MAX_ASKED: usize = 64;

/// Servers of equal priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    pub(super) transport: Transport,
    pub(super) servers: SmallVec<[Choice; 1]>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) weight: u16,
    /// At which port of which addresses, in no order.
    pub(super) addresses: SmallVec<[SocketAddr; 1]>,
}

/// What came out for one trunk.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To be tried in this order.
    pub(super) tiers: Vec<Tier>,
    /// Of `accept_from`.
    pub(super) sources: Vec<IpAddr>,
    /// What it was made from.
    pub(super) questions: Vec<Question>,
    /// Something was never answered yet: addresses of some server, or more than that.
    pub(super) pending: Option<Pending>,
    /// Something could not be answered the last time.
    pub(super) failed: Option<(Question, Trouble)>,
    /// NAPTR records name transports that are not spoken here.
    pub(super) left_out: Option<&'static str>,
    places: usize,
}

/// What is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pending {
    /// Where some of the servers are.
    Addresses,
    /// Which servers there are.
    Servers,
}

/// What came of a question.
enum Asked {
    Records(Records),
    Nothing,
    Failed,
    Pending,
}

/// Looks up what is known, and so has what is not be asked.
pub(super) fn plan(now: Instant, book: &mut Book, config: &Config, id: TrunkId) -> Plan {
    let trunk = config.trunk(id);
    let network = config.network(trunk.network);
    let mut maker = Maker {
        now,
        book,
        id,
        network,
        plan: Plan::default(),
    };
    if let Host::Name(name) = &trunk.server.host {
        maker.server(name, trunk.server.port, trunk.server.transport);
    }
    for name in &trunk.accept_names {
        let addresses = maker.addresses(name);
        maker.plan.sources.extend(addresses);
    }
    maker.plan
}

struct Maker<'a> {
    now: Instant,
    book: &'a mut Book,
    id: TrunkId,
    network: &'a Network,
    plan: Plan,
}

impl Maker<'_> {
    fn server(&mut self, name: &HostName, port: Option<u16>, transport: Option<Transport>) {
        let usual = transport.unwrap_or_else(|| self.usual_transport());
        if port.is_some() {
            // A port is one server's: no SRV, no NAPTR (RFC 3263 4.1, 4.2).
            return self.hosts(name, port, usual);
        }
        if transport.is_none() && self.naptr(name) {
            return;
        }
        let wanted: SmallVec<[Transport; 2]> = match transport {
            Some(transport) => SmallVec::from_slice(&[transport]),
            None => self.spoken(),
        };
        let mut known = true;
        let mut any = false;
        for transport in wanted {
            let Ok(service) = name.service(transport) else {
                continue;
            };
            match self.srv(&service, transport) {
                Some(found) => any |= found,
                None => known = false,
            }
        }
        // Only who is known to have no SRV records is asked for without them.
        if known && !any {
            self.hosts(name, None, usual);
        }
    }

    /// What the network listens on, as the file has it.
    fn spoken(&self) -> SmallVec<[Transport; 2]> {
        let mut spoken = SmallVec::new();
        for listener in &self.network.sip {
            if !spoken.contains(&listener.transport) {
                spoken.push(listener.transport);
            }
        }
        spoken
    }

    fn usual_transport(&self) -> Transport {
        let spoken = self.spoken();
        match spoken.contains(&Transport::Udp) {
            true => Transport::Udp,
            false => spoken.first().copied().unwrap_or(Transport::Udp),
        }
    }

    /// Follows NAPTR records (RFC 3263 4.1); `false` if there are none that help.
    fn naptr(&mut self, name: &HostName) -> bool {
        let records = match self.ask(name, Kind::Naptr) {
            Asked::Records(Records::Naptr(records)) => records,
            Asked::Pending => return true,
            // A name server that knows no NAPTR is no reason not to call.
            Asked::Records(_) | Asked::Nothing | Asked::Failed => return false,
        };
        let spoken = self.spoken();
        let mut ways: Vec<(&Naptr, Transport)> = Vec::new();
        for record in &records {
            match service(record) {
                Ok(transport) if spoken.contains(&transport) => ways.push((record, transport)),
                Ok(_) => self.leave_out("a transport that its network does not listen on"),
                Err(why) => self.leave_out(why),
            }
        }
        ways.sort_by_key(|(record, _)| (record.order, record.preference));
        let mut is_led = false;
        for (record, transport) in ways.into_iter().take(MAX_NAPTR) {
            if let Some(name) = &record.replacement {
                is_led |= self.srv(name, transport) != Some(false);
            }
        }
        is_led
    }

    fn leave_out(&mut self, why: &'static str) {
        self.plan.left_out.get_or_insert(why);
    }

    /// Adds the servers of a service. Whether there are SRV records; `None` if that is not known.
    fn srv(&mut self, service: &HostName, transport: Transport) -> Option<bool> {
        let mut records = match self.ask(service, Kind::Srv) {
            Asked::Records(Records::Srv(records)) => records,
            Asked::Records(_) | Asked::Nothing => return Some(false),
            Asked::Failed | Asked::Pending => return None,
        };
        records.sort_by(|a, b| {
            let key = |r: &Srv| (r.priority, r.weight, r.port, r.target.clone());
            key(a).cmp(&key(b))
        });
        records.truncate(MAX_SRV);
        let mut tier: Option<(u16, Tier)> = None;
        for Srv {
            priority,
            weight,
            port,
            target,
        } in records
        {
            // `.`: decidedly not there. Port 0 is nobody's.
            let (Some(target), 1..) = (target, port) else {
                continue;
            };
            let addresses = self.addresses(&target);
            let Some(choice) = self.choice(weight, addresses, port) else {
                continue;
            };
            match &mut tier {
                Some((known, tier)) if *known == priority => tier.servers.push(choice),
                _ => {
                    self.plan.tiers.extend(tier.take().map(|(_, tier)| tier));
                    let servers = SmallVec::from_iter([choice]);
                    tier = Some((priority, Tier { transport, servers }));
                }
            }
        }
        self.plan.tiers.extend(tier.map(|(_, tier)| tier));
        Some(true)
    }

    /// Adds the addresses of a name as one server.
    fn hosts(&mut self, name: &HostName, port: Option<u16>, transport: Transport) {
        let addresses = self.addresses(name);
        if let Some(choice) = self.choice(0, addresses, port.unwrap_or(SIP_PORT)) {
            let servers = SmallVec::from_iter([choice]);
            self.plan.tiers.push(Tier { transport, servers });
        }
    }

    fn choice(&mut self, weight: u16, addresses: Vec<IpAddr>, port: u16) -> Option<Choice> {
        let room = MAX_PLACES.saturating_sub(self.plan.places);
        let addresses: SmallVec<[SocketAddr; 1]> = addresses
            .into_iter()
            .take(room)
            .map(|ip| SocketAddr::new(ip, port))
            .collect();
        self.plan.places += addresses.len();
        (!addresses.is_empty()).then_some(Choice { weight, addresses })
    }

    /// The addresses of a name, of the families that the network has, that of its first address first (RFC 6724 leaves that to
    /// policy).
    fn addresses(&mut self, name: &HostName) -> Vec<IpAddr> {
        let mut kinds: SmallVec<[Kind; 2]> = SmallVec::new();
        for address in &self.network.addresses {
            let kind = if address.is_ipv4() {
                Kind::A
            } else {
                Kind::Aaaa
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let mut all = Vec::new();
        for kind in kinds {
            if let Asked::Records(Records::Addresses(found)) = self.ask(name, kind) {
                // Servers rotate what they say: that alone is no change.
                let mut usable: Vec<IpAddr> = found.into_iter().filter(is_host).collect();
                usable.sort_unstable();
                usable.dedup();
                usable.truncate(MAX_ADDRESSES);
                all.extend(usable);
            }
        }
        all
    }

    fn ask(&mut self, name: &HostName, kind: Kind) -> Asked {
        let question = Question {
            name: name.clone(),
            kind,
        };
        let is_new = !self.plan.questions.contains(&question);
        if is_new && self.plan.questions.len() >= MAX_ASKED {
            return Asked::Nothing;
        }
        let said = self.book.look_up(self.now, &question, self.id);
        let (asked, trouble) = match said {
            Said::Records(records, trouble) => (Asked::Records(records.clone()), trouble),
            Said::Nothing(trouble) => (Asked::Nothing, trouble),
            Said::Failed(trouble) => (Asked::Failed, Some(trouble)),
            Said::Pending => {
                let pending = match kind {
                    Kind::Naptr | Kind::Srv => Pending::Servers,
                    Kind::A | Kind::Aaaa => Pending::Addresses,
                };
                self.plan.pending = self.plan.pending.max(Some(pending));
                (Asked::Pending, None)
            }
        };
        if let Some(trouble) = trouble {
            let failed = &mut self.plan.failed;
            failed.get_or_insert_with(|| (question.clone(), trouble));
        }
        if is_new {
            self.plan.questions.push(question);
        }
        asked
    }
}

/// Which transport a NAPTR record is for, or why it is not followed.
fn service(record: &Naptr) -> Result<Transport, &'static str> {
    if !record.flags.eq_ignore_ascii_case("s") {
        return Err("a record that leads to no SRV records");
    }
    if record.service.eq_ignore_ascii_case("SIP+D2U") {
        Ok(Transport::Udp)
    } else if record.service.eq_ignore_ascii_case("SIP+D2T") {
        Ok(Transport::Tcp)
    } else if record.service.eq_ignore_ascii_case("SIPS+D2T") {
        Err("TLS, which is not supported")
    } else {
        Err("a service that is not supported")
    }
}

/// Whether one host can have it: whatever else DNS says, nobody is sent there.
fn is_host(ip: &IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast || ip.to_canonical() != *ip)
}
