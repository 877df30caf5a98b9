//! When this host's interfaces or addresses change.

use std::io;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::Instant;
use tracing::warn;

use super::fast_path::netlink::{ADDRESSES, Events};

/// Changes come in swarms: they are told of so often at most.
const SETTLE: Duration = Duration::from_millis(50);
/// How often it is worth a look where the kernel does not tell.
const UNTOLD: Duration = Duration::from_secs(15);

/// The kernel's news.
pub(super) struct Changes {
    events: Option<UnixDatagram>,
    not_before: Instant,
}

impl Changes {
    /// From now on. Must be called within a runtime. Where the kernel does not tell, it is said once, and every 15 s may be a change.
    pub(super) fn watch() -> Changes {
        let events = open().map_err(|error| {
            warn!(%error, "the kernel does not tell of changed addresses: looking for them every 15 s");
        });
        Changes {
            events: events.ok(),
            not_before: Instant::now(),
        }
    }

    /// Waits until something may have changed. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) {
        tokio::time::sleep_until(self.not_before).await;
        let patience = match &self.events {
            Some(events) if events.readable().await.is_ok() => {
                drain(events);
                SETTLE
            }
            // A socket that has failed says nothing: the host is looked at all the same.
            _ => UNTOLD,
        };
        self.not_before = Instant::now() + patience;
    }
}

/// The runtime knows no netlink sockets. They are datagram sockets without ports: as which kind it waits for them is all the same.
fn open() -> io::Result<UnixDatagram> {
    let socket = Events::of(ADDRESSES)?.into_socket()?;
    UnixDatagram::from_std(socket.into())
}

/// What they say does not matter: that it is read does.
fn drain(events: &UnixDatagram) {
    let mut buffer = [0; 512];
    loop {
        match events.try_recv(&mut buffer) {
            // ENOBUFS: so many that some were lost.
            Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => return,
            _ => {}
        }
    }
}
