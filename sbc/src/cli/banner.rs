//! What the daemon says when it is up: what to type where.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use sbc::config::{Admin, Config, FastPath, Network, NetworkId, open_admin};
use sbc::media::{NetworkPath, XdpMode};

use super::source::Origin;

/// All that it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Banner<'a> {
    pub(super) config: &'a Config,
    pub(super) origin: &'a Origin,
    pub(super) admin: &'a Admin,
    pub(super) paths: &'a [(NetworkId, NetworkPath)],
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::BuiltIn(accounts) => self.built_in(f, accounts)?,
            Origin::File(file) => self.configured(f, file)?,
        }
        self.media(f)?;
        match self.admin {
            Admin::Tcp(address) => {
                writeln!(f, "  Web page   http://{address}/")?;
                writeln!(f, "  Metrics    http://{address}/metrics")?;
                writeln!(f, "  Health     http://{address}/healthz")?;
            }
            Admin::Unix(path) => {
                let path = path.display();
                writeln!(
                    f,
                    "  Metrics    curl --unix-socket {path} http://localhost/metrics"
                )?;
            }
        }
        if let Some(note) = open_admin(self.config) {
            writeln!(f, "             {note}")?;
        }
        writeln!(f, "\n  Ctrl-C ends every call and stops.\n")
    }
}

impl Banner<'_> {
    fn built_in(&self, f: &mut fmt::Formatter<'_>, accounts: &[(String, String)]) -> fmt::Result {
        writeln!(
            f,
            "\nsbc {} is up on its built-in settings.\n",
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(f, "  Type one of these accounts into each softphone:\n")?;
        writeln!(f, "    account    password")?;
        for (name, password) in accounts {
            writeln!(f, "    {name:<10} {password}")?;
        }
        let port = self.port();
        let addresses: Vec<IpAddr> = self
            .config
            .networks
            .iter()
            .flat_map(|n| n.addresses.clone())
            .collect();
        writeln!(
            f,
            "\n  with one of these as domain (or registrar, server), over UDP or TCP:\n"
        )?;
        for address in &addresses {
            let note = if address.is_loopback() {
                "   (a softphone on this machine)"
            } else {
                ""
            };
            writeln!(f, "    {}{note}", host_and_port(*address, port))?;
        }
        if let [(one, _), (other, _), ..] = accounts {
            writeln!(
                f,
                "\n  Then dial {other} from {one}, or {one} from {other}."
            )?;
        }
        writeln!(
            f,
            "  The passwords hold until the daemon ends: the next start makes others.\n"
        )
    }

    fn configured(&self, f: &mut fmt::Formatter<'_>, file: &Path) -> fmt::Result {
        writeln!(
            f,
            "\nsbc {} is up on {}.\n",
            env!("CARGO_PKG_VERSION"),
            file.display()
        )?;
        for (index, network) in self.config.networks.iter().enumerate() {
            let title = if index == 0 { "SIP" } else { "" };
            writeln!(f, "  {title:<10} {}: {}", network.name, listeners(network))?;
        }
        Ok(())
    }

    fn media(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (id, path)) in self.paths.iter().enumerate() {
            let title = if index == 0 { "Media" } else { "" };
            let network = self.config.network(*id);
            let (first, last) = (network.media_ports.start(), network.media_ports.end());
            writeln!(
                f,
                "  {title:<10} {}: UDP {first}-{last}, {}",
                network.name,
                path_text(*path, network.fast_path)
            )?;
        }
        Ok(())
    }

    fn port(&self) -> u16 {
        let network = self.config.networks.first();
        network
            .and_then(|network| network.sip.first())
            .map_or(5060, |listener| listener.port)
    }
}

fn listeners(network: &Network) -> String {
    let each = network.addresses.iter().flat_map(|&address| {
        network.sip.iter().map(move |listener| {
            format!(
                "{} {}",
                listener.transport,
                SocketAddr::new(address, listener.port)
            )
        })
    });
    each.collect::<Vec<_>>().join(", ")
}

/// As a softphone wants it: the port only where it is not the usual one.
fn host_and_port(address: IpAddr, port: u16) -> String {
    match (address, port) {
        (IpAddr::V4(v4), 5060) => v4.to_string(),
        (IpAddr::V6(v6), 5060) => format!("[{v6}]"),
        (address, port) => SocketAddr::new(address, port).to_string(),
    }
}

fn path_text(path: NetworkPath, wanted: FastPath) -> String {
    let text = match path {
        NetworkPath::Kernel {
            mode: XdpMode::Native,
        } => "forwarded in the kernel (XDP, native mode)",
        NetworkPath::Kernel {
            mode: XdpMode::Generic,
        } if wanted == FastPath::Generic => "forwarded in the kernel (XDP, generic mode)",
        NetworkPath::Kernel {
            mode: XdpMode::Generic,
        } => "forwarded in the kernel (XDP, generic mode; the log says why not native)",
        NetworkPath::User(reason) => {
            return format!("forwarded in user space: {}", reason.words());
        }
    };
    text.to_owned()
}
