//! What a config file says, once it is known to be valid: names are resolved to ids, text to types.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::added_headers::AddedHeader;
use super::admin::Admin;
use super::answers::Answers;
use super::cdr::Cdr;
use super::codec::Codec;
use super::dtmf::Dtmf;
use super::external::{External, Outside};
use super::flight_recorder::FlightRecorder;
use super::host_name::HostName;
use super::identity::Identity;
use super::lookup::Lookup;
use super::media::MediaWorkers;
use super::passing::Passing;
use super::pattern::Pattern;
use super::phones::Phones;
use super::prefixes::Prefixes;
use super::server::Server;
use super::silence::MediaTimeout;
use super::template::{CallerTemplate, Template};
use super::trace::Trace;
use super::upkeep::TrunkLimits;
use super::when::When;
use crate::sip::Transport;
use crate::sip::digest::Algorithm;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// The position in the list of [`Config`] that this id belongs to.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    };
}

id!(
    /// A side of the box: index into [`Config::networks`].
    NetworkId
);
id!(
    /// A SIP server at a known place: index into [`Config::trunks`].
    TrunkId
);
id!(
    /// A local account: index into [`Config::phones`].
    PhoneId
);
id!(
    /// Phones that ring together, or trunks that share a load: index into [`Config::groups`].
    GroupId
);
id!(
    /// Index into [`Config::routes`].
    RouteId
);

/// A whole valid configuration. Immutable: a reload makes another.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[sbc]`: the box itself.
    pub sbc: Sbc,
    /// `[network.NAME]`, in file order; never empty.
    pub networks: Vec<Network>,
    /// `[trunk.NAME]`, in file order; after a reload in no order, with those that are gone ([`Config::trunks`] is without them).
    pub trunks: Vec<Trunk>,
    /// `[phone.NAME]`, in file order; after a reload in no order, with those that are gone ([`Config::phones`] is without them).
    pub phones: Phones,
    /// `[group.NAME]`, in file order.
    pub groups: Vec<Group>,
    /// `[[route]]`, in file order: the first match decides.
    pub routes: Vec<Route>,
    /// `[cdr]`: without it no records are made.
    pub cdr: Option<Cdr>,
    /// `[trace]`: what is kept of each call for whoever asks why it failed.
    pub trace: Trace,
    /// `[flight_recorder]`: without it nothing of media is kept.
    pub flight_recorder: Option<FlightRecorder>,
    /// Finds among [`Config::routes`] those that match, in their order.
    /// Made of the routes: whoever changes them makes another.
    pub lookup: Arc<Lookup>,
}

/// `[sbc]`.
#[derive(Clone, Debug)]
pub struct Sbc {
    /// How the box calls itself: the digest realm, and `Server`/`User-Agent`.
    pub name: String,
    /// Where state that outlives the process is kept.
    pub state_dir: std::path::PathBuf,
    /// Where metrics, health and API are.
    pub admin: Admin,
    /// What to say there, over TCP.
    pub admin_token: Option<Secret>,
    /// The name servers that are asked; empty: those of the system.
    pub resolver: Vec<SocketAddr>,
    /// The threads that carry media in user space.
    pub media: MediaWorkers,
}

/// `[network.NAME]`: a side of the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The key in the file.
    pub name: String,
    /// Where its addresses come from.
    pub bind: Bind,
    /// The addresses in force, both families, never empty once [`Config::bind`] has run.
    /// The first of a family is the one that calls to that family's peers leave from.
    pub addresses: Vec<IpAddr>,
    /// What SIP listens on, at each address.
    pub sip: Vec<Listener>,
    /// `local`: peers here see our own address, and phones that may not be elsewhere are here. Empty: everyone is.
    pub local: Vec<IpNet>,
    /// `external`: all others see another address. Without it everyone sees our own.
    pub external: Option<External>,
    /// The addresses that all others see now: those that the file names, or that were found.
    pub outside: Outside,
    /// UDP ports for media, both ends included; starts even, ends odd.
    pub media_ports: RangeInclusive<u16>,
    /// Whether the kernel may forward media here.
    pub fast_path: FastPath,
    /// For its trunks and phones that have none of their own.
    pub media_timeout: Option<MediaTimeout>,
    /// For its trunks and phones that have none of their own.
    pub passing: Passing,
    /// How much SIP is taken in from one source, and how long a ban lasts.
    pub limits: Limits,
    /// `digest`: what its phones may hash their passwords with, in our order of preference; never empty, none twice.
    pub digest: Vec<Algorithm>,
    /// How what leaves here is marked.
    pub dscp: Dscp,
}

/// `dscp = { sip = "CS3", media = "EF" }`: the DSCP of what leaves, 0 to 63 (RFC 2474).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp {
    /// Of signalling over UDP and TCP.
    pub sip: u8,
    /// Of RTP, RTCP and whatever else the legs of a call exchange.
    pub media: u8,
}

