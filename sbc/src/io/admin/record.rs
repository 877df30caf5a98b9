//! `/api/record.pcap`: what the flight recorder has of a call.

use std::time::Instant;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout_at;

use super::Admin;
use super::api::{refused, unanswered};
use super::calls::{Named, find, nobody};
use super::trace::PCAP;
use crate::flight::{self, Flight};
use crate::io::control::{ANSWER, Request};
use crate::io::flight::clock;
use crate::io::flows::Recorded;

/// The capture.
pub(super) async fn capture(
    State(admin): State<Admin>,
    asked: Result<Query<Named>, QueryRejection>,
) -> Response {
    let Query(Named { name }) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
    };
    if admin.config.load().flight_recorder.is_none() {
        let why = "the flight recorder is off: write `[flight_recorder]` into the config, and start the daemon anew; what came before is not there";
        return refused(StatusCode::CONFLICT, why);
    }
    let id = match find(&admin, &name).await {
        Ok(call) => call.id,
        Err(response) => return *response,
    };
    let recorded = admin
        .control
        .ask(|answer| Request::Recorded { id, answer })
        .await;
    let flights = match recorded {
        Ok(Some(recorded)) => gathered(recorded).await,
        Ok(None) => return nobody(&name),
        Err(why) => return unanswered(why),
    };
    if flights.is_empty() {
        let why = format!(
            "nothing is kept of the call `{name}`: it has no media here, or as many calls as `calls` of [flight_recorder] says began before it"
        );
        return refused(StatusCode::NOT_FOUND, why);
    }
    let written = tokio::task::spawn_blocking(move || {
        let mut file = Vec::new();
        flight::write(&flights, &clock(), &mut file).map(|_| file)
    });
    match written.await {
        Ok(Ok(file)) => ([(header::CONTENT_TYPE, PCAP)], file).into_response(),
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// With what the workers have.
async fn gathered(recorded: Recorded) -> Vec<Flight> {
    let deadline = (Instant::now() + ANSWER).into();
    let Recorded {
        mut flights,
        asked,
        pending,
    } = recorded;
    for pending in pending {
        // A worker that does not answer leaves its flows out.
        let Ok(Ok(told)) = timeout_at(deadline, pending).await else {
            continue;
        };
        for (id, report, kept) in told {
            let pair = asked.iter().find(|pair| pair.id == id);
            flights.extend(pair.map(|pair| Flight::new(pair.clone(), &report, kept)));
        }
    }
    flights
}
