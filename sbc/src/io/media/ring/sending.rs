//! What leaves: a datagram out of the buffer that it came in, and what the handler makes.

use io_uring::opcode;
use io_uring::types::Fixed;

use super::super::backend::{Departure, Handler, SendFailure, SocketId};
use super::Ring;
use super::buffers::Held;
use super::sockets::State;
use super::tag::Tag;

impl Ring {
    /// Asks what happens to a datagram, and has it happen.
    pub(super) fn relay(
        &mut self,
        id: SocketId,
        held: Held,
        length: i32,
        listening: bool,
        handler: &mut impl Handler,
    ) {
        let buffers = &mut self.shared.buffers;
        let mut departure = None;
        let mut payload_length = 0;
        if listening
            && let Ok(length) = usize::try_from(length)
            && let Some(received) = buffers.received(&held, length)
        {
            self.sockets.works(id);
            if received.cut {
                handler.too_big(id);
            } else if let Some(from) = received.from {
                departure = handler.packet(id, from, received.payload);
                payload_length = received.payload.len() as u32;
            }
        }
        let Some(departure) = departure else {
            return self.send_made(Some(held), handler);
        };
        if self.sockets.state(departure.socket) == State::Free {
            buffers.give_back(held);
            return handler.send_failed(departure.account, SendFailure::Refused);
        }
        if let Err(held) = self.send(held, payload_length, departure) {
            self.shared.buffers.give_back(held);
            handler.send_failed(departure.account, SendFailure::Overload);
        }
    }

    /// Sends what the handler has made, the first of it out of this buffer.
    pub(super) fn send_made(&mut self, mut held: Option<Held>, handler: &mut impl Handler) {
        while let Some((departure, payload)) = handler.made() {
            let buffers = &mut self.shared.buffers;
            let Some(free) = held.take().or_else(|| buffers.take_spare()) else {
                handler.send_failed(departure.account, SendFailure::Overload);
                continue;
            };
            let length = buffers.write_payload(&free, payload);
            let sent = match self.sockets.state(departure.socket) {
                State::Free => Err((free, SendFailure::Refused)),
                _ => self
                    .send(free, length, departure)
                    .map_err(|free| (free, SendFailure::Overload)),
            };
            if let Err((free, failure)) = sent {
                self.shared.buffers.give_back(free);
                handler.send_failed(departure.account, failure);
            }
        }
        if let Some(held) = held {
            self.shared.buffers.give_back(held);
        }
    }

    /// Sends what a buffer holds; gives it back if it cannot.
    fn send(&mut self, held: Held, length: u32, departure: Departure) -> Result<(), Held> {
        let buffers = &mut self.shared.buffers;
        let (name, name_length) = buffers.write_destination(&held, departure.to);
        let socket = Fixed(departure.socket.index.into());
        // Never wait for room in a socket: media that is late is of no use, and the buffer is needed.
        let send = opcode::Send::new(socket, buffers.payload(&held), length)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr(name)
            .dest_addr_len(name_length)
            .build();
        let tag = Tag::Send {
            account: departure.account,
            buffer: held.number(),
        };
        if self.push(&send, tag).is_err() {
            return Err(held);
        }
        // `held` ends here; the buffer is taken again when the send has completed.
        self.sending += 1;
        Ok(())
    }
}
