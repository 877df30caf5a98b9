//! How long packets take while many calls talk: each is known by its timestamp, timed from when it was sent to when the kernel took it in at the
//! far end. That the generator is late, in sending or in looking, is no part of it.

use std::collections::{HashMap, VecDeque};
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt::ReceiveTimestampns,
};
use nix::sys::time::TimeSpec;

use crate::traffic::{BURST, Ends, Sent, TICK};

/// A packet time: what the voice in a packet lasts.
pub const PACKET_TIME: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(300);
/// Packets of a call that may be under way: five seconds of it.
const UNDER_WAY: usize = 256;
/// Where fewer of what came are known again, nothing is measured.
const KNOWN: f64 = 0.9;
/// Reports are shorter, by far.
const LEAST: usize = 100;

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Talk {
    /// Packets sent, and those that came out on the other side.
    pub sent: u64,
    /// Those that came.
    pub received: u64,
    /// Times in seconds, in order.
    pub taken: Vec<f64>,
    /// How late the generator was with what it sent, at worst, in seconds.
    pub behind: f64,
}

impl Talk {
    /// The time within which so many of a thousand packets came, in seconds.
    #[must_use]
    pub fn within(&self, of_a_thousand: usize) -> f64 {
        let place = self.taken.len() * of_a_thousand / 1000;
        let last = self.taken.len().saturating_sub(1);
        self.taken.get(place.min(last)).copied().unwrap_or(0.0)
    }

    /// What part of what was sent did not come, or took longer than that.
    #[must_use]
    pub fn late(&self, deadline: Duration) -> f64 {
        let late = self
            .taken
            .iter()
            .filter(|taken| **taken > deadline.as_secs_f64());
        (self.lost() + late.count() as u64) as f64 / self.sent.max(1) as f64
    }

    /// Packets that did not come.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// So many packets a second, evenly over all calls and both ways, each timed.
///
/// # Errors
/// A socket fails, or nothing comes through.
pub fn talk(
    ends: &mut Ends,
    targets: &[Vec<SocketAddr>; 2],
    rate: u32,
    duration: Duration,
) -> Result<Talk> {
    for socket in &ends.sockets {
        setsockopt(socket, ReceiveTimestampns, &true)?;
    }
    let calls: HashMap<SocketAddr, usize> = targets
        .iter()
        .flat_map(|targets| targets.iter().copied().zip(0..))
        .collect();
    // By the end that they come from.
    let lines = |targets: &Vec<SocketAddr>| targets.iter().map(|_| Line::default()).collect();
    let mut lines: [Vec<Line>; 2] = [lines(&targets[0]), lines(&targets[1])];
    let mut talk = Talk::default();
    let began = Instant::now();
    // What left last has its time to come, too.
    let end = began + duration + PATIENCE;
    while Instant::now() < end {
        let passed = began.elapsed().min(duration).as_secs_f64();
        let due = (passed * f64::from(rate)) as u64;
        talk.behind = talk
            .behind
            .max((due - talk.sent.min(due)) as f64 / f64::from(rate));
        for _ in 0..BURST {
            if talk.sent >= due {
                break;
            }
            let at = since_epoch();
            let Sent {
                side,
                call,
                timestamp,
            } = ends.send_next(targets)?;
            lines[side][call].sent(timestamp, at);
            talk.sent += 1;
        }
        for (side, socket) in ends.sockets.iter().enumerate() {
            // It comes out at the other end.
            collect(socket, &calls, &mut lines[1 - side], &mut talk)?;
        }
        if passed >= duration.as_secs_f64() && talk.received >= talk.sent {
            break;
        }
        std::thread::sleep(TICK);
    }
    ensure!(
        talk.received > 0,
        "none of {} packets came through",
        talk.sent
    );
    ensure!(
        talk.taken.len() as f64 >= KNOWN * talk.received as f64,
        "of {} packets that came only {} are known again",
        talk.received,
        talk.taken.len()
    );
    talk.taken.sort_unstable_by(f64::total_cmp);
    Ok(talk)
}

/// One direction of a call.
#[derive(Debug, Default)]
struct Line {
    /// What timestamps have gained on their way.
    gained: Option<u32>,
    /// Timestamps, and when each left.
    under_way: VecDeque<(u32, Duration)>,
}

impl Line {
    fn sent(&mut self, timestamp: u32, at: Duration) {
        if self.under_way.len() == UNDER_WAY {
            self.under_way.pop_front();
        }
        self.under_way.push_back((timestamp, at));
    }

