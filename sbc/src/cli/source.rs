//! Where the config comes from: a file, or the built-in settings; then what this host has to say about it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use thiserror::Error;

use sbc::config::{
    self, Bind, BindErrors, Config, EphemeralOverlap, Errors, HostInterface, NoSecret, NoSecrets,
    Secrets,
};
use sbc::io::host::{self, HostAddress, Kind};
use sbc::io::media::{self, Misplaced};

use super::accounts;
use super::client::reason;

/// Where the built-in settings say that state is; nothing is written there yet.
const STATE_DIR: &str = "/var/lib/sbc";

/// A config that fits this host.
#[derive(Debug)]
pub(super) struct Source {
    /// With the addresses of its networks.
    pub(super) config: Config,
    /// Where it came from.
    pub(super) origin: Origin,
}

/// Where a config comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// `--config`.
    File(PathBuf),
    /// Built in, with these accounts: names and passwords.
    BuiltIn(Vec<(String, String)>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(file) => file.display().fmt(f),
            Origin::BuiltIn(_) => f.write_str("the built-in settings"),
        }
    }
}

/// Why there is no config.
#[derive(Debug, Error)]
pub(super) enum SourceError {
    #[error("cannot read {}: {}", file.display(), reason(source))]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{0}")]
    Wrong(Errors),
    #[error("{}", within(origin, errors))]
    Unfit { origin: String, errors: BindErrors },
    #[error("{origin}: {overlap}")]
    Ephemeral {
        origin: String,
        overlap: EphemeralOverlap,
    },
    #[error("{origin}: {error}")]
    Workers { origin: String, error: Misplaced },
    #[error("cannot list the addresses of this host: {0}")]
    Host(io::Error),
    #[error("this host has no address yet that a phone could reach: connect it, then start again")]
    Alone,
}

/// Reads and checks a file, or makes the built-in settings.
///
/// # Errors
/// Everything that is wrong with it, and what would be right.
pub(super) fn load(file: Option<&Path>) -> Result<Source, SourceError> {
    let host = host::addresses().map_err(SourceError::Host)?;
    let (mut config, origin) = match file {
        Some(file) => (read(file)?, Origin::File(file.to_owned())),
        None => built_in(&host)?,
    };
    let interfaces = interfaces(&host, &config);
    config
        .bind(&interfaces)
        .map_err(|errors| SourceError::Unfit {
            origin: origin.to_string(),
            errors,
        })?;
    if let Some(ports) = host::ephemeral_ports() {
        config::check_ephemeral(&config, ports.range, &ports.reserved).map_err(|overlap| {
            SourceError::Ephemeral {
                origin: origin.to_string(),
                overlap,
            }
        })?;
    }
    media::fits(&config.sbc.media).map_err(|error| SourceError::Workers {
        origin: origin.to_string(),
        error,
    })?;
    Ok(Source { config, origin })
}

/// Each error after where it was found.
fn within(origin: &str, errors: &BindErrors) -> String {
    let each = errors.0.iter().map(|error| format!("{origin}: {error}"));
    each.collect::<Vec<_>>().join("\n")
}

/// Reads a file, whatever this host has to say about it.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(file: &Path) -> Result<Config, SourceError> {
    let text = std::fs::read_to_string(file).map_err(|source| SourceError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    Config::parse(&text, &file.display().to_string(), &System).map_err(SourceError::Wrong)
}

fn built_in(host: &[HostAddress]) -> Result<(Config, Origin), SourceError> {
    // Apart, so that what the kernel cannot forward on one does not hold the others back.
    let networks: Vec<(&str, Vec<IpAddr>)> = [
        ("lan", Kind::Ethernet),
        ("tunnel", Kind::Other),
        ("local", Kind::Loopback),
    ]
    .into_iter()
    .map(|(name, kind)| (name, addresses(host, kind)))
    .filter(|(_, addresses)| !addresses.is_empty())
    .collect();
    if networks.is_empty() {
        return Err(SourceError::Alone);
    }
    let phones = accounts::fresh().map_err(SourceError::Host)?;
    let text = config::embedded(&networks, &phones, STATE_DIR);
    let config =
        Config::parse(&text, "built-in settings", &NoSecrets).map_err(SourceError::Wrong)?;
    Ok((config, Origin::BuiltIn(phones)))
}

/// What a phone can use of an interface's addresses, each once.
fn addresses(host: &[HostAddress], kind: Kind) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for one in host.iter().filter(|one| one.kind == kind) {
        if (kind == Kind::Loopback || one.is_global()) && !addresses.contains(&one.address) {
            addresses.push(one.address);
        }
    }
    addresses
}

/// The interfaces of the host. All of 127.0.0.0/8 is the host's, though it lists one address: what the config names of it
/// is added.
fn interfaces(host: &[HostAddress], config: &Config) -> Vec<HostInterface> {
    let mut interfaces: Vec<HostInterface> = Vec::new();
    for one in host {
        match interfaces
            .iter_mut()
            .find(|known| known.name == one.interface)
        {
            Some(known) => known.addresses.push(one.address),
            None => interfaces.push(HostInterface {
                name: one.interface.clone(),
                addresses: vec![one.address],
            }),
        }
    }
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Some(lo) = interfaces
        .iter_mut()
        .find(|one| one.addresses.contains(&localhost))
    {
        for network in &config.networks {
            if let Bind::Addresses(named) = &network.bind {
                let more = named
                    .iter()
                    .filter(|ip| ip.is_ipv4() && ip.is_loopback() && **ip != localhost);
                lo.addresses.extend(more);
            }
        }
    }
    interfaces
}

/// Secrets as the system has them.
struct System;

impl Secrets for System {
    fn env(&self, name: &str) -> Result<String, NoSecret> {
        std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => NoSecret::Absent,
            std::env::VarError::NotUnicode(_) => NoSecret::NotText,
        })
    }

    fn file(&self, path: &Path) -> Result<String, NoSecret> {
        std::fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NoSecret::Absent,
            io::ErrorKind::InvalidData => NoSecret::NotText,
            kind => NoSecret::Unreadable(kind),
        })
    }
}
