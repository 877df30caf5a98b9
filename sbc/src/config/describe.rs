//! What `sbc check` prints about a good file.

use ipnet::IpNet;

use super::admin::Admin;
use super::cdr;
use super::check::range;
use super::codec::Codec;
use super::direct_media;
use super::dscp::shown_mark;
use super::dtmf;
use super::duration::shown_duration;
use super::external;
use super::flight_recorder;
use super::identity;
use super::media;
use super::model::{Bind, Config, Dscp, FastPath, Network, PhoneId, TrunkId};
use super::passing;
use super::routes_told;
use super::silence::MediaTimeout;
use super::table::{Cell, Table, wrapped};
use super::trace;
use super::upkeep;

/// How many names a sentence lists.
const SOME: usize = 6;

/// The config in words and tables: networks, trunks, phones, and where each route leads. At most 80 columns wide, unless a
/// single name or address is longer than that allows. No password is in it.
#[must_use]
pub fn describe(config: &Config) -> String {
    let mut out = wrapped(
        &format!(
            "sbc \"{}\": state in {}, admin at {}",
            config.sbc.name,
            config.sbc.state_dir.display(),
            match &config.sbc.admin {
                Admin::Tcp(address) => format!("http://{address}"),
                socket => socket.to_string(),
            }
        ),
        2,
    );
    if let Some(note) = open_admin(config) {
        out.push_str(&wrapped(&format!("  {note}"), 2));
    }
    if let Some(line) = media::told(config) {
        out.push_str(&wrapped(&line, 2));
    }
    part(&mut out, &networks(config).render());
    let is_marked = |network: &&Network| network.dscp != Dscp::default();
    for network in config.networks.iter().filter(is_marked) {
        let [sip, media] = [network.dscp.sip, network.dscp.media].map(shown_mark);
        let text = format!(
            "  What leaves network:{} has DSCP {sip} (SIP) and {media} (media).",
            network.name
        );
        out.push_str(&wrapped(&text, 2));
    }
    for line in external::told(config) {
        out.push_str(&wrapped(&line, 2));
    }
    part(&mut out, &limits(config).render());
    if !config.trunks.is_empty() {
        part(&mut out, &trunks(config).render());
        for trunk in config.trunks.iter().filter(|t| !t.media_from.is_empty()) {
            let sources: Vec<_> = trunk.media_from.iter().map(prefix).collect();
            let text = format!(
                "  Media of trunk:{} may also come from {}, whatever its SDP says.",
                trunk.name,
                joined(&sources, " or ")
            );
            out.push_str(&wrapped(&text, 2));
        }
        for trunk in &config.trunks {
            if let Some(credentials) = &trunk.credentials {
                let (name, username) = (&trunk.name, &credentials.username);
                let text = format!("  When trunk:{name} asks for a password we are {username}.");
                out.push_str(&wrapped(&text, 2));
            }
        }
    }
    for line in identity::told(config) {
        out.push_str(&wrapped(&format!("  {line}"), 2));
    }
    for trunk in &config.trunks {
        if let Some(longest) = trunk.max_duration {
            let text = format!(
                "  Calls from and to trunk:{} end {} after the answer.",
                trunk.name,
                shown_duration(longest)
            );
            out.push_str(&wrapped(&text, 2));
        }
    }
    if !config.phones.is_empty() {
        part(&mut out, &phones(config).render());
        for line in super::phones::told(config) {
            out.push_str(&wrapped(&line, 2));
        }
    }
    if let Some(line) = direct_media::told(config) {
        out.push_str(&wrapped(&format!("  {line}"), 2));
    }
    for line in dtmf::told(config) {
        out.push_str(&wrapped(&format!("  {line}"), 2));
    }
    if !(config.trunks.is_empty() && config.phones.is_empty()) {
        part(&mut out, &silence(config).render());
    }
    let upkeep = upkeep::told(config);
    if !upkeep.is_empty() {
        let lines: String = upkeep.iter().map(|line| wrapped(line, 2)).collect();
        part(&mut out, &lines);
    }
    let mut records = cdr::told(config);
    records.extend(trace::told(config));
    records.extend(flight_recorder::told(config));
    if !records.is_empty() {
        let lines: String = records.iter().map(|line| wrapped(line, 2)).collect();
        part(&mut out, &lines);
    }
    let passing = passing::told(config);
    if !passing.is_empty() {
        let lines: String = passing.iter().map(|line| wrapped(line, 2)).collect();
        part(&mut out, &lines);
    }
    if !config.groups.is_empty() {
        part(&mut out, &routes_told::groups(config).render());
    }
    part(&mut out, &routes_told::routes(config));
    let lost = routes_told::without_route(config);
    if !lost.is_empty() {
        let text = format!(
            "  No route is for calls from {}: they are refused.",
            some(&lost, " and ")
        );
        part(&mut out, &wrapped(&text, 0));
    }
    out
}

