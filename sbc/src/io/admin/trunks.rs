//! `/api/trunks` and `/api/registrations`.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Admin;
use super::api::{json, refused, unanswered};
use super::types::{Contact, Probe, Registration, RegistrationPage, Trunk, TrunkPage};
use crate::config::{Config, PhoneId};
use crate::engine::{ContactView, Party, Tried};
use crate::io::control::{Request, Unanswered};
use crate::io::metrics::network_name;
use crate::trunks::{RegistrationView, TrunkView};

/// Contacts on one page, or somewhat more.
const ROWS: usize = 1000;

/// All trunks.
pub(super) async fn trunks(State(admin): State<Admin>) -> Response {
    let control = &admin.control;
    let asked = async {
        let reading = control.ask(Request::Read).await?;
        let views = control.ask(Request::Trunks).await?;
        Ok::<_, Unanswered>((views, reading.engine.attempts))
    };
    match asked.await {
        Ok((views, attempts)) => {
            let rows = views
                .into_iter()
                .filter_map(|view| trunk(&admin.config.load(), view, &attempts));
            let page = TrunkPage {
                trunks: rows.collect(),
            };
            json(StatusCode::OK, &page)
        }
        Err(why) => unanswered(why),
    }
}

/// What can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<u64>,
}

/// Some of the contacts of phones.
pub(super) async fn registrations(
    State(admin): State<Admin>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let after = asked.after.unwrap_or_default();
    let mut next = Some(PhoneId(u16::try_from(after).unwrap_or(u16::MAX)));
    let mut registrations = Vec::new();
    while let Some(from) = next.filter(|_| registrations.len() < ROWS) {
        let request = |answer| Request::Contacts { from, answer };
        let part = match admin.control.ask(request).await {
            Ok(part) => part,
            Err(why) => return unanswered(why),
        };
        let rows = part.rows.into_iter();
        registrations.extend(rows.filter_map(|view| contact(&admin.config.load(), part.now, view)));
        next = part.next;
    }
    let page = RegistrationPage {
        registrations,
        next: next.map(|PhoneId(index)| index.into()),
    };
    json(StatusCode::OK, &page)
}

fn trunk(
    config: &Config,
    view: TrunkView,
    attempts: &BTreeMap<(Party, Tried), u64>,
) -> Option<Trunk> {
    let known = config.trunks.get(view.trunk.index())?;
    let party = Party::Trunk(view.trunk);
    let count = |result| attempts.get(&(party, result)).copied().unwrap_or_default();
    let [max_calls, per_second] = view.refused;
    Some(Trunk {
        name: known.name.clone(),
        network: network_name(config, known.network).to_owned(),
        server: known.server.to_string(),
        probe: known.probe.map(|interval| Probe {
            interval_seconds: interval.as_secs(),
            answers: view.silence.is_none(),
            answered_ms: view.answered.map(|ago| ago.as_millis() as u64),
            silence: view.silence,
        }),
        registration: view.registration.map(registration),
        calls: view.calls,
        // Whom somebody else was quicker than has not failed.
        attempts: Tried::ALL
            .into_iter()
            .filter(|result| !matches!(result, Tried::Elsewhere | Tried::Redirected))
            .map(count)
            .sum(),
        answered: count(Tried::Answered),
        max_calls: known.limits.calls,
        max_calls_per_second: known.limits.per_second,
        refused_max_calls: max_calls,
        refused_max_calls_per_second: per_second,
    })
}

fn registration(view: RegistrationView) -> Registration {
    Registration {
        registered: view.left.is_some(),
        seconds_left: view.left.map(|left| left.as_millis().div_ceil(1000) as u64),
        server: view.server,
        trouble: view.trouble,
        next_try_seconds: view.next.map(|next| next.as_millis().div_ceil(1000) as u64),
    }
}

fn contact(config: &Config, now: Instant, view: ContactView) -> Option<Contact> {
    let left = view.expires.saturating_duration_since(now);
    Some(Contact {
        phone: config.phones.get(view.phone.index())?.name.clone(),
        network: network_name(config, view.hop.network).to_owned(),
        source: view.hop.remote,
        transport: view.hop.transport.name().to_owned(),
        contact: view.contact,
        seconds_left: left.as_millis().div_ceil(1000) as u64,
        silence: view.silence,
    })
}
