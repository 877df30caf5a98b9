//! The sections of the file, one function each.

use std::ops::Range;

use toml::de::DeTable;

use super::admin;
use super::cdr;
use super::check;
use super::codec;
use super::direct_media;
use super::dscp;
use super::dtmf;
use super::error::{Errors, Fault, Report};
use super::external;
use super::flight_recorder;
use super::groups;
use super::identity;
use super::keys::{GROUP, NETWORK, PHONE, ROOT, ROUTE, SBC, TRUNK};
use super::limits;
use super::lookup::Lookup;
use super::media;
use super::model::{
    Bind, Config, Credentials, FastPath, Listener, Network, NetworkId, Phone, Sbc, Trunk,
};
use super::passing;
use super::phones;
use super::reader::{Named, Section, Value, listed, named};
use super::references::Names;
use super::routes;
use super::secrets::Secrets;
use super::server;
use super::silence;
use super::trace;
use super::upkeep;
use super::values;
use crate::sip::Transport;

/// Bytes of a file.
const MAX_TEXT: usize = 8 << 20;
/// Networks; each is a handful of sockets.
const MAX_NETWORKS: usize = 64;
/// Trunks.
const MAX_TRUNKS: usize = 4096;
/// What an id can count.
const MAX_IDS: usize = u16::MAX as usize;
/// What routes are found by.
const MAX_NUMBERS: usize = 1 << 20;

impl Config {
    /// Reads a config. `file` is how messages call it; `secrets` reads the passwords that are elsewhere.
    ///
    /// The addresses of a network with `interface` are still missing: [`Config::bind`] finds them.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to twenty problems.
    pub fn parse(text: &str, file: &str, secrets: &dyn Secrets) -> Result<Config, Errors> {
        let mut report = Report::new();
        let config = read(text, secrets, &mut report);
        match config {
            Some(config) if report.is_empty() => Ok(config),
            _ => Err(report.into_errors(text, file)),
        }
    }
}

/// Where the parts of a config stand in the file, for checks of one against another. Index by id.
#[derive(Default)]
pub(super) struct Places {
    pub(super) admin: Range<usize>,
    pub(super) networks: Vec<NetworkPlace>,
    pub(super) servers: Vec<Range<usize>>,
}

/// Where a network's keys stand; that of the network itself for those that the file leaves out.
pub(super) struct NetworkPlace {
    pub(super) sip: Range<usize>,
    pub(super) external: Range<usize>,
    pub(super) media_ports: Range<usize>,
}

fn read(text: &str, secrets: &dyn Secrets, report: &mut Report) -> Option<Config> {
    if text.len() > MAX_TEXT {
        let fault = Fault::TooLong {
            found: text.len(),
            limit: MAX_TEXT,
        };
        report.add(0..0, fault);
        return None;
    }
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().unwrap_or(text.len()..text.len());
            report.add(at, Fault::Syntax(error.message().to_owned()));
            return None;
        }
    };
    let root = Section::new("the file".to_owned(), 0..0, document.get_ref(), ROOT);
    root.unknown(report);
    let sbc = root.optional("sbc");
    let networks = named(&root, "network", NETWORK, report);
    let trunks = named(&root, "trunk", TRUNK, report);
    let phones = named(&root, "phone", PHONE, report);
    let groups = named(&root, "group", GROUP, report);
    let routes = listed(&root, "route", ROUTE, report);

    let mut bounded = true;
    for (kind, found, limit) in [
        ("networks", networks.len(), MAX_NETWORKS),
        ("trunks", trunks.len(), MAX_TRUNKS),
        ("phones", phones.len(), MAX_IDS),
        ("groups", groups.len(), MAX_IDS),
        ("routes", routes.len(), MAX_IDS),
    ] {
        if found > limit {
            report.add(0..0, Fault::TooMany { kind, found, limit });
            bounded = false;
        }
    }
    if !bounded {
        return None;
    }
    if networks.is_empty() && report.is_empty() {
        let help = "such as `[network.lan]` with `interface = \"eth0\"` below it";
        report.add_with(0..0, Fault::NoNetwork, Some(help.to_owned()));
    }

    let names = Names::new(&networks, &trunks, &phones, &groups);
    let mut places = Places::default();
    let sbc = read_sbc(sbc, &mut places, secrets, report);
    let cdr = cdr::read(&root, secrets, report);
    let trace = trace::read(&root, report);
    let flight_recorder = flight_recorder::read(&root, sbc.as_ref(), report);
    let networks = read_each("network", networks, report, |name, section, report| {
        read_network(name, section, &mut places, report)
    });
    let trunks = read_each("trunk", trunks, report, |name, section, report| {
        read_trunk(name, section, &names, secrets, &mut places, report)
    });
    let phones = read_each("phone", phones, report, |name, section, report| {
        read_phone(name, section, secrets, report)
    });
    let groups = read_each("group", groups, report, |name, section, report| {
        groups::read(name, section, &names, report)
    });
    let routes = routes::read(routes, &names, secrets, report);
    let found = Lookup::size(&routes);
    if found > MAX_NUMBERS {
        let fault = Fault::TooMany {
            kind: "numbers of routes, each counted for each entry of `from`",
            found,
            limit: MAX_NUMBERS,
        };
        report.add(0..0, fault);
    }
    if !report.is_empty() {
        return None;
    }
    let config = Config {
        sbc: sbc?,
        networks,
        trunks,
        phones: phones.into(),
        groups,
        cdr: cdr?,
        trace: trace?,
        flight_recorder: flight_recorder?,
        lookup: Lookup::new(&routes).into(),
        routes,
    };
    check::parts(&config, &places, report);
    Some(config)
}

