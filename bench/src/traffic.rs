//! RTP from both ends of the lab: a steady stream of many calls, or one packet at a time and how long it takes.
//!
//! One thread plays both ends, so that it takes as little as can be from those that are measured.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// 20 ms of PCMU, RTP header included.
const LENGTH: usize = 172;
/// What a packet adds to the timestamp.
const SAMPLES: u32 = 160;
/// How often packets that are due are sent.
pub(crate) const TICK: Duration = Duration::from_micros(500);
/// No more than this at a time, should the generator be behind: a veth device queues 256 packets, and drops what comes in addition.
pub(crate) const BURST: u32 = 128;
/// Longer than a packet takes that arrives at all.
const PATIENCE: Duration = Duration::from_millis(500);

/// Both ends, and where each sends the packets of each call.
#[derive(Debug)]
pub struct Ends {
    /// The phone's socket and the carrier's.
    pub sockets: [UdpSocket; 2],
    /// Sequence numbers, of each end for each call.
    sequence: [Vec<u16>; 2],
    turn: usize,
    /// What each end says; where there is nothing, bytes that stand for some audio of PCMU.
    speech: Option<[Speech; 2]>,
}

/// A packet that has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The end that it came from.
    pub(crate) side: usize,
    /// Its call.
    pub(crate) call: usize,
    /// Of RTP.
    pub(crate) timestamp: u32,
}

/// What an end says, over and over.
#[derive(Clone, Debug)]
pub struct Speech {
    /// Of RTP.
    pub payload_type: u8,
    /// Of 20 ms each, 8 octets a millisecond. One at least.
    pub frames: Vec<[u8; LENGTH - 12]>,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// Packets sent.
    pub sent: u64,
    /// Packets that came out on the other side.
    pub received: u64,
}

/// How long packets take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of them take less.
    pub p50: f64,
    /// All but one in a hundred take less.
    pub p99: f64,
}

impl Ends {
    /// Two sockets, made non-blocking.
    ///
    /// # Errors
    /// They cannot be.
    pub fn new(sockets: [UdpSocket; 2]) -> Result<Ends> {
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        Ok(Ends {
            sockets,
            sequence: [Vec::new(), Vec::new()],
            turn: 0,
            speech: None,
        })
    }

    /// The same, and what they say.
    #[must_use]
    pub fn saying(self, speech: [Speech; 2]) -> Ends {
        Ends {
            speech: Some(speech),
            ..self
        }
    }

    /// So many packets a second in both directions together, evenly over all calls.
    ///
    /// # Errors
    /// A socket fails.
    pub fn stream(
        &mut self,
        targets: &[Vec<SocketAddr>; 2],
        rate: u32,
        duration: Duration,
    ) -> Result<Streamed> {
        self.drain()?;
        let mut count = Streamed {
            sent: 0,
            received: 0,
        };
        let began = Instant::now();
        while began.elapsed() < duration {
            let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            for _ in 0..BURST {
                if count.sent >= due {
                    break;
                }
                self.send_next(targets)?;
                count.sent += 1;
            }
            count.received += self.drain()?;
            std::thread::sleep(TICK);
        }
        let end = Instant::now() + PATIENCE;
        while count.received < count.sent && Instant::now() < end {
            std::thread::sleep(TICK);
            count.received += self.drain()?;
        }
        Ok(count)
    }

    /// The next packet in turn.
    pub(crate) fn send_next(&mut self, targets: &[Vec<SocketAddr>; 2]) -> Result<Sent> {
        let (side, call) = (self.turn & 1, (self.turn >> 1) % targets[0].len().max(1));
        self.turn = self.turn.wrapping_add(1);
        let target = targets[side]
            .get(call)
            .context("a call has two ends, and there is one at least")?;
        let sequence = &mut self.sequence[side];
        if sequence.len() <= call {
            sequence.resize(call + 1, 0);
        }
        sequence[call] = sequence[call].wrapping_add(1);
        let number = sequence[call];
        let mut packet = packet(call, number, 0);
        if let Some(speech) = &self.speech {
            speech[side].say(&mut packet, call + usize::from(number));
        }
        let sent = Sent {
            side,
            call,
            timestamp: u32::from(number) * SAMPLES,
        };
        match self.sockets[side].send_to(&packet, target) {
            Ok(_) => Ok(sent),
            // Its own queue is full: a packet that is lost, and counted so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(sent),
            Err(error) => Err(error).with_context(|| format!("cannot send to {target}")),
        }
    }

