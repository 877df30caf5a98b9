//! `POST /api/record.pcap`: what is said in a call, as it is said, for whoever the config lets listen in; `/api/recording`: who does, and the end of it.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::time::Instant;

use super::Admin;
use super::api::{asked, json, refused, unanswered};
use super::calls::find;
use super::guard::Asker;
use super::listener::{Hurry, Leisure};
use super::trace::PCAP;
use super::types::{
    EndRecordingRequest, EndedRecording, LOST, PACKETS, RECORDING, RecordRequest, RecordingInfo,
    RecordingPage,
};
use crate::io::control::Request;
use crate::io::flight::{NotRecorded, RECORDINGS, Recording, RecordingView, Tally};

/// The longest that can be asked for, in seconds.
const LONGEST: u64 = 86_400;

const OFF: &str = "what is said in calls is not recorded here: write `payload = true` into [flight_recorder] of the config, and start the daemon anew";

/// Begins one.
pub(super) async fn begin(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
    Extension(hurry): Extension<Hurry>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let RecordRequest { call, seconds } = match asked(body) {
        Ok(asked) => asked,
        Err((status, why)) => return refused(status, why),
    };
    if seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        let why = format!("`seconds` is a number from 1 to {LONGEST}");
        return refused(StatusCode::BAD_REQUEST, why);
    }
    let recorder = admin.config.load().flight_recorder.clone();
    if !recorder.is_some_and(|recorder| recorder.payload) {
        return refused(StatusCode::CONFLICT, OFF);
    }
    let id = match find(&admin, &call).await {
        Ok(call) => call.id,
        Err(response) => return *response,
    };
    let by = asker.to_string();
    let request = |answer| Request::Record { id, by, answer };
    match admin.control.ask(request).await {
        Ok(Ok(recording)) => capture(Reader {
            until: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            recording,
            is_over: false,
            _leisure: hurry.leave(),
        }),
        Ok(Err(NotRecorded::Full)) => {
            let why = format!("{RECORDINGS} recordings are being made already: end one of them");
            refused(StatusCode::SERVICE_UNAVAILABLE, why)
        }
        Ok(Err(NotRecorded::Off)) => refused(StatusCode::CONFLICT, OFF),
        Err(why) => unanswered(why),
    }
}

/// All that are made now.
pub(super) async fn page(State(admin): State<Admin>) -> Response {
    match admin.control.ask(Request::Recordings).await {
        Ok(Some(views)) => {
            let recordings = views.into_iter().map(info).collect();
            json(StatusCode::OK, &RecordingPage { recordings })
        }
        Ok(None) => refused(StatusCode::CONFLICT, OFF),
        Err(why) => unanswered(why),
    }
}

fn info(view: RecordingView) -> RecordingInfo {
    RecordingInfo {
        recording: view.number,
        call: view.call.to_string(),
        by: view.by,
        seconds: view.lasting.as_secs(),
        packets: view.packets,
        lost: view.lost,
        is_ending: view.is_ending,
    }
}

/// Ends one.
pub(super) async fn end(
    State(admin): State<Admin>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let EndRecordingRequest { recording: number } = match asked(body) {
        Ok(asked) => asked,
        Err((status, why)) => return refused(status, why),
    };
    let request = |answer| Request::EndRecording { number, answer };
    match admin.control.ask(request).await {
        Ok(true) => json(StatusCode::OK, &EndedRecording { recording: number }),
        Ok(false) => {
            let why = format!("there is no recording {number}, or it is ending already");
            refused(StatusCode::NOT_FOUND, why)
        }
        Err(why) => unanswered(why),
    }
}

/// A recording on its way to whoever asked for it.
struct Reader {
    recording: Recording,
    until: Option<Instant>,
    /// All of it has been said.
    is_over: bool,
    /// Nobody speaks on a call that is on hold.
    _leisure: Leisure,
}

/// What is written from now on, and in the end how much that was.
fn capture(reader: Reader) -> Response {
    let number = reader.recording.number();
    let frames = stream::unfold(reader, |mut reader| async move {
        let frame = reader.next().await?;
        Some((Ok::<_, Infallible>(frame), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(PCAP)),
        (
            header::TRAILER,
            HeaderValue::from_static("sbc-packets, sbc-lost"),
        ),
        (HeaderName::from_static(RECORDING), number.into()),
    ];
    (headers, Body::new(StreamBody::new(frames))).into_response()
}

impl Reader {
    async fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.is_over {
            return None;
        }
        let piece = match self.until {
            None => self.recording.next().await,
            Some(until) => match tokio::time::timeout_at(until, self.recording.next()).await {
                Ok(piece) => piece,
                Err(_) => {
                    self.until = None;
                    self.recording.end();
                    self.recording.next().await
                }
            },
        };
        self.is_over = piece.is_none();
        Some(match piece {
            Some(piece) => Frame::data(piece.into()),
            None => Frame::trailers(told(self.recording.tally())),
        })
    }
}

fn told(tally: &Tally) -> HeaderMap {
    [(PACKETS, &tally.packets), (LOST, &tally.lost)]
        .into_iter()
        .map(|(name, count)| {
            (
                HeaderName::from_static(name),
                count.load(Ordering::Relaxed).into(),
            )
        })
        .collect()
}
