//! `/api/traces`, `/api/trace` and `/api/trace.pcap`.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Admin;
use super::api::{json, refused, unanswered};
use super::calls::{self, Named};
use super::types::{Trace, TracePage, TraceParty, TraceStep, TraceSummary, Verdict};
use crate::io::control::Request;
use crate::pcap;
use crate::sip::Transport;
use crate::trace::{self, Name, Seen, Step, Summary, What, steps};

/// Traces on one page.
pub(in crate::io) const ROWS: usize = 200;
/// Traces that a name may stand for; more are not told.
pub(in crate::io) const MOST: usize = 10;
/// Bytes of a name of a call.
const MAX_NAME: usize = 512;
/// Content type of a capture.
pub(super) const PCAP: &str = "application/vnd.tcpdump.pcap";

/// What can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<u64>,
}

/// Some traces, the latest first.
pub(super) async fn page(
    State(admin): State<Admin>,
    asked: Result<Query<After>, QueryRejection>,
) -> Response {
    let Query(After { after }) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
    };
    // The first page of who counts from 0.
    let before = after.filter(|after| *after > 0);
    let request = |answer| Request::Traces { before, answer };
    let rows = match admin.control.ask(request).await {
        Ok(rows) => rows,
        Err(why) => return unanswered(why),
    };
    let page = TracePage {
        next: rows
            .last()
            .map(|row| row.number)
            .filter(|_| rows.len() == ROWS),
        traces: rows.into_iter().map(summary).collect(),
    };
    json(StatusCode::OK, &page)
}

