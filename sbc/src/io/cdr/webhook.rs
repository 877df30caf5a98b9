//! Whoever wants to be told of each call: a thread of its own posts records, as a JSON list, in their order and until they are taken.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use super::counters::{Counters, SINKS};
use super::inbox::{Inbox, Posted};
use super::spool::Place;
use super::tls::{Tls, TlsError, Trust};
use crate::config::Webhook;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a failure; twice as long after each further one.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// What Retry-After may ask for.
const ASKED: Duration = Duration::from_secs(3600);
/// Bytes of an answer.
const ANSWER: usize = 64 << 10;

/// Records that follow one another.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Vec<u8>>,
    /// What comes after them.
    pub(super) next: Place,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Worker {
    batches: mpsc::Sender<Batch>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Whether it takes this one; it answers when that is done.
    pub(super) fn send(&self, batch: Batch) -> bool {
        self.batches.try_send(batch).is_ok()
    }
}

impl Drop for Worker {
    /// What is on its way is sent again by the next daemon.
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug, Error)]
enum PostError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("it answers {status}")]
    Status {
        status: StatusCode,
        after: Option<Duration>,
    },
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
}

impl PostError {
    /// It will never take this.
    fn is_final(&self) -> bool {
        let Self::Status { status, .. } = self else {
            return false;
        };
        matches!(status.as_u16(), 400 | 413 | 415 | 422)
    }

    fn after(&self) -> Option<Duration> {
        match self {
            Self::Status { after, .. } => *after,
            _ => None,
        }
    }
}

/// Starts the thread. `told` hears of each batch that is done with; `trust` is asked only where the webhook is one with TLS.
pub(super) fn start(
    hook: Webhook,
    trust: Trust,
    counters: Arc<Counters>,
    told: Arc<Inbox>,
) -> io::Result<Worker> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (batches, mut inbox) = mpsc::channel::<Batch>(1);
    let (stop, mut stopped) = watch::channel(false);
    let mut poster = Poster {
        hook,
        tls: Tls::new(trust),
        counters: Arc::clone(&counters),
        is_failing: false,
    };
    let thread = std::thread::Builder::new()
        .name("sbc-webhook".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                loop {
                    let done = tokio::select! {
                        done = async {
                            let batch = inbox.recv().await?;
                            Some(poster.deliver(batch).await)
                        } => done,
                        _ = stopped.changed() => None,
                    };
                    let Some(posted) = done else {
                        return;
                    };
                    told.posted(posted);
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        })?;
    Ok(Worker {
        batches,
        stop,
        thread: Some(thread),
    })
}

struct Poster {
    hook: Webhook,
    tls: Tls,
    counters: Arc<Counters>,
    is_failing: bool,
}

impl Poster {
    /// Until all of it is taken, or refused for good: whatever is refused is looked at one by one.
    async fn deliver(&mut self, batch: Batch) -> Posted {
        let Batch { records, next } = batch;
        let (mut taken, mut refused) = (0, 0);
        let mut parts: Vec<&[Vec<u8>]> = vec![&records];
        let mut pause = FIRST;
        while let Some(part) = parts.pop() {
            match self.post(part).await {
                Ok(()) => {
                    taken += part.len() as u64;
                    pause = FIRST;
                    if std::mem::replace(&mut self.is_failing, false) {
                        info!("the webhook takes records of calls again");
                    }
                }
                Err(error) if error.is_final() && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error) if error.is_final() => {
                    refused += 1;
                    self.counters.failed(SINKS[2]);
                    warn!(%error, "the webhook does not take a record of a call: it is left out there");
                }
                Err(error) => {
                    self.counters.failed(SINKS[2]);
                    if std::mem::replace(&mut self.is_failing, true) {
                        debug!(%error, "the webhook still takes no records of calls");
                    } else {
                        let hook = self.hook.authority();
                        warn!(hook, %error, "records of calls wait until the webhook takes them");
                    }
                    tokio::time::sleep(error.after().unwrap_or(pause)).await;
                    pause = (2 * pause).min(LONGEST);
                    parts.push(part);
                }
            }
        }
        Posted {
            next,
            taken,
            refused,
        }
    }

    async fn post(&mut self, records: &[Vec<u8>]) -> Result<(), PostError> {
        let posted = tokio::time::timeout(PATIENCE, self.exchange(records));
        posted.await.unwrap_or(Err(PostError::Late))
    }

    async fn exchange(&mut self, records: &[Vec<u8>]) -> Result<(), PostError> {
        let to = (self.hook.host.as_str(), self.hook.port);
        let stream = TcpStream::connect(to).await.map_err(PostError::Connect)?;
        if self.hook.tls {
            let stream = self.tls.connect(&self.hook.host, stream).await?;
            return self.ask(stream, records).await;
        }
        self.ask(stream, records).await
    }

    async fn ask<S>(&self, stream: S, records: &[Vec<u8>]) -> Result<(), PostError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let body = [b"[", records.join(&b","[..]).as_slice(), b"]"].concat();
        let mut request = Request::post(&self.hook.path)
            .header(header::HOST, self.hook.authority())
            .header(header::USER_AGENT, crate::call::AGENT)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close");
        if let Some(token) = &self.hook.token {
            let mut bearer = header::HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
                .map_err(hyper::http::Error::from)?;
            bearer.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let asked = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let after = answer.headers().get(header::RETRY_AFTER);
            let after = after.and_then(|value| wanted(value.to_str().ok()?, Timestamp::now()));
            // What it says does not matter, but that it has ended.
            let _ = Limited::new(answer.into_body(), ANSWER).collect().await;
            match status.is_success() {
                true => Ok(()),
                false => Err(PostError::Status { status, after }),
            }
        };
        tokio::pin!(asked);
        tokio::pin!(connection);
        tokio::select! {
            done = &mut asked => done,
            ended = &mut connection => {
                ended?;
                asked.await
            }
        }
    }
}

/// How long Retry-After asks to wait: seconds, or until a date (RFC 9110 10.2.3); [`ASKED`] at most.
fn wanted(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = rfc2822::parse(value).ok()?.timestamp();
            // One that is over asks for nothing.
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("86400", Some(3600)),
            ("18446744073709551616", None),
            ("-1", None),
            ("soon", None),
            (date, Some(30)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
        ] {
            let found = wanted(value, now);
            assert_eq!(found, seconds.map(Duration::from_secs), "{value}");
        }
    }
}
