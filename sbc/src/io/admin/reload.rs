//! `/api/reload`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Admin;
use super::api::{json, refused, unanswered};
use super::types::Reloaded;
use crate::io::reload::ReloadError;

/// Reads the config file again.
pub(super) async fn reload(State(admin): State<Admin>) -> Response {
    match admin.control.reload().await {
        Ok(changes) => {
            let changes = changes.to_string();
            json(StatusCode::OK, &Reloaded { changes })
        }
        Err(ReloadError::Unanswered(why)) => unanswered(why),
        Err(error) => refused(StatusCode::CONFLICT, error.to_string()),
    }
}
