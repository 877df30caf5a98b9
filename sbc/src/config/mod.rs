//! TOML text to a valid, typed [`Config`]. Pure: no file is opened here, no interface is asked.
//!
//! Every error has line, column, what was found, what is expected and, for a misspelt key, a suggestion.
//! What only the host knows comes in as data: [`Config::bind`] takes its interfaces, [`check_ephemeral`] its port range,
//! [`Secrets`] reads what `{ env = … }` and `{ file = … }` name.
//! Imports nothing of ours but names of [`crate::sip`]: transports, methods, headers.

mod added_headers;
mod admin;
mod answers;
mod bind;
mod cdr;
mod check;
mod codec;
mod describe;
mod direct_media;
mod dscp;
mod dtmf;
mod duration;
mod embedded;
mod error;
mod external;
mod flight_recorder;
mod groups;
mod host_name;
mod identity;
mod keys;
mod limits;
mod lookup;
mod media;
mod model;
mod parse;
mod passing;
mod pattern;
mod phones;
mod ports;
mod prefixes;
mod reader;
mod references;
mod render;
mod route_values;
mod routes;
mod routes_told;
mod secrets;
mod server;
mod silence;
mod size;
mod succession;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod trace;
mod upkeep;
mod values;
mod when;

pub use added_headers::AddedHeader;
pub use admin::Admin;
pub use answers::Answers;
pub use bind::{BindError, BindErrors, HostInterface, usable};
pub use cdr::{Cdr, Rotate, Webhook};
pub use codec::Codec;
pub use describe::{describe, open_admin};
pub(crate) use describe::{joined, some};
pub use dtmf::Dtmf;
pub use duration::{NoDuration, duration, shown_duration};
pub use embedded::embedded;
pub(crate) use error::nearest;
pub use error::{Conflict, Errors, Fault, Problem};
pub use external::{External, Outside, StunServer, is_public, misled};
pub use flight_recorder::{FlightRecorder, Percent, Score};
pub use host_name::{HostName, NoHostName};
pub use identity::{FromUser, Identity, Style};
pub use keys::{Described, Key, SECTIONS, Usual, reference};
pub use lookup::Lookup;
pub use media::{MediaPriority, MediaWorkers};
pub use model::*;
pub use passing::{Headers, METHODS, Passes, Passing, Peer, Transfers};
pub use pattern::{Groups, Pattern, PatternFault};
pub use phones::Phones;
pub use ports::{EphemeralOverlap, check_ephemeral, port_ranges};
pub use prefixes::{Leads, PrefixFault, Prefixes};
pub use secrets::{NoSecret, NoSecrets, Secrets};
pub use server::{Host, Server};
pub use silence::MediaTimeout;
pub use succession::{Changes, InUse, NeedsRestart};
pub use template::{CallerTemplate, Template, TemplateFault, Values};
pub use trace::Trace;
pub use upkeep::TrunkLimits;
pub use when::When;
