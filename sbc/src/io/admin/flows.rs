//! `/api/flows`.

use std::collections::HashMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::Admin;
use super::api::{json, refused, unanswered};
use super::calls::who;
use super::types::{ADDRESS_GONE, Flow, FlowPage, Received, Side};
use crate::config::{Codec, Config, Dtmf};
use crate::engine::FlowView;
use crate::io::control::{ANSWER, Request};
use crate::io::fast_path::Meter;
use crate::io::flows::Part;
use crate::io::metrics::network_name;
use crate::media::{self, FlowCount, FlowKind, FlowReport, PairId, Path};

/// Flow pairs on one page, or somewhat more.
const ROWS: usize = 1000;

/// What can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<u64>,
    call: Option<String>,
}

/// Some flow pairs. The engine is asked for few at a time, so that traffic has its turn in between; what begins or ends meanwhile may be told or not.
pub(super) async fn page(
    State(admin): State<Admin>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let mut known = Vec::new();
    let mut after = asked.after.map(PairId);
    while known.len() < ROWS {
        let request = |answer| Request::Flows {
            after,
            call: asked.call.clone(),
            answer,
        };
        let part = match admin.control.ask(request).await {
            Ok(part) => part,
            Err(why) => return unanswered(why),
        };
        after = part.last;
        known.extend(rows(part).await);
        if after.is_none() {
            break;
        }
    }
    let next = after.map(|PairId(id)| id);
    // A page is a megabyte of text: whoever asks for something else need not wait for it.
    let written = tokio::task::spawn_blocking(move || {
        let flows = told(&admin, known);
        json(StatusCode::OK, &FlowPage { flows, next })
    });
    match written.await {
        Ok(response) => response,
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// A pair, and what it has done, or where the kernel counts that.
struct Row {
    view: FlowView,
    done: Done,
}

enum Done {
    /// As a worker says; nothing from one that does not answer.
    Told(Option<Box<FlowReport>>),
    Counted(Meter),
}

/// With what the workers have to say.
async fn rows(part: Part) -> impl Iterator<Item = Row> {
    let deadline = Instant::now() + ANSWER;
    let mut reports: HashMap<PairId, FlowReport> = HashMap::new();
    for pending in part.pending {
        // A worker that does not answer leaves its flows without counters.
        if let Ok(Ok(told)) = timeout_at(deadline, pending).await {
            reports.extend(told);
        }
    }
    part.rows.into_iter().map(move |(view, meter)| {
        let done = match meter {
            Some(meter) => Done::Counted(meter),
            None => Done::Told(reports.remove(&view.pair.id).map(Box::new)),
        };
        Row { view, done }
    })
}

/// With what the kernel has counted. A pair whose place there is another one's by now has ended: it is left out.
fn told(admin: &Admin, rows: Vec<Row>) -> Vec<Flow> {
    let config = admin.config.load();
    let meters = rows.iter().filter_map(|row| match &row.done {
        Done::Counted(meter) => Some(meter.clone()),
        Done::Told(_) => None,
    });
    let meters: Vec<Meter> = meters.collect();
    let mut counted = admin.control.reports(&meters).into_iter();
    let row = |Row { view, done }: Row| {
        let report = match done {
            Done::Told(report) => report.map(|report| *report),
            Done::Counted(_) => Some(counted.next().flatten()?),
        };
        let report = report.map(|report| view.total(&report));
        Some(flow(&config, view, report))
    };
    rows.into_iter().filter_map(row).collect()
}

fn flow(config: &Config, view: FlowView, report: Option<FlowReport>) -> Flow {
    let pair = view.pair;
    let reason = match pair.path {
        Path::Kernel => None,
        Path::User(reason) => Some(reason),
    };
    let [first, second] = &pair.sides;
    let [gone_first, gone_second] = view.is_gone;
    let [at_first, at_second] = [0, 1].map(|side| report.and_then(|r| r.sides.get(side).copied()));
    Flow {
        pair: pair.id.0,
        call: view.call.to_string(),
        sip_call_id: view.sip_call_id,
        from: who(config, view.from),
        to: who(config, view.to),
        number: view.number,
        kind: kind(pair.kind, &pair.sides).to_owned(),
        path: pair.path.label().to_owned(),
        reason: reason.map(|reason| reason.label().to_owned()),
        why: pipe(view.codecs, view.keys).or_else(|| reason.map(|r| r.words().to_owned())),
        sides: [
            side(config, first, at_first, gone_first),
            side(config, second, at_second, gone_second),
        ],
    }
}

/// What a worker changes: `transcoded: G722 <-> PCMU, dtmf: rtp <-> info`.
fn pipe(codecs: Option<[Codec; 2]>, keys: Option<[Dtmf; 2]>) -> Option<String> {
    let codecs = codecs.map(|codecs| codecs.map(Codec::name));
    let codecs = codecs.map(|[a, b]| format!("transcoded: {a} <-> {b}"));
    let keys = keys.map(|keys| keys.map(Dtmf::name));
    let keys = keys.map(|[a, b]| format!("dtmf: {a} <-> {b}"));
    match (codecs, keys) {
        (Some(codecs), Some(keys)) => Some(format!("{codecs}, {keys}")),
        (one, other) => one.or(other),
    }
}

fn kind(kind: FlowKind, sides: &[media::Side; 2]) -> &'static str {
    match kind {
        FlowKind::Rtp if sides.iter().any(|side| side.multiplexed) => "rtp+rtcp",
        FlowKind::Rtp => "rtp",
        FlowKind::Rtcp => "rtcp",
        FlowKind::Opaque => "opaque",
    }
}

fn side(config: &Config, side: &media::Side, count: Option<FlowCount>, is_gone: bool) -> Side {
    Side {
        network: network_name(config, side.network).to_owned(),
        local: side.local,
        fault: is_gone.then(|| ADDRESS_GONE.to_owned()),
        named: side.named,
        sources: side.sources.iter().map(ToString::to_string).collect(),
        latched: count.and_then(|count| count.latched),
        received: count.map(received),
    }
}

fn received(count: FlowCount) -> Received {
    Received {
        packets: count.packets,
        bytes: count.bytes,
        last_packet_ms: count.silent.map(|silent| silent.as_millis() as u64),
        packets_per_second: None,
        lost: count.quality.lost,
        reordered: count.quality.reordered,
        duplicate: count.quality.duplicate,
        ssrc_changes: count.quality.ssrc_changes,
        jitter_ms: count.quality.jitter.as_secs_f64() * 1000.0,
        round_trip_ms: count.round_trip.map(|taken| taken.as_secs_f64() * 1000.0),
    }
}
