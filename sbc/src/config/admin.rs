//! `admin` and `admin_token`: where metrics, health and the API are, and what to say there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::error::{Fault, Report};
use super::model::{Sbc, Secret};
use super::parse::Places;
use super::reader::Section;
use super::secrets::Secrets;
use super::values::{self, Expected, expected, expected_help};

/// Before the path of a socket.
const UNIX: &str = "unix:";
/// Bytes that the kernel takes of one (unix(7)).
const MAX_PATH: usize = 107;
/// Bytes of a token: what is shorter can be guessed.
const MIN_TOKEN: usize = 16;

/// Where the admin pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket, for whoever its owner and group let in (mode 0660).
    Unix(PathBuf),
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Admin::Tcp(address) => address.fmt(f),
            Admin::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl Admin {
    /// The address, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Admin::Tcp(address) => Some(*address),
            Admin::Unix(_) => None,
        }
    }

    /// Other hosts may reach it.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.tcp()
            .is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

    /// `127.0.0.1:9960` or `unix:/run/sbc/admin.sock`.
    ///
    /// # Errors
    /// What is expected, in words.
    pub fn parse(text: &str) -> Result<Admin, String> {
        admin(text).map_err(|Expected { expected, help }| match help {
            Some(help) => format!("expected {expected}; {help}"),
            None => format!("expected {expected}"),
        })
    }
}

/// `[sbc]` where the file says nothing.
pub(super) fn usual() -> Sbc {
    Sbc {
        name: "sbc".to_owned(),
        state_dir: "/var/lib/sbc".into(),
        admin: Admin::Tcp(SocketAddr::from(([127, 0, 0, 1], 9960))),
        admin_token: None,
        resolver: Vec::new(),
        media: Default::default(),
    }
}

pub(super) fn read(
    section: &Section<'_, '_>,
    sbc: &mut Sbc,
    places: &mut Places,
    secrets: &dyn Secrets,
    report: &mut Report,
) {
    if let Some(text) = section.text("admin", report) {
        if let Some(admin) = values::one(&text, report, admin) {
            sbc.admin = admin;
        }
        places.admin = text.at;
    }
    if let Some(value) = section.optional("admin_token") {
        sbc.admin_token = values::secret("admin_token", &value, secrets, report);
        let is_sayable = |token: &Secret| {
            let text = token.reveal();
            text.len() >= MIN_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if sbc.admin_token.as_ref().is_some_and(|t| !is_sayable(t)) {
            let least = MIN_TOKEN;
            report.add(value.at.clone(), Fault::Token { least });
        }
    }
}

fn admin(text: &str) -> Result<Admin, Expected> {
    const EXPECTED: &str = "an address and a port such as `127.0.0.1:9960`, or a Unix socket such as `unix:/run/sbc/admin.sock`";
    if let Some(path) = text.strip_prefix(UNIX) {
        let is_path = path.starts_with('/')
            && !path.ends_with('/')
            && path.len() <= MAX_PATH
            && !path.chars().any(char::is_control);
        return match is_path {
            true => Ok(Admin::Unix(path.into())),
            false => expected(EXPECTED),
        };
    }
    text.parse().map(Admin::Tcp).or_else(|_| {
        let help = match text.parse::<IpAddr>() {
            Ok(ip) => Some(format!("did you mean `{}`?", SocketAddr::new(ip, 9960))),
            Err(_) if text.starts_with('/') => Some(format!("did you mean `{UNIX}{text}`?")),
            Err(_) => None,
        };
        expected_help(EXPECTED, help)
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, NoSecrets};

    fn told(sbc: &str) -> Result<Config, String> {
        let text = format!("[sbc]\n{sbc}\n[network.a]\naddress = \"192.0.2.1\"\n");
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn an_address_or_a_socket() {
        for text in ["127.0.0.1:9960", "[::1]:1", "unix:/run/sbc/admin.sock"] {
            let config = told(&format!("admin = \"{text}\"")).unwrap();
            assert_eq!(config.sbc.admin.to_string(), text);
            assert!(!config.sbc.admin.is_wide());
        }
        for (text, help) in [
            ("unix:run/sbc.sock", ""),
            ("unix:/", ""),
            ("127.0.0.1", "did you mean `127.0.0.1:9960`?"),
            ("/run/sbc.sock", "did you mean `unix:/run/sbc.sock`?"),
        ] {
            let error = told(&format!("admin = \"{text}\"")).unwrap_err();
            assert!(error.starts_with("f:2:9: error: admin: found"), "{error}");
            assert!(
                error.contains("or a Unix socket such as `unix:/run/sbc/admin.sock`"),
                "{error}"
            );
            assert!(error.contains(help), "{error}");
        }
    }

    #[test]
    fn what_other_hosts_may_reach_wants_a_token() {
        for admin in ["0.0.0.0:9960", "192.0.2.1:9960", "[::]:9960"] {
            let error = told(&format!("admin = \"{admin}\"")).unwrap_err();
            let expected = format!(
                "f:2:9: error: admin {admin} can be reached from other hosts, and there is no `admin_token`"
            );
            assert!(error.starts_with(&expected), "{error}");
            let config = told(&format!(
                "admin = \"{admin}\"\nadmin_token = \"0123456789abcdef\""
            ))
            .unwrap();
            assert!(config.sbc.admin.is_wide());
            assert_eq!(format!("{:?}", config.sbc.admin_token), "Some(***)");
        }
        for short in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdé!"] {
            let error = told(&format!("admin_token = \"{short}\"")).unwrap_err();
            assert!(
                error.starts_with(
                    "f:2:15: error: admin_token: expected at least 16 visible ASCII characters"
                ),
                "{error}"
            );
            assert!(!error.contains("0123"), "{error}");
        }
    }
}
