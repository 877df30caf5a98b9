//! A call whose sides share no codec any more, or share one again.

use super::dialogs::{in_dialog, stop};
use super::offers::{mine, theirs, turn};
use super::sessions::only;
use super::*;
use crate::config::Codec;
use crate::engine::Event;
use crate::media::{Fallback, FlowPair, FlowReport, PairId, Path, Transcoding};

fn installed(flows: &[FlowCommand]) -> Vec<Arc<FlowPair>> {
    let pair = |command: &FlowCommand| match command {
        FlowCommand::Install(pair) => pair.clone(),
        other => panic!("{other:?}"),
    };
    flows.iter().map(pair).collect()
}

/// A offers this, B answers as ever; what is ordered of flows.
fn re_invite(bench: &mut Bench, number: u32, tag: &str, offer: &str) -> Vec<FlowCommand> {
    bench.message(LEFT, A, &in_dialog("INVITE", number, tag, offer));
    let to_b = only(bench, B);
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "", &theirs()));
    let (flows, _) = turn(bench);
    bench.message(LEFT, A, &in_dialog("ACK", number, tag, ""));
    flows
}

/// The sockets of these are closed: what is ordered then.
fn ended(bench: &mut Bench, pairs: &[PairId]) -> Vec<Arc<FlowPair>> {
    for &pair in pairs {
        let report = FlowReport::default();
        bench
            .engine
            .handle_input(bench.now, Input::FlowEnded { pair, report });
    }
    installed(&turn(bench).0)
}

#[test]
fn a_call_goes_into_transcoding_and_out_of_it_and_says_so() {
    let mut bench = bench();
    bench.engine = bench.engine.transcoding(Transcoding::On);
    let (ok, _, flows) = set_up(&mut bench);
    let tag = tag_of(&ok);
    let first: Vec<PairId> = installed(&flows).iter().map(|pair| pair.id).collect();

    let a_law = mine().replace("RTP/AVP 0", "RTP/AVP 8");
    let flows = re_invite(&mut bench, 5, &tag, &a_law);
    // In user space a port has to be closed before it is opened anew.
    let gone: Vec<_> = first.iter().map(|&id| FlowCommand::Remove(id)).collect();
    assert_eq!(flows, gone);
    let [rtp, rtcp] = &ended(&mut bench, &first)[..] else {
        panic!("RTP and RTCP");
    };
    for (pair, companion) in [(rtp, rtcp), (rtcp, rtp)] {
        assert_eq!(pair.path, Path::User(Fallback::Transcoded));
        assert_eq!(pair.companion, Some(companion.id));
    }
    let codecs = [Codec::Pcma, Codec::Pcmu];
    assert_eq!([rtp.transcoded(), rtcp.transcoded()], [Some(codecs), None]);
    let shown = bench.engine.flows(None);
    let shown: Vec<_> = shown.map(|(_, of)| of.view().unwrap().codecs).collect();
    assert_eq!(shown, [Some(codecs); 2]);
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.flow_fallbacks["transcoded"], 2);

    let pairs = [rtcp.id, rtp.id];
    let flows = re_invite(&mut bench, 6, &tag, &mine());
    assert_eq!(flows, pairs.map(FlowCommand::Remove));
    let again = ended(&mut bench, &pairs);
    assert_eq!(again.len(), 2);
    for pair in again {
        assert_eq!(pair.path, Path::User(Fallback::Off));
        assert_eq!((pair.transcoded(), pair.companion), (None, None));
    }
    assert!(bench.engine.flows(None).all(|(_, of)| {
        let view = of.view().unwrap();
        view.codecs.is_none()
    }));
    let events = std::iter::from_fn(|| bench.engine.poll_event());
    let told: Vec<_> = events
        .filter_map(|event| match event {
            Event::MediaTranscoded { codecs, .. } => Some(codecs),
            _ => None,
        })
        .collect();
    assert_eq!(told, [codecs]);
    stop(bench);
}
