//! What is spoken, as the call knows it without reading anything again.

use super::support::*;
use super::transcoding::{answer, ends, exchange, offer};
use crate::config::Codec::{self, G722, Pcma, Pcmu};

fn spoken(call: &Call) -> [Option<Codec>; 2] {
    assert_eq!(
        call.media.spoken([A, B]),
        call.media.spoken([B, A]),
        "the older leg's is first"
    );
    call.media.spoken([A, B])
}

#[test]
fn what_is_answered_first_holds_until_something_else_is_answered() {
    let (a, b) = &ends(&Codec::ALL);
    let mut call = Call::new();
    assert_eq!(spoken(&call), [None; 2]);
    call.offer((A, a), (B, b), &offer("0 8", "")).unwrap();
    assert_eq!(
        (spoken(&call), call.media.plainly([A, B])),
        ([None; 2], None)
    );
    call.answer(B, &answer("8 0", "")).unwrap();
    assert_eq!(spoken(&call), [Some(Pcma); 2]);
    assert_eq!(
        call.media.plainly([B, A]),
        Some(vec![("audio", Some(Pcma))])
    );
    // Offered anew, by either side.
    call.offer((A, a), (B, b), &offer("8 0", "")).unwrap();
    assert_eq!(spoken(&call), [Some(Pcma); 2]);
    call.offer((B, b), (A, a), &answer("0 8", "")).unwrap();
    assert_eq!(spoken(&call), [Some(Pcma); 2]);
    call.answer(A, &offer("0", "")).unwrap();
    assert_eq!(spoken(&call), [Some(Pcmu); 2]);
    // Something else is offered, and nobody takes it.
    call.offer((A, a), (B, b), &offer("8", "")).unwrap();
    assert_eq!(spoken(&call), [Some(Pcmu); 2]);
    // Nor does it speak where there is no audio any more.
    let fax = offer("0", "").replace("m=audio 4000 RTP/AVP 0", "m=image 4000 udptl t38");
    call.offer((A, a), (B, b), &fax).unwrap();
    assert_eq!(
        (spoken(&call), call.media.plainly([A, B])),
        ([None; 2], None)
    );
}

#[test]
fn what_is_transcoded_is_two() {
    let (a, b) = &ends(&[Pcmu, Pcma]);
    let mut call = Call::new();
    exchange(&mut call, (a, b), &offer("9", ""), &answer("0", ""));
    assert_eq!(spoken(&call), [Some(G722), Some(Pcmu)]);
    assert_eq!(call.media.plainly([A, B]), None);
}

#[test]
fn what_is_off_is_nothing_and_what_is_no_audio_has_no_codec() {
    let (a, b) = &ends(&Codec::ALL);
    let video = "m=video 4100 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";
    let mut call = Call::new();
    exchange(&mut call, (a, b), &offer("0", video), &answer("0", video));
    let both = vec![("audio", Some(Pcmu)), ("video", None)];
    assert_eq!(call.media.plainly([A, B]), Some(both));
    let off = answer("0", "").replace("6000", "0");
    exchange(&mut call, (a, b), &offer("0", ""), &off);
    assert_eq!(
        (spoken(&call), call.media.plainly([A, B])),
        ([None; 2], None)
    );
}
