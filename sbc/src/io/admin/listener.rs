//! Connections to the admin address: so many at a time, and none that stands still.
//!
//! Each is a file, which signalling and media need too; and whoever may not use the API can open one all the same.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tracing::warn;

use super::guard::{Peer, Remote};
use super::socket::{AdminSocket, File};
use crate::io::log::Throttle;

/// What connections there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From this host, and as many from all others: these do not keep `sbc` out.
    pub(super) connections: usize,
    /// Until something of an answer leaves: since the beginning, or since the last that did. Longer than Prometheus' usual intervals.
    pub(super) patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 64,
            patience: Duration::from_secs(90),
        }
    }
}

/// Where they come from.
enum Inner {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "its end removes it")] File,
    ),
}

/// What comes from there.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What connections are taken from.
#[derive(Debug)]
pub(in crate::io) enum Open {
    /// An address.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(AdminSocket),
}

/// Takes connections within limits; the others are closed at once.
pub(super) struct Listener {
    inner: Inner,
    here: Arc<Semaphore>,
    elsewhere: Arc<Semaphore>,
    patience: Duration,
    throttle: Throttle,
}

impl Listener {
    /// Of what does not block.
    ///
    /// # Errors
    /// It cannot be watched.
    pub(super) fn open(open: Open, limits: Limits) -> io::Result<Listener> {
        let inner = match open {
            Open::Tcp(listener) => Inner::Tcp(TcpListener::from_std(listener)?),
            Open::Unix(socket) => {
                Inner::Unix(UnixListener::from_std(socket.listener)?, socket.file)
            }
        };
        Ok(Listener::new(inner, limits))
    }

    fn new(inner: Inner, limits: Limits) -> Listener {
        let room = || Arc::new(Semaphore::new(limits.connections));
        Listener {
            inner,
            here: room(),
            elsewhere: room(),
            patience: limits.patience,
            throttle: Throttle::default(),
        }
    }

    fn admit(&mut self, stream: Stream, peer: Peer) -> Option<Connection> {
        let remote = peer.remote();
        let room = match peer.is_this_host() {
            true => &self.here,
            false => &self.elsewhere,
        };
        let Ok(place) = Arc::clone(room).try_acquire_owned() else {
            if let Some(left_out) = self.throttle.pass(Instant::now(), "crowd") {
                warn!(%remote, left_out, "the admin address has too many connections: closed");
            }
            return None;
        };
        Some(Connection {
            stream,
            peer,
            hurry: Hurry::default(),
            patience: self.patience,
            deadline: Box::pin(tokio::time::sleep(self.patience)),
            _place: place,
        })
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = Remote;

    async fn accept(&mut self) -> (Connection, Remote) {
        loop {
            match self.inner.accept().await {
                Ok((stream, peer)) => {
                    if let Some(connection) = self.admit(stream, peer) {
                        return (connection, peer.remote());
                    }
                }
                Err(error) => {
                    if let Some(left_out) = self.throttle.pass(Instant::now(), "accept") {
                        warn!(%error, left_out, "the admin address cannot take a connection");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Remote> {
        match &self.inner {
            Inner::Tcp(listener) => listener.local_addr().map(Remote::Tcp),
            Inner::Unix(..) => Ok(Remote::Unix(None)),
        }
    }
}

impl Inner {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Inner::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                let peer = Peer::new(remote, stream.local_addr().ok());
                Ok((Stream::Tcp(stream), peer))
            }
            Inner::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                Ok((Stream::Unix(stream), Peer::of_socket(user)))
            }
        }
    }
}

/// Either kind does it.
macro_rules! on_stream {
    ($stream:expr, $inner:ident => $done:expr) => {
        match $stream {
            Stream::Tcp($inner) => $done,
            Stream::Unix($inner) => $done,
        }
    };
}

/// Whether a connection has to get on with it. An answer that has nothing to say for long, and says so, is waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Hurry {
    has_leisure: Arc<AtomicBool>,
}

/// While this is there its connection is waited for.
#[derive(Debug)]
pub(super) struct Leisure(Hurry);

impl Hurry {
    /// Waits for the connection from now on.
    pub(super) fn leave(self) -> Leisure {
        self.has_leisure.store(true, Ordering::Relaxed);
        Leisure(self)
    }
}

impl Drop for Leisure {
    fn drop(&mut self) {
        self.0.has_leisure.store(false, Ordering::Relaxed);
    }
}

/// What a request knows of its connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    pub(super) hurry: Hurry,
}

/// A connection that fails when no answer leaves for too long.
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    hurry: Hurry,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// The other end, and how long it is waited for.
    pub(super) fn caller(&self) -> Caller {
        Caller {
            peer: self.peer,
            hurry: self.hurry.clone(),
        }
    }

    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let over = self.deadline.as_mut().poll(cx);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn left(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match done {
            Poll::Pending => self.wait(cx),
            Poll::Ready(_) => {
                let deadline = tokio::time::Instant::now() + self.patience;
                self.deadline.as_mut().reset(deadline);
                done
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever dribbles is not waited for longer.
        match on_stream!(&mut self.stream, inner => Pin::new(inner).poll_read(cx, buffer)) {
            Poll::Pending if self.hurry.has_leisure.load(Ordering::Relaxed) => Poll::Pending,
            Poll::Pending => self.wait(cx),
            done => done,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = on_stream!(&mut self.stream, inner => Pin::new(inner).poll_write(cx, bytes));
        self.left(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done =
            on_stream!(&mut self.stream, inner => Pin::new(inner).poll_write_vectored(cx, bytes));
        self.left(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        on_stream!(&self.stream, inner => inner.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, inner => Pin::new(inner).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A server within these limits, and its address.
    async fn serve(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        let listener = Listener::new(Inner::Tcp(listener), limits);
        let served = axum::serve(listener, router);
        tokio::spawn(served.into_future());
        address
    }

    /// Whether it is answered, rather than closed without a word.
    async fn is_answered(stream: &mut TcpStream) -> bool {
        stream.write_all(GET).await.ok();
        let mut first = [0; 8];
        matches!(stream.read_exact(&mut first).await, Ok(8)) && first == *b"HTTP/1.1"
    }

    #[tokio::test]
    async fn there_are_so_many_at_a_time() {
        let address = serve(Limits {
            connections: 2,
            ..Limits::default()
        })
        .await;
        let mut all = Vec::new();
        for expected in [true, true, false] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(is_answered(&mut stream).await, expected);
            all.push(stream);
        }
        all.clear();
        // Once the server has seen that they are gone.
        while !is_answered(&mut TcpStream::connect(address).await.unwrap()).await {}
    }

    #[tokio::test]
    async fn who_never_ends_his_request_is_closed_however_often_he_says_something() {
        let address = serve(Limits {
            patience: Duration::from_millis(100),
            ..Limits::default()
        })
        .await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
        let dribble = async {
            writing.write_all(b"GET / HTTP/1.1\r\nX: ").await.ok();
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while writing.write_all(b"x").await.is_ok() {
                pace.tick().await;
            }
        };
        let ends = async {
            // A reset is an end too.
            let _ = silent.read_to_end(&mut Vec::new()).await;
            let _ = reading.read_to_end(&mut Vec::new()).await;
        };
        let both = async { tokio::join!(dribble, ends) };
        let closed = tokio::time::timeout(Duration::from_secs(20), both).await;
        assert!(closed.is_ok());
    }
}
