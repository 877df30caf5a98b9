//! One text of the file to one typed value.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::codec::Codec;
use super::duration::duration;
use super::error::{Fault, Report, nearest, shown};
use super::keys::SECRET;
use super::model::{FastPath, Listener, MAX_MEDIA_FROM, Secret};
use super::reader::{Section, Text, Value, alternatives};
use super::secrets::{NoSecret, Secrets};
use crate::sip::Transport;

/// Characters of a name.
const MAX_NAME: usize = 64;
/// Bytes of a password.
const MAX_SECRET: usize = 256;

/// Reads one text with `parse`, or reports what it expected.
pub(super) fn one<T>(
    text: &Text<'_>,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, Expected>,
) -> Option<T> {
    match parse(text.text) {
        Ok(value) => Some(value),
        Err(Expected { expected, help }) => {
            let fault = Fault::Value {
                key: text.key,
                found: shown(text.text),
                expected,
            };
            report.add_with(text.at.clone(), fault, help);
            None
        }
    }
}

/// Reads each text with `parse`, and reports each that is none.
pub(super) fn each<T>(
    texts: &[Text<'_>],
    report: &mut Report,
    parse: impl Fn(&str) -> Result<T, Expected>,
) -> Vec<T> {
    texts
        .iter()
        .filter_map(|text| one(text, report, &parse))
        .collect()
}

/// `4h`.
pub(super) fn length(text: &str) -> Result<Duration, Expected> {
    duration(text).or_else(|_| expected("a duration from `1s` to `365d`, such as `4h`"))
}

/// What would have been right.
pub(super) struct Expected {
    pub(super) expected: String,
    pub(super) help: Option<String>,
}

pub(super) fn expected<T>(expected: impl Into<String>) -> Result<T, Expected> {
    Err(Expected {
        expected: expected.into(),
        help: None,
    })
}

pub(super) fn expected_help<T>(
    expected: impl Into<String>,
    help: impl Into<Option<String>>,
) -> Result<T, Expected> {
    Err(Expected {
        expected: expected.into(),
        help: help.into(),
    })
}

/// Whether `name` may be a name; reports if not.
pub(super) fn name(
    what: &'static str,
    name: &str,
    at: std::ops::Range<usize>,
    report: &mut Report,
) -> bool {
    let legal = !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
    if !legal {
        let found = shown(name);
        report.add(at, Fault::Name { what, found });
    }
    legal
}

/// `udp:5060`.
pub(super) fn listener(text: &str) -> Result<Listener, Expected> {
    let Some((transport, port)) = text.split_once(':') else {
        let help = match (transport(text), text.parse::<u16>()) {
            (Ok(transport), _) => Some(format!("such as `{transport}:5060`")),
            (_, Ok(port)) => Some(format!("such as `udp:{port}`")),
            _ => None,
        };
        return expected_help("`udp:PORT` or `tcp:PORT`", help);
    };
    let transport = self::transport(transport)?;
    match port.parse() {
        Ok(port) if port > 0 => Ok(Listener { transport, port }),
        _ => expected("a port from 1 to 65535 after the `:`"),
    }
}

pub(super) fn transport(text: &str) -> Result<Transport, Expected> {
    match text {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        other => {
            let help = match (other, nearest(other, ["udp", "tcp"])) {
                ("tls" | "ws" | "wss" | "sctp", _) => Some(format!("`{other}` is not supported")),
                (_, Some(near)) => Some(format!("did you mean `{near}`?")),
                (_, None) => None,
            };
            expected_help("`udp` or `tcp` as transport", help)
        }
    }
}

/// `20000-29999`, narrowed to whole pairs: starts even, ends odd.
pub(super) fn media_ports(text: &str) -> Result<RangeInclusive<u16>, Expected> {
    let Some((low, high)) = text.split_once('-') else {
        return expected("a range such as `20000-29999`");
    };
    let (Ok(low), Ok(high)) = (low.trim().parse::<u32>(), high.trim().parse::<u32>()) else {
        return expected("a range such as `20000-29999`");
    };
    let (Ok(low), Ok(high)) = (u16::try_from(low), u16::try_from(high)) else {
        return expected("ports up to 65535");
    };
    if low < 1024 {
        return expected("ports from 1024 on");
    }
    if high < low {
        return expected_help(
            "the lower port first",
            format!("did you mean `{high}-{low}`?"),
        );
    }
    // An odd start and an even end are half of a pair.
    let low = u32::from(low).next_multiple_of(2);
    let high = u32::from(high).div_ceil(2) * 2 - 1;
    match (u16::try_from(low), u16::try_from(high)) {
        (Ok(low), Ok(high)) if high > low && high - low >= 3 => Ok(low..=high),
        _ => expected("at least two pairs of an even and an odd port, as in `20000-20003`"),
    }
}

/// `auto`, `native`, `generic`, `off`.
pub(super) fn fast_path(text: &str) -> Result<FastPath, Expected> {
    match text {
        "auto" => Ok(FastPath::Auto),
        "native" => Ok(FastPath::Native),
        "generic" => Ok(FastPath::Generic),
        "off" => Ok(FastPath::Off),
        other => {
            let known = ["auto", "native", "generic", "off"];
            let near = nearest(other, known).map(|near| format!("did you mean `{near}`?"));
            expected_help(alternatives(&known), near)
        }
    }
}

/// An address that a socket of ours can have.
pub(super) fn own_address(text: &str) -> Result<IpAddr, Expected> {
    match plain_address(text)? {
        ip if ip.is_unspecified() => expected_help(
            "an address of this host",
            "name each address, or use `interface = \"NAME\"` for all of one interface".to_owned(),
        ),
        ip if ip.is_multicast() => expected("an address of this host"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            expected("an address that holds beyond the link, not a link-local one")
        }
        IpAddr::V4(ip) if ip.is_broadcast() => expected("an address of this host"),
        ip => Ok(ip),
    }
}

fn plain_address(text: &str) -> Result<IpAddr, Expected> {
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.to_canonical() != ip => expected_help(
            "an IPv4 or IPv6 address",
            format!("write `{}`", ip.to_canonical()),
        ),
        Ok(ip) => Ok(ip),
        Err(_) => {
            let help = match text.split_once('/') {
                Some((address, _)) if address.parse::<IpAddr>().is_ok() => Some(format!(
                    "did you mean `{address}`, without the prefix length?"
                )),
                _ => None,
            };
            expected_help("an IPv4 or IPv6 address", help)
        }
    }
}

