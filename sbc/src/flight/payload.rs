//! The capture of a call with its payload, while it goes on.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use super::{Clock, Flight, Ways, ways};
use crate::pcap;
use sbc_ebpf::flight_abi::Whole;

/// Bytes that wait for whoever reads: more are not kept.
const WAITING: usize = 1 << 20;

/// A packet with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// By the clock of the system, in nanoseconds.
    pub at: u64,
    /// From where to where. What the box has made itself has the way that it left by as the one that it came.
    pub ways: Ways,
    /// Bytes that there were.
    pub length: u16,
    /// All of them, or as many as were kept.
    pub payload: Box<[u8]>,
}

impl Heard {
    /// What the kernel handed over of a packet that came at a side of this pair.
    #[must_use]
    pub fn of(flight: &Flight, side: usize, whole: &Whole) -> Heard {
        Heard {
            at: whole.kept.at,
            ways: ways(flight, side, &whole.kept),
            length: whole.kept.length,
            payload: whole.payload().into(),
        }
    }
}

/// A capture that somebody reads while it is written. It never waits for him: what he has not read has a bound.
pub struct Sheet {
    file: pcap::Writer<Buffer>,
    buffer: Buffer,
    clock: Clock,
}

/// What was written and nobody has taken yet.
#[derive(Clone, Debug, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sheet {
    /// With the header of the file, and what time it is now.
    ///
    /// # Errors
    /// None, as memory takes everything.
    pub fn new(clock: Clock) -> Result<Sheet, pcap::Error> {
        let buffer = Buffer::default();
        Ok(Sheet {
            file: pcap::Writer::new(buffer.clone())?,
            buffer,
            clock,
        })
    }

    /// Adds a packet as it came, and as it left if it did. `false`: there is no room, or its time fits into no capture.
    pub fn put(&mut self, heard: &Heard) -> bool {
        if self.buffer.0.borrow().len() >= WAITING {
            return false;
        }
        let at = self.clock.at(heard.at);
        let length = usize::from(heard.length);
        let mut all = std::iter::once(heard.ways.came).chain(heard.ways.left);
        all.all(|way| {
            let written = self.file.udp(at, way.from, way.to, &heard.payload, length);
            written.is_ok()
        })
    }

    /// What was written since this was asked last; nothing, if nothing was.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.buffer.0.take()
    }

    /// What could not be handed on, to be taken again before all that follows.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        let mut buffer = self.buffer.0.borrow_mut();
        let since = std::mem::replace(&mut *buffer, bytes);
        buffer.extend_from_slice(&since);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pcap_file::pcap::PcapReader;

    use super::super::Way;
    use super::*;

    fn heard(number: u8, left: bool) -> Heard {
        let way = |from: &str, to: &str| Way {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        Heard {
            at: 1_000 + u64::from(number),
            ways: Ways {
                came: way("10.0.0.2:4000", "10.0.0.1:20000"),
                left: left.then(|| way("10.0.1.1:30000", "10.0.1.2:4000")),
            },
            length: 172,
            payload: vec![number; 172].into(),
        }
    }

    fn sheet() -> Sheet {
        let clock = Clock {
            now: Timestamp::UNIX_EPOCH,
            nanoseconds: 1_000,
        };
        Sheet::new(clock).unwrap()
    }

    #[test]
    fn what_is_taken_piece_by_piece_is_one_capture() {
        let mut sheet = sheet();
        let mut file = sheet.take();
        assert_eq!(file.len(), 24);
        assert!(sheet.take().is_empty());
        assert!(sheet.put(&heard(1, true)));
        let refused = sheet.take();
        assert!(sheet.put(&heard(2, false)));
        sheet.put_back(refused);
        file.extend(sheet.take());
        let mut reader = PcapReader::new(file.as_slice()).unwrap();
        let mut read = Vec::new();
        while let Some(packet) = reader.next_packet() {
            let packet = packet.unwrap();
            // Behind the headers of IP and UDP.
            let payload = packet.data().get(28..).unwrap();
            assert_eq!(payload.len(), 172);
            read.push((payload[0], packet.timestamp().as_nanos()));
        }
        // Each with the time of day that it had.
        assert_eq!(read, [(1, 1), (1, 1), (2, 2)]);
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let mut sheet = sheet();
        let taken = (0..10_000).take_while(|_| sheet.put(&heard(1, true)));
        let taken = taken.count();
        assert!((1_000..10_000).contains(&taken), "{taken}");
        assert!(sheet.take().len() < WAITING + 1_000);
        assert!(sheet.put(&heard(1, true)));
    }
}
