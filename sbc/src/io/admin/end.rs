//! `/api/drain` and `/api/stop`: how the daemon ends.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use tracing::info;

use super::Admin;
use super::api::{asked, json, refused, unanswered};
use super::guard::Asker;
use super::status::phase;
use super::types::{Drained, StopRequest, Stopping};
use crate::io::control::{Phase, Request};

/// No new calls; the end with the last one.
pub(super) async fn drain(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
) -> Response {
    drained(&admin, &asker, true).await
}

/// New calls again.
pub(super) async fn resume(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
) -> Response {
    drained(&admin, &asker, false).await
}

async fn drained(admin: &Admin, asker: &Asker, wanted: bool) -> Response {
    let request = |answer| Request::Drain { wanted, answer };
    match admin.control.ask(request).await {
        Ok((_, Phase::Stopping)) => refused(StatusCode::CONFLICT, STOPPING),
        Ok((calls, now)) => {
            let by = asker.to_string();
            match wanted {
                true => info!(by, calls, "asked to drain"),
                false => info!(by, calls, "asked to take new calls again"),
            }
            let phase = phase(now).to_owned();
            json(StatusCode::OK, &Drained { phase, calls })
        }
        Err(why) => unanswered(why),
    }
}

const STOPPING: &str = "the daemon is stopping already, its calls are being ended: start it again";

/// Ends all calls, then the daemon.
pub(super) async fn stop(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let StopRequest { purge } = match asked(body) {
        Ok(asked) => asked,
        Err((status, why)) => return refused(status, why),
    };
    info!(by = asker.to_string(), purge, "asked to stop");
    let request = |answer| match purge {
        true => Request::Purge(answer),
        false => Request::End(answer),
    };
    match admin.control.ask(request).await {
        Ok(calls) => json(StatusCode::OK, &Stopping { calls }),
        Err(why) => unanswered(why),
    }
}
