//! Who a phone is: digest, the same answer for accounts that there are and that there are not (RFC 3261 22, RFC 7616).

use std::net::IpAddr;
use std::time::Instant;

use super::{NonceAge, Nonces};
use crate::config::{Config, PhoneId};
use crate::sip::digest::{Algorithm, Challenge, Credentials};
use crate::sip::{Message, Name, Writer};

/// Why nobody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credentials for our realm.
    Missing,
    /// Wrong ones; whether the name or the password is wrong is not said.
    Wrong,
    /// For a nonce that is too old, or not ours: the phone may answer a fresh one without asking its user. Whether they are right is not
    /// said: nobody may try passwords without having been sent a challenge, which is what counts against him.
    Stale,
}

impl Denied {
    /// The counter's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Denied::Missing => "no-credentials",
            Denied::Wrong => "credentials",
            Denied::Stale => "stale-nonce",
        }
    }
}

/// What the password of an account that does not exist is taken to be: it costs the same time as a real one.
const NO_PASSWORD: &str = "no such account";

/// Who sent this, by its Authorization.
///
/// # Errors
/// [`Denied`]: answer with [`challenge`].
pub fn authenticate(
    config: &Config,
    nonces: &Nonces,
    now: Instant,
    source: IpAddr,
    request: &Message,
) -> Result<PhoneId, Denied> {
    let method = match request.start() {
        crate::sip::Start::Request { method, .. } => method,
        crate::sip::Start::Response { .. } => return Err(Denied::Missing),
    };
    let mut denied = Denied::Missing;
    // A client that knows several realms sends several, one for each.
    for field in request
        .fields()
        .filter(|field| field.name == Name::Authorization)
        .take(4)
    {
        let Ok(credentials) = Credentials::parse(field.value) else {
            denied = Denied::Wrong;
            continue;
        };
        if credentials.realm != config.sbc.name {
            continue;
        }
        if nonces.check(now, source, credentials.nonce) != NonceAge::Fresh {
            return Err(Denied::Stale);
        }
        let phone = config.phone_named(credentials.username);
        let password = phone.map_or(NO_PASSWORD, |id| config.phone(id).password.reveal());
        let right = credentials.verify(password, method);
        // No second try in the same request: each counts.
        return phone.filter(|_| right).ok_or(Denied::Wrong);
    }
    Err(denied)
}

/// Whether the source has seen a challenge of ours, and so is where it says: a forged datagram has no nonce that was sent there.
#[must_use]
pub fn answers_challenge(
    config: &Config,
    nonces: &Nonces,
    now: Instant,
    source: IpAddr,
    request: &Message,
) -> bool {
    request
        .fields()
        .filter(|field| field.name == Name::Authorization)
        .take(4)
        .filter_map(|field| Credentials::parse(field.value).ok())
        .filter(|credentials| credentials.realm == config.sbc.name)
        .any(|credentials| nonces.check(now, source, credentials.nonce) == NonceAge::Fresh)
}

/// Adds the challenge to a 401. MD5 alone: phones on libre (baresip 1.0 of Debian 12) give up at the sight of any other
/// algorithm, wherever it stands in the answer. SHA-256 is accepted from whoever answers with it all the same.
pub fn challenge(
    config: &Config,
    nonces: &Nonces,
    now: Instant,
    source: IpAddr,
    denied: Denied,
    writer: Writer,
) -> Writer {
    let nonce = nonces.issue(now, source);
    let challenge = Challenge {
        realm: &config.sbc.name,
        nonce: &nonce,
        algorithm: Algorithm::Md5,
        stale: denied == Denied::Stale,
    };
    writer.header(Name::WwwAuthenticate, challenge)
}
