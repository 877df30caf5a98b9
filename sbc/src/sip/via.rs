//! Via (RFC 3261 20.42, RFC 3581).

use std::net::IpAddr;

use super::error::ValueError;
use super::text::{
    Params, first_param, host_ip, host_length, number, split_number, split_token, trim, trim_start,
};

/// A view of one Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Via<'a> {
    pub(super) transport: &'a str,
    pub(super) sent_by: &'a str,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) params: &'a str,
    pub(super) branch: Option<&'a str>,
}

impl<'a> Via<'a> {
    /// Reads one Via value; a list is to be split first ([`super::Message::values`]).
    pub fn parse(text: &'a str) -> Result<Self, ValueError> {
        let (via, rest) = Via::parse_first(text)?;
        if rest.is_empty() {
            Ok(via)
        } else {
            Err(ValueError::Parameter)
        }
    }

    /// The first of a list, and what follows its comma.
    pub(super) fn parse_first(text: &'a str) -> Result<(Self, &'a str), ValueError> {
        let rest = match text.strip_prefix("SIP/2.0/") {
            Some(rest) => rest,
            None => slash(word(slash(word(text, "SIP")?)?, "2.0")?)?,
        };
        let (transport, rest) = split_token(trim_start(rest));
        let after_transport = trim_start(rest);
        if transport.is_empty() || after_transport.len() == rest.len() {
            return Err(ValueError::Protocol);
        }
        let rest = after_transport;
        let (host, after_host) = rest
            .split_at_checked(host_length(rest).ok_or(ValueError::Host)?)
            .ok_or(ValueError::Host)?;
        let after_host = trim_start(after_host);
        let (port, after_port) = match after_host.strip_prefix(':') {
            Some(text) => {
                let (port, text) = split_number(trim_start(text)).ok_or(ValueError::Port)?;
                if port == 0 {
                    return Err(ValueError::Port);
                }
                (Some(port), trim_start(text))
            }
            None => (None, after_host),
        };
        let sent_by = trim(rest.get(..rest.len() - after_port.len()).unwrap_or(""));
        let (params, branch, next) = params_of(after_port)?;
        let via = Via {
            transport,
            sent_by,
            host,
            port,
            params,
            branch,
        };
        Ok((via, next))
    }

    /// As much of a Via that is not one as says where to answer: transport and sent-by, of any version.
    pub(super) fn parse_roughly(text: &'a str) -> Option<Self> {
        let (_protocol, rest) = text.split_once('/')?;
        let (_version, rest) = rest.split_once('/')?;
        let (transport, rest) = split_token(trim_start(rest));
        let rest = trim_start(rest);
        let (host, after) = rest.split_at_checked(host_length(rest)?)?;
        let port = trim_start(after)
            .strip_prefix(':')
            .and_then(|text| split_number(trim_start(text)))
            .map(|(port, _)| port)
            .filter(|&port| port != 0);
        let params = after.find(';').and_then(|at| after.get(at..));
        (!transport.is_empty()).then_some(Via {
            transport,
            sent_by: host,
            host,
            port,
            params: params.unwrap_or(""),
            branch: None,
        })
    }

    /// `UDP`, `TCP`, …, as it was written.
    #[must_use]
    pub fn transport(&self) -> &'a str {
        self.transport
    }

    /// Host and port as they were written, white space around the colon included.
    #[must_use]
    pub fn sent_by(&self) -> &'a str {
        self.sent_by
    }

    /// The sent-by host, an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The sent-by host's address, if it is one.
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        host_ip(self.host)
    }

    /// The sent-by port, if there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch: one that begins with `z9hG4bK` is unique (RFC 3261 8.1.1.7).
    #[must_use]
    pub fn branch(&self) -> Option<&'a str> {
        self.branch
    }

    /// `received`, if it is an address; IPv6 with or without brackets (RFC 5118 4.5).
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        host_ip(self.param("received")??)
    }

    /// Whether the sender asked for an answer to the port it sent from, or was told it (RFC 3581).
    #[must_use]
    pub fn has_rport(&self) -> bool {
        self.param("rport").is_some()
    }

    /// The port that the message came from, once filled in.
    #[must_use]
    pub fn rport(&self) -> Option<u16> {
        number(self.param("rport")??)
    }

    /// A parameter, its name in any case: `Some(None)` for one without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&'a str>> {
        self.params().find(name)
    }

    /// All parameters in order.
    #[must_use]
    pub fn params(&self) -> Params<'a> {
        Params::new(self.params)
    }
}

/// All parameters, the branch among them, and what follows a comma. Each has a name, and none an empty value.
fn params_of(text: &str) -> Result<(&str, Option<&str>, &str), ValueError> {
    let mut branch = None;
    let mut rest = text;
    while let Some(param) = rest.strip_prefix(';') {
        let (name, value, after) = first_param(param).ok_or(ValueError::Parameter)?;
        if branch.is_none() && name.eq_ignore_ascii_case("branch") {
            branch = value;
        }
        rest = after;
    }
    let params = text.get(..text.len() - rest.len()).unwrap_or("");
    match rest.strip_prefix(',') {
        Some(next) => Ok((trim(params), branch, next)),
        None if rest.is_empty() => Ok((trim(params), branch, "")),
        None => Err(ValueError::Parameter),
    }
}

fn word<'a>(text: &'a str, word: &str) -> Result<&'a str, ValueError> {
    match text.split_at_checked(word.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(word) => Ok(trim_start(rest)),
        _ => Err(ValueError::Protocol),
    }
}

fn slash(text: &str) -> Result<&str, ValueError> {
    text.strip_prefix('/')
        .map(trim_start)
        .ok_or(ValueError::Protocol)
}
