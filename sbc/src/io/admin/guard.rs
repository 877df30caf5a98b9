//! Who may use the API: programs on this host, and no page in somebody's browser.
//!
//! There is no password: whoever can run a program on this host is let in, as with the metrics. What a browser on this host
//! fetches for a page of another origin is refused: it has an `Origin`, or a `Host` that is a name of the attacker's (DNS
//! rebinding); and a request that changes something must say `Content-Type: application/json`, which no page may send
//! elsewhere without asking first.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;

use super::Admin;
use super::api::refused;
use super::listener::Listener;

/// Requests that are carried out at a time.
pub(super) const AT_ONCE: usize = 8;
/// How long one may take, its body included.
const LONGEST: Duration = Duration::from_secs(10);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    is_this_host: bool,
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().peer()
    }
}

impl Peer {
    /// The kernel lets no packet in from outside whose source is an address of its own.
    pub(super) fn new(remote: SocketAddr, local: Option<SocketAddr>) -> Peer {
        let remote = remote.ip().to_canonical();
        let is_local = local.is_some_and(|local| local.ip().to_canonical() == remote);
        Peer {
            is_this_host: remote.is_loopback() || is_local,
        }
    }

    /// Whether it is a program on this host.
    pub(super) fn is_this_host(self) -> bool {
        self.is_this_host
    }
}

/// Lets a request through to its page, or says why not.
pub(super) async fn guard(
    State(admin): State<Admin>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if let Err((status, why)) = permitted(peer, request.method(), request.headers()) {
        return refused(status, why);
    }
    let Ok(_turn) = admin.turns.try_acquire() else {
        let why = "too many requests at once: ask again later";
        return refused(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

fn permitted(
    peer: Peer,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, &'static str)> {
    let forbidden = |why| Err((StatusCode::FORBIDDEN, why));
    if !peer.is_this_host {
        return forbidden(
            "the API is for this host only: run `sbc` here, or forward a port by ssh",
        );
    }
    let host = match headers.get(header::HOST).map(|host| host.to_str()) {
        Some(Ok(host)) if is_address(host) => host,
        _ => return forbidden("the Host header must be an address or `localhost`"),
    };
    if let Some(origin) = headers.get(header::ORIGIN)
        && origin.to_str().ok() != Some(format!("http://{host}").as_str())
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
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const HERE: Peer = Peer { is_this_host: true };

    fn verdict(peer: Peer, method: &Method, headers: &[(HeaderName, &'static str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        match permitted(peer, method, &headers.collect()) {
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
        let there = Peer {
            is_this_host: false,
        };
        let host = [(header::HOST, "127.0.0.1:9960")];
        assert_eq!(verdict(there, &Method::GET, &host), 403);
        assert_eq!(verdict(HERE, &Method::GET, &host), 200);
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