    fn drain(&self) -> Result<u64> {
        let mut count = 0;
        for socket in &self.sockets {
            while receive(socket, &mut [0; 2048])?.is_some() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Sends `packets` packets from the phone, one every `interval`, to each target in turn, and waits for each at `to`: its own
    /// time is in it, or, where ends say something, it is the one packet that is under way; the first tenth is not counted. Nobody
    /// sleeps, so that no wake-up of the measuring thread is measured.
    ///
    /// # Errors
    /// More than one packet in a hundred is lost.
    pub fn ping(
        &mut self,
        targets: &[SocketAddr],
        to: &UdpSocket,
        packets: u32,
        interval: Duration,
    ) -> Result<Latency> {
        self.drain()?;
        let base = Instant::now();
        let now = || u64::try_from(base.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut taken = Vec::new();
        let calls = targets.len().max(1) as u32;
        let mut targets = (0..).zip(targets).cycle();
        for number in 0..packets {
            let due = base + interval * number;
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            let (call, target) = targets.next().context("no calls")?;
            let sent = now();
            let mut packet = packet(call, number as u16, sent);
            if let Some(speech) = &self.speech {
                // Those of a call follow each other, and what was streamed before.
                let streamed = self.sequence[0].get(call).copied().unwrap_or(0);
                let number = streamed.wrapping_add((number / calls) as u16 + 1);
                packet = self::packet(call, number, sent);
                speech[0].say(&mut packet, call + usize::from(number));
            }
            self.sockets[0].send_to(&packet, target)?;
            let mut bytes = [0; 2048];
            while now() - sent < PATIENCE.as_nanos() as u64 {
                let Some(length) = receive(to, &mut bytes)? else {
                    continue;
                };
                if self.speech.is_some() || stamp(&bytes[..length]) == Some(sent) {
                    taken.push(now() - sent);
                    break;
                }
            }
            if taken.len() + 100 < number as usize {
                bail!(
                    "{} of {number} packets were lost",
                    number as usize - taken.len()
                );
            }
        }
        ensure!(
            taken.len() * 100 >= packets as usize * 99,
            "{} of {packets} packets arrived",
            taken.len()
        );
        // Caches fill with the first ones.
        taken.drain(..taken.len() / 10);
        taken.sort_unstable();
        let at = |percent: usize| {
            let taken = taken.get(taken.len() * percent / 100);
            taken.map_or(0.0, |&nanoseconds| nanoseconds as f64 / 1e9)
        };
        Ok(Latency {
            p50: at(50),
            p99: at(99),
        })
    }
}

impl Speech {
    fn say(&self, packet: &mut [u8; LENGTH], number: usize) {
        packet[1] = self.payload_type;
        packet[12..].copy_from_slice(&self.frames[number % self.frames.len()]);
    }
}

fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> Result<Option<usize>> {
    match socket.recv(bytes) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        // What ICMP has said about an earlier packet.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sequence number and timestamp go on as in a call; `stamp` is the first of what it carries.
fn packet(call: usize, sequence: u16, stamp: u64) -> [u8; LENGTH] {
    let mut packet = [0xd5; LENGTH];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * SAMPLES).to_be_bytes());
    packet[8..12].copy_from_slice(&(call as u32 + 1).to_be_bytes());
    packet[12..20].copy_from_slice(&stamp.to_be_bytes());
    packet
}

fn stamp(packet: &[u8]) -> Option<u64> {
    let bytes = packet.get(12..20)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sockets that send to each other, without anything between.
    fn ends() -> (Ends, [Vec<SocketAddr>; 2]) {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [a, b] = [&sockets[0], &sockets[1]].map(|socket| socket.local_addr().unwrap());
        (Ends::new(sockets).unwrap(), [vec![b; 3], vec![a; 3]])
    }

    #[test]
    fn what_is_sent_arrives_and_is_counted() {
        let (mut ends, targets) = ends();
        let streamed = ends
            .stream(&targets, 2_000, Duration::from_millis(100))
            .unwrap();
        assert!(streamed.sent > 0);
        assert_eq!(streamed.received, streamed.sent);
        // Each end of each call counts its own packets.
        let counted: u64 = ends.sequence.iter().flatten().map(|&n| u64::from(n)).sum();
        assert_eq!(counted, streamed.sent);
    }

    #[test]
    fn a_packet_is_known_by_its_stamp() {
        let (mut ends, targets) = ends();
        let to = ends.sockets[1].try_clone().unwrap();
        let latency = ends
            .ping(&targets[0], &to, 50, Duration::from_micros(10))
            .unwrap();
        assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99);
        assert_eq!(
            stamp(&packet(0, 7, 0x1234_5678_9abc)),
            Some(0x1234_5678_9abc)
        );
    }
}
