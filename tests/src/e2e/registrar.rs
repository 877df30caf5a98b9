//! A carrier that one registers with: kamailio with accounts, which asks for a password, and calls whom it knows over the connection that he
//! registered over.

use anyhow::Result;

use super::kamailio::{Carrier, Kamailio};
use super::lab::{Namespace, Scratch};

/// What it does with whoever registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Refuses him for now: 503.
    Closed,
    /// Asks for his password.
    Open,
}

impl Accounts {
    /// Starts a carrier like that, by UDP and TCP. Whoever calls from behind it calls the account that is registered, whatever number it is.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start(
        self,
        namespace: &Namespace,
        scratch: &Scratch,
        carrier: &Carrier<'_>,
    ) -> Result<Kamailio> {
        Kamailio::run(namespace, scratch, carrier.at, &self.config(carrier))
    }

    fn config(self, carrier: &Carrier<'_>) -> String {
        let Carrier {
            at,
            customer,
            behind,
            username,
            password,
        } = carrier;
        let domain = at.ip();
        let door = match self {
            Accounts::Closed => {
                r#"append_to_reply("Retry-After: 4\r\n"); sl_send_reply("503", "Not Now"); exit;"#
            }
            Accounts::Open => "",
        };
        format!(
            r#"#!KAMAILIO
debug=0
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:{at}
listen=tcp:{at}

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
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"

modparam("registrar", "received_avp", "$avp(RECEIVED)")
modparam("nathelper", "received_avp", "$avp(RECEIVED)")

request_route {{
	if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
	if (is_method("REGISTER")) {{
		{door}
		if (!pv_www_authenticate("{domain}", "{password}", "0") || $au != "{username}") {{
			xlog("L_ALERT", "carrier: challenged $rm\n");
			www_challenge("{domain}", "1");
			exit;
		}}
		xlog("L_ALERT", "carrier: admitted $rm\n");
		xlog("L_ALERT", "carrier: for $hdr(Expires) s at $ct\n");
		fix_nated_register();
		save("location");
		exit;
	}}
	if (is_method("OPTIONS") && !has_totag()) {{ sl_send_reply("200", "OK"); exit; }}
	if (is_method("CANCEL")) {{
		if (t_check_trans()) {{ t_relay(); }}
		exit;
	}}
	if (!is_method("ACK")) {{
		if (t_precheck_trans()) {{ t_check_trans(); exit; }}
		t_check_trans();
	}}
	if ($si == "{customer}" && !is_method("ACK|PRACK")) {{
		if (!pv_proxy_authenticate("{domain}", "{password}", "0") || $au != "{username}") {{
			xlog("L_ALERT", "carrier: challenged $rm\n");
			proxy_challenge("{domain}", "1");
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
	}} else if (!lookup("location", "sip:{username}@{domain}")) {{
		xlog("L_ALERT", "carrier: nobody is registered\n");
		sl_send_reply("480", "Not Registered");
		exit;
	}}
	t_relay();
}}

event_route[core:worker-one-init] {{
	xlog("L_ALERT", "the carrier is up\n");
}}
"#
        )
    }
}
