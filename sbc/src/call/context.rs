//! What a call may look at and draw from while it decides.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::credentials::Remembered;
use crate::config::{Codec, Config, Dtmf, NetworkId, PhoneId, Trunk, TrunkId};
use crate::dialog::Tokens;
use crate::media::{Anchored, Direct, End, Fallback, NetworkPath, Ports, Transcoding};
use crate::registrar::Registrar;
use crate::routing::locate::{Place, Places};
use crate::routing::{Caller, Wall};
use crate::sip::{Message, Name, NameAddr, Transport, Uri};
use crate::transaction::Hop;
use crate::trunks::Trunks;

/// `Server` and `User-Agent` of all that we send.
pub const AGENT: &str = concat!("sbc/", env!("CARGO_PKG_VERSION"));

/// The methods that we take, as in Allow.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, REGISTER, INFO, MESSAGE, REFER, SUBSCRIBE, NOTIFY";

/// The extensions that we take part in, as in Supported: RFC 3262, RFC 4028, RFC 3891, RFC 4488.
pub const SUPPORTED: &str = "100rel, timer, replaces, norefersub";

/// Those without the first: of who takes no reliable provisional answers.
pub(super) const SUPPORTED_UNRELIABLE: &str = "timer, replaces, norefersub";

/// What the engine lends to a call.
pub struct Context<'a> {
    /// The config in force.
    pub config: &'a Config,
    /// Tags, Call-IDs, branches.
    pub tokens: &'a mut Tokens,
    /// Media ports.
    pub ports: &'a mut Ports,
    /// Where phones are.
    pub registrar: &'a Registrar,
    /// What the shells found out about this machine.
    pub host: &'a Host,
    /// What trunks have asked for.
    pub remembered: &'a mut Remembered,
    /// Who is there, and how busy trunks are.
    pub trunks: &'a mut Trunks,
    /// How many more dialogs there may be.
    pub dialogs: usize,
    /// The time of day, and whose turn it is in groups.
    pub wall: &'a mut Wall,
    /// Where trunks are.
    pub places: &'a mut Places,
}

/// What the shells found out about this machine.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// How media is forwarded, by network; a network that nobody spoke of is served in user space.
    pub paths: BTreeMap<NetworkId, NetworkPath>,
    /// All addresses of this host.
    pub addresses: HashSet<IpAddr>,
    /// Whether there are workers that transcode.
    pub transcoding: Transcoding,
    /// Whether somebody wants a record of each call.
    pub recording: bool,
}

impl Host {
    /// Where a leg's media is: behind the other end of its signalling. Without a trunk it is a phone.
    #[must_use]
    pub fn end(&self, config: &Config, hop: &Hop, trunk: Option<&Trunk>, codecs: &[Codec]) -> End {
        End {
            network: hop.network,
            address: hop.local.ip(),
            shown: config
                .network(hop.network)
                .shows(hop.local.ip(), hop.remote.ip()),
            signalling: hop.remote.ip(),
            media_from: trunk.map_or_else(Vec::new, |trunk| trunk.media_from.clone()),
            rebinds: trunk.is_none(),
            codecs: codecs.to_vec(),
            dtmf: trunk.map_or_else(Dtmf::default, |trunk| trunk.dtmf),
            dscp: config.network(hop.network).dscp.media,
            path: self
                .paths
                .get(&hop.network)
                .copied()
                .unwrap_or(NetworkPath::User(Fallback::Off)),
            local: self.is_local(hop.remote.ip()),
            direct: Direct::Off,
            transcoding: self.transcoding,
        }
    }

    /// The same for a phone, whose Contact is this.
    #[must_use]
    pub fn end_of_phone(
        &self,
        config: &Config,
        hop: &Hop,
        phone: PhoneId,
        contact: Option<&str>,
    ) -> End {
        let phone = config.phone(phone);
        let at = contact.and_then(|uri| Uri::parse(uri).ok()?.host_ip());
        let source = hop.remote.ip();
        let direct = match phone.direct_media {
            false => Direct::Off,
            true if at.map(|at| at.to_canonical()) != Some(source.to_canonical()) => {
                Direct::Prevented(Anchored::Nat)
            }
            true if !config.network(hop.network).has_local(source) => {
                Direct::Prevented(Anchored::Outside)
            }
            true => Direct::Possible,
        };
        End {
            direct,
            dtmf: phone.dtmf,
            ..self.end(config, hop, None, &phone.codecs)
        }
    }

