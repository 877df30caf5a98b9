//! The API: JSON over HTTP, one page a thing. GET reads; POST and DELETE act. An error is `{"error": "…"}`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::guard;
use super::types::Refusal;
use super::{
    Admin, JSON, bans, calls, end, flows, openapi, record, recording, reload, status, trace, trunks,
};
use crate::io::control::Unanswered;

/// Bytes of a request's body.
const BODY: usize = 64 << 10;

/// All pages below `/api`, guarded.
pub(super) fn router(admin: &Admin) -> Router<Admin> {
    Router::new()
        .route("/openapi.json", get(openapi::page))
        .route("/status", get(status::page))
        .route("/calls", get(calls::page))
        .route("/call", get(calls::one))
        .route("/hangup", post(calls::hang_up))
        .route("/traces", get(trace::page))
        .route("/trace", get(trace::one))
        .route("/trace.pcap", get(trace::capture))
        .route("/flows", get(flows::page))
        .route("/record.pcap", get(record::capture).post(recording::begin))
        .route("/recording", get(recording::page).delete(recording::end))
        .route("/trunks", get(trunks::trunks))
        .route("/registrations", get(trunks::registrations))
        .route("/bans", get(bans::page).post(bans::ban).delete(bans::unban))
        .route("/reload", post(reload::reload))
        .route("/drain", post(end::drain).delete(end::resume))
        .route("/stop", post(end::stop))
        .fallback(nothing)
        .method_not_allowed_fallback(no_such_act)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(admin.clone(), guard))
}

async fn nothing() -> Response {
    refused(StatusCode::NOT_FOUND, "the API has no such page")
}

async fn no_such_act() -> Response {
    let why = "the page does not know this method";
    refused(StatusCode::METHOD_NOT_ALLOWED, why)
}

/// An answer with a body.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(mut body) => {
            body.push(b'\n');
            (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
        }
        // Our own types can be written.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What a request's body asks for.
pub(super) fn asked<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, (StatusCode, String)> {
    let body = body.map_err(|error| (error.status(), error.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

/// A refusal, in words.
pub(super) fn refused(status: StatusCode, why: impl Into<String>) -> Response {
    json(status, &Refusal { error: why.into() })
}

/// The engine did not answer.
pub(super) fn unanswered(why: Unanswered) -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, why.to_string())
}