/// The ladder of one.
pub(super) async fn one(
    State(admin): State<Admin>,
    asked: Result<Query<Named>, QueryRejection>,
) -> Response {
    let seen = match find(&admin, asked).await {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    let mut trace = trace(&seen);
    if let (Name::Call(id), trace::State::Up) = (seen.summary.name, seen.summary.state) {
        // It is known for good only when the call has ended.
        match calls::verdict(&admin, id).await {
            Ok(found) => trace.verdict = found.into_iter().map(calls::told).collect(),
            Err(why) => return unanswered(why),
        }
    }
    json(StatusCode::OK, &trace)
}

/// Its messages, as a capture.
pub(super) async fn capture(
    State(admin): State<Admin>,
    asked: Result<Query<Named>, QueryRejection>,
) -> Response {
    let seen = match find(&admin, asked).await {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    match written(&seen) {
        Ok(file) => {
            let name = format!("attachment; filename=\"call-{}.pcap\"", seen.summary.name);
            let headers = [
                (header::CONTENT_TYPE, PCAP.to_owned()),
                (header::CONTENT_DISPOSITION, name),
            ];
            (headers, file).into_response()
        }
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The attempt that a name stands for; else what is to be answered.
async fn find(
    admin: &Admin,
    asked: Result<Query<Named>, QueryRejection>,
) -> Result<Seen, Box<Response>> {
    let refuse = |status, why: String| Err(Box::new(refused(status, why)));
    let name = match asked {
        Ok(Query(Named { name })) => name,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.body_text()),
    };
    if name.is_empty() || name.len() > MAX_NAME {
        let why = format!("the name of a call has 1 to {MAX_NAME} bytes");
        return refuse(StatusCode::BAD_REQUEST, why);
    }
    let wanted = name.clone();
    let request = |answer| Request::FindTrace {
        name: wanted,
        answer,
    };
    let found = match admin.control.ask(request).await {
        Ok(found) => found,
        Err(why) => return Err(Box::new(unanswered(why))),
    };
    let [only] = found.as_slice() else {
        return match found.is_empty() {
            true => refuse(StatusCode::NOT_FOUND, nobody(admin, &name)),
            false => refuse(StatusCode::CONFLICT, several(&name, &found)),
        };
    };
    let number = only.number;
    match admin
        .control
        .ask(|answer| Request::Trace { number, answer })
        .await
    {
        Ok(Some(seen)) => Ok(seen),
        Ok(None) => refuse(StatusCode::NOT_FOUND, nobody(admin, &name)),
        Err(why) => Err(Box::new(unanswered(why))),
    }
}

fn nobody(admin: &Admin, name: &str) -> String {
    if admin.config.load().trace.memory == 0 {
        return "no traces are kept: `memory` in [trace] of the config is 0".to_owned();
    }
    format!(
        "there is no trace of a call `{}`: it goes by another id, or was forgotten ([trace] of the config says how much is kept, and how long); `sbc trace` lists them",
        name.escape_debug()
    )
}

fn several(name: &str, found: &[Summary]) -> String {
    let lines = found.iter().take(MOST).map(|one| {
        let to = one.to.as_deref().unwrap_or("nobody");
        format!("\n  {}: {} to {to}", one.name, one.from)
    });
    let more = match found.len() > MOST {
        true => "\n  and more",
        false => "",
    };
    format!(
        "`{name}` may be any of these calls; take one by its id:{}{more}",
        lines.collect::<String>()
    )
}

fn summary(of: Summary) -> TraceSummary {
    TraceSummary {
        id: of.name.to_string(),
        began: format!("{:.3}", of.began),
        lasted_seconds: of.lasted.as_secs_f64(),
        state: of.state.label().to_owned(),
        failed: of.is_failed,
        from: of.from,
        to: of.to,
        dialled: of.dialled,
        outcome: of.outcome.map(str::to_owned),
        reason: of.reason,
        steps: of.entries,
        bytes: of.bytes as u64,
    }
}

fn trace(seen: &Seen) -> Trace {
    let short = summary(seen.summary.clone());
    let mut parties: Vec<TraceParty> = seen
        .parties
        .iter()
        .map(|party| TraceParty {
            name: party.name.clone(),
            address: Some(party.address),
        })
        .collect();
    let the_box = TraceParty {
        name: "sbc".to_owned(),
        address: None,
    };
    parties.insert(parties.len().min(1), the_box);
    Trace {
        id: short.id,
        state: short.state,
        failed: short.failed,
        began: short.began,
        lasted_seconds: short.lasted_seconds,
        from: short.from,
        to: short.to,
        dialled: short.dialled,
        outcome: short.outcome,
        reason: short.reason,
        parties,
        steps: steps(seen).into_iter().map(step).collect(),
        verdict: seen
            .verdict
            .iter()
            .map(|one| Verdict {
                hears: one.hears.to_owned(),
                cause: one.cause.to_owned(),
                text: one.text.clone(),
            })
            .collect(),
        omitted: seen.summary.omitted,
    }
}

fn step(step: Step) -> TraceStep {
    TraceStep {
        at: step.at.as_secs_f64(),
        from: step.from as u32,
        to: step.to as u32,
        label: step.label,
        note: step.note,
        transport: step.transport.map(str::to_owned),
        sdp: step.sdp,
        message: step.message,
    }
}

/// All messages, those too that came or went again, at their times and between their addresses.
fn written(seen: &Seen) -> Result<Vec<u8>, pcap::Error> {
    let mut file = pcap::Writer::new(Vec::new())?;
    for entry in seen.entries() {
        let What::Message {
            is_sent,
            hop,
            bytes,
            ..
        } = entry.what
        else {
            continue;
        };
        let Some(hop) = seen.hops.get(hop) else {
            continue;
        };
        let began = seen.summary.began;
        let at = began.saturating_add(entry.at).unwrap_or(began);
        let (from, to) = match is_sent {
            true => (hop.local, hop.remote),
            false => (hop.remote, hop.local),
        };
        match hop.transport {
            Transport::Udp => file.udp(at, from, to, bytes, bytes.len())?,
            Transport::Tcp => file.tcp(at, from, to, bytes)?,
        }
    }
    file.finish()
}
