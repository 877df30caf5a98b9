//! `/api/calls`, `/api/call` and `/api/hangup`.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tracing::info;

use super::Admin;
use super::api::{asked, json, refused, unanswered};
use super::explain;
use super::guard::Asker;
use super::types::{
    Call, CallDetail, CallPage, HangUpRequest, HungUp, Leg, SessionTimer, Tried, Verdict,
};
use crate::call::{CallDetail as Detail, CallState, CallView, Gist, LegView, SessionView, Who};
use crate::config::{Codec, Config};
use crate::engine::CallId;
use crate::io::calls::MOST;
use crate::io::control::{ANSWER, Request, Unanswered};
use crate::io::flows::Heard;
use crate::io::metrics::{network_name, party_label};
use crate::media::{Finding, LegId, Path, StreamWay};

/// Calls on one page, or somewhat more.
const ROWS: usize = 1000;
/// Bytes of a name of a call.
const MAX_NAME: usize = 512;
/// Characters of a reason to hang up.
const MAX_WHY: usize = 200;

/// What can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<u64>,
}

/// Which call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
}

/// Some calls. The engine is asked for few at a time, so that traffic has its turn in between; what begins or ends meanwhile may be told or not.
pub(super) async fn page(
    State(admin): State<Admin>,
    asked: Result<Query<After>, QueryRejection>,
) -> Response {
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let mut calls = Vec::new();
    let mut after = asked.after.map(CallId);
    loop {
        let request = |answer| Request::Calls { after, answer };
        let part = match admin.control.ask(request).await {
            Ok(part) => part,
            Err(why) => return unanswered(why),
        };
        let (config, now) = (admin.config.load(), Instant::now());
        let views = part.rows.into_iter().map(Gist::view);
        calls.extend(views.map(|view| call(&config, now, view)));
        after = part.last;
        if after.is_none() || calls.len() >= ROWS {
            break;
        }
    }
    let next = after.map(|CallId(id)| id);
    json(StatusCode::OK, &CallPage { calls, next })
}

/// All of one.
pub(super) async fn one(
    State(admin): State<Admin>,
    asked: Result<Query<Named>, QueryRejection>,
) -> Response {
    let Query(Named { name }) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let id = match find(&admin, &name).await {
        Ok(call) => call.id,
        Err(response) => return *response,
    };
    match admin
        .control
        .ask(|answer| Request::Call { id, answer })
        .await
    {
        Ok(Some(detail)) => {
            let found = match verdict(&admin, id).await {
                Ok(found) => found,
                Err(why) => return unanswered(why),
            };
            let (config, now) = (admin.config.load(), Instant::now());
            let told = CallDetail {
                verdict: found.into_iter().map(told).collect(),
                ..whole(&config, now, detail)
            };
            json(StatusCode::OK, &told)
        }
        Ok(None) => nobody(&name),
        Err(why) => unanswered(why),
    }
}

/// Why a party of a call that is up hears nothing, as of now.
pub(super) async fn verdict(admin: &Admin, id: CallId) -> Result<Vec<Finding>, Unanswered> {
    let heard = admin.control.ask(|answer| Request::Heard { id, answer });
    let report = match heard.await? {
        Heard::Now(report) => report,
        Heard::Later(pending) => {
            let deadline = tokio::time::Instant::now() + ANSWER;
            let mut report = None;
            for pending in pending {
                // Of a worker that does not answer nothing is said.
                if let Ok(Ok(told)) = tokio::time::timeout_at(deadline, pending).await {
                    report = report.or(told.into_iter().next().map(|(_, report)| Box::new(report)));
                }
            }
            report
        }
    };
    let request = |answer| Request::Findings { id, report, answer };
    admin.control.ask(request).await
}

/// As the API has it.
pub(super) fn told(finding: Finding) -> Verdict {
    Verdict {
        hears: finding.hears.label().to_owned(),
        cause: finding.cause.label().to_owned(),
        text: finding.text,
    }
}

