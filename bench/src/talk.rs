//! How long packets take while many calls talk: each is known by the call that it belongs to, of which one is under way at a time.
//!
//! The generator looks every half millisecond: what it says is that much too long at most, and alike for all that are measured.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::traffic::{BURST, Ends, TICK};

/// A packet that takes so long is late: the next one of its call comes then.
pub const PACKET_TIME: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(300);

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

    /// What part of what was sent did not come, or came later than [`PACKET_TIME`].
    #[must_use]
    pub fn late(&self) -> f64 {
        let late = self
            .taken
            .iter()
            .filter(|taken| **taken > PACKET_TIME.as_secs_f64());
        let missing = self.sent.saturating_sub(self.received);
        (missing + late.count() as u64) as f64 / self.sent.max(1) as f64
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
    let calls: HashMap<SocketAddr, usize> = targets
        .iter()
        .flat_map(|targets| targets.iter().copied().zip(0..))
        .collect();
    // When the last packet of a call left, by the end that it came from.
    let mut left = [vec![None; targets[0].len()], vec![None; targets[1].len()]];
    let mut talk = Talk::default();
    let began = Instant::now();
    let mut end = began + duration;
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
            let (side, call) = ends.send_next(targets)?;
            left[side][call] = Some(Instant::now());
            talk.sent += 1;
        }
        for (side, socket) in ends.sockets.iter().enumerate() {
            // It comes out at the other end.
            collect(socket, &calls, &mut left[1 - side], &mut talk)?;
        }
        let is_over = began.elapsed() >= duration;
        if is_over && end <= began + duration + TICK {
            end = Instant::now() + PATIENCE;
        }
        if is_over && talk.received >= talk.sent {
            break;
        }
        std::thread::sleep(TICK);
    }
    if talk.taken.is_empty() {
        bail!("none of {} packets came through", talk.sent);
    }
    talk.taken.sort_unstable_by(f64::total_cmp);
    Ok(talk)
}

fn collect(
    socket: &UdpSocket,
    calls: &HashMap<SocketAddr, usize>,
    left: &mut [Option<Instant>],
    talk: &mut Talk,
) -> Result<()> {
    let mut bytes = [0; 2048];
    loop {
        let from = match socket.recv_from(&mut bytes) {
            Ok((length, from)) if length > 100 => from,
            // A report.
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(&call) = calls.get(&from) else {
            continue;
        };
        talk.received += 1;
        let left = left.get_mut(call).and_then(Option::take);
        talk.taken
            .extend(left.map(|left| left.elapsed().as_secs_f64()));
    }
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
        assert!((talk.late() - 0.5).abs() < 1e-9);
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
        assert!(!talk.taken.is_empty());
    }
}
