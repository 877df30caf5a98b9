//! Packets that this program handled, as a file that Wireshark and tcpdump read.
//!
//! What is known of a packet is who sent it to whom, when, and its payload: headers of IP, UDP and TCP are made from that. There is no Ethernet in such a
//! file (`LINKTYPE_RAW`); times are in nanoseconds. Who writes a file gives the [`Write`]; this module opens nothing. It imports nothing of ours.

mod frame;

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use pcap_file::DataLink;
use pcap_file::pcap::{
    PcapHeader, PcapPacket, PcapTsResolution, PcapValidationError, PcapWriteError, PcapWriter,
};

use frame::{Frame, Segment};

/// Bytes of one packet that a file holds at most; what Wireshark takes at most.
const SNAP_LENGTH: u32 = 262_144;
/// Bytes of a stream in one packet, as on an Ethernet with IPv6.
const SEGMENT: usize = 1_440;
/// Connections whose sequence numbers are kept; with one more all begin anew.
const MAX_CONNECTIONS: usize = 1_024;

/// Why a packet is not in the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file itself cannot be made.
    #[error("cannot make the file: {0}")]
    File(std::io::Error),
    /// Whatever it is written to refuses.
    #[error("cannot write the capture: {0}")]
    Write(#[from] PcapWriteError),
    /// The format has 32 bits for seconds and for lengths.
    #[error("a packet does not fit into a capture: {0}")]
    Packet(#[from] PcapValidationError),
}

/// A capture that is being written.
pub struct Writer<W: Write> {
    file: PcapWriter<W>,
    /// Bytes of each direction of each connection so far: the next sequence number, less 1.
    sent: HashMap<(SocketAddr, SocketAddr), u32>,
    /// Of the packet that is being written.
    bytes: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file, with its header.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(to: W) -> Result<Self, Error> {
        let header = PcapHeader {
            snaplen: SNAP_LENGTH,
            datalink: DataLink::RAW,
            ts_resolution: PcapTsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        Ok(Writer {
            file: PcapWriter::with_header(to, header)?,
            sent: HashMap::new(),
            bytes: Vec::new(),
        })
    }

    /// Adds a datagram whose payload had `original_length` bytes, of which `payload` is the beginning: an RTP header, say.
    ///
    /// # Errors
    /// It cannot be written, or its time is beyond the year 2105.
    pub fn udp(
        &mut self,
        at: Timestamp,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
        original_length: usize,
    ) -> Result<(), Error> {
        let length = original_length.max(payload.len()).min(frame::MAX_DATAGRAM);
        let payload = &payload[..payload.len().min(length)];
        let frame = Frame::new(from, to, &mut self.bytes);
        let missing = length - payload.len();
        frame.udp(payload, length);
        self.write(at, missing)
    }

    /// Adds bytes of a TCP connection, in as many packets as they need: they follow those that went the same way before.
    ///
    /// # Errors
    /// As of [`udp`](Self::udp).
    pub fn tcp(
        &mut self,
        at: Timestamp,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), Error> {
        if self.sent.len() >= MAX_CONNECTIONS {
            self.sent.clear();
        }
        let acknowledged = self.sent.get(&(to, from)).copied().unwrap_or_default();
        for part in payload.chunks(SEGMENT) {
            let sent = self.sent.entry((from, to)).or_default();
            let segment = Segment {
                sequence: sent.wrapping_add(1),
                acknowledged: acknowledged.wrapping_add(1),
            };
            // A part is no longer than a segment.
            *sent = sent.wrapping_add(part.len() as u32);
            Frame::new(from, to, &mut self.bytes).tcp(part, segment);
            self.write(at, 0)?;
        }
        Ok(())
    }

    /// Ends the file; what it was written to.
    ///
    /// # Errors
    /// What was written could not be flushed.
    pub fn finish(mut self) -> Result<W, Error> {
        self.file.flush()?;
        Ok(self.file.into_inner())
    }

    /// The packet that was made, of which so many bytes were not kept.
    fn write(&mut self, at: Timestamp, missing: usize) -> Result<(), Error> {
        let since_1970 = at.duration_since(Timestamp::UNIX_EPOCH);
        // What was before that is put there.
        let since_1970 = Duration::try_from(since_1970).unwrap_or_default();
        // Both are lengths of one IP packet.
        let length = (self.bytes.len() + missing) as u32;
        let packet = PcapPacket::new(since_1970, length, self.bytes.as_slice())?;
        self.file.write_packet(&packet)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
