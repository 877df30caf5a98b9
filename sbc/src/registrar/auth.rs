//! Who a phone is: digest, the same answer for accounts that there are and that there are not (RFC 3261 22, RFC 7616).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::attempts::{Attempt, Attempts};
use super::{NonceAge, Nonces, Registrar};
use crate::config::{Config, NetworkId, PhoneId};
use crate::sip::digest::{Algorithm, Challenge, Credentials, DigestError};
use crate::sip::{Message, Name, Writer};
use crate::transaction::Hop;

/// Why nobody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credentials for our realm.
    Missing,
    /// Credentials that cannot be read, or of a kind that nobody asked for.
    Unusable(DigestError),
    /// By a hash function that the network does not take.
    Weak,
    /// Wrong ones; whether the name or the password is wrong is not said.
    Wrong,
    /// Right ones of a phone that may not be there (`remote`): he hears what he would hear if they were wrong.
    NotLocal(PhoneId),
    /// For a nonce that is too old, or not ours: the phone may answer a fresh one without asking its user. Whether they are right is not
    /// said: nobody may try passwords without having been sent a challenge, which is what counts against him.
    Stale,
    /// A copy of what has been taken: its sender may answer a fresh nonce, if he can.
    Replayed,
    /// Too many have failed before; what these are worth is not looked at.
    Throttled {
        /// Until it is.
        wait: Duration,
    },
}

impl Denied {
    /// Every [`label`](Denied::label) that there is.
    pub const LABELS: [&'static str; 8] = [
        "no-credentials",
        "unusable-credentials",
        "weak-algorithm",
        "credentials",
        "not-local",
        "stale-nonce",
        "replayed",
        "throttled",
    ];

    /// The counter's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Denied::Missing => "no-credentials",
            Denied::Unusable(_) => "unusable-credentials",
            Denied::Weak => "weak-algorithm",
            Denied::Wrong => "credentials",
            Denied::NotLocal(_) => "not-local",
            Denied::Stale => "stale-nonce",
            Denied::Replayed => "replayed",
            Denied::Throttled { .. } => "throttled",
        }
    }

    /// Whether it counts as a guess.
    #[must_use]
    pub fn is_guess(self) -> bool {
        matches!(
            self,
            Denied::Wrong | Denied::NotLocal(_) | Denied::Unusable(_)
        )
    }
}

/// What the password of an account that does not exist is taken to be: it costs the same time as a real one.
const NO_PASSWORD: &str = "no such account";

/// What it takes to recognise a phone.
pub struct Accounts<'a> {
    /// Passwords, and who may be where.
    pub config: &'a Config,
    /// What was asked.
    pub nonces: &'a mut Nonces,
    /// Who failed before.
    pub attempts: &'a mut Attempts,
    /// Who is where.
    pub registrar: &'a Registrar,
}

impl Accounts<'_> {
    /// Who sent this, by its Authorization.
    ///
    /// # Errors
    /// [`Denied`]: answer with [`challenge`], but for [`Denied::Unusable`] and [`Denied::Throttled`].
    pub fn recognise(self, now: Instant, hop: &Hop, request: &Message) -> Result<PhoneId, Denied> {
        let method = match request.start() {
            crate::sip::Start::Request { method, .. } => method,
            crate::sip::Start::Response { .. } => return Err(Denied::Missing),
        };
        let credentials = credentials(self.config, request)?;
        let source = hop.remote.ip();
        if self.nonces.check(now, source, credentials.nonce) != NonceAge::Fresh {
            return Err(Denied::Stale);
        }
        let phone = self.config.phone_named(credentials.username);
        let flow = |binding: &super::Binding| {
            (binding.hop.network, binding.hop.remote) == (hop.network, hop.remote)
        };
        let attempt = Attempt {
            network: hop.network,
            source,
            name: credentials.username,
            is_at_home: phone.is_some_and(|id| self.registrar.is_at(id, hop.network, source)),
            is_own_flow: phone.is_some_and(|id| self.registrar.bindings(id).any(flow)),
        };
        if let Some(wait) = self.attempts.wait(now, &attempt) {
            return Err(Denied::Throttled { wait });
        }
        // More than was asked for is welcome.
        let network = self.config.networks.get(hop.network.index());
        let is_taken = network.is_none_or(|n| n.digest.contains(&credentials.algorithm));
        if !is_taken && credentials.algorithm != Algorithm::Sha256 {
            return Err(Denied::Weak);
        }
        let password = phone.map_or(NO_PASSWORD, |id| self.config.phone(id).password.reveal());
        let right = credentials.verify(password, method);
        let Some(phone) = phone.filter(|_| right) else {
            self.attempts.failed(now, &attempt);
            return Err(Denied::Wrong);
        };
        if !self.config.may_be_at(phone, hop.network, source) {
            self.attempts.failed(now, &attempt);
            return Err(Denied::NotLocal(phone));
        }
        let count = credentials.auth.map(|auth| auth.count);
        match self.nonces.take(now, credentials.nonce, count) {
            true => Ok(phone),
            false => Err(Denied::Replayed),
        }
    }
}

/// The credentials for our realm. There is no second try in the same request: each counts.
fn credentials<'a>(config: &Config, request: &'a Message) -> Result<Credentials<'a>, Denied> {
    let mut denied = Denied::Missing;
    // A client that knows several realms sends several, one for each.
    for field in request
        .fields()
        .filter(|field| field.name == Name::Authorization)
        .take(4)
    {
        match Credentials::parse(field.value) {
            Ok(credentials) if credentials.realm == config.sbc.name => return Ok(credentials),
            // Those of a scheme that nobody here knows are none (RFC 4475 3.3.7).
            Ok(_) | Err(DigestError::Scheme) => {}
            Err(error) => denied = Denied::Unusable(error),
        }
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

/// Adds the challenges to a 401, one for each hash function of the network. MD5 alone where it says nothing: phones on libre (baresip 1.0 of
/// Debian 12) give up at the sight of any other, wherever it stands in the answer. SHA-256 is accepted from whoever answers with it all the same.
pub fn challenge(
    config: &Config,
    nonces: &mut Nonces,
    now: Instant,
    (network, source): (NetworkId, IpAddr),
    denied: Denied,
    mut writer: Writer,
) -> Writer {
    let nonce = nonces.issue(now, source);
    let algorithms = config.networks.get(network.index());
    for &algorithm in algorithms.map_or(&[Algorithm::Md5][..], |n| &n.digest) {
        let challenge = Challenge {
            realm: &config.sbc.name,
            nonce: &nonce,
            algorithm,
            stale: matches!(denied, Denied::Stale | Denied::Replayed),
        };
        writer = writer.header(Name::WwwAuthenticate, challenge);
    }
    writer
}
