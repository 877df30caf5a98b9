//! Who may use the API: programs on this host, or who has the token; and no page in somebody's browser.
//!
//! Where the config has `admin_token` everyone who comes over TCP has to send it, for the metrics too; other hosts get nothing without. Where it has
//! none, whoever can run a program on this host is let in. A Unix socket lets in whom its mode lets in.
//!
//! What a browser on this host fetches for a page of another origin is refused: it has an `Origin`, or a `Host` that is a name of the attacker's (DNS
//! rebinding; who has the token is none); and a request that changes something must say `Content-Type: application/json`, which no page may send
//! elsewhere without asking first.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;

use super::Admin;
use super::api::refused;
use super::listener::{Caller, Listener};

/// Requests that are carried out at a time.
pub(super) const AT_ONCE: usize = 8;
/// How long one may take, its body included.
const LONGEST: Duration = Duration::from_secs(10);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    remote: Remote,
    is_this_host: bool,
}

/// Where it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Remote {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over the Unix socket: the user, where the kernel says.
    Unix(Option<u32>),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Tcp(address) => address.fmt(f),
            Remote::Unix(Some(user)) => write!(f, "uid {user}"),
            Remote::Unix(None) => f.write_str("an unknown user"),
        }
    }
}

/// Who asks for something, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker(Peer);

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.remote.fmt(f)
    }
}

impl Connected<IncomingStream<'_, Listener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().caller()
    }
}

impl Peer {
    /// The kernel lets no packet in from outside whose source is an address of its own.
    pub(super) fn new(remote: SocketAddr, local: Option<SocketAddr>) -> Peer {
        let ip = remote.ip().to_canonical();
        let is_local = local.is_some_and(|local| local.ip().to_canonical() == ip);
        Peer {
            remote: Remote::Tcp(remote),
            is_this_host: ip.is_loopback() || is_local,
        }
    }

    /// Of the Unix socket.
    pub(super) fn of_socket(user: Option<u32>) -> Peer {
        Peer {
            remote: Remote::Unix(user),
            is_this_host: true,
        }
    }

    /// Where it is.
    pub(super) fn remote(self) -> Remote {
        self.remote
    }

    /// Whether it is a program on this host.
    pub(super) fn is_this_host(self) -> bool {
        self.is_this_host
    }
}

/// Lets a request through to its page, or says why not.
pub(super) async fn guard(
    State(admin): State<Admin>,
    ConnectInfo(Caller { peer, hurry }): ConnectInfo<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    let known = known(&admin, peer, request.headers());
    if let Err((status, why)) = permitted(peer, known, request.method(), request.headers()) {
        return refused(status, why);
    }
    request.extensions_mut().insert(Asker(peer));
    request.extensions_mut().insert(hurry);
    let Ok(_turn) = admin.turns.try_acquire() else {
        let why = "too many requests at once: ask again later";
        return refused(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

/// Lets a request through that may read what is no page of the API: metrics.
pub(super) async fn reader(
    State(admin): State<Admin>,
    ConnectInfo(Caller { peer, .. }): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    match known(&admin, peer, request.headers()).admitted(peer) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => refused(status, why),
    }
}

/// What there is to say for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// He has the token.
    Token,
    /// There is one, and he has it not.
    Stranger,
    /// There is none, or he needs none.
    Free,
}

impl Known {
    fn admitted(self, peer: Peer) -> Result<(), (StatusCode, &'static str)> {
        match self {
            Known::Token => Ok(()),
            Known::Stranger => Err((
                StatusCode::UNAUTHORIZED,
                "the config has an `admin_token`: send it as `Authorization: Bearer TOKEN` (`sbc` takes it from --config FILE or SBC_ADMIN_TOKEN)",
            )),
            Known::Free if peer.is_this_host => Ok(()),
            Known::Free => Err((
                StatusCode::FORBIDDEN,
                "this is for this host only: run `sbc` here, or forward a port by ssh",
            )),
        }
    }
}

fn known(admin: &Admin, peer: Peer, headers: &HeaderMap) -> Known {
    if let Remote::Unix(_) = peer.remote {
        return Known::Free;
    }
    let config = admin.config.load();
    let Some(token) = &config.sbc.admin_token else {
        return Known::Free;
    };
    let said = headers
        .get(header::AUTHORIZATION)
        .map(|said| said.as_bytes());
    let said = said.and_then(|said| {
        let (scheme, said) = said.split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then_some(said)
    });
    match said.is_some_and(|said| is_same(said, token.reveal().as_bytes())) {
        true => Known::Token,
        false => Known::Stranger,
    }
}

/// Before the token (RFC 6750 2.1).
const BEARER: &[u8] = b"Bearer ";

/// In a time that does not depend on where they differ. How long the token is, is no secret.
fn is_same(said: &[u8], token: &[u8]) -> bool {
    let differences = said.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    said.len() == token.len() && std::hint::black_box(differences) == 0
}

fn permitted(
    peer: Peer,
    known: Known,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, &'static str)> {
    let forbidden = |why| Err((StatusCode::FORBIDDEN, why));
    known.admitted(peer)?;
    let is_any_name = known == Known::Token || matches!(peer.remote, Remote::Unix(_));
    let host = match headers.get(header::HOST).map(|host| host.to_str()) {
        Some(Ok(host)) if is_any_name || is_address(host) => host,
        _ => return forbidden("the Host header must be an address or `localhost`"),
    };
    if let Some(origin) = headers.get(header::ORIGIN)
        && !is_own(origin, host, known)
    {
        return forbidden("requests of other sites' pages are refused");
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    if changes && !is_json(headers) {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a request that changes something must say `Content-Type: application/json`",
        ));
    }
    Ok(())
}

