//! The admin address: metrics, health, the API and the web page, over HTTP.
//!
//! `page` is what a browser gets; `api` has the API's pages, `guard` says who may have them, `listener` how many may ask, `types` what they hold, `openapi` says so to programs: the command line reads these too.

mod api;
mod bans;
mod calls;
mod end;
mod explain;
mod flows;
mod guard;
mod listener;
mod openapi;
mod page;
mod record;
mod recording;
mod reload;
mod socket;
mod status;
mod trace;
mod trunks;
pub mod types;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tracing::{info, warn};

use self::guard::{AT_ONCE, reader};
pub(super) use self::listener::Open;
use self::listener::{Caller, Limits, Listener};
pub use self::socket::SocketError;
pub(super) use self::socket::open as open_socket;
pub(super) use self::trace::{MOST, ROWS};
use super::control::{Control, Phase};
use super::current::Current;
use super::media::give_way;
use super::metrics::Metrics;

/// Content type of the text exposition format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

#[derive(Clone)]
struct Admin {
    config: Current,
    control: Control,
    metrics: Metrics,
    /// For the API.
    turns: Arc<Semaphore>,
}

/// How long answers that are on their way at the end have to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Answers until the other end of `control` is gone, on a thread of its own that gives way to all others: what is added up and written here keeps no traffic waiting. What
/// comes back is closed once all is over, somewhat more than [`LAST_WORDS`] later at most.
///
/// # Errors
/// There is no thread to be had, or nothing that it could wait with.
pub(super) fn start(
    open: Open,
    config: Current,
    control: Control,
    metrics: Metrics,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (over, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            // So do the threads that the runtime starts for it.
            if let Err(error) = give_way() {
                info!(%error, "whoever reads the admin address may keep calls waiting: the system does not let its thread give way");
            }
            let gone = control.clone();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(open, config, control, metrics) => {}
                    () = async { gone.ended().await; tokio::time::sleep(LAST_WORDS).await } => {}
                }
            });
            // What is still being written for somebody is for nobody.
            runtime.shutdown_background();
            drop(over);
        })?;
    Ok(ended)
}

async fn serve(open: Open, config: Current, control: Control, metrics: Metrics) {
    let gone = control.clone();
    let admin = Admin {
        config,
        control,
        metrics,
        turns: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let router = Router::new()
        .nest("/api", api::router(&admin))
        .merge(page::router())
        .route(
            "/metrics",
            get(exposition).route_layer(from_fn_with_state(admin.clone(), reader)),
        )
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .fallback(nothing)
        .with_state(admin)
        .into_make_service_with_connect_info::<Caller>();
    let listener = match Listener::open(open, Limits::default()) {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, "nobody can listen at the admin address"),
    };
    let served =
        axum::serve(listener, router).with_graceful_shutdown(async move { gone.ended().await });
    if let Err(error) = served.await {
        warn!(%error, "the admin address no longer answers");
    }
}

async fn exposition(State(admin): State<Admin>) -> Response {
    let Ok(reading) = admin.control.reading().await else {
        return unanswered();
    };
    // With many trunks a page is megabytes of text: whoever asks for something else need not wait for it.
    let rendered = tokio::task::spawn_blocking(move || admin.metrics.render(reading));
    match rendered.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

async fn health(State(admin): State<Admin>) -> Response {
    match admin.control.is_alive().await {
        true => "ok\n".into_response(),
        false => unanswered(),
    }
}

async fn readiness(State(admin): State<Admin>) -> Response {
    match admin.control.phase() {
        Phase::Ready => "ready\n".into_response(),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Phase::Draining => {
            let draining = "draining: no new calls but for emergencies, ends with the last one\n";
            (StatusCode::SERVICE_UNAVAILABLE, draining).into_response()
        }
        Phase::Stopping => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping: no new calls\n").into_response()
        }
    }
}

async fn nothing() -> Response {
    let body = "{\"error\":\"no such page\",\"pages\":[\"/metrics\",\"/healthz\",\"/readyz\",\"/api/status\",\"/api/calls\",\"/api/call\",\"/api/hangup\",\"/api/traces\",\"/api/trace\",\"/api/trace.pcap\",\"/api/flows\",\"/api/record.pcap\",\"/api/recording\",\"/api/trunks\",\"/api/registrations\",\"/api/bans\",\"/api/reload\",\"/api/drain\",\"/api/stop\",\"/api/openapi.json\"]}\n";
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

fn unanswered() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "the engine does not answer\n",
    )
        .into_response()
}
