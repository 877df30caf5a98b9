//! `[cdr]`: where the record of each call attempt goes.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::duration::{duration, shown_duration};
use super::error::{Fault, Report, shown};
use super::keys::CDR;
use super::model::{Config, Secret};
use super::reader::Section;
use super::secrets::Secrets;
use super::size::{bytes, shown_bytes};
use super::values::{self, Expected};

/// What the spool may take of the disk.
const SPOOL: u64 = 32 << 20;
const SPOOL_MIN: u64 = 1 << 20;
const SPOOL_MAX: u64 = 16 << 30;
/// The smallest file that is worth one.
const ROTATE_MIN: u64 = 1 << 10;
const ROTATE_MAX: u64 = 1 << 40;
/// Files that are kept.
const KEEP: i64 = 100_000;
/// Digits that are left out.
const MASK: i64 = 15;

/// `[cdr]`: at least one of the three places is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cdr {
    /// JSON lines go here.
    pub json: Option<PathBuf>,
    /// Comma-separated values go here.
    pub csv: Option<PathBuf>,
    /// When another file is begun.
    pub rotate: Rotate,
    /// How many files that were rotated away are kept; none: all.
    pub keep: Option<usize>,
    /// Records are sent here.
    pub webhook: Option<Webhook>,
    /// Bytes of disk that are taken at the start, for what has yet to be written elsewhere.
    pub spool: u64,
    /// How many digits at the end of each number are written as `x`.
    pub mask: usize,
}

/// When another file is begun; whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotate {
    /// With each span of so long, counted from 1970 in UTC: `1d` at midnight.
    pub every: Option<Duration>,
    /// Once it has so many bytes.
    pub size: Option<u64>,
}

/// Who is told of each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Over TLS (`https`), to a server whose certificate the system trusts.
    pub tls: bool,
    /// The host, without brackets if it is an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What comes after it, from `/` on.
    pub path: String,
    /// Goes along as `Authorization: Bearer …`.
    pub token: Option<Secret>,
}