impl Default for Dscp {
    /// What phones and switches know without being told: CS3 and EF.
    fn default() -> Self {
        Dscp { sip: 24, media: 46 }
    }
}

/// `limits = { requests_per_second = 50, ban = "10m" }`, for each source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// SIP datagrams, connections and messages over them, a second, from a source that is neither a trunk nor a registered phone; 1 to 100,000.
    pub requests_per_second: u32,
    /// How long a ban lasts that says nothing of its own; a second to a year.
    pub ban: Duration,
}

impl Limits {
    /// What strangers may send together, a second: forged sources use up this and nothing else.
    #[must_use]
    pub fn strangers(&self) -> u32 {
        self.requests_per_second.saturating_mul(40)
    }

    /// What one trunk or registered phone may send, a second, answers and retransmissions included.
    #[must_use]
    pub fn known(&self) -> u32 {
        self.requests_per_second.saturating_mul(200)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests_per_second: 50,
            ban: Duration::from_secs(600),
        }
    }
}

/// Where a network's addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// `interface = "eth0"`: every global address of it.
    Interface(String),
    /// `address = [...]`.
    Addresses(Vec<IpAddr>),
}

/// One entry of `sip = ["udp:5060"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// UDP or TCP.
    pub transport: Transport,
    /// 1 to 65535.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.port)
    }
}

/// `fast_path`: whether the kernel may forward a network's media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastPath {
    /// Native XDP, else generic, else user space, and say why.
    #[default]
    Auto,
    /// Native XDP, else user space, and say why.
    Native,
    /// Generic XDP, else user space, and say why.
    Generic,
    /// User space.
    Off,
}

/// `[trunk.NAME]`: a SIP server at a known place, carrier or PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// The key in the file.
    pub name: String,
    /// The side of the box that it is on.
    pub network: NetworkId,
    /// Where requests to it go.
    pub server: Server,
    /// Which sources are this trunk; by default the address of `server`, if that is one.
    pub accept_from: Vec<IpNet>,
    /// So are the addresses of these names.
    pub accept_names: Vec<HostName>,
    /// The file says nothing of that: the addresses of `server` are this trunk, also those that DNS tells.
    pub accepts_server: bool,
    /// Where its media may come from whatever its SDP says; at most [`MAX_MEDIA_FROM`] of each address family.
    pub media_from: Vec<IpNet>,
    /// Offered to and accepted from that side, in our order of preference; never empty.
    pub codecs: Vec<Codec>,
    /// In which form its keys come, and those of the other side go there.
    pub dtmf: Dtmf,
    /// What the file says here; [`Config::trunk_media_timeout`] is what holds.
    pub media_timeout: Option<MediaTimeout>,
    /// How long an answered call from or to it may last; a second to a year.
    pub max_duration: Option<Duration>,
    /// What the file says here; [`Config::passes`] is what holds.
    pub passing: Passing,
    /// What its challenges are answered with; there where `register` is.
    pub credentials: Option<Credentials>,
    /// The file does not have it any more ([`Config::succeed`]): it is here for calls that are up.
    pub is_gone: bool,
    /// How long a registration of ours with it is to last, a minute to a day; without it we do not register.
    pub register: Option<Duration>,
    /// How often it is asked whether it is there, 5 s to an hour; without it never.
    pub probe: Option<Duration>,
    /// How busy it may be.
    pub limits: TrunkLimits,
    /// What it is told of who calls, and whether it is believed.
    pub identity: Identity,
}

/// `username` and `password` of a trunk: for digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// As it stands between quotes in an answer.
    pub username: String,
    /// Shows nowhere.
    pub password: Secret,
}

/// How many prefixes of an address family `media_from` may have: a flow has room for three, and one is for where signalling
/// comes from.
pub const MAX_MEDIA_FROM: usize = 2;

/// `[phone.NAME]`: a local account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// The key in the file: user part and digest user name.
    pub name: String,
    /// For digest.
    pub password: Secret,
    /// `name = "Living Room"`: shown to whom it calls.
    pub display_name: Option<String>,
    /// Contacts that it may have at a time, 1 to [`MOST_CONTACTS`]: the oldest gives way.
    pub max_contacts: u8,
    /// It may register and call from anywhere; else from the `local` prefixes of a network that has any.
    pub remote: bool,
    /// Offered to and accepted from it, in our order of preference; never empty.
    pub codecs: Vec<Codec>,
    /// In which form its keys come, and those of the other side go there.
    pub dtmf: Dtmf,
    /// `direct_media`: its media may go past the box, to another phone that has it.
    pub direct_media: bool,
    /// What the file says here; [`Config::phone_media_timeout`] is what holds.
    pub media_timeout: Option<MediaTimeout>,
    /// What the file says here; [`Config::passes`] is what holds.
    pub passing: Passing,
    /// The file does not have it any more ([`Config::succeed`]): it is here for calls that are up.
    pub is_gone: bool,
    /// How often each of its contacts is asked whether it is there, 5 s to an hour; without it never.
    pub probe: Option<Duration>,
}