/// What is to be said of an admin address that other hosts may reach.
#[must_use]
pub fn open_admin(config: &Config) -> Option<&'static str> {
    let note =
        "Other hosts may reach that address: metrics and API are for whoever has `admin_token`.";
    config.sbc.admin.is_wide().then_some(note)
}

fn part(out: &mut String, body: &str) {
    out.push('\n');
    out.push_str(body);
}

fn networks(config: &Config) -> Table {
    let mut table = Table::new(&["NETWORK", "ADDRESS", "SIP", "MEDIA PORTS", "FAST PATH"]);
    for network in &config.networks {
        table.row(vec![
            vec![network.name.clone()],
            addresses(network),
            network.sip.iter().map(ToString::to_string).collect(),
            vec![range(&network.media_ports)],
            vec![fast_path(network.fast_path).to_owned()],
        ]);
    }
    table
}

/// Requests a second that are taken in, by who sends them.
fn limits(config: &Config) -> Table {
    let mut table = Table::new(&[
        "SIP LIMITS",
        "A STRANGER",
        "ALL STRANGERS",
        "A TRUNK OR PHONE",
        "A BAN LASTS",
    ]);
    for network in &config.networks {
        let limits = network.limits;
        let rates = [
            limits.requests_per_second,
            limits.strangers(),
            limits.known(),
        ];
        let mut row = vec![vec![network.name.clone()]];
        row.extend(rates.map(|rate| vec![format!("{rate}/s")]));
        row.push(vec![shown_duration(limits.ban)]);
        table.row(row);
    }
    table
}

fn addresses(network: &Network) -> Cell {
    let mut cell: Cell = network.addresses.iter().map(ToString::to_string).collect();
    match &network.bind {
        Bind::Interface(name) if cell.is_empty() => cell.push(format!("all of {name}")),
        Bind::Interface(name) => cell.push(format!("(all of {name})")),
        Bind::Addresses(_) => {}
    }
    cell
}

fn fast_path(fast_path: FastPath) -> &'static str {
    match fast_path {
        FastPath::Auto => "auto",
        FastPath::Native => "native",
        FastPath::Generic => "generic",
        FastPath::Off => "off",
    }
}

fn trunks(config: &Config) -> Table {
    let mut table = Table::new(&["TRUNK", "NETWORK", "SERVER", "RECOGNISED BY", "OFFERED"]);
    for trunk in &config.trunks {
        let names = trunk.accept_names.iter().map(ToString::to_string);
        let usual = trunk.accepts_server && trunk.server.fixed().is_none();
        let sources = trunk.accept_from.iter().map(prefix).chain(names);
        let sources = sources.chain(usual.then(|| "what DNS says".to_owned()));
        table.row(vec![
            vec![trunk.name.clone()],
            vec![config.network(trunk.network).name.clone()],
            vec![trunk.server.to_string()],
            sources.collect(),
            codecs(&trunk.codecs),
        ]);
    }
    table
}

/// `10.0.0.0/24`; a single address without its length.
fn prefix(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

fn phones(config: &Config) -> Table {
    let mut table = Table::new(&["PHONE", "SHOWN AS", "OFFERED"]);
    for phone in &config.phones {
        let shown_as = phone.display_name.as_deref().unwrap_or("-");
        table.row(vec![
            vec![phone.name.clone()],
            vec![shown_as.to_owned()],
            codecs(&phone.codecs),
        ]);
    }
    table
}

/// What `media_timeout` comes to: for each trunk, for phones by network, and for each phone that has its own.
fn silence(config: &Config) -> Table {
    let mut table = Table::new(&[
        "NO RTP OR RTCP FROM",
        "AND NOBODY ON HOLD: AN ANSWERED CALL ENDS",
    ]);
    let mut row = |who: String, timeout: MediaTimeout| {
        table.row(vec![vec![who], vec![timeout.shown()]]);
    };
    for id in (0..).map(TrunkId).take(config.trunks.len()) {
        row(config.trunk_shown(id), config.trunk_media_timeout(id));
    }
    if config
        .phones
        .iter()
        .any(|phone| phone.media_timeout.is_none())
    {
        for network in &config.networks {
            let timeout = network.media_timeout.unwrap_or(MediaTimeout::PHONE);
            row(format!("phones on {}", network.name), timeout);
        }
    }
    for (id, account) in (0..).map(PhoneId).zip(&config.phones) {
        if let Some(timeout) = account.media_timeout {
            row(config.phone_shown(id), timeout);
        }
    }
    table
}

fn codecs(codecs: &[Codec]) -> Cell {
    codecs.iter().map(|codec| codec.name().to_owned()).collect()
}

/// `a, b or c`.
pub(crate) fn joined(words: &[String], last: &str) -> String {
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{}{last}{end}", rest.join(", ")),
    }
}

/// `a, b and c`, `a, b and 7 more`.
pub(crate) fn some(words: &[String], last: &str) -> String {
    if words.len() <= SOME {
        return joined(words, last);
    }
    let shown = words.get(..SOME).unwrap_or_default().join(", ");
    format!("{shown}{last}{} more", words.len() - SOME)
}