/// The section; the inner `None` if it is not there.
pub(super) fn read(
    root: &Section<'_, '_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Option<Cdr>> {
    let Some(value) = root.optional("cdr") else {
        return Some(None);
    };
    let DeValue::Table(table) = value.value else {
        report.add(value.at.clone(), value.mistyped("a table"));
        return None;
    };
    let section = Section::new("[cdr]".to_owned(), value.at.clone(), table, CDR);
    section.unknown(report);
    let file = |key, report: &mut Report| match section.optional(key) {
        None => Some(None),
        Some(value) => {
            let text = value.text(report)?;
            values::one(&text, report, path).map(Some)
        }
    };
    // All that is wrong is told at once.
    let (json, csv) = (file("json", report), file("csv", report));
    let rotate = rotate(&section, report);
    let keep = count(&section, "keep", 1..=KEEP, report);
    let mask = count(&section, "mask", 0..=MASK, report);
    let spool = match section.text("spool", report) {
        None => Some(SPOOL),
        Some(text) => values::one(&text, report, |text| {
            bytes(text)
                .filter(|size| (SPOOL_MIN..=SPOOL_MAX).contains(size))
                .ok_or_else(|| expected("a size from `1MB` to `16GB`, such as `32MB`"))
        }),
    };
    let webhook = webhook(&section, secrets, report);
    let cdr = Cdr {
        json: json?,
        csv: csv?,
        rotate: rotate?,
        keep: keep?,
        webhook: webhook?,
        spool: spool?,
        mask: mask?.unwrap_or_default(),
    };
    if cdr.json.is_none() && cdr.csv.is_none() && cdr.webhook.is_none() {
        let fault = Fault::MissingKey {
            key: "json",
            place: section.place().to_owned(),
        };
        let help = "such as `json = \"/var/log/sbc/calls.json\"`; or `csv`, or `webhook`";
        report.add_with(section.at(), fault, Some(help.to_owned()));
        return None;
    }
    if let (Some(json), Some(csv)) = (&cdr.json, &cdr.csv)
        && json == csv
    {
        let found = shown(&json.display().to_string());
        report.add(section.at(), Fault::Twice { key: "csv", found });
        return None;
    }
    Some(Some(cdr))
}

/// What `sbc check` says of it.
pub(super) fn told(config: &Config) -> Vec<String> {
    let Some(cdr) = &config.cdr else {
        return Vec::new();
    };
    let mut places = Vec::new();
    for (file, kind) in [(&cdr.json, "JSON lines"), (&cdr.csv, "CSV")] {
        places.extend(
            file.as_ref()
                .map(|file| format!("{} ({kind})", file.display())),
        );
    }
    if let Some(hook) = &cdr.webhook {
        // What comes after `?` may be a secret.
        let path = hook.path.split('?').next().unwrap_or_default();
        places.push(format!("{}://{}{path}", hook.scheme(), hook.authority()));
    }
    let mut lines = vec![format!(
        "A record of each call goes to {}; {} of disk in {} are taken for what has yet to go there.",
        places.join(" and "),
        shown_bytes(cdr.spool),
        config.sbc.state_dir.display(),
    )];
    let Rotate { every, size } = cdr.rotate;
    let mut when = Vec::new();
    when.extend(every.map(|every| format!("every {}", shown_duration(every))));
    when.extend(size.map(|size| format!("at {}", shown_bytes(size))));
    if !when.is_empty() {
        let keep = match cdr.keep {
            Some(keep) => format!("the last {keep} are kept"),
            None => "all are kept".to_owned(),
        };
        let when = when.join(" and ");
        lines.push(format!("Another file of records is begun {when}; {keep}."));
    }
    if cdr.mask > 0 {
        lines.push(format!(
            "The last {} digits of numbers are left out of records.",
            cdr.mask
        ));
    }
    lines
}

impl Webhook {
    /// What its URL begins with.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Host and port, as a URL has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let Webhook { host, port, .. } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }
}

fn path(text: &str) -> Result<PathBuf, Expected> {
    let is_file = text.starts_with('/') && !text.ends_with('/');
    if !is_file || text.len() > 4096 || text.chars().any(char::is_control) {
        return Err(expected("the path of a file, from `/` on"));
    }
    Ok(text.into())
}

fn rotate(section: &Section<'_, '_>, report: &mut Report) -> Option<Rotate> {
    let mut rotate = Rotate::default();
    if section.optional("rotate").is_none() {
        return Some(rotate);
    }
    for text in section.texts("rotate", "duration or size", report)? {
        let read = values::one(&text, report, |text| {
            let size = bytes(text).filter(|size| (ROTATE_MIN..=ROTATE_MAX).contains(size));
            let every = duration(text).ok();
            match (size, every) {
                (None, None) => Err(expected(
                    "a duration such as `1d`, or a size from `1kB` to `1TB` such as `100MB`",
                )),
                read => Ok(read),
            }
        });
        let (size, every) = read?;
        let is_twice =
            size.is_some() && rotate.size.is_some() || every.is_some() && rotate.every.is_some();
        if is_twice {
            let (key, found) = (text.key, shown(text.text));
            report.add(text.at, Fault::Twice { key, found });
            return None;
        }
        rotate.size = rotate.size.or(size);
        rotate.every = rotate.every.or(every);
    }
    Some(rotate)
}

fn count(
    section: &Section<'_, '_>,
    key: &'static str,
    range: std::ops::RangeInclusive<i64>,
    report: &mut Report,
) -> Option<Option<usize>> {
    let Some(value) = section.optional(key) else {
        return Some(None);
    };
    let DeValue::Integer(number) = value.value else {
        report.add(value.at.clone(), value.mistyped("a number"));
        return None;
    };
    let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
    match parsed.filter(|number| range.contains(number)) {
        Some(number) => Some(usize::try_from(number).ok()),
        None => {
            let fault = Fault::Value {
                key,
                found: shown(number.as_str()),
                expected: format!("a number from {} to {}", range.start(), range.end()),
            };
            report.add(value.at, fault);
            None
        }
    }
}

fn webhook(
    section: &Section<'_, '_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Option<Webhook>> {
    let token = section.optional("token");
    let Some(value) = section.optional("webhook") else {
        if let Some(token) = token {
            let fault = Fault::MissingKey {
                key: "webhook",
                place: section.place().to_owned(),
            };
            report.add(token.at, fault);
            return None;
        }
        return Some(None);
    };
    let token = match token {
        Some(value) => Some(values::secret("token", &value, secrets, report)?),
        None => None,
    };
    let text = value.text(report)?;
    let hook = values::one(&text, report, url)?;
    Some(Some(Webhook { token, ..hook }))
}

/// `http[s]://HOST[:PORT][/PATH][?QUERY]`.
fn url(text: &str) -> Result<Webhook, Expected> {
    let wrong = || expected("a URL such as `https://billing.example/calls`");
    let (tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://").ok_or_else(wrong)?),
    };
    let usual = if tls { "443" } else { "80" };
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}#".contains(c);
    if text.len() > 2048 || !rest.chars().all(is_plain) {
        return Err(wrong());
    }
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']').ok_or_else(wrong)?;
            let _: std::net::Ipv6Addr = host.parse().map_err(|_| wrong())?;
            let port = port.strip_prefix(':').or(port.is_empty().then_some(usual));
            (host, port.ok_or_else(wrong)?)
        }
        None => authority.split_once(':').unwrap_or((authority, usual)),
    };
    let port = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(wrong)?;
    // A name and a password in a URL end in logs: `token` is for that.
    if host.is_empty() || authority.contains('@') {
        return Err(wrong());
    }
    Ok(Webhook {
        tls,
        host: host.to_owned(),
        port,
        path: match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        },
        token: None,
    })
}

