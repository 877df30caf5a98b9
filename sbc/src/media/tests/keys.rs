//! Sides that have keys in different forms: what each is offered and answered of telephone-event, and what is ordered of those who forward.

use super::support::*;
use super::transcoding::{answer, ends, installed, offer, paths, spoken, streams};
use crate::config::Codec;
use crate::config::Dtmf::{self, Inband, Info, Rtp};
use crate::media::{
    Anchored, Direct, End, Fallback, FlowCommand, FlowKind, Path, PayloadTypes, Transcoding,
};
use crate::rtp::info::Pressed;

const EVENTS: &str = "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\n";
const THEIRS: &str = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-11\r\n";
const KEYED: Path = Path::User(Fallback::Dtmf);

fn formed(forms: [Dtmf; 2]) -> (End, End) {
    let (a, b) = ends(&Codec::ALL);
    let [one, other] = forms;
    (End { dtmf: one, ..a }, End { dtmf: other, ..b })
}

/// What B is offered and A is answered where both have A-law and say that they have events.
fn exchanged(call: &mut Call, forms: [Dtmf; 2]) -> [Vec<String>; 2] {
    let (a, b) = formed(forms);
    let to_b = call
        .offer((A, &a), (B, &b), &offer("8 96", EVENTS))
        .unwrap();
    let has_events = to_b.contains("telephone-event");
    let said = match has_events {
        true => answer("8 101", THEIRS),
        false => answer("8", ""),
    };
    let to_a = call.answer(B, &said).unwrap();
    [streams(&to_b), streams(&to_a)]
}

fn has_events(body: &[String]) -> bool {
    body.iter().any(|line| line.contains("telephone-event"))
}

#[test]
fn who_has_events_is_offered_them_and_nobody_else_is() {
    for forms in Dtmf::ALL.map(|a| Dtmf::ALL.map(|b| [a, b])).concat() {
        let mut call = Call::new();
        let [to_b, to_a] = exchanged(&mut call, forms);
        assert_eq!(has_events(&to_b), forms[1] == Rtp, "{forms:?} {to_b:?}");
        assert_eq!(has_events(&to_a), forms[0] == Rtp, "{forms:?} {to_a:?}");
        let differ = forms[0] != forms[1];
        let expected = if differ { KEYED } else { Path::Kernel };
        assert_eq!(paths(&call), [expected; 2], "{forms:?}");
        let keys = call.media.pairs().find_map(|pair| pair.keys());
        assert_eq!(keys, differ.then_some(forms));
        assert!(call.media.pairs().all(|pair| pair.transcoded().is_none()));
        call.end();
        assert_eq!(call.free_after(30), [200, 100]);
    }
}

#[test]
fn a_side_of_info_and_one_of_rtp_in_full() {
    let mut call = Call::new();
    let [to_b, to_a] = exchanged(&mut call, [Info, Rtp]);
    assert_eq!(
        to_b,
        [
            "m= RTP/AVP 8 9 0 101",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-16",
        ]
    );
    assert_eq!(to_a, ["m= RTP/AVP 8", "a=rtpmap:8 PCMA/8000"]);
    let [(mine, mine_in), (theirs, theirs_in)] = spoken(&call);
    let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
    assert_eq!((mine.codec, theirs.codec), (Codec::Pcma, Codec::Pcma));
    assert_eq!((mine.keys, theirs.keys), (Info, Rtp));
    assert_eq!(mine.events, None);
    assert_eq!(theirs.events, Some(PayloadTypes::both(101)));
    assert_eq!(mine_in, 1 << 8 | 1 << 13);
    assert_eq!(theirs_in, 1 << 8 | 1 << 13 | 1 << 101);
    // The other way round, with the numbers of the offer.
    let mut call = Call::new();
    let [to_b, to_a] = exchanged(&mut call, [Rtp, Info]);
    assert!(!has_events(&to_b));
    assert_eq!(
        to_a,
        [
            "m= RTP/AVP 8 96",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-15",
        ]
    );
    let [(mine, mine_in), (theirs, _)] = spoken(&call);
    assert_eq!(mine.unwrap().events, Some(PayloadTypes::both(96)));
    assert_eq!(theirs.unwrap().events, None);
    assert_eq!(mine_in, 1 << 8 | 1 << 13 | 1 << 96);
}

