//! Whether packets arrive: RTP of every payload type that a sender may use, RTCP, and whatever else a stream carries.

use std::net::{IpAddr, SocketAddr};

use super::dialog::Dialog;
use super::media::{Described, Rtcp, Said, Stream};
use super::scene::{Leg, Stage};
use super::spoken::{closed, shared, spoken};

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

    /// Packets go the ways that both have agreed to, hold or not, and no others.
    pub fn talk_as_held(&self, one: Leg, other: Leg) -> Result<(), String> {
        for [from, to] in [[one, other], [other, one]] {
            let (sends, hears) = (self.dialog(from).goes()[0], self.dialog(to).goes()[1]);
            if sends != hears {
                return Err(format!(
                    "{from:?} believes that it sends: {sends}; {to:?} that it hears: {hears}"
                ));
            }
            if sends {
                self.reaches(from, to)?;
            } else if self.is_heard(from) {
                return Err(format!("{from:?} is heard in spite of the hold"));
            }
        }
        Ok(())
    }

    /// What `from` says arrives where `to` listens.
    pub fn reaches(&self, from: Leg, to: Leg) -> Result<(), String> {
        let (sender, receiver) = (self.dialog(from), self.dialog(to));
        let fault = |what: String| format!("from {from:?} to {to:?}: {what}");
        let [Some(said), Some(heard)] = [&sender.theirs, &receiver.theirs] else {
            return Err(fault("someone has no description".to_owned()));
        };
        let (mine, agreed) = (
            Described::read(&sender.agreed),
            Described::read(&receiver.agreed),
        );
        let mut streams = 0;
        for (index, own) in sender.media.streams.iter().enumerate() {
            let at = |described: &Described| described.streams.get(index).cloned();
            let agreed = at(&mine).zip(at(&agreed));
            let (Some(said), Some(heard), Some((mine, agreed))) = (at(said), at(heard), agreed)
            else {
                return Err(fault(format!("stream {index} is not there")));
            };
            let theirs = &receiver.media.streams[index];
            if !(own.is_on && theirs.is_on) {
                // Who wants it has been told, and nothing of it passes.
                let is_told = [(own, &said), (theirs, &heard)]
                    .iter()
                    .all(|(stream, told)| !stream.is_on || told.port == 0);
                let source = SocketAddr::new(sender.media.ip, own.port);
                let passes = said.port != 0
                    && said.formats.iter().any(|(fmt, _)| {
                        let bytes = packet(fmt.parse().unwrap_or_default());
                        self.forward(source, said.place(), &bytes).is_ok()
                    });
                if !is_told || passes {
                    return Err(fault(format!("stream {index} is off: {is_told}, {passes}")));
                }
                continue;
            }
            if said.port == 0 || heard.port == 0 {
                return Err(fault(format!("stream {index} is off")));
            }
            streams += 1;
            let ends = [(sender, own, &said), (receiver, theirs, &heard)];
            self.stream(ends, [&mine, &agreed]).map_err(fault)?;
        }
        if streams == 0 {
            return Err(fault("no stream is on".to_owned()));
        }
        Ok(())
    }

    /// `agreed`: what each of the two has said that holds.
    fn stream(
        &self,
        ends: [(&Dialog, &Stream, &Said); 2],
        agreed: [&Said; 2],
    ) -> Result<(), String> {
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
        let numbers = match self.relay.voices(said.place()) {
            Some(voices) => spoken(&voices, agreed, said)?,
            None => shared(own, agreed, said)?,
        };
        for number in &numbers {
            self.one(source, said.place(), &packet(*number), expected)?;
        }
        for other in closed(said, &numbers) {
            if self.forward(source, said.place(), &packet(other)).is_ok() {
                return Err(format!("payload type {other} is let in, too"));
            }
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
        match self.forward(source, at, bytes) {
            Ok(gone) if gone == expected => Ok(()),
            Ok((from, to)) => Err(format!(
                "a packet ({kind}) of {source} at {at} goes from {from} to {to}, not from {} to {}",
                expected.0, expected.1
            )),
            Err(why) => Err(format!("a packet ({kind}) of {source} at {at}: {why}")),
        }
    }

    /// Where a packet goes, and from where, by way of proxies that relay it.
    fn forward(
        &self,
        source: SocketAddr,
        at: SocketAddr,
        bytes: &[u8],
    ) -> Result<(SocketAddr, SocketAddr), String> {
        let mut gone = self.relay.forward(source, at, bytes)?;
        let relays = |at: SocketAddr| {
            let found = self
                .agents
                .iter()
                .find(|agent| agent.address.ip() == at.ip());
            found.is_some_and(|agent| agent.manner.sends_back.is_some() && !agent.has_media_at(at))
        };
        for _ in 0..self.agents.len() {
            let (from, to) = gone;
            if !relays(to) {
                break;
            }
            // It has said the box's ports as its own.
            let source = SocketAddr::new(to.ip(), from.port());
            let at = SocketAddr::new(from.ip(), to.port());
            gone = self.relay.forward(source, at, bytes)?;
        }
        Ok(gone)
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
        let source = SocketAddr::new(dialog.media.ip, dialog.media.streams[0].port);
        said.formats.iter().any(|(fmt, _)| {
            let bytes = packet(fmt.parse().unwrap_or_default());
            self.forward(source, said.place(), &bytes).is_ok()
        })
    }
}