/// A name as the system has for interfaces: at most 15 bytes, without blanks and slashes.
pub(super) fn interface(text: &str) -> Result<String, Expected> {
    let legal = !text.is_empty()
        && text.len() <= 15
        && text.chars().all(|c| c.is_ascii_graphic() && c != '/');
    if legal {
        Ok(text.to_owned())
    } else {
        expected("the name of an interface, such as `eth0`")
    }
}

pub(super) fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// `198.51.100.0/24`, or an address.
pub(super) fn prefix(text: &str) -> Result<IpNet, Expected> {
    if !text.contains('/') {
        return plain_address(text).map(IpNet::from).or_else(|e| {
            expected_help("an address or a prefix such as `198.51.100.0/24`", e.help)
        });
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return expected("an address or a prefix such as `198.51.100.0/24`");
    };
    if net.trunc() == net {
        Ok(net)
    } else {
        expected_help(
            "a prefix without host bits",
            format!(
                "`{}` for all of it, `{}` for the one host",
                net.trunc(),
                net.addr()
            ),
        )
    }
}

/// Prefixes that media may come from: no more of a family than a flow has room for.
pub(super) fn media_from(texts: &[Text<'_>], report: &mut Report) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for text in texts {
        let Some(net) = one(text, report, prefix) else {
            continue;
        };
        nets.push(net);
        let is_v4 = net.addr().is_ipv4();
        let before = nets
            .iter()
            .filter(|net| net.addr().is_ipv4() == is_v4)
            .count()
            - 1;
        if before == MAX_MEDIA_FROM {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            let fault = Fault::Value {
                key: text.key,
                found: shown(text.text),
                expected: format!("at most {MAX_MEDIA_FROM} {family} prefixes"),
            };
            let help = "join them into wider prefixes";
            report.add_with(text.at.clone(), fault, Some(help.to_owned()));
        }
    }
    nets
}