#[test]
fn who_does_not_want_events_after_all_has_tones() {
    for (forms, keys, is_piped) in [
        ([Info, Rtp], [Info, Inband], true),
        ([Inband, Rtp], [Inband, Inband], false),
    ] {
        let mut call = Call::new();
        let (a, b) = formed(forms);
        call.offer((A, &a), (B, &b), &offer("8", "")).unwrap();
        let to_a = call.answer(B, &answer("8", "")).unwrap();
        assert!(!has_events(&streams(&to_a)));
        let told = call.media.pairs().find_map(|pair| pair.keys());
        assert_eq!(told, is_piped.then_some(keys));
        let expected = if is_piped { KEYED } else { Path::Kernel };
        assert_eq!(paths(&call)[0], expected);
    }
    // Who offers none has none.
    for (forms, expected) in [([Rtp, Inband], None), ([Rtp, Info], Some([Inband, Info]))] {
        let mut call = Call::new();
        let (a, b) = formed(forms);
        call.offer((A, &a), (B, &b), &offer("8", "")).unwrap();
        call.answer(B, &answer("8", "")).unwrap();
        let told = call.media.pairs().find_map(|pair| pair.keys());
        assert_eq!(told, expected);
    }
}

#[test]
fn codecs_and_keys_may_both_differ() {
    let mut call = Call::new();
    let (a, b) = formed([Info, Rtp]);
    // The number that is usual is taken.
    let odd = "a=rtpmap:101 G722/8000\r\n";
    let to_b = call.offer((A, &a), (B, &b), &offer("101", odd)).unwrap();
    assert_eq!(streams(&to_b)[0], "m= RTP/AVP 101 0 8 127");
    let said = answer("0 127", "a=rtpmap:127 telephone-event/8000\r\n");
    call.answer(B, &said).unwrap();
    assert_eq!(paths(&call), [Path::User(Fallback::Transcoded); 2]);
    let rtp = installed(&call.commands(), FlowKind::Rtp).unwrap();
    assert_eq!(rtp.keys(), Some([Info, Rtp]));
    assert_eq!(rtp.transcoded(), Some([Codec::G722, Codec::Pcmu]));
}

#[test]
fn a_key_is_ordered_of_who_can_put_it_into_media() {
    let key = Pressed {
        code: 5,
        milliseconds: 100,
    };
    let mut call = Call::new();
    assert!(!call.media.press(A, B, key));
    exchanged(&mut call, [Info, Rtp]);
    call.commands();
    let rtp = call.media.pairs().next().unwrap().id;
    assert_eq!(call.media.legs_of(rtp), Some([A, B]));
    assert!(call.media.press(A, B, key) && call.media.press(B, A, key));
    let expected = [1, 0].map(|to| FlowCommand::Key(rtp, to, key));
    assert_eq!(call.commands(), expected);
    // A leg that is not there has no media.
    assert!(!call.media.press(A, super::super::LegId(7), key));
    call.end();
    let mut call = Call::new();
    exchanged(&mut call, [Inband, Inband]);
    assert!(!call.media.press(A, B, key));
}

#[test]
fn without_anybody_to_turn_one_into_the_other_all_is_as_it_was() {
    let (a, b) = formed([Info, Rtp]);
    let off = |end: End| End {
        transcoding: Transcoding::Off,
        ..end
    };
    let mut call = Call::new();
    let to_b = call.offer((A, &off(a)), (B, &off(b)), &offer("8 96", EVENTS));
    assert_eq!(streams(&to_b.unwrap())[0], "m= RTP/AVP 8 96");
    call.answer(B, &answer("8 96", EVENTS)).unwrap();
    assert_eq!(paths(&call), [Path::Kernel; 2]);
}

#[test]
fn two_who_send_to_each_other_have_one_form() {
    let direct = |dtmf| End {
        direct: Direct::Possible,
        transcoding: Transcoding::On,
        dtmf,
        ..phone("198.51.100.9")
    };
    for (forms, why) in [([Rtp, Info], Some(Anchored::Dtmf)), ([Info, Info], None)] {
        let mut call = Call::new();
        let [a, b] = forms.map(direct);
        let to_b = call.offer((A, &a), (B, &b), &offer("8 96", EVENTS));
        assert!(!has_events(&streams(&to_b.unwrap())));
        assert_eq!(call.media.poll_anchored(), why);
    }
}
