//! Digest authentication (RFC 3261 22.4, RFC 7616, RFC 8760): MD5 and SHA-256, with `qop=auth` and without any.
//!
//! Pure: whoever challenges makes the nonce and remembers it. The client's half is [`answer`].

use std::fmt;

use digest_auth::{Algorithm as Hash, AlgorithmType};
use thiserror::Error;

use super::text::{find_outside, trim};

/// A hash function that the box speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `MD5`: what phones know. Meant where none is named.
    #[default]
    Md5,
    /// `SHA-256` (RFC 8760).
    Sha256,
}

impl Algorithm {
    /// As in the `algorithm` parameter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// That of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// Lower-case hex.
    fn hash(self, text: &str) -> String {
        let function = match self {
            Algorithm::Md5 => AlgorithmType::MD5,
            Algorithm::Sha256 => AlgorithmType::SHA2_256,
        };
        Hash::new(function, false).hash_str(text)
    }
}

/// Why credentials or a challenge cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum DigestError {
    /// Another scheme than Digest.
    #[error("the authentication scheme is not Digest")]
    Scheme,
    /// No list of parameters.
    #[error("malformed parameters")]
    Syntax,
    /// A parameter that must be there is not.
    #[error("parameter {0} is missing")]
    Missing(&'static str),
    /// Neither MD5 nor SHA-256.
    #[error("the algorithm is neither MD5 nor SHA-256")]
    Algorithm,
    /// A quality of protection other than `auth`.
    #[error("the quality of protection is not auth")]
    Qop,
}

impl DigestError {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            DigestError::Scheme => "scheme",
            DigestError::Syntax => "syntax",
            DigestError::Missing(_) => "missing-parameter",
            DigestError::Algorithm => "algorithm",
            DigestError::Qop => "qop",
        }
    }
}

/// What WWW-Authenticate or Proxy-Authenticate asks. `Display` is the header field's value, with `qop="auth"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Whose passwords are wanted. No quotes in it.
    pub realm: &'a str,
    /// What makes the answer good once. No quotes in it.
    pub nonce: &'a str,
    /// One algorithm; who wants to offer both sends two challenges, the better first.
    pub algorithm: Algorithm,
    /// The nonce that was used is too old, the password was right: answer again without asking the user.
    pub stale: bool,
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quotable = |text: &str| text.replace(['"', '\\'], "");
        write!(
            f,
            "Digest realm=\"{}\", nonce=\"{}\", algorithm={}, qop=\"auth\"",
            quotable(self.realm),
            quotable(self.nonce),
            self.algorithm.name()
        )?;
        if self.stale {
            f.write_str(", stale=true")?;
        }
        Ok(())
    }
}

/// What Authorization or Proxy-Authorization answers. Texts are as they stand between their quotes: that is what was
/// hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Who it says it is.
    pub username: &'a str,
    /// The realm that was answered.
    pub realm: &'a str,
    /// The nonce that was answered.
    pub nonce: &'a str,
    /// The digest URI; usually the Request-URI.
    pub uri: &'a str,
    /// Which hash.
    pub algorithm: Algorithm,
    /// With `qop=auth`: what the client added.
    pub auth: Option<Auth<'a>>,
    response: &'a str,
}

/// What `qop=auth` adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// The client's own nonce.
    pub cnonce: &'a str,
    /// How often the nonce was used, this time included: greater each time.
    pub count: u32,
    /// The count as it was written.
    nc: &'a str,
}

impl<'a> Credentials<'a> {
    /// Reads a header field's value.
    ///
    /// # Errors
    /// What is missing, or not spoken here: `-sess` algorithms, `auth-int`.
    pub fn parse(value: &'a str) -> Result<Self, DigestError> {
        let mut credentials = Credentials {
            username: "",
            realm: "",
            nonce: "",
            uri: "",
            algorithm: Algorithm::Md5,
            auth: None,
            response: "",
        };
        let (mut qop, mut cnonce, mut nc) = (None, None, None);
        let mut seen = [false; 5];
        for param in params(value)? {
            let (name, text) = param?;
            let (slot, place) = match name.to_ascii_lowercase().as_str() {
                "username" => (0, &mut credentials.username),
                "realm" => (1, &mut credentials.realm),
                "nonce" => (2, &mut credentials.nonce),
                "uri" => (3, &mut credentials.uri),
                "response" => (4, &mut credentials.response),
                other => {
                    match other {
                        "qop" => qop = Some(text),
                        "cnonce" => cnonce = Some(text),
                        "nc" => nc = Some(text),
                        "algorithm" => {
                            credentials.algorithm =
                                Algorithm::named(text).ok_or(DigestError::Algorithm)?;
                        }
                        _ => {}
                    }
                    continue;
                }
            };
            if std::mem::replace(&mut seen[slot], true) {
                return Err(DigestError::Syntax);
            }
            *place = text;
        }
        let names = ["username", "realm", "nonce", "uri", "response"];
        if let Some(missing) = names.into_iter().zip(seen).find(|(_, seen)| !seen) {
            return Err(DigestError::Missing(missing.0));
        }
        credentials.auth = match qop {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc = nc.ok_or(DigestError::Missing("nc"))?;
                let count = (nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit()))
                    .then(|| u32::from_str_radix(nc, 16).ok())
                    .flatten()
                    .ok_or(DigestError::Syntax)?;
                let cnonce = cnonce.ok_or(DigestError::Missing("cnonce"))?;
                Some(Auth { cnonce, count, nc })
            }
            Some(_) => return Err(DigestError::Qop),
        };
        Ok(credentials)
    }

    /// Whether whoever made these knew the password. Takes the same time wherever they differ. That user name, realm, nonce
    /// and URI are the right ones is for the caller to check.
    #[must_use]
    pub fn verify(&self, password: &str, method: &str) -> bool {
        let auth = self.auth.map(|auth| (auth.nc, auth.cnonce));
        let expected = response(
            self.algorithm,
            [self.username, self.realm, password],
            self.nonce,
            auth,
            [method, self.uri],
        );
        same(expected.as_bytes(), self.response.as_bytes())
    }
}

