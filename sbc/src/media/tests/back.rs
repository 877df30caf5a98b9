//! What two agreed upon cannot be forwarded: what they had before comes back.

use super::support::*;
use super::transcoding::{TRANSCODED, answer, ends, offer};
use crate::config::Codec;
use crate::engine::FlowFailure;
use crate::media::{AfterFailure, FlowCommand, FlowKind, Path, Refused, Transcoding};

/// Who has mu-law and G.722 calls who has mu-law alone, and then speaks G.722 only.
fn into_transcoding() -> Call {
    let (a, b) = ends(&[Codec::Pcmu]);
    let mut call = Call::new();
    for formats in ["0 9", "9"] {
        call.offer((A, &a), (B, &b), &offer(formats, "")).unwrap();
        call.answer(B, &answer("0", "")).unwrap();
    }
    call
}

/// What is begun, by kind, path and whether it leans on another; what is changed; what is ended.
fn shapes(commands: Vec<FlowCommand>) -> Vec<String> {
    let shape = |command| match command {
        FlowCommand::Install(pair) => {
            let path = pair.path.label();
            let leans = pair.companion.map(|companion| companion.0);
            format!("{} {:?} {path} {leans:?}", pair.id.0, pair.kind)
        }
        FlowCommand::Update(pair) => format!("{} anew", pair.id.0),
        FlowCommand::Remove(id) => format!("{} ends", id.0),
        FlowCommand::Read(id) => format!("{} is read", id.0),
        FlowCommand::Key(id, _, _) => format!("{} is told a key", id.0),
    };
    commands.into_iter().map(shape).collect()
}

#[test]
fn what_the_kernel_had_goes_back_there_under_new_names() {
    let mut call = into_transcoding();
    let mut commands = call.commands();
    let was: Vec<_> = commands.drain(..2).collect();
    assert_eq!(
        shapes(commands),
        [
            "1 ends",
            "2 ends",
            "3 Rtp user Some(4)",
            "4 Rtcp user Some(3)"
        ]
    );
    let rtp = call.media.pairs().find(|pair| pair.path == TRANSCODED);
    let rtp = rtp.unwrap().id;
    let failed = call.failed(rtp, FlowFailure::Overloaded);
    assert_eq!(failed, AfterFailure::Fatal);
    assert!(call.media.has_former());
    assert!(call.media.go_back(&mut call.ports));
    let commands = call.commands();
    for (old, new) in was.iter().zip(&commands[1..]) {
        let (FlowCommand::Install(old), FlowCommand::Install(new)) = (old, new) else {
            panic!("{old:?} {new:?}");
        };
        let mut old = (**old).clone();
        old.id = new.id;
        assert_eq!(**new, old);
    }
    assert_eq!(
        shapes(commands),
        ["4 ends", "5 Rtp kernel None", "6 Rtcp kernel None"]
    );
    // There is no further way back.
    assert!(!call.media.go_back(&mut call.ports));
    call.end();
    assert_eq!(shapes(call.commands()), ["5 ends", "6 ends"]);
}

#[test]
fn what_was_transcoded_comes_back_as_one_pipe() {
    let (a, b) = ends(&[Codec::Pcmu]);
    let mut call = Call::new();
    for formats in ["9", "0 9"] {
        call.offer((A, &a), (B, &b), &offer(formats, "")).unwrap();
        call.answer(B, &answer("0", "")).unwrap();
    }
    call.commands();
    let rtp = call.media.pairs().find(|pair| pair.kind == FlowKind::Rtp);
    let rtp = rtp.unwrap().id;
    assert_eq!(
        call.failed(rtp, FlowFailure::PortTaken),
        AfterFailure::Fatal
    );
    assert!(call.media.go_back(&mut call.ports));
    assert_eq!(
        shapes(call.commands()),
        ["4 ends", "5 Rtp user Some(6)", "6 Rtcp user Some(5)"]
    );
}

#[test]
fn what_only_moved_needs_no_way_back() {
    let (a, b) = ends(&[Codec::Pcmu]);
    let mut call = Call::new();
    for host in ["198.51.100.9", "198.51.100.10"] {
        let offer = body(host, 4000, "0", "");
        call.offer((A, &a), (B, &b), &offer).unwrap();
        call.answer(B, &answer("0", "")).unwrap();
        assert!(!call.media.has_former());
    }
    assert!(!call.media.go_back(&mut call.ports));
}

#[test]
fn while_no_worker_has_time_what_shares_a_codec_is_offered_that_and_nothing_else_is_begun() {
    let (a, b) = ends(&[Codec::Pcmu, Codec::Pcma]);
    let full = |end: &crate::media::End| crate::media::End {
        transcoding: Transcoding::Full,
        ..end.clone()
    };
    let (busy_a, busy_b) = (full(&a), full(&b));
    let mut call = Call::new();
    let refused = call.offer((A, &busy_a), (B, &busy_b), &offer("9", ""));
    assert_eq!(refused, Err(Refused::Busy));
    assert_eq!((Refused::Busy.code(), Refused::Busy.label()), (503, "busy"));
    let to_b = call.offer((A, &busy_a), (B, &busy_b), &offer("9 8", ""));
    assert!(to_b.unwrap().contains(" RTP/AVP 8\r\n"));
    call.answer(B, &answer("8", "")).unwrap();
    assert_eq!(
        call.media.pairs().map(|p| p.path).collect::<Vec<_>>(),
        [Path::Kernel; 2]
    );
    // One whom a worker has already taken goes on.
    let mut call = Call::new();
    call.offer((A, &a), (B, &b), &offer("9", "")).unwrap();
    call.answer(B, &answer("0", "")).unwrap();
    let to_b = call.offer((A, &busy_a), (B, &busy_b), &offer("9", ""));
    assert!(to_b.unwrap().contains(" RTP/AVP 0 8\r\n"));
}
