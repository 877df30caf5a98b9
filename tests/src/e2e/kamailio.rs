//! A carrier of the usual making: kamailio, which asks for a password, writes itself into the route, and passes on to a server
//! behind it. With [`Accounts`] one registers with it, and it calls whom it knows over the connection that he registered over.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Result;

use super::lab::{Namespace, Scratch};
use super::process::Process;

const START: Duration = Duration::from_secs(30);
const CONFIG: &str = include_str!("kamailio/carrier.cfg");

/// A running kamailio; it and its workers are killed on drop.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
}

/// Where a [`Kamailio`] stands, and whom it lets in.
#[derive(Clone, Copy, Debug)]
pub struct Carrier<'a> {
    /// Where it listens, by UDP.
    pub at: SocketAddrV4,
    /// Who calls from outside, and is asked for the password in the call too; calls to outside go to its port 5060.
    pub customer: Ipv4Addr,
    /// The server behind it: who calls from there is not asked.
    pub behind: SocketAddrV4,
    /// What the customer has to say.
    pub username: &'a str,
    /// The same.
    pub password: &'a str,
}

impl Kamailio {
    /// Starts one without accounts, by UDP, and waits until it listens. Calls from behind it go to the customer's port 5060.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start(
        namespace: &Namespace,
        scratch: &Scratch,
        carrier: &Carrier<'_>,
    ) -> Result<Kamailio> {
        let config = config(carrier, "carrier.test");
        Kamailio::run(namespace, scratch, carrier.at, &config, &[])
    }

    fn run(
        namespace: &Namespace,
        scratch: &Scratch,
        at: SocketAddrV4,
        config: &str,
        defined: &[&str],
    ) -> Result<Kamailio> {
        let file = scratch.write("kamailio.cfg", config)?;
        // It forks its workers: in a process namespace they die with it.
        let mut command = namespace.command("unshare");
        command
            .args(["--pid", "--fork", "--kill-child=KILL", "kamailio"])
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-n", "1", "-f"])
            .arg(file)
            .arg("-Y")
            .arg(scratch.path())
            .args(defined.iter().flat_map(|name| ["-A", name]))
            .current_dir(scratch.path());
        let mut process = Process::spawn(format!("kamailio at {at}"), command)?;
        process.wait_for("the carrier is up", START)?;
        Ok(Kamailio { process })
    }

    /// How often it has asked for the password of such a request.
    #[must_use]
    pub fn challenged(&self, method: &str) -> usize {
        self.said("challenged", method)
    }

    /// How often it has taken the password of such a request.
    #[must_use]
    pub fn admitted(&self, method: &str) -> usize {
        self.said("admitted", method)
    }

    /// Waits until it says so.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_for(&mut self, what: &str) -> Result<()> {
        self.process.wait_for(what, START).map(drop)
    }

    /// All that it has said.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    fn said(&self, what: &str, method: &str) -> usize {
        let printed = self.process.printed();
        let line = format!("carrier: {what} {method}");
        printed.lines().filter(|have| have.ends_with(&line)).count()
    }
}

/// What a carrier with accounts, by UDP and TCP, does with whoever registers.
///
/// It asks no password of those on its own host: who registers from there is a subscriber, whom everybody calls by his number. Any other number
/// that is called from there is the customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Refuses him for now: 503.
    Closed,
    /// Asks for his password.
    Open,
    /// Asks for it with each request anew: what answered one challenge answers no other.
    Strict,
}

impl Accounts {
    /// Starts a carrier like that. Whoever calls from behind it calls the account that is registered, whatever number it is.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start(
        self,
        namespace: &Namespace,
        scratch: &Scratch,
        carrier: &Carrier<'_>,
    ) -> Result<Kamailio> {
        let config = config(carrier, &carrier.at.ip().to_string());
        Kamailio::run(namespace, scratch, carrier.at, &config, self.defined())
    }

    fn defined(self) -> &'static [&'static str] {
        match self {
            Accounts::Closed => &["ACCOUNTS", "CLOSED"],
            Accounts::Open => &["ACCOUNTS"],
            Accounts::Strict => &["ACCOUNTS", "ONCE"],
        }
    }
}

/// The config of a carrier. What only some of them have is asked for with [`Accounts::defined`].
fn config(carrier: &Carrier<'_>, domain: &str) -> String {
    let values = [
        ("AT", carrier.at.to_string()),
        ("CUSTOMER", carrier.customer.to_string()),
        ("BEHIND", carrier.behind.to_string()),
        ("USERNAME", carrier.username.to_owned()),
        ("PASSWORD", carrier.password.to_owned()),
        ("DOMAIN", domain.to_owned()),
    ];
    let mut config = CONFIG.to_owned();
    for (name, value) in values {
        config = config.replace(&format!("@{name}@"), &value);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_place() {
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5060);
        let carrier = Carrier {
            at,
            customer: Ipv4Addr::new(10, 0, 0, 1),
            behind: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5070),
            username: "box",
            password: "rosebud",
        };
        let config = config(&carrier, "carrier.test");
        assert!(config.contains("\"sip:box@carrier.test\""), "{config}");
        assert!(config.contains("$rU + \"@10.0.0.1\""), "{config}");
        assert!(config.contains("listen=udp:127.0.0.1:5060"), "{config}");
        for line in config.lines() {
            assert!(line.matches('@').count() < 2, "{line}");
        }
    }
}