/// Whether a page comes from here. Who has the token may have a proxy of his before us that speaks TLS, which we do not.
fn is_own(origin: &HeaderValue, host: &str, known: Known) -> bool {
    let page = origin.to_str().ok().and_then(|said| said.split_once("://"));
    page.is_some_and(|(scheme, said)| {
        said == host && (scheme == "http" || scheme == "https" && known == Known::Token)
    })
}

/// `127.0.0.1:9960`, `[::1]`, `localhost:9960`: none that a foreign name server answers for.
fn is_address(host: &str) -> bool {
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => host,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost") || bare.unwrap_or(host).parse::<IpAddr>().is_ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
    const HERE: Peer = Peer {
        remote: Remote::Tcp(ANY),
        is_this_host: true,
    };
    const THERE: Peer = Peer {
        remote: Remote::Tcp(ANY),
        is_this_host: false,
    };

    fn verdict(peer: Peer, method: &Method, headers: &[(HeaderName, &'static str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        verdict_on(peer, Known::Free, method, &headers.collect())
    }

    fn verdict_on(peer: Peer, known: Known, method: &Method, headers: &HeaderMap) -> u16 {
        match permitted(peer, known, method, headers) {
            Ok(()) => 200,
            Err((status, _)) => status.as_u16(),
        }
    }

    #[test]
    fn this_host_is_loopback_or_the_address_that_was_called() {
        let here = |remote: &str, local: &str| {
            Peer::new(remote.parse().unwrap(), Some(local.parse().unwrap())).is_this_host
        };
        assert!(here("127.0.0.1:4000", "127.0.0.1:9960"));
        assert!(here("[::ffff:127.0.0.1]:4000", "[::]:9960"));
        assert!(here("192.0.2.1:4000", "192.0.2.1:9960"));
        assert!(!here("192.0.2.2:4000", "192.0.2.1:9960"));
        assert!(!Peer::new(([192, 0, 2, 1], 1).into(), None).is_this_host);
    }

    #[test]
    fn other_hosts_get_nothing() {
        let host = [(header::HOST, "127.0.0.1:9960")];
        assert_eq!(verdict(THERE, &Method::GET, &host), 403);
        assert_eq!(verdict(HERE, &Method::GET, &host), 200);
    }

    #[test]
    fn who_has_the_token_may_be_anywhere_and_call_us_anything() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("edge.example"));
        let verdict = |peer, known| verdict_on(peer, known, &Method::GET, &headers);
        assert_eq!(verdict(THERE, Known::Token), 200);
        for peer in [HERE, THERE] {
            assert_eq!(verdict(peer, Known::Stranger), 401);
            assert_eq!(verdict(peer, Known::Free), 403);
        }
        assert_eq!(verdict(Peer::of_socket(Some(0)), Known::Free), 200);
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_static("http://evil.example"),
        );
        assert_eq!(verdict_on(THERE, Known::Token, &Method::GET, &headers), 403);
    }

    #[test]
    fn behind_a_proxy_that_speaks_tls_the_page_is_ours_for_whoever_has_the_token() {
        for (origin, with_token, on_this_host) in [
            ("https://10.0.0.1", 200, 403),
            ("http://10.0.0.1", 200, 200),
            ("https://10.0.0.1.evil.example", 403, 403),
            ("ftp://10.0.0.1", 403, 403),
        ] {
            let headers = [(header::HOST, "10.0.0.1"), (header::ORIGIN, origin)];
            let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
            let headers = headers.into_iter().collect();
            let verdict = |known| verdict_on(HERE, known, &Method::GET, &headers);
            assert_eq!(verdict(Known::Token), with_token, "{origin}");
            assert_eq!(verdict(Known::Free), on_this_host, "{origin}");
        }
    }

    #[test]
    fn a_token_is_the_same_or_not() {
        assert!(is_same(b"0123456789abcdef", b"0123456789abcdef"));
        for other in [
            "",
            "0123456789abcde",
            "0123456789abcdeF",
            "0123456789abcdef0",
        ] {
            assert!(!is_same(other.as_bytes(), b"0123456789abcdef"), "{other}");
        }
    }

    #[test]
    fn a_name_of_somebody_else_s_is_no_host_of_ours() {
        for host in [
            "localhost",
            "LOCALHOST:9960",
            "[::1]:9960",
            "[::1]",
            "10.0.0.1",
        ] {
            assert!(is_address(host), "{host}");
        }
        for host in [
            "",
            "evil.example:9960",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            ":9960",
        ] {
            assert!(!is_address(host), "{host}");
        }
        assert_eq!(verdict(HERE, &Method::GET, &[]), 403);
    }

    #[test]
    fn another_site_s_page_is_refused() {
        let with = |origin| {
            let headers = [(header::HOST, "127.0.0.1:9960"), (header::ORIGIN, origin)];
            verdict(HERE, &Method::GET, &headers)
        };
        assert_eq!(with("http://127.0.0.1:9960"), 200);
        assert_eq!(with("http://evil.example"), 403);
        assert_eq!(with("http://127.0.0.1:8080"), 403);
        assert_eq!(with("null"), 403);
    }

    #[test]
    fn what_changes_something_says_that_it_is_json() {
        let host = (header::HOST, "127.0.0.1:9960");
        for method in [Method::POST, Method::DELETE, Method::PUT, Method::OPTIONS] {
            let with = |kind| verdict(HERE, &method, &[host.clone(), (header::CONTENT_TYPE, kind)]);
            assert_eq!(with("application/json"), 200);
            assert_eq!(with("application/json; charset=utf-8"), 200);
            assert_eq!(with("text/plain"), 415);
            assert_eq!(with("application/x-www-form-urlencoded"), 415);
            assert_eq!(verdict(HERE, &method, std::slice::from_ref(&host)), 415);
        }
    }
}
