//! A stream of RTP through the edge, 1,000 packets a second, and which of them have come.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lab::until;

pub(crate) struct Load {
    shared: Arc<Shared>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<BTreeSet<u64>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What has come, by number.
pub(crate) struct Came(BTreeSet<u64>);

impl Load {
    /// Begins, and waits until the way is there.
    #[track_caller]
    pub(crate) fn begin(from: &UdpSocket, to: &str, out: &UdpSocket) -> Load {
        let shared = Arc::new(Shared::default());
        let (from, out) = (from.try_clone().unwrap(), out.try_clone().unwrap());
        let to = to.to_owned();
        let sender = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while !shared.over.load(Ordering::Relaxed) {
                    let number = shared.sent.fetch_add(1, Ordering::Relaxed);
                    // Where the phone's own link is down nothing leaves: that is a loss too.
                    let _ = from.send_to(&packet(number), &to);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let receiver = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (mut came, mut bytes) = (BTreeSet::new(), [0; 2048]);
                loop {
                    match out.recv_from(&mut bytes) {
                        Ok((172, _)) => {
                            came.insert(u64::from_be_bytes(bytes[12..20].try_into().unwrap()));
                            shared.received.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(_) => {}
                        Err(_) if shared.over.load(Ordering::Relaxed) => return came,
                        Err(_) => {}
                    }
                }
            }
        });
        let load = Load {
            shared,
            sender,
            receiver,
        };
        load.goes_on();
        load
    }

    /// Waits until 300 more have come.
    #[track_caller]
    pub(crate) fn goes_on(&self) {
        let before = self.received();
        until("300 more packets", || self.received() >= before + 300);
    }

    /// Waits until 100 more have been sent, whatever becomes of them.
    #[track_caller]
    pub(crate) fn sends_on(&self) {
        let before = self.sent();
        until("100 more packets", || self.sent() >= before + 100);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    pub(crate) fn end(self) -> Came {
        self.shared.over.store(true, Ordering::Relaxed);
        self.sender.join().unwrap();
        Came(self.receiver.join().unwrap())
    }
}

impl Came {
    /// How many of those that were sent from this one on are missing, up to the last that came.
    pub(crate) fn lost_since(&self, since: u64) -> u64 {
        let last = self.0.last().unwrap();
        (last + 1 - since) - self.0.range(since..).count() as u64
    }

    /// Of all, the first included.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_since(0)
    }
}

fn packet(number: u64) -> [u8; 172] {
    let mut packet = [0xd5; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&(number as u32).wrapping_mul(8).to_be_bytes());
    packet[12..20].copy_from_slice(&number.to_be_bytes());
    packet
}