    /// Who is at a leg that a request of his began.
    #[must_use]
    pub fn end_of_caller(&self, config: &Config, hop: &Hop, who: Caller, request: &Message) -> End {
        match who {
            Caller::Trunk(id) => {
                let trunk = config.trunk(id);
                self.end(config, hop, Some(trunk), &trunk.codecs)
            }
            Caller::Phone(id) => {
                let contact = request.values(Name::Contact).next();
                let contact = contact.and_then(|contact| NameAddr::parse(contact).ok());
                self.end_of_phone(config, hop, id, contact.map(|contact| contact.uri()))
            }
        }
    }

    /// Whether a peer is on this host.
    #[must_use]
    pub fn is_local(&self, peer: IpAddr) -> bool {
        self.addresses.contains(&peer) || peer.is_loopback()
    }

    /// Whether an address that was ours is none of this host's now.
    #[must_use]
    pub fn lacks(&self, address: IpAddr) -> bool {
        !self.addresses.is_empty() && !self.is_local(address)
    }
}

/// What calls to `remote` on this network leave from: the first address of its family, at the first listener of that
/// transport.
#[must_use]
pub fn local_address(
    config: &Config,
    network: NetworkId,
    transport: Transport,
    remote: IpAddr,
) -> Option<SocketAddr> {
    let network = config.network(network);
    let address = network
        .addresses
        .iter()
        .find(|address| address.is_ipv4() == remote.is_ipv4())?;
    let listener = network.sip.iter().find(|l| l.transport == transport)?;
    Some(SocketAddr::new(*address, listener.port))
}

/// The way to one server of a trunk, for any request; `None` if its network has no address or listener for that.
#[must_use]
pub fn hop_to(config: &Config, trunk: TrunkId, place: Place) -> Option<Hop> {
    let network = config.trunk(trunk).network;
    let Place { address, transport } = place;
    Some(Hop {
        network,
        transport,
        local: local_address(config, network, transport, address.ip())?,
        remote: address,
        connection: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_direct_where_it_says_that_it_is() {
        use crate::config::NoSecrets;
        let text = "[network.a]\naddress = [\"10.0.0.1\"]\n\
                    [phone.1]\npassword = \"x\"\ndirect_media = true\n\
                    [phone.2]\npassword = \"x\"";
        let mut config = Config::parse(text, "t.toml", &NoSecrets).unwrap();
        let hop = Hop {
            network: NetworkId(0),
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "10.0.0.7:6000".parse().unwrap(),
            connection: None,
        };
        let direct = |config: &Config, phone, contact| {
            let host = Host::default();
            host.end_of_phone(config, &hop, PhoneId(phone), contact)
                .direct
        };
        let nat = Direct::Prevented(Anchored::Nat);
        for (contact, expected) in [
            (Some("sip:1@10.0.0.7:6000"), Direct::Possible),
            (Some("sip:1@10.0.0.7"), Direct::Possible),
            (Some("sip:1@192.168.1.7:6000"), nat),
            (Some("sip:1@phone.lan"), nat),
            (Some("nonsense"), nat),
            (None, nat),
        ] {
            assert_eq!(direct(&config, 0, contact), expected, "{contact:?}");
            assert_eq!(direct(&config, 1, contact), Direct::Off);
        }
        config.networks[0].local = vec!["10.0.1.0/24".parse().unwrap()];
        let outside = Direct::Prevented(Anchored::Outside);
        assert_eq!(direct(&config, 0, Some("sip:1@10.0.0.7")), outside);
    }

    #[test]
    fn an_address_is_lacked_that_is_none_of_those_known() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut host = Host::default();
        // Nobody has said which there are.
        assert!(!host.lacks(at("10.71.1.1")));
        host.addresses.insert(at("10.71.1.1"));
        assert!(!host.lacks(at("10.71.1.1")));
        assert!(!host.lacks(at("127.0.0.1")));
        assert!(host.lacks(at("10.71.1.2")));
    }
}