    /// How long it took. The first that comes is taken for the first that left: where that was lost, all of this call are late.
    fn came(&mut self, timestamp: u32, at: Duration) -> Option<Duration> {
        let first = self.under_way.front()?.0;
        let gained = *self.gained.get_or_insert(timestamp.wrapping_sub(first));
        let wanted = timestamp.wrapping_sub(gained);
        while let Some(&(timestamp, left)) = self.under_way.front() {
            if wanted.wrapping_sub(timestamp).cast_signed() < 0 {
                // It came before one that is still under way, or twice.
                return None;
            }
            self.under_way.pop_front();
            if timestamp == wanted {
                return Some(at.saturating_sub(left));
            }
        }
        None
    }
}

fn collect(
    socket: &UdpSocket,
    calls: &HashMap<SocketAddr, usize>,
    lines: &mut [Line],
    talk: &mut Talk,
) -> Result<()> {
    let mut bytes = [0; 2048];
    let mut control = cmsg_space!(TimeSpec);
    loop {
        let mut into = [IoSliceMut::new(&mut bytes)];
        let (length, from, at) = match recvmsg::<SockaddrIn>(
            socket.as_raw_fd(),
            &mut into,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(message) => {
                let at = message.cmsgs()?.find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                    _ => None,
                });
                (message.bytes, message.address, at)
            }
            Err(Errno::EAGAIN) => return Ok(()),
            // What ICMP has said about an earlier packet.
            Err(Errno::ECONNREFUSED) => continue,
            Err(error) => return Err(std::io::Error::from(error).into()),
        };
        if length < LEAST {
            continue;
        }
        let from = from.map(SocketAddr::from);
        let Some(line) = from
            .and_then(|from| calls.get(&from))
            .and_then(|&call| lines.get_mut(call))
        else {
            continue;
        };
        talk.received += 1;
        let at = at.context("the kernel does not say when packets came")?;
        let timestamp = bytes
            .get(4..8)
            .and_then(|field| field.try_into().ok())
            .map(u32::from_be_bytes);
        let taken = timestamp.and_then(|timestamp| line.came(timestamp, at));
        talk.taken.extend(taken.map(|taken| taken.as_secs_f64()));
    }
}

/// By the clock that the kernel stamps packets with.
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_late_counts_as_much_as_what_does_not_come() {
        let talk = Talk {
            sent: 10,
            received: 9,
            taken: (1..=9).map(|n| f64::from(n) * 0.004).collect(),
            behind: 0.0,
        };
        // 24, 28, 32 and 36 ms, and the one that did not come.
        assert!((talk.late(PACKET_TIME) - 0.5).abs() < 1e-9);
        assert!((talk.late(Duration::from_millis(30)) - 0.3).abs() < 1e-9);
        assert!((talk.within(500) - 0.020).abs() < 1e-9);
        assert!((talk.within(999) - 0.036).abs() < 1e-9);
    }

    #[test]
    fn each_packet_is_timed() {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [a, b] = [&sockets[0], &sockets[1]].map(|socket| socket.local_addr().unwrap());
        // Without anything between, what comes from the other end has its address.
        let mut ends = Ends::new(sockets).unwrap();
        let targets = [vec![b], vec![a]];
        let talk = talk(&mut ends, &targets, 500, Duration::from_millis(200)).unwrap();
        assert!(talk.sent > 0 && talk.received == talk.sent, "{talk:?}");
        assert_eq!(talk.taken.len() as u64, talk.received);
    }

    #[test]
    fn a_packet_is_known_by_its_timestamp_whatever_was_added_to_it() {
        let ms = Duration::from_millis;
        let mut line = Line::default();
        let of = |n: u32| (u32::MAX - 159).wrapping_add(160 * n);
        for n in 0..4 {
            line.sent(of(n), ms(20 * u64::from(n)));
        }
        let of = |n: u32| of(n).wrapping_add(7_000);
        assert_eq!(line.came(of(0), ms(30)), Some(ms(30)));
        // The second is lost; one that comes again is not timed.
        assert_eq!(line.came(of(2), ms(41)), Some(ms(1)));
        assert_eq!(line.came(of(2), ms(42)), None);
        assert_eq!(line.came(of(3), ms(61)), Some(ms(1)));
        assert_eq!(line.came(of(4), ms(90)), None);
    }
}