fn expected(what: &str) -> Expected {
    Expected {
        expected: what.to_owned(),
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn config(cdr: &str) -> Result<Config, String> {
        let text = format!("[network.a]\naddress = [\"10.0.0.1\"]\n[cdr]\n{cdr}\n");
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    }

    fn read(text: &str) -> Cdr {
        let config = config(text).unwrap_or_else(|error| panic!("{error}"));
        config.cdr.expect("a section")
    }

    #[test]
    fn the_section_is_read() {
        let cdr = read(
            "json = \"/x/a.json\"\ncsv = \"/x/a.csv\"\nrotate = [\"1d\", \"100MB\"]\nkeep = 30\nspool = \"1GB\"\nmask = 3\n\
             webhook = \"http://billing.example:8080/calls?x=1\"\ntoken = \"t0k\"",
        );
        let expected = Cdr {
            json: Some("/x/a.json".into()),
            csv: Some("/x/a.csv".into()),
            rotate: Rotate {
                every: Some(Duration::from_secs(86_400)),
                size: Some(100 << 20),
            },
            keep: Some(30),
            webhook: Some(Webhook {
                tls: false,
                host: "billing.example".to_owned(),
                port: 8080,
                path: "/calls?x=1".to_owned(),
                token: Some(Secret::new("t0k".to_owned())),
            }),
            spool: 1 << 30,
            mask: 3,
        };
        assert_eq!(cdr, expected);
        let cdr = read("csv = \"/a\"");
        assert_eq!((cdr.rotate, cdr.keep), (Rotate::default(), None));
        assert_eq!((cdr.spool, cdr.mask), (SPOOL, 0));
        let text = "[network.a]\naddress = [\"10.0.0.1\"]\n";
        assert_eq!(Config::parse(text, "f", &NoSecrets).unwrap().cdr, None);
    }

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, path) in [
            ("http://a", "a", 80, "/"),
            ("http://a:1?q", "a", 1, "/?q"),
            ("http://[2001:db8::1]:8080/c", "2001:db8::1", 8080, "/c"),
            ("http://[::1]/", "::1", 80, "/"),
        ] {
            let hook = url(text).map_err(|wrong| wrong.expected).unwrap();
            assert_eq!(
                (hook.host.as_str(), hook.port, hook.path.as_str()),
                (host, port, path)
            );
        }
        for wrong in [
            "",
            "a",
            "http://",
            "http://:80/",
            "http://a:0/",
            "http://a:x/",
            "http://u:p@a/",
            "http://a/ b",
            "http://[::1",
            "http://[a]/",
            "http://[::1]x/",
            "ftp://a/",
            "http://é/",
            "https://",
            "https://a:0/",
            "HTTPS://a/",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        let secure = url("https://[::1]/a").ok().unwrap();
        assert_eq!((secure.tls, secure.port), (true, 443));
        assert_eq!(secure.scheme(), "https");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (text, found) in [
            ("", "[cdr] has no `json`, which is required"),
            (
                "json = \"a\"",
                "json: found `a`, expected the path of a file",
            ),
            ("json = \"/a\"\ncsv = \"/a\"", "csv: `/a` is there twice"),
            (
                "json = \"/a\"\nrotate = \"1x\"",
                "expected a duration such as `1d`, or a size",
            ),
            (
                "json = \"/a\"\nrotate = [\"1d\", \"2d\"]",
                "rotate: `2d` is there twice",
            ),
            (
                "json = \"/a\"\nkeep = 0",
                "keep: found `0`, expected a number from 1 to 100000",
            ),
            (
                "json = \"/a\"\nmask = 16",
                "mask: found `16`, expected a number from 0 to 15",
            ),
            (
                "json = \"/a\"\nspool = \"1kB\"",
                "spool: found `1kB`, expected a size from `1MB`",
            ),
            ("json = \"/a\"\ntoken = \"x\"", "[cdr] has no `webhook`"),
            ("jsn = \"/a\"", "did you mean `json`?"),
        ] {
            let error = config(text).unwrap_err();
            assert!(error.contains(found), "{text}: {error}");
        }
        let error = config("webhook = \"http://a\"\ntoken = \"s3cret\"\nrotate = 1").unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
