//! Whether packets arrive: RTP of every payload type that a sender may use, RTCP, and whatever else a stream carries.

use std::net::{IpAddr, SocketAddr};

use super::dialog::Dialog;
use super::media::{Described, Rtcp, Said, Stream};
use super::scene::{Leg, Stage};

/// Where a stream's RTCP is, on the agent's side and on the box's.
fn rtcp(own: &Stream, ip: IpAddr, said: &Said) -> (SocketAddr, SocketAddr) {
    let port = match own.rtcp {
        Rtcp::Mux if said.mux => own.port,
        Rtcp::At(port) => port,
        _ => own.port + 1,
    };
    let theirs = match (own.rtcp, said.rtcp) {
        (Rtcp::Mux, _) if said.mux => said.port,
        (_, Some(port)) => port,
        _ => said.port + 1,
    };
    (SocketAddr::new(ip, port), SocketAddr::new(said.ip, theirs))
}

/// A packet of a payload type, or of RTCP from 192 on.
fn packet(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; 172];
    bytes[0] = 0x80;
    bytes[1] = kind;
    bytes[11] = 7;
    bytes
}

impl Stage {
    /// Packets go both ways between these two, in the formats that the receiver has agreed to, and nobody else's do.
    pub fn talk(&self, one: Leg, other: Leg) -> Result<(), String> {
        self.reaches(one, other)?;
        self.reaches(other, one)
    }

    /// What `from` says arrives where `to` listens.
    pub fn reaches(&self, from: Leg, to: Leg) -> Result<(), String> {
        let (sender, receiver) = (self.dialog(from), self.dialog(to));
        let fault = |what: String| format!("from {from:?} to {to:?}: {what}");
        let [Some(said), Some(heard)] = [&sender.theirs, &receiver.theirs] else {
            return Err(fault("someone has no description".to_owned()));
        };
        let agreed = Described::read(&receiver.agreed);
        let mut streams = 0;
        for (index, own) in sender.media.streams.iter().enumerate() {
            let at = |described: &Described| described.streams.get(index).cloned();
            let (Some(said), Some(heard), Some(agreed)) = (at(said), at(heard), at(&agreed)) else {
                return Err(fault(format!("stream {index} is not there")));
            };
            let theirs = &receiver.media.streams[index];
            if said.port == 0 || heard.port == 0 {
                if said.port != heard.port || own.is_on && theirs.is_on {
                    return Err(fault(format!("stream {index} is off")));
                }
                continue;
            }
            streams += 1;
            let ends = [(sender, own, &said), (receiver, theirs, &heard)];
            self.stream(ends, &agreed).map_err(fault)?;
        }
        if streams == 0 {
            return Err(fault("no stream is on".to_owned()));
        }
        Ok(())
    }

    fn stream(&self, ends: [(&Dialog, &Stream, &Said); 2], agreed: &Said) -> Result<(), String> {
        let [(sender, own, said), (receiver, theirs, heard)] = ends;
        if !(sender.media.goes()[0] && said.goes[1] && receiver.media.goes()[1] && heard.goes[0]) {
            return Err("someone is on hold".to_owned());
        }
        let source = SocketAddr::new(sender.media.ip, own.port);
        let expected = (
            heard.place(),
            SocketAddr::new(receiver.media.ip, theirs.port),
        );
        if own.proto == "udptl" {
            return self.one(source, said.place(), &[0; 40], expected);
        }
        let mut shared = 0;
        for (fmt, name) in &said.formats {
            let is_own = |(_, n): &(String, String)| n.eq_ignore_ascii_case(name);
            if !own.formats.iter().any(is_own) {
                continue;
            }
            let meant = agreed
                .formats
                .iter()
                .find(|(f, _)| f == fmt)
                .map(|(_, n)| n);
            if !meant.is_some_and(|meant| meant.eq_ignore_ascii_case(name)) {
                return Err(format!(
                    "payload type {fmt} is {name} here and {meant:?} there"
                ));
            }
            shared += 1;
            let number = fmt.parse().map_err(|_| format!("payload type {fmt}"))?;
            self.one(source, said.place(), &packet(number), expected)?;
        }
        if shared == 0 {
            return Err(format!(
                "no format in common: {:?}, {:?}",
                said.formats, own.formats
            ));
        }
        let (source_of_rtcp, at) = rtcp(own, sender.media.ip, said);
        let (arrives, leaves) = rtcp(theirs, receiver.media.ip, heard);
        self.one(source_of_rtcp, at, &packet(200), (leaves, arrives))?;
        // Nobody else is heard.
        let neighbour = SocketAddr::new(source.ip(), source.port() + 30);
        let stranger = SocketAddr::from(([192, 0, 2, 9], source.port()));
        for other in [neighbour, stranger] {
            let number = said.formats.first().and_then(|(f, _)| f.parse().ok());
            let bytes = packet(number.unwrap_or(0));
            if self.relay.forward(other, said.place(), &bytes).is_ok() {
                return Err(format!("{other} is heard, too"));
            }
        }
        Ok(())
    }

    fn one(
        &self,
        source: SocketAddr,
        at: SocketAddr,
        bytes: &[u8],
        expected: (SocketAddr, SocketAddr),
    ) -> Result<(), String> {
        let kind = bytes.get(1).copied().unwrap_or_default();
        match self.relay.forward(source, at, bytes) {
            Ok(gone) if gone == expected => Ok(()),
            Ok((from, to)) => Err(format!(
                "a packet ({kind}) of {source} at {at} goes from {from} to {to}, not from {} to {}",
                expected.0, expected.1
            )),
            Err(why) => Err(format!("a packet ({kind}) of {source} at {at}: {why}")),
        }
    }

    /// Whether a packet of voice from this leg gets anywhere.
    #[must_use]
    pub fn is_heard(&self, leg: Leg) -> bool {
        let dialog = self.dialog(leg);
        let said = dialog
            .theirs
            .as_ref()
            .and_then(|theirs| theirs.streams.first());
        let Some(said) = said else {
            return false;
        };
        let number = said.formats.first().and_then(|(f, _)| f.parse().ok());
        let source = SocketAddr::new(dialog.media.ip, dialog.media.streams[0].port);
        let bytes = packet(number.unwrap_or(0));
        self.relay.forward(source, said.place(), &bytes).is_ok()
    }
}