fn read_each<T>(
    kind: &'static str,
    all: Vec<Named<'_, '_>>,
    report: &mut Report,
    mut read: impl FnMut(&str, &Section<'_, '_>, &mut Report) -> Option<T>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    for Named { name, at, section } in all {
        values::name(kind, name, at, report);
        let Some(section) = section else { continue };
        section.unknown(report);
        parsed.extend(read(name, &section, report));
    }
    parsed
}

fn read_sbc(
    value: Option<Value<'_, '_>>,
    places: &mut Places,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Sbc> {
    let mut sbc = admin::usual();
    let Some(value) = value else {
        return Some(sbc);
    };
    let toml::de::DeValue::Table(table) = value.value else {
        report.add(value.at.clone(), value.mistyped("a table"));
        return None;
    };
    places.admin = value.at.clone();
    let section = Section::new("[sbc]".to_owned(), value.at.clone(), table, SBC);
    section.unknown(report);
    if let Some(text) = section.text("name", report) {
        values::name("sbc", text.text, text.at, report);
        text.text.clone_into(&mut sbc.name);
    }
    if let Some(text) = section.text("state_dir", report) {
        sbc.state_dir = values::one(&text, report, values::path).unwrap_or(sbc.state_dir);
    }
    admin::read(&section, &mut sbc, places, secrets, report);
    sbc.resolver = server::resolvers(&section, report);
    sbc.media = media::read(&section, report);
    Some(sbc)
}

fn read_network(
    name: &str,
    section: &Section<'_, '_>,
    places: &mut Places,
    report: &mut Report,
) -> Option<Network> {
    let interface = section.optional("interface");
    let address = section.optional("address");
    let bind = match (&interface, &address) {
        (Some(interface), None) => interface
            .text(report)
            .and_then(|text| values::one(&text, report, values::interface))
            .map(Bind::Interface),
        (None, Some(address)) => address
            .texts("address", report)
            .map(|texts| values::each(&texts, report, values::own_address))
            .map(Bind::Addresses),
        (None, None) if section.misspells(&["interface", "address"]) => None,
        (both, _) => {
            let found = if both.is_some() { "both" } else { "neither" };
            let place = section.place().to_owned();
            report.add_with(
                section.at(),
                Fault::Bind { place, found },
                Some("such as `interface = \"eth0\"` or `address = [\"192.168.1.2\"]`".to_owned()),
            );
            None
        }
    };
    let sip_value = section.optional("sip");
    let media_value = section.optional("media_ports");
    let fast_path = section.text("fast_path", report);
    let at = |value: &Option<Value<'_, '_>>| {
        value
            .as_ref()
            .map_or_else(|| section.at(), |value| value.at.clone())
    };
    places.networks.push(NetworkPlace {
        sip: at(&sip_value),
        external: at(&section.optional("external")),
        media_ports: at(&media_value),
    });
    let sip = match &sip_value {
        Some(value) => value
            .texts("listener such as `udp:5060`", report)
            .map(|texts| values::each(&texts, report, values::listener))
            .unwrap_or_default(),
        None => [Transport::Udp, Transport::Tcp]
            .map(|transport| Listener {
                transport,
                port: 5060,
            })
            .to_vec(),
    };
    let media_ports = match &media_value {
        Some(value) => value
            .text(report)
            .and_then(|text| values::one(&text, report, values::media_ports)),
        None => Some(20000..=29999),
    };
    let fast_path = match fast_path {
        Some(text) => values::one(&text, report, values::fast_path),
        None => Some(FastPath::default()),
    };
    let media_timeout = silence::read(section, report);
    let passing = passing::read(section, report);
    let limits = limits::read(section, report);
    let dscp = dscp::read(section, report);
    let digest = phones::digest(section, report);
    let faces = external::read(section, report);
    let (bind, faces) = (bind?, faces?);
    Some(Network {
        name: name.to_owned(),
        addresses: match &bind {
            Bind::Interface(_) => Vec::new(),
            Bind::Addresses(addresses) => addresses.clone(),
        },
        bind,
        sip,
        local: faces.local,
        external: faces.external,
        outside: faces.outside,
        media_ports: media_ports?,
        fast_path: fast_path?,
        media_timeout: media_timeout?,
        passing: passing?,
        limits: limits?,
        dscp: dscp?,
        digest: digest?,
    })
}

fn read_trunk(
    name: &str,
    section: &Section<'_, '_>,
    names: &Names<'_>,
    secrets: &dyn Secrets,
    places: &mut Places,
    report: &mut Report,
) -> Option<Trunk> {
    let network = section
        .required("network", "network = \"NAME\"", report)
        .and_then(|value| value.text(report))
        .and_then(|text| names.networks.find(&text, text.text, report, str::to_owned));
    let server = section.required("server", "server = \"sip:192.0.2.1:5060\"", report);
    places.servers.push(
        server
            .as_ref()
            .map_or_else(|| section.at(), |value| value.at.clone()),
    );
    let server = server
        .and_then(|value| value.text(report))
        .and_then(|text| values::one(&text, report, server::server));
    let sources = server::sources(section, server.as_ref(), report);
    let media_from = section
        .texts("media_from", "address or prefix", report)
        .map(|texts| values::media_from(&texts, report));
    let codecs = codec::read(section, report);
    let dtmf = dtmf::read(section, report);
    let media_timeout = silence::read(section, report);
    let max_duration = section
        .text("max_duration", report)
        .and_then(|text| values::one(&text, report, values::length));
    let passing = passing::read(section, report);
    let register = upkeep::register(section, report);
    let needs_account = matches!(register, Some(Some(_)));
    let credentials = read_credentials(section, needs_account, secrets, report);
    let probe = upkeep::probe(section, report);
    let limits = upkeep::limits(section, report);
    let identity = identity::read(section, report);
    Some(Trunk {
        name: name.to_owned(),
        network: NetworkId(network?),
        server: server?,
        accept_from: sources.prefixes,
        accept_names: sources.names,
        accepts_server: sources.are_usual,
        media_from: media_from.unwrap_or_default(),
        codecs,
        dtmf: dtmf?,
        media_timeout: media_timeout?,
        max_duration,
        passing: passing?,
        credentials: credentials?,
        is_gone: false,
        register: register?,
        probe: probe?,
        limits: limits?,
        identity: identity?,
    })
}

/// Both or, unless they are needed, neither; `None` when something is wrong with them.
fn read_credentials(
    section: &Section<'_, '_>,
    needed: bool,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Option<Credentials>> {
    let is_there = |key| section.optional(key).is_some();
    if !needed && !is_there("username") && !is_there("password") {
        return Some(None);
    }
    let username = section
        .required("username", "username = \"NAME\"", report)
        .and_then(|value| value.text(report))
        .and_then(|text| values::one(&text, report, values::username));
    let password = section
        .required("password", "password = { env = \"NAME\" }", report)
        .and_then(|value| values::secret("password", &value, secrets, report));
    Some(Some(Credentials {
        username: username?,
        password: password?,
    }))
}

fn read_phone(
    name: &str,
    section: &Section<'_, '_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Phone> {
    let password = section
        .required("password", "password = { env = \"NAME\" }", report)
        .and_then(|value| values::secret("password", &value, secrets, report));
    let display_name = section
        .text("name", report)
        .and_then(|text| values::one(&text, report, values::display_name));
    let max_contacts = phones::max_contacts(section, report);
    let remote = phones::remote(section, report);
    let codecs = codec::read(section, report);
    let dtmf = dtmf::read(section, report);
    let direct_media = direct_media::read(section, report);
    let media_timeout = silence::read(section, report);
    let passing = passing::read(section, report);
    let probe = upkeep::probe(section, report);
    Some(Phone {
        name: name.to_owned(),
        password: password?,
        display_name,
        max_contacts: max_contacts?,
        remote: remote?,
        codecs,
        dtmf: dtmf?,
        direct_media: direct_media?,
        media_timeout: media_timeout?,
        passing: passing?,
        is_gone: false,
        probe: probe?,
    })
}
