//! What arrives at a host as voice, packet by packet: which tone, and at which port.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::background::Background;
use super::lab::Namespace;
use super::tap::tap;
use super::tone;

const RATE: u32 = 8_000;
/// RTP without extensions, and 20 ms of PCMU.
const HEADER: usize = 12;
const SAMPLES: usize = 160;
/// Voice in one direction goes on within this, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// So many packets one way are long enough to say that none comes the other way: half a second.
const WHILE: usize = 25;
const SILENCE: Duration = Duration::from_millis(500);

/// Listens at a host to the PCMU that comes from one address, until it is dropped. Unlike a phone's own recording it does not
/// depend on what the phone makes of a hold.
#[derive(Debug)]
pub struct Ear {
    name: String,
    packets: Arc<Mutex<Vec<Packet>>>,
    _tap: Background,
}

/// How much an [`Ear`] had heard at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

#[derive(Debug)]
struct Packet {
    port: u16,
    samples: Vec<f64>,
}

impl Ear {
    /// Listens in that namespace to what comes from `from`.
    ///
    /// # Errors
    /// Not root.
    pub fn open(host: &Namespace, from: Ipv4Addr) -> Result<Ear> {
        let packets = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&packets);
        let tap = tap(host, move |bytes| {
            if let Some(packet) = voice(bytes, from) {
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(packet);
            }
        })?;
        Ok(Ear {
            name: host.name().to_owned(),
            packets,
            _tap: tap,
        })
    }

    /// Now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.with(<[Packet]>::len))
    }

    /// How many packets of any voice have come since then.
    #[must_use]
    pub fn count(&self, since: Mark) -> usize {
        self.with(|packets| packets.len().saturating_sub(since.0))
    }

    /// Waits until so many packets with this tone have come to one port from now on; returns the port.
    ///
    /// # Errors
    /// They do not come.
    pub fn hears(&self, tone: u32, packets: usize) -> Result<u16> {
        self.waits(self.mark(), None, tone, packets)
    }

    /// Waits until so many packets with this tone have come to that port since it was opened.
    ///
    /// # Errors
    /// They do not come.
    pub fn hears_at(&self, port: u16, tone: u32, packets: usize) -> Result<()> {
        self.waits(Mark(0), Some(port), tone, packets).map(drop)
    }

    fn waits(&self, since: Mark, at: Option<u16>, tone: u32, packets: usize) -> Result<u16> {
        let end = Instant::now() + PATIENCE;
        loop {
            let ports = self.with(|all| ports(all.get(since.0..).unwrap_or_default(), tone));
            if let Some((port, _)) = ports
                .iter()
                .find(|(port, count)| *count >= packets && at.is_none_or(|at| at == *port))
            {
                return Ok(*port);
            }
            if Instant::now() > end {
                let (name, any) = (&self.name, self.count(since));
                bail!(
                    "{name} does not hear {packets} packets of {tone} Hz: {ports:?} of {any} packets"
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until nothing comes any more while the other side goes on hearing `tone`.
    ///
    /// # Errors
    /// Something goes on coming, or the other side hears nothing.
    pub fn is_silent_while(&self, other: &Ear, tone: u32) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let before = self.mark();
            other.hears(tone, WHILE)?;
            let came = self.count(before);
            if came == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                bail!(
                    "{} is not silent: {came} packets in half a second",
                    self.name
                );
            }
        }
    }

    /// Waits until nothing comes any more: half a second of it, in which a phone says 25 packets.
    ///
    /// # Errors
    /// Something goes on coming.
    pub fn falls_silent(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let before = self.mark();
            // There is no event to wait for where nothing is to happen.
            std::thread::sleep(SILENCE);
            let came = self.count(before);
            if came == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("{} is not silent: {came} packets in {SILENCE:?}", self.name);
            }
        }
    }

    fn with<T>(&self, look: impl FnOnce(&[Packet]) -> T) -> T {
        look(&self.packets.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many packets with this tone have come to each port.
fn ports(packets: &[Packet], tone: u32) -> Vec<(u16, usize)> {
    let mut ports: Vec<(u16, usize)> = Vec::new();
    for packet in packets {
        if !tone::has_tone(&packet.samples, tone, RATE) {
            continue;
        }
        match ports.iter_mut().find(|(port, _)| *port == packet.port) {
            Some((_, count)) => *count += 1,
            None => ports.push((packet.port, 1)),
        }
    }
    ports
}

/// An IPv4 packet from there, if it carries 20 ms of PCMU.
fn voice(packet: &[u8], from: Ipv4Addr) -> Option<Packet> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
        return None;
    };
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else {
        return None;
    };
    let (header, body) = udp.payload().split_at_checked(HEADER)?;
    let is_pcmu = header[0] >> 6 == 2 && header[1] & 0x7f == 0 && body.len() == SAMPLES;
    let is_from = IpAddr::from(ip.header().source_addr()) == IpAddr::from(from);
    (is_pcmu && is_from).then(|| Packet {
        port: udp.destination_port(),
        samples: body.iter().map(|&byte| linear(byte)).collect(),
    })
}

/// ITU-T G.711, mu-law: full scale is 1.
fn linear(byte: u8) -> f64 {
    let code = !byte;
    let magnitude = ((f64::from(code & 0xf) * 2.0 + 33.0) * f64::from(1_u32 << (code >> 4 & 7))
        - 33.0)
        / 8_159.0;
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_is_as_the_standard_has_it() {
        // The largest of either sign, and the two zeros.
        assert!((linear(0x80) - 8_031.0 / 8_159.0).abs() < 1e-9);
        assert!((linear(0x00) + 8_031.0 / 8_159.0).abs() < 1e-9);
        assert_eq!((linear(0xff), linear(0x7f)), (0.0, 0.0));
    }

    #[test]
    fn packets_are_told_by_port_and_tone() {
        let sine = |tone: f64| -> Vec<f64> {
            let step = std::f64::consts::TAU * tone / f64::from(RATE);
            (0..SAMPLES)
                .map(|n| (step * n as f64).sin() / 2.0)
                .collect()
        };
        let packet = |port, tone| Packet {
            port,
            samples: sine(tone),
        };
        let packets = [
            packet(4, 425.0),
            packet(6, 425.0),
            packet(4, 425.0),
            packet(4, 775.0),
        ];
        assert_eq!(ports(&packets, 425), [(4, 2), (6, 1)]);
        assert_eq!(ports(&packets, 775), [(4, 1)]);
        assert_eq!(ports(&packets, 1_200), []);
    }
}
