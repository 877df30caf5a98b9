//! What `sbc check` prints about a good file.

use ipnet::IpNet;

use super::added_headers;
use super::check::range;
use super::dscp::shown_mark;
use super::duration::shown_duration;
use super::external;
use super::identity;
use super::model::{
    Bind, Codec, Config, Dscp, FastPath, From, Network, PhoneId, Route, Server, Target, TrunkId,
};
use super::passing;
use super::silence::MediaTimeout;
use super::table::{Cell, Table, wrapped};
use super::upkeep;

/// How many names a sentence lists.
const SOME: usize = 6;

/// The config in words and tables: networks, trunks, phones, and where each route leads. At most 80 columns wide, unless a
/// single name or address is longer than that allows. No password is in it.
#[must_use]
pub fn describe(config: &Config) -> String {
    let mut out = wrapped(
        &format!(
            "sbc \"{}\": state in {}, admin at http://{}",
            config.sbc.name,
            config.sbc.state_dir.display(),
            config.sbc.admin
        ),
        2,
    );
    if let Some(note) = open_admin(config) {
        out.push_str(&wrapped(&format!("  {note}"), 2));
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
    if !(config.trunks.is_empty() && config.phones.is_empty()) {
        part(&mut out, &silence(config).render());
    }
    let upkeep = upkeep::told(config);
    if !upkeep.is_empty() {
        let lines: String = upkeep.iter().map(|line| wrapped(line, 2)).collect();
        part(&mut out, &lines);
    }
    let passing = passing::told(config);
    if !passing.is_empty() {
        let lines: String = passing.iter().map(|line| wrapped(line, 2)).collect();
        part(&mut out, &lines);
    }
    let mut routes = String::from("ROUTES, the first that matches decides\n");
    for (number, route) in (1..).zip(&config.routes) {
        let lead = format!("{number:>2}. ");
        routes.push_str(&wrapped(&format!("{lead}{}", sentence(config, route)), 4));
    }
    if config.routes.is_empty() {
        routes.push_str("none: every call is refused\n");
    }
    part(&mut out, &routes);
    let lost = without_route(config);
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
    let note = "Metrics and health are open to whoever reaches that address, without a password.";
    (!config.sbc.admin.ip().to_canonical().is_loopback()).then_some(note)
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
        let sources = trunk.accept_from.iter().map(prefix);
        table.row(vec![
            vec![trunk.name.clone()],
            vec![config.network(trunk.network).name.clone()],
            vec![server(trunk.server)],
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

fn server(server: Server) -> String {
    format!("{}:{}", server.transport, server.address)
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
        row(trunk(config, id), config.trunk_media_timeout(id));
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
            row(phone(config, id), timeout);
        }
    }
    table
}

fn codecs(codecs: &[Codec]) -> Cell {
    codecs.iter().map(|codec| codec.name().to_owned()).collect()
}

/// `a-to-b: calls from trunk:a to any number go to trunk:b`.
fn sentence(config: &Config, route: &Route) -> String {
    let from: Vec<_> = route
        .from
        .iter()
        .map(|from| match *from {
            From::Trunk(id) => trunk(config, id),
            From::Phone(id) => phone(config, id),
            From::AnyPhone => "any phone".to_owned(),
        })
        .collect();
    let numbers: Vec<_> = route.number.iter().map(ToString::to_string).collect();
    let numbers = if numbers.is_empty() {
        "any number".to_owned()
    } else {
        joined(&numbers, " or ")
    };
    let to: Vec<_> = route
        .to
        .iter()
        .map(|target| match *target {
            Target::Trunk(id) => trunk(config, id),
            Target::Phone(id) => phone(config, id),
            Target::DialledPhone => dialled(config, route),
            Target::Group(id) => format!("group:{}", config.group(id).name),
            Target::Reject(code) => format!("the answer {code}"),
        })
        .collect();
    let with = added_headers::told(&route.add_headers);
    format!(
        "{}: calls from {} to {numbers} go to {}{}",
        route.name,
        joined(&from, " or "),
        to.join(", then "),
        with.map_or_else(String::new, |with| format!(", {with}"))
    )
}

/// Which phones `phone:{number}` can be in this route.
fn dialled(config: &Config, route: &Route) -> String {
    let reached: Vec<_> = config
        .phones
        .iter()
        .filter(|phone| {
            route.number.is_empty() || route.number.iter().any(|p| p.matches(&phone.name))
        })
        .map(|phone| phone.name.clone())
        .collect();
    if reached.is_empty() {
        "the phone that was dialled (there is none of such a number)".to_owned()
    } else {
        format!("the phone that was dialled ({})", some(&reached, " or "))
    }
}

/// Callers whose every call is refused, as far as the file tells.
fn without_route(config: &Config) -> Vec<String> {
    let has = |wanted: &[From]| {
        config
            .routes
            .iter()
            .any(|route| route.from.iter().any(|from| wanted.contains(from)))
    };
    let trunks = (0..)
        .map(TrunkId)
        .take(config.trunks.len())
        .filter(|id| !has(&[From::Trunk(*id)]))
        .map(|id| trunk(config, id));
    let phones = (0..)
        .map(PhoneId)
        .take(config.phones.len())
        .filter(|id| !has(&[From::Phone(*id), From::AnyPhone]))
        .map(|id| phone(config, id));
    trunks.chain(phones).collect()
}

fn trunk(config: &Config, id: TrunkId) -> String {
    format!("trunk:{}", config.trunk(id).name)
}

fn phone(config: &Config, id: PhoneId) -> String {
    format!("phone:{}", config.phone(id).name)
}

/// `a, b or c`.
fn joined(words: &[String], last: &str) -> String {
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{}{last}{end}", rest.join(", ")),
    }
}

/// `a, b and c`, `a, b and 7 more`.
fn some(words: &[String], last: &str) -> String {
    if words.len() <= SOME {
        return joined(words, last);
    }
    let shown = words.get(..SOME).unwrap_or_default().join(", ");
    format!("{shown}{last}{} more", words.len() - SOME)
}
