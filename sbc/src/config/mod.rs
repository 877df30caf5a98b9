//! TOML text to a valid, typed [`Config`]. Pure: no file is opened here, no interface is asked.
//!
//! Every error has line, column, what was found, what is expected and, for a misspelt key, a suggestion.
//! What only the host knows comes in as data: [`Config::bind`] takes its interfaces, [`check_ephemeral`] its port range,
//! [`Secrets`] reads what `{ env = … }` and `{ file = … }` name.
//! Imports nothing of ours but names of [`crate::sip`]: transports, methods, headers.

mod added_headers;
mod bind;
mod check;
mod describe;
mod dscp;
mod duration;
mod embedded;
mod error;
mod external;
mod identity;
mod limits;
mod model;
mod parse;
mod passing;
mod pattern;
mod phones;
mod ports;
mod reader;
mod render;
mod routes;
mod secrets;
mod silence;
mod succession;
mod table;
#[cfg(test)]
mod tests;
mod upkeep;
mod values;

pub use added_headers::AddedHeader;
pub use bind::{BindError, BindErrors, HostInterface, usable};
pub use describe::{describe, open_admin};
pub use duration::{NoDuration, duration, shown_duration};
pub use embedded::embedded;
pub use error::{Conflict, Errors, Fault, Problem};
pub use external::{External, Outside, StunServer, is_public, misled};
pub use identity::{FromUser, Identity, Style};
pub use model::*;
pub use passing::{Headers, METHODS, Passes, Passing, Peer, Transfers};
pub use pattern::PatternFault;
pub use phones::Phones;
pub use ports::{EphemeralOverlap, check_ephemeral, port_ranges};
pub use secrets::{NoSecret, NoSecrets, Secrets};
pub use silence::MediaTimeout;
pub use succession::{Changes, InUse, NeedsRestart};
pub use upkeep::TrunkLimits;