/// Ends one.
pub(super) async fn hang_up(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let HangUpRequest { call: name, why } = match asked(body) {
        Ok(asked) => asked,
        Err((status, why)) => return refused(status, why),
    };
    let why: Option<String> = why.map(|why| why.chars().take(MAX_WHY).collect());
    let found = match find(&admin, &name).await {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let id = found.id;
    let done = admin
        .control
        .ask(|answer| Request::HangUp { id, answer })
        .await;
    match done {
        Ok(true) => {
            let by = asker.to_string();
            info!(call = %id, by, why, "hung up by the operator");
            let call = call(&admin.config.load(), Instant::now(), found);
            json(StatusCode::OK, &HungUp { call })
        }
        Ok(false) if found.state == CallState::Ending => refused(
            StatusCode::CONFLICT,
            format!("the call `{name}` is ending already"),
        ),
        Ok(false) => nobody(&name),
        Err(why) => unanswered(why),
    }
}

/// The call that a name stands for; else what is to be answered.
pub(super) async fn find(admin: &Admin, name: &str) -> Result<CallView, Box<Response>> {
    if name.is_empty() || name.len() > MAX_NAME {
        let why = format!("the name of a call has 1 to {MAX_NAME} bytes");
        return Err(Box::new(refused(StatusCode::BAD_REQUEST, why)));
    }
    let (mut exact, mut like) = match look(admin, name).await {
        Ok(found) => found,
        Err(why) => return Err(Box::new(unanswered(why))),
    };
    let found = if exact.is_empty() {
        &mut like
    } else {
        &mut exact
    };
    if let [_] = found.as_slice()
        && let Some(only) = found.pop()
    {
        return Ok(only);
    }
    if found.is_empty() {
        return Err(Box::new(nobody(name)));
    }
    let (config, now) = (admin.config.load(), Instant::now());
    let lines = found.iter().take(MOST).map(|view| {
        let one = call(&config, now, view.clone());
        let to = one.to.join(", ");
        let id = one.id.trim_start_matches('0');
        format!(
            "\n  {id}: {} to {to}, {}",
            one.from,
            one.sip_call_id.escape_debug()
        )
    });
    let more = match found.len() > MOST {
        true => "\n  and more",
        false => "",
    };
    let why = format!(
        "`{name}` may be any of these calls; take one by its id:{}{more}",
        lines.collect::<String>()
    );
    Err(Box::new(refused(StatusCode::CONFLICT, why)))
}

async fn look(admin: &Admin, name: &str) -> Result<(Vec<CallView>, Vec<CallView>), Unanswered> {
    let (mut exact, mut like) = (Vec::new(), Vec::new());
    let mut after = None;
    loop {
        let request = |answer| Request::Find {
            name: name.to_owned(),
            after,
            answer,
        };
        let part = admin.control.ask(request).await?;
        exact.extend(part.exact);
        like.extend(part.like);
        // One too many shows that there are more.
        exact.truncate(MOST + 1);
        like.truncate(MOST + 1);
        match part.last {
            Some(_) if exact.len() <= MOST => after = part.last,
            _ => return Ok((exact, like)),
        }
    }
}

/// There is no such call.
pub(super) fn nobody(name: &str) -> Response {
    let why = format!(
        "there is no call `{}`: it is over (`sbc trace` may have it still), or goes by another id; `sbc calls` lists them",
        name.escape_debug()
    );
    refused(StatusCode::NOT_FOUND, why)
}

fn call(config: &Config, now: Instant, view: CallView) -> Call {
    let (path, reason) = path(view.way);
    Call {
        id: view.id.to_string(),
        sip_call_id: view.sip_call_id,
        from: who(config, view.from),
        to: view.to.into_iter().map(|one| who(config, one)).collect(),
        number: view.number,
        state: view.state.label().to_owned(),
        seconds: since(now, view.started),
        talking_seconds: view.answered.map(|answered| since(now, answered)),
        route: view
            .route
            .and_then(|route| config.routes.get(route.index()))
            .map(|route| route.name.clone()),
        codecs: view
            .codecs
            .map(|codec| codec.map(Codec::name).map(str::to_owned)),
        path: path.to_owned(),
        reason: reason.map(str::to_owned),
    }
}

fn whole(config: &Config, now: Instant, detail: Detail) -> CallDetail {
    let legs = &detail.legs;
    let party = |who: Who| self::who(config, who);
    let at = |leg: LegId| {
        let known = legs.iter().find(|known| known.leg == leg);
        known.map_or_else(|| "?".to_owned(), |known| party(known.who))
    };
    CallDetail {
        legs: legs.iter().map(|one| leg(config, now, one)).collect(),
        tried: detail
            .tried
            .iter()
            .map(|one| Tried {
                party: party(one.who),
                why: one.why.to_string(),
            })
            .collect(),
        ring_seconds_left: detail.ring_until.map(|until| left(now, until)),
        seconds_left: detail.ends.map(|end| left(now, end)),
        streams: detail
            .streams
            .into_iter()
            .map(|stream| {
                let parties = stream.legs.map(at);
                explain::stream(stream, &parties)
            })
            .collect(),
        call: call(config, now, detail.call),
        verdict: Vec::new(),
    }
}

fn leg(config: &Config, now: Instant, leg: &LegView) -> Leg {
    Leg {
        leg: leg.leg.0,
        party: who(config, leg.who),
        network: network_name(config, leg.hop.network).to_owned(),
        transport: leg.hop.transport.name().to_owned(),
        local: leg.hop.local,
        peer: leg.hop.remote,
        sip_call_id: leg.sip_call_id.clone(),
        user_agent: leg.agent.clone(),
        state: leg.state.label().to_owned(),
        holds: leg.holds,
        session: leg.session.map(|session| timer(now, session)),
    }
}

fn timer(now: Instant, session: SessionView) -> SessionTimer {
    SessionTimer {
        interval_seconds: session.interval.as_secs(),
        ours: session.is_ours,
        seconds_left: left(now, session.end),
    }
}

/// Its label, and why it is not the kernel's.
pub(super) fn path(way: StreamWay) -> (&'static str, Option<&'static str>) {
    match way {
        StreamWay::Here(path @ Path::Kernel) => (path.label(), None),
        StreamWay::Here(path @ Path::User(reason)) => (path.label(), Some(reason.label())),
        StreamWay::Direct => ("direct", None),
        StreamWay::Nowhere => ("none", None),
    }
}

/// `trunk:NAME`, `phone:NAME`; of whom the config does not know, `phones:NETWORK`.
pub(super) fn who(config: &Config, who: Who) -> String {
    let named = |kind: &str, name: Option<&str>| format!("{kind}:{}", name.unwrap_or("?"));
    match who {
        Who::Trunk(id) => {
            let trunk = config.trunks.get(id.index());
            named("trunk", trunk.map(|trunk| trunk.name.as_str()))
        }
        Who::Phone(id) => {
            let phone = config.phones.get(id.index());
            named("phone", phone.map(|phone| phone.name.as_str()))
        }
        Who::Other(party) => party_label(config, party),
    }
}

fn since(now: Instant, then: Instant) -> u64 {
    now.saturating_duration_since(then).as_secs()
}

/// Rounded up.
fn left(now: Instant, end: Instant) -> u64 {
    let left: Duration = end.saturating_duration_since(now);
    left.as_millis().div_ceil(1000) as u64
}
