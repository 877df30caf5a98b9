//! `/api/bans`.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;

use super::Admin;
use super::api::{asked, json, refused, unanswered};
use super::types::{Ban, BanPage, BanRequest, Banned, UnbanRequest};
use crate::config::Config;
use crate::io::control::{Control, Request, Unanswered};
use crate::io::metrics::network_name;
use crate::io::run::BANS;
use crate::shed::{self, Warning};

/// All bans.
pub(super) async fn page(State(admin): State<Admin>) -> Response {
    let bans = match all(&admin.control).await {
        Ok(bans) => bans,
        Err(why) => return unanswered(why),
    };
    // Megabytes of text, if there are as many as there may be: whoever asks for something else need not wait for it.
    let written = tokio::task::spawn_blocking(move || {
        json(StatusCode::OK, &bans_of(&admin.config.load(), &bans))
    });
    match written.await {
        Ok(response) => response,
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The engine is asked for some at a time, so that traffic has its turn in between.
async fn all(control: &Control) -> Result<Vec<shed::Ban>, Unanswered> {
    let mut bans: Vec<shed::Ban> = Vec::new();
    loop {
        let after = bans.last().map(|last| (last.network, last.prefix));
        let part = control
            .ask(|answer| Request::Bans { after, answer })
            .await?;
        let is_last = part.len() < BANS;
        bans.extend(part);
        if is_last {
            return Ok(bans);
        }
    }
}

/// Bans someone.
pub(super) async fn ban(
    State(admin): State<Admin>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let asked: BanRequest = match asked(body) {
        Ok(asked) => asked,
        Err((status, why)) => return refused(status, why),
    };
    let lasting = asked.seconds.map(Duration::from_secs);
    if lasting.is_some_and(|lasting| lasting.is_zero() || lasting > shed::LONGEST) {
        return refused(
            StatusCode::BAD_REQUEST,
            "a ban lasts from a second to a year",
        );
    }
    let request = |answer| Request::Ban {
        prefix: asked.prefix,
        lasting,
        answer,
    };
    match admin.control.ask(request).await {
        Ok(Ok(banned)) => {
            let warnings = banned.warnings.iter();
            let body = Banned {
                bans: bans_of(&admin.config.load(), &banned.bans).bans,
                warnings: warnings
                    .map(|one| words(&admin.config.load(), *one))
                    .collect(),
            };
            json(StatusCode::OK, &body)
        }
        Ok(Err(error)) => refused(StatusCode::CONFLICT, error.to_string()),
        Err(why) => unanswered(why),
    }
}

/// Lifts bans.
pub(super) async fn unban(
    State(admin): State<Admin>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let UnbanRequest { prefix } = match asked(body) {
        Ok(asked) => asked,
        Err((status, why)) => return refused(status, why),
    };
    let request = |answer| Request::Unban { prefix, answer };
    match admin.control.ask(request).await {
        Ok(Ok(lifted)) => json(StatusCode::OK, &bans_of(&admin.config.load(), &lifted)),
        Ok(Err(error)) => refused(StatusCode::NOT_FOUND, error.to_string()),
        Err(why) => unanswered(why),
    }
}

fn bans_of(config: &Config, bans: &[shed::Ban]) -> BanPage {
    let now = Instant::now();
    let row = |ban: &shed::Ban| Ban {
        prefix: ban.prefix,
        network: network_name(config, ban.network).to_owned(),
        by: ban.by.label().to_owned(),
        seconds_left: ban
            .until
            .saturating_duration_since(now)
            .as_millis()
            .div_ceil(1000) as u64,
    };
    BanPage {
        bans: bans.iter().map(row).collect(),
    }
}

fn words(config: &Config, warning: Warning) -> String {
    match warning {
        Warning::Trunk(id) => {
            let name = config
                .trunks
                .get(id.index())
                .map_or("?", |trunk| &trunk.name);
            format!("sources of trunk:{name} are among them: its calls no longer come in")
        }
        Warning::Phones(1) => "a phone that is registered now is among them".to_owned(),
        Warning::Phones(count) => {
            format!("{count} addresses of phones that are registered now are among them")
        }
        Warning::Host => "an address of this host is among them".to_owned(),
    }
}