/// What `max_contacts` may be at most.
pub const MOST_CONTACTS: u8 = 16;
/// What it is where the file says nothing.
pub const USUAL_CONTACTS: u8 = 4;

/// `[group.NAME]`: phones that ring together, or trunks that share a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The key in the file.
    pub name: String,
    /// Who is in it; never empty, nobody twice.
    pub members: Vec<Member>,
    /// Who of them is asked, and when.
    pub strategy: Strategy,
    /// How long each time that somebody of it is asked may last; a second to an hour.
    pub ring_for: Option<Duration>,
}

/// One entry of `members`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// A trunk or a phone.
    pub target: MemberTarget,
    /// How often it is chosen where `strategy` is `weighted`, as against the others; 1 to 65535.
    pub weight: u16,
}

/// Who may be in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberTarget {
    /// `trunk:NAME`.
    Trunk(TrunkId),
    /// `phone:NAME`.
    Phone(PhoneId),
}

/// `strategy` of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// All at once; the first who answers has the call.
    #[default]
    All,
    /// One after the other, as the file has them.
    InOrder,
    /// One after the other, each time beginning with the next.
    RoundRobin,
    /// One is chosen by weight; the others are tried when it fails, chosen likewise.
    Weighted,
}

/// `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `name`, else `route N` counted from 1.
    pub name: String,
    /// Who may be calling; any of them.
    pub from: Vec<From>,
    /// User part of the Request-URI; empty matches all, else any of them.
    pub number: Vec<Pattern>,
    /// Where the numbers are many: a table of prefixes. There is no `number` then.
    pub prefixes: Option<Arc<Prefixes>>,
    /// When it holds; without it, always.
    pub when: Option<When>,
    /// In order, until one takes the call; after those that a line of `prefixes` names.
    pub to: Vec<Target>,
    /// What trunks are asked for in place of the number.
    pub dial: Option<Template>,
    /// Who calls, as those see it who are called.
    pub caller_id: Option<CallerTemplate>,
    /// How long each time may last that somebody is asked of whom no group says it; a second to an hour.
    pub ring_for: Option<Duration>,
    /// With which answers the next target is tried; without it, with any but 6xx. No answer and no health always do.
    pub on_failure: Option<Vec<Answers>>,
    /// No limit and no failed probe ever stops it.
    pub emergency: bool,
    /// What those who are called get beside what the caller says.
    pub add_headers: Vec<AddedHeader>,
}

/// Who a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// `trunk:NAME`.
    Trunk(TrunkId),
    /// `phone:NAME`.
    Phone(PhoneId),
    /// `phone:*`.
    AnyPhone,
    /// `phones:NETWORK`: phones that call from there.
    PhonesOn(NetworkId),
    /// `network:NAME`: the trunks of a network, and phones that call from there.
    Network(NetworkId),
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `trunk:NAME`: asked for the number as it was dialled, or for `dial`.
    Trunk(TrunkId),
    /// `phone:NAME`.
    Phone(PhoneId),
    /// `phone:{number}`, `phone:{1}`: the phone of that name; no such phone is no target.
    DialledPhone(Template),
    /// `group:NAME`.
    Group(GroupId),
    /// `reject:480`: the caller hears this, 400 to 699.
    Reject(u16),
}

/// A password. Shows as `***` wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret's text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Secret(text)
    }

    /// The secret itself: for digest and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Config {
    /// The network with this id. Ids come from this config only.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> &Network {
        &self.networks[id.index()]
    }

    /// The trunk with this id.
    #[must_use]
    pub fn trunk(&self, id: TrunkId) -> &Trunk {
        &self.trunks[id.index()]
    }

    /// The phone with this id.
    #[must_use]
    pub fn phone(&self, id: PhoneId) -> &Phone {
        &self.phones[id.index()]
    }

    /// The group with this id.
    #[must_use]
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.index()]
    }

    /// The route with this id.
    #[must_use]
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }

    /// The trunks of the file, without those that are only left for calls.
    pub fn trunks(&self) -> impl Iterator<Item = (TrunkId, &Trunk)> {
        let all = (0..).map(TrunkId).zip(&self.trunks);
        all.filter(|(_, trunk)| !trunk.is_gone)
    }

    /// The phones of the file, without those that are only left for calls.
    pub fn phones(&self) -> impl Iterator<Item = (PhoneId, &Phone)> {
        let all = (0..).map(PhoneId).zip(&self.phones);
        all.filter(|(_, phone)| !phone.is_gone)
    }

    /// The account of this name.
    #[must_use]
    pub fn phone_named(&self, name: &str) -> Option<PhoneId> {
        self.phones.named(name)
    }
}
