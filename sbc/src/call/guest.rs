//! Who calls to take a party's place and leaves the offer to us: he gets what the one who stays has said last, and answers in his ACK; then
//! all goes as with an offer of his own.

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::Context;
use super::machine::Call;
use super::rejoin::without_direction;
use super::transfer::How;
use crate::media::LegId;
use crate::sip::Message;

impl Call {
    /// His INVITE is answered at once: with an offer.
    pub(super) fn offer_to_guest(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        let Some(mut transfer) = self.transfer.take() else {
            return;
        };
        let offer = self.said_by(now, cx, transfer.stays, leg);
        if let (Ok(offer), How::Replaces(guest)) = (&offer, &mut transfer.how) {
            guest.is_answered = true;
            self.welcome(now, cx, leg, guest, offer.clone());
        }
        self.transfer = Some(transfer);
        if let Err(code) = offer {
            self.fail_transfer(now, cx, code, None);
        }
    }

    /// Whether this is one whose ACK is awaited.
    pub(super) fn awaits_guest(&self, leg: LegId) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| {
            let is_answered = matches!(&transfer.how, How::Replaces(guest) if guest.is_answered);
            is_answered && transfer.comes == Some(leg) && self.own.is_none()
        })
    }

    /// His ACK.
    pub(super) fn on_guest_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        ack: &Message,
    ) {
        let Some(said) = sdp_of(ack).map(Bytes::copy_from_slice) else {
            return self.fail_transfer(now, cx, 488, None);
        };
        if let Some(side) = self.side(leg) {
            side.received = Some(said.clone());
        }
        self.join(now, cx, leg, said);
    }

    /// What one leg has said last, as an offer to another one.
    fn said_by(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        to: LegId,
    ) -> Result<Bytes, u16> {
        let said = self.side(from).and_then(|side| side.received.clone());
        let said = without_direction(&said.ok_or(488_u16)?);
        let offer = self.offer(now, cx, from, to, &said);
        self.order_flows();
        offer
    }
}
