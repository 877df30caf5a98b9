//! Asks the daemon, on a thread of its own: the terminal waits for nobody.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use hyper::Method;
use sbc::io::admin::types::{CallDetail, HangUpRequest, HungUp, TrunkPage};
use tokio::sync::mpsc::Sender;

use super::state::{About, Action, Answer, Input, Question};
use crate::cli::calls::{self, in_words, short};
use crate::cli::client::{Daemon, DaemonError};
use crate::cli::flows;

/// Does what is wanted until nobody wants anything any more.
pub(super) fn serve(
    daemon: &Daemon,
    start: Instant,
    wanted: &Receiver<Action>,
    told: &Sender<Input>,
) {
    while let Ok(action) = wanted.recv() {
        let input = match action {
            Action::Ask(question) => match answer(daemon, start, &question) {
                Ok(answer) => Input::Answer(Box::new(answer)),
                Err(error) => Input::Silent(error.to_string()),
            },
            Action::HangUp(id) => Input::HungUp(hang_up(daemon, id)),
            Action::Quit => return,
        };
        if told.blocking_send(input).is_err() {
            return;
        }
    }
}

fn answer(daemon: &Daemon, start: Instant, question: &Question) -> Result<Answer, DaemonError> {
    let status = daemon.read("/api/status")?;
    let at = start.elapsed();
    let trunks: TrunkPage = daemon.read("/api/trunks")?;
    let calls = match question.calls {
        true => Some(calls::read(daemon)?),
        false => None,
    };
    let call = match &question.call {
        Some(id) => Some(about(daemon, id)?),
        None => None,
    };
    Ok(Answer {
        at,
        status,
        trunks: trunks.trunks,
        calls,
        call,
    })
}

/// A call that is over, and a daemon without traces, say so; one that is not there is an error.
fn about(daemon: &Daemon, id: &str) -> Result<About, DaemonError> {
    let page = |page: &str, id: &str| {
        let mut query = form_urlencoded::Serializer::for_suffix(format!("{page}?"), page.len() + 1);
        query.append_pair("name", id);
        query.finish()
    };
    let detail = match daemon.read::<CallDetail>(&page("/api/call", id)) {
        Ok(detail) => match flows::read(daemon, Some(id)) {
            Ok(flows) => Ok((detail, flows)),
            // It has ended in between.
            Err(DaemonError::Refused(_)) => Ok((detail, Vec::new())),
            Err(error) => return Err(error),
        },
        Err(DaemonError::Refused(why)) => Err(why),
        Err(error) => return Err(error),
    };
    let trace = match daemon.read(&page("/api/trace", short(id))) {
        Ok(trace) => Ok(trace),
        Err(error) if error.is_absence() => return Err(error),
        Err(error) => Err(error.to_string()),
    };
    Ok(About {
        id: id.to_owned(),
        detail,
        trace,
    })
}

fn hang_up(daemon: &Daemon, id: String) -> Result<String, String> {
    let request = HangUpRequest {
        call: id,
        why: Some("sbc top".to_owned()),
    };
    let done: Result<HungUp, _> = daemon.act(Method::POST, "/api/hangup", &request);
    match done {
        Ok(HungUp { call }) => Ok(format!(
            "call {} is hung up: {}",
            short(&call.id),
            in_words(&call)
        )),
        Err(error) => Err(error.to_string()),
    }
}
