//! All IPv4 that arrives at a host, as it arrives, on a thread of its own.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use socket2::{Domain, Protocol, Socket, Type};

use super::lab::Namespace;

const ETH_P_IP: u16 = 0x0800;
/// How long its thread takes to see that it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Ends on drop.
#[derive(Debug)]
pub(super) struct Tap {
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Tap {
    /// Gives each packet to `take`, from its IP header on.
    pub(super) fn open(
        host: &Namespace,
        mut take: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Tap> {
        // Of one protocol: what leaves the host does not come here.
        let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
        let socket = host.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)))??;
        socket.set_read_timeout(Some(LOOK))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let listener = std::thread::spawn(move || {
            // Segments of TCP may come in one piece.
            let mut bytes = vec![0; 65_535];
            while !stopped.load(Ordering::Relaxed) {
                let Ok(length) = (&socket).read(&mut bytes) else {
                    continue;
                };
                take(bytes.get(..length).unwrap_or_default());
            }
        });
        Ok(Tap {
            stop,
            listener: Some(listener),
        })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            // Nothing depends on how it ended.
            let _ = listener.join();
        }
    }
}
