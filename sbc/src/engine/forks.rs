//! A 2xx of a far side that forks, to an INVITE of a call that has ended and been forgotten.

use std::time::Instant;

use super::{Ack, Engine};
use crate::call::{AGENT, copy_credentials, via};
use crate::dialog::Dialog;
use crate::sip::{Message, Method, Name};
use crate::transaction::ClientId;

impl Engine {
    /// ACK and BYE (RFC 3261 13.2.2.4), for as long as the INVITE's own ACK is kept: 64*T1. All that its dialog needs stands in the
    /// answer; it goes the way of that ACK.
    pub(super) fn dismiss_fork(&mut self, now: Instant, invite: ClientId, answer: &Message) {
        let acks = self.acks.get(&invite);
        let Some(first) = acks.and_then(|acks| acks.first()) else {
            return;
        };
        let (hop, bytes) = (first.hop, first.bytes.clone());
        let Ok(mut dialog) = Dialog::uac(answer, answer) else {
            return;
        };
        let via_of_ack = via(
            &self.config,
            &hop,
            &self.tokens.branch(dialog.request_uri()),
        );
        let mut ack = dialog
            .ack(&via_of_ack, answer.cseq().number)
            .header(Name::UserAgent, AGENT);
        if let Ok(first) = Message::parse(bytes, &Default::default()) {
            ack = copy_credentials(&first, ack);
        }
        let bytes = ack.finish();
        let tag = answer.to().tag().unwrap_or_default().to_owned();
        self.send(hop, bytes.clone());
        self.keep_ack(invite, Ack { tag, hop, bytes });
        let via_of_bye = via(
            &self.config,
            &hop,
            &self.tokens.branch(dialog.request_uri()),
        );
        let bye = dialog
            .request(Method::Bye, &via_of_bye)
            .header(Name::UserAgent, AGENT)
            .header(Name::Reason, "SIP;cause=487;text=\"Call is over\"")
            .finish();
        if let Ok(message) = Message::parse(bye, &Default::default())
            && self.layer.request(now, hop, message).is_err()
        {
            self.counters.full("transactions");
        }
    }
}