/// The client's half: the value of Authorization that answers the value of a challenge, for the first use of its nonce.
///
/// # Errors
/// A challenge that is none, or that wants what is not spoken here.
pub fn answer(
    challenge: &str,
    username: &str,
    password: &str,
    method: &str,
    uri: &str,
    cnonce: &str,
) -> Result<String, DigestError> {
    let asked = Asked::parse(challenge)?;
    Ok(asked.answer([username, password], [method, uri], cnonce, 1))
}

/// A challenge as a client reads it, and answers it as often as its nonce is good for. Texts are as they stand between their quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Whose password is wanted.
    pub realm: &'a str,
    /// What makes an answer good.
    pub nonce: &'a str,
    /// The nonce of the answer before was too old; its password was right.
    pub stale: bool,
    /// To be sent back as it is.
    opaque: Option<&'a str>,
    algorithm: Algorithm,
    /// With `qop=auth`; without any otherwise (RFC 2069).
    with_qop: bool,
}

impl<'a> Asked<'a> {
    /// Reads the value of a WWW-Authenticate or Proxy-Authenticate field.
    ///
    /// # Errors
    /// It is no challenge, or it wants what is not spoken here: `-sess` algorithms, `auth-int` alone.
    pub fn parse(challenge: &'a str) -> Result<Self, DigestError> {
        let (mut realm, mut nonce, mut opaque, mut qop) = (None, None, None, None);
        let mut algorithm = Algorithm::Md5;
        let mut stale = false;
        for param in params(challenge)? {
            let (name, text) = param?;
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(text),
                "nonce" => nonce = Some(text),
                "opaque" => opaque = Some(text),
                "qop" => qop = Some(text),
                "stale" => stale = text.eq_ignore_ascii_case("true"),
                "algorithm" => algorithm = Algorithm::named(text).ok_or(DigestError::Algorithm)?,
                _ => {}
            }
        }
        let mut offered = qop.into_iter().flat_map(|offered| offered.split(','));
        let with_qop = offered.any(|q| trim(q).eq_ignore_ascii_case("auth"));
        if qop.is_some() && !with_qop {
            return Err(DigestError::Qop);
        }
        Ok(Asked {
            realm: realm.ok_or(DigestError::Missing("realm"))?,
            nonce: nonce.ok_or(DigestError::Missing("nonce"))?,
            stale,
            opaque,
            algorithm,
            with_qop,
        })
    }

    /// The value of Authorization or Proxy-Authorization for a request with this method and URI. `count` is how often the nonce
    /// is used, this time included.
    #[must_use]
    pub fn answer(
        &self,
        [username, password]: [&str; 2],
        [method, uri]: [&str; 2],
        cnonce: &str,
        count: u32,
    ) -> String {
        let (realm, nonce) = (self.realm, self.nonce);
        let nc = format!("{count:08x}");
        let auth = self.with_qop.then_some((nc.as_str(), cnonce));
        let response = response(
            self.algorithm,
            [username, realm, password],
            nonce,
            auth,
            [method, uri],
        );
        let mut value = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={}",
            self.algorithm.name()
        );
        if let Some((nc, cnonce)) = auth {
            value += &format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = self.opaque {
            value += &format!(", opaque=\"{opaque}\"");
        }
        value
    }
}

/// RFC 7616 3.4.1.
fn response(
    algorithm: Algorithm,
    user: [&str; 3],
    nonce: &str,
    auth: Option<(&str, &str)>,
    request: [&str; 2],
) -> String {
    let secret = algorithm.hash(&user.join(":"));
    let request = algorithm.hash(&request.join(":"));
    let whole = match auth {
        Some((nc, cnonce)) => [&secret, nonce, nc, cnonce, "auth", &request].join(":"),
        None => [&secret, nonce, &request].join(":"),
    };
    algorithm.hash(&whole)
}

/// Compares hex without saying by its time where it differs.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let difference = expected
        .iter()
        .zip(given)
        .fold(0, |all, (a, b)| all | (a ^ b.to_ascii_lowercase()));
    expected.len() == given.len() && std::hint::black_box(difference) == 0
}

/// `Digest name="value", name=value`: names and values without their quotes.
fn params(
    value: &str,
) -> Result<impl Iterator<Item = Result<(&str, &str), DigestError>>, DigestError> {
    let value = trim(value);
    let (scheme, mut rest) = value.split_once([' ', '\t']).ok_or(DigestError::Scheme)?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return Err(DigestError::Scheme);
    }
    Ok(std::iter::from_fn(move || {
        if trim(rest).is_empty() {
            return None;
        }
        let Ok(comma) = find_outside(rest, b',') else {
            rest = "";
            return Some(Err(DigestError::Syntax));
        };
        let part = rest.get(..comma.unwrap_or(rest.len())).unwrap_or("");
        rest = comma.and_then(|at| rest.get(at + 1..)).unwrap_or("");
        let Some((name, text)) = part.split_once('=') else {
            return Some(Err(DigestError::Syntax));
        };
        let text = trim(text);
        let text = match text.strip_prefix('"') {
            Some(inner) => match inner.strip_suffix('"') {
                Some(inner) => inner,
                None => return Some(Err(DigestError::Syntax)),
            },
            None => text,
        };
        Some(Ok((trim(name), text)))
    }))
}
