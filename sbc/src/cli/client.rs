//! Talks to a running daemon: its admin address, found by the config it runs on.

mod recording;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};

use sbc::config::{Admin, Config, Errors, NoSecret, Secrets};
use sbc::io::admin::types::Refusal;

pub(super) use self::recording::End;

/// Where it is unless a config says otherwise.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9960);
/// Has the token, for whoever has no config.
const TOKEN: &str = "SBC_ADMIN_TOKEN";
/// How long one request may take in all.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer.
const LONGEST: usize = 64 << 20;

/// Which daemon.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// The config file that the daemon runs on: its `admin` says where it answers
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Where the daemon answers: an address, or unix:/PATH of its socket [default: `admin` of --config, else 127.0.0.1:9960]
    #[arg(long, value_name = "ADDRESS", value_parser = Admin::parse)]
    admin: Option<Admin>,
}

/// A daemon that is hoped to run.
#[derive(Debug)]
pub(super) struct Daemon {
    address: Admin,
    /// Where the config, or SBC_ADMIN_TOKEN, has one.
    token: Option<String>,
    runtime: Runtime,
}

/// Why a daemon could not be asked, or did not do what it was asked.
#[derive(Debug, Error)]
pub(super) enum DaemonError {
    #[error("cannot read {}: {}", file.display(), reason(source))]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{0}")]
    Config(Errors),
    #[error(
        "no daemon answers at {address} ({}): is it running? --config FILE or --admin ADDRESS says where it is",
        reason(source)
    )]
    Absent { address: Admin, source: io::Error },
    #[error(
        "you may not ask the daemon at {address}: its socket is for its owner and its group (`ls -l` names them), and for root"
    )]
    Forbidden { address: Admin },
    #[error("the daemon at {address} has not answered in {} s: it has too much to do, or hangs", PATIENCE.as_secs())]
    Late { address: Admin },
    #[error("{0}")]
    Refused(String),
    /// For now: it has too much to do, or its engine has ended and its pages are still there. Whoever waits asks again.
    #[error("{0}")]
    Busy(String),
    #[error("what answers at {address} is no sbc, or one of another version: {what}")]
    Foreign { address: Admin, what: String },
    #[error(
        "the daemon at {address} has gone in the middle of the recording: what came before is there"
    )]
    Cut { address: Admin },
    #[error("cannot start: {0}")]
    Host(io::Error),
}

/// What the system says, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl DaemonError {
    /// There is none: scripts may want to tell that from a refusal.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, DaemonError::Absent { .. })
    }
}

