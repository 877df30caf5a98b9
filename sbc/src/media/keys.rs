//! Audio whose two sides have keys in different forms: what each is offered and answered of telephone-event (RFC 4733), and which form is left to who turns out
//! to have none.
//!
//! A side of `info` or `inband` is offered no telephone-event, and what it says of it is not taken. Who has `rtp` is offered it, also where the other side has none, and has
//! keys as tones if it does not want it.

use super::described::{Carried, Class, Meaning};
use super::voices::Transcoding;
use super::{OTHER_CODECS, PayloadTypes, Voice};
use crate::config::{Codec, Dtmf};

/// What telephone-event is called where nothing else says so.
const USUAL: u8 = 101;

/// Those that no codec has by itself (RFC 3551 6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// The keys, and flash.
pub(super) const EVENTS: &str = "0-16";

/// The forms of two sides that have not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    offerer: Dtmf,
    answerer: Dtmf,
    /// As what the answerer is offered telephone-event.
    pub(super) named: Option<u8>,
}

/// Takes out of an offer what its writer, of the first form, is not to have of telephone-event.
pub(super) fn take_out(offer: &mut Carried, forms: [Dtmf; 2], transcoding: Transcoding) {
    if is_ours(offer, forms, transcoding) && forms[0] != Dtmf::Rtp {
        remove(offer);
    }
}

/// The same of what the other side is offered. The forms, if they are not the same.
pub(super) fn between(
    offer: &mut Carried,
    forms: [Dtmf; 2],
    transcoding: Transcoding,
) -> Option<Keys> {
    if !is_ours(offer, forms, transcoding) {
        return None;
    }
    let has_events = offer.means(&Meaning::TelephoneEvent);
    let [offerer, answerer] = forms;
    if answerer != Dtmf::Rtp {
        remove(offer);
    }
    let known = effective(offerer, has_events);
    (offerer != answerer && known != answerer).then(|| Keys {
        offerer: known,
        answerer,
        named: (answerer == Dtmf::Rtp).then(|| free(offer)),
    })
}

/// Without anybody to turn one form into another there is nothing to do, unless both have the same.
fn is_ours(offer: &Carried, forms: [Dtmf; 2], transcoding: Transcoding) -> bool {
    let [one, other] = forms;
    offer.class == Class::Audio && (one == other || transcoding == Transcoding::On)
}

fn remove(offer: &mut Carried) {
    offer
        .formats
        .retain(|format| format.meaning != Meaning::TelephoneEvent);
}

/// Neither the offer's nor what a codec of ours may be added as.
fn free(offer: &Carried) -> u8 {
    let is_free = |number: &u8| {
        let mut formats = offer.formats.iter();
        !formats.any(|format| format.payload_type == *number)
    };
    let mut numbers = std::iter::once(USUAL).chain(DYNAMIC.rev());
    numbers.find(is_free).unwrap_or(USUAL)
}

/// Who has no telephone-event after all has keys in the audio.
fn effective(form: Dtmf, has_events: bool) -> Dtmf {
    match (form, has_events) {
        (Dtmf::Rtp, false) => Dtmf::Inband,
        _ => form,
    }
}

impl Keys {
    /// The forms that are left, once it is known what both have of telephone-event.
    pub(super) fn forms(&self, events: [Option<PayloadTypes>; 2]) -> [Dtmf; 2] {
        let [offerer, answerer] = events.map(|events| events.is_some());
        [
            effective(self.offerer, offerer),
            effective(self.answerer, answerer),
        ]
    }
}

/// A stream whose codec is shared, and whose keys are not.
pub(super) fn passed(
    codec: Codec,
    numbers: PayloadTypes,
    events: Option<PayloadTypes>,
    keys: Dtmf,
    packet_time: u8,
) -> Voice {
    Voice {
        codec,
        numbers,
        others: [None; OTHER_CODECS],
        events,
        keys,
        // As where it is forwarded: phones send it unasked.
        comfort_noise: true,
        packet_time,
    }
}
