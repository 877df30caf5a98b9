//! A carrier of the usual making: kamailio, which asks for a password, writes itself into the route, and passes on to a server
//! behind it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Result;

use super::lab::{Namespace, Scratch};
use super::process::Process;

const START: Duration = Duration::from_secs(30);

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
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start(
        namespace: &Namespace,
        scratch: &Scratch,
        carrier: &Carrier<'_>,
    ) -> Result<Kamailio> {
        Kamailio::run(namespace, scratch, carrier.at, &config(carrier))
    }

    /// The same with another config, which has to say that the carrier is up.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn run(
        namespace: &Namespace,
        scratch: &Scratch,
        at: SocketAddrV4,
        config: &str,
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

fn config(carrier: &Carrier<'_>) -> String {
    let Carrier {
        at,
        customer,
        behind,
        username,
        password,
    } = carrier;
    format!(
        r#"#!KAMAILIO
debug=0
log_stderror=yes
children=1
auto_aliases=no
disable_tcp=yes
listen=udp:{at}

loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "auth.so"

request_route {{
	if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
	if (is_method("CANCEL")) {{
		if (t_check_trans()) {{ t_relay(); }}
		exit;
	}}
	if (!is_method("ACK")) {{
		if (t_precheck_trans()) {{ t_check_trans(); exit; }}
		t_check_trans();
	}}
	if ($si == "{customer}" && !is_method("ACK|PRACK")) {{
		if (!pv_proxy_authenticate("carrier.test", "{password}", "0") || $au != "{username}") {{
			xlog("L_ALERT", "carrier: challenged $rm\n");
			proxy_challenge("carrier.test", "1");
			exit;
		}}
		xlog("L_ALERT", "carrier: admitted $rm\n");
		consume_credentials();
	}}
	if (has_totag()) {{
		if (loose_route()) {{ t_relay(); exit; }}
		if (is_method("ACK") && t_check_trans()) {{ t_relay(); exit; }}
		xlog("L_ALERT", "carrier: lost $rm\n");
		if (!is_method("ACK")) {{ sl_send_reply("404", "Not Here"); }}
		exit;
	}}
	if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
	record_route();
	if ($si == "{customer}") {{
		$du = "sip:{behind}";
	}} else {{
		$ru = "sip:" + $rU + "@{customer}";
		$du = "sip:{customer}:5060";
	}}
	t_relay();
}}

event_route[core:worker-one-init] {{
	xlog("L_ALERT", "the carrier is up\n");
}}
"#
    )
}