impl Daemon {
    /// Finds out where it would be.
    ///
    /// # Errors
    /// The config cannot be read.
    pub(super) fn find(whom: &Whom) -> Result<Daemon, DaemonError> {
        let (address, configured) = match (&whom.admin, &whom.config) {
            (Some(address), _) => (address.clone(), None),
            (None, Some(file)) => admin_of(file)?,
            (None, None) => (Admin::Tcp(USUAL), None),
        };
        let told = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DaemonError::Host)?;
        Ok(Daemon {
            address: match address {
                Admin::Tcp(address) => Admin::Tcp(reachable(address)),
                socket => socket,
            },
            token: told.or(configured),
            runtime,
        })
    }

    /// Reads a page of the API: `/api/flows`, with its query.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub(super) fn read<T: DeserializeOwned>(&self, page: &str) -> Result<T, DaemonError> {
        self.ask(Method::GET, page, Bytes::new())
    }

    /// Reads what is no JSON, as it is.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub(super) fn fetch(&self, page: &str) -> Result<Bytes, DaemonError> {
        let (status, body) = self.answer(Method::GET, page, Bytes::new())?;
        match status.is_success() {
            true => Ok(body),
            false => Err(self.refused(status, &body)),
        }
    }

    /// Has it do something.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub(super) fn act<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        page: &str,
        body: &B,
    ) -> Result<T, DaemonError> {
        let body = serde_json::to_vec(body).map_err(|error| self.foreign(error))?;
        self.ask(method, page, body.into())
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        page: &str,
        body: Bytes,
    ) -> Result<T, DaemonError> {
        let (status, body) = self.answer(method, page, body)?;
        match status.is_success() {
            true => serde_json::from_slice(&body).map_err(|error| self.foreign(error)),
            false => Err(self.refused(status, &body)),
        }
    }

    fn answer(
        &self,
        method: Method,
        page: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), DaemonError> {
        let answered = async {
            let asked = self.exchange(method, page, body);
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answer) => answer,
                Err(_) => Err(DaemonError::Late {
                    address: self.address.clone(),
                }),
            }
        };
        self.runtime.block_on(answered)
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> DaemonError {
        match serde_json::from_slice::<Refusal>(body) {
            Ok(refusal) if status == StatusCode::SERVICE_UNAVAILABLE => {
                DaemonError::Busy(refusal.error)
            }
            Ok(refusal) => DaemonError::Refused(refusal.error),
            Err(_) => self.foreign(status),
        }
    }

    /// Why there is no connection.
    fn unreachable(&self, source: io::Error) -> DaemonError {
        let address = self.address.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => DaemonError::Forbidden { address },
            _ => DaemonError::Absent { address, source },
        }
    }

    async fn exchange(
        &self,
        method: Method,
        page: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), DaemonError> {
        let answer = self.send(method, page, body).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| self.foreign(error))?;
        Ok((status, body.to_bytes()))
    }

    async fn send(
        &self,
        method: Method,
        page: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, DaemonError> {
        let absent = |source| self.unreachable(source);
        let mut sender = match &self.address {
            Admin::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(absent)?;
                self.speak(stream).await?
            }
            Admin::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(absent)?;
                self.speak(stream).await?
            }
        };
        let host = match &self.address {
            Admin::Tcp(address) => address.to_string(),
            Admin::Unix(_) => "localhost".to_owned(),
        };
        let request = Request::builder()
            .method(method)
            .uri(page)
            .header(header::HOST, host)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/json");
        let request = match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let request = request
            .body(Full::new(body))
            .map_err(|error| self.foreign(error))?;
        sender
            .send_request(request)
            .await
            .map_err(|error| self.foreign(error))
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, DaemonError> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.foreign(error))?;
        // What breaks the connection shows in the answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn foreign(&self, what: impl ToString) -> DaemonError {
        DaemonError::Foreign {
            address: self.address.clone(),
            what: what.to_string(),
        }
    }
}

/// Only that matters: passwords that this user may not read do not.
fn admin_of(file: &Path) -> Result<(Admin, Option<String>), DaemonError> {
    let text = std::fs::read_to_string(file).map_err(|source| DaemonError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let config =
        Config::parse(&text, &file.display().to_string(), &Blind).map_err(DaemonError::Config)?;
    let token = config.sbc.admin_token;
    Ok((
        config.sbc.admin,
        token.map(|token| token.reveal().to_owned()),
    ))
}

/// A daemon on all addresses is on this host's own, too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Has something for every secret, also for those that may not be read here.
struct Blind;

/// Long enough for any of them.
const UNREAD: &str = "unread-by-this-user";

impl Secrets for Blind {
    fn env(&self, name: &str) -> Result<String, NoSecret> {
        Ok(std::env::var(name).unwrap_or_else(|_| UNREAD.to_owned()))
    }

    fn file(&self, path: &Path) -> Result<String, NoSecret> {
        Ok(std::fs::read_to_string(path).unwrap_or_else(|_| UNREAD.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_on_all_addresses_is_reached_on_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(at("[::]:2"), "[::1]:2");
        assert_eq!(at("192.0.2.1:3"), "192.0.2.1:3");
    }

    #[test]
    fn the_number_of_a_system_error_says_nothing() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(reason(&refused), "Connection refused");
        assert_eq!(reason(&io::Error::other("its own words")), "its own words");
    }

    #[test]
    fn a_socket_of_others_is_no_absent_daemon() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let daemon = Daemon {
            address: Admin::parse("unix:/run/sbc/admin.sock").unwrap(),
            token: None,
            runtime,
        };
        let error = daemon.unreachable(io::ErrorKind::PermissionDenied.into());
        assert!(!error.is_absence());
        assert!(
            error.to_string().starts_with("you may not ask the daemon"),
            "{error}"
        );
        let error = daemon.unreachable(io::ErrorKind::NotFound.into());
        assert!(error.is_absence(), "{error}");
    }
}