/// `G722`, in whatever case.
pub(super) fn codec(text: &str) -> Result<Codec, Expected> {
    let known = Codec::ALL.map(Codec::name);
    match Codec::ALL
        .into_iter()
        .find(|codec| codec.name().eq_ignore_ascii_case(text))
    {
        Some(codec) => Ok(codec),
        None => {
            let near = nearest(text, known).map(|near| format!("did you mean `{near}`?"));
            expected_help(alternatives(&known), near)
        }
    }
}

/// A display name: no control characters, so that it can stand in a header.
pub(super) fn display_name(text: &str) -> Result<String, Expected> {
    if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        return expected("1 to 128 characters on one line");
    }
    Ok(text.to_owned())
}

/// A name for digest: it stands between quotes in a header.
pub(super) fn username(text: &str) -> Result<String, Expected> {
    let is_quotable = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    if text.is_empty() || text.len() > 128 || !text.chars().all(is_quotable) {
        return expected(
            "1 to 128 characters on one line, without quotation marks and backslashes",
        );
    }
    Ok(text.to_owned())
}

/// A path.
pub(super) fn path(text: &str) -> Result<std::path::PathBuf, Expected> {
    if text.is_empty() || text.len() > 4096 || text.contains('\0') {
        return expected("the path of a directory");
    }
    Ok(text.into())
}

/// `"text"`, `{ env = "NAME" }` or `{ file = "PATH" }`. What is reported never holds the secret.
pub(super) fn secret(
    key: &'static str,
    value: &Value<'_, '_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Secret> {
    const SHAPES: &str = "a string, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";
    let mut help = None;
    let (source_name, content, at) = match value.value {
        DeValue::String(text) => ("the text".to_owned(), Ok(text.to_string()), &value.at),
        DeValue::Table(table) => {
            let place = format!("`{key}`");
            let section = Section::new(place, value.at.clone(), table, SECRET);
            section.unknown(report);
            let (env, file) = (section.optional("env"), section.optional("file"));
            match (env, file) {
                (Some(env), None) => {
                    let name = env.text(report)?;
                    let source = format!("environment variable `{}`", shown(name.text));
                    let content = secrets.env(name.text);
                    help = matches!(content, Err(NoSecret::Absent)).then(|| {
                        "it has to be set where sbc is started; the package's service takes it from /etc/sbc/environment"
                            .to_owned()
                    });
                    (source, content, &value.at)
                }
                (None, Some(file)) => {
                    let path = file.text(report)?;
                    let source = format!("file `{}`", shown(path.text));
                    (source, secrets.file(path.text.as_ref()), &value.at)
                }
                _ => {
                    report.add(value.at.clone(), value.mistyped(SHAPES));
                    return None;
                }
            }
        }
        _ => {
            let help = Some("put it into quotation marks".to_owned());
            report.add_with(value.at.clone(), value.mistyped(SHAPES), help);
            return None;
        }
    };
    match content.and_then(usable) {
        Ok(secret) => Some(secret),
        Err(failure) => {
            let fault = Fault::Secret {
                key,
                source_name,
                failure,
            };
            report.add_with(at.clone(), fault, help);
            None
        }
    }
}

fn usable(mut content: String) -> Result<Secret, NoSecret> {
    if content.ends_with('\n') {
        content.pop();
        if content.ends_with('\r') {
            content.pop();
        }
    }
    if content.is_empty() {
        return Err(NoSecret::Empty);
    }
    if content.len() > MAX_SECRET {
        return Err(NoSecret::TooLong(MAX_SECRET));
    }
    if content.chars().any(char::is_control) {
        return Err(NoSecret::Control);
    }
    Ok(Secret::new(content))
}
