//! The shells: they perform actions and decide nothing. L2: may import everything of ours; nothing imports it.
//!
//! [`run::start`] opens sockets and media paths and gives the engine to one task. `signalling` is SIP on the wire,
//! `resolver` asks DNS, `flows` passes flow commands to whoever forwards media (`media` in user space), `held` holds ports until calls have them, `metrics` and `admin` show what was counted, `log`
//! what happened, `cdr` the records of calls, `flight` the captures of bad ones, `host` what this machine is,
//! `changes` and `addresses` when that changes and what follows from it, `reload` takes another config, `current` is the one in force, `keeper` keeps what outlives the daemon, `upkeep` reads where phones are, `service` tells the service manager.

mod addresses;
pub mod admin;
mod bans;
pub mod bind;
mod calls;
pub mod cdr;
mod changes;
mod control;
mod current;
pub mod fast_path;
mod flight;
mod flows;
mod held;
pub mod host;
mod icmp;
mod keeper;
pub mod log;
pub mod media;
pub mod metrics;
mod options;
mod registrations;
pub mod reload;
pub mod resolver;
pub mod run;
mod servers;
pub mod service;
pub mod signalling;
pub mod store;
mod upkeep;
