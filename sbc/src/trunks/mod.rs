//! What trunks and phones need besides calls: registrations of ours with trunks (`registration`, one machine each), asking trunks and phones
//! whether they are there (`probes`), and how busy a trunk may be (`limits`). `machine` has all of them and their verbs, `message` what is sent and how
//! answers are read, `tried` which of a trunk's servers have failed and who is next, `delay` how long one waits, `reload` what another config changes, `view` what there is now.
//!
//! L1: imports L0, and of L1 [`crate::dialog`], [`crate::registrar`], the plain data of [`crate::transaction`] and [`crate::engine`], and of [`crate::call`]
//! how our own addresses are written and challenges answered.

mod delay;
mod io;
mod limits;
mod machine;
mod message;
mod probes;
mod registration;
mod reload;
#[cfg(test)]
mod tests;
mod tried;
mod turn;
mod view;

pub use io::{Action, Asker, Input, Probed, Surroundings};
pub use limits::{Busy, Held};
pub use machine::Trunks;
pub use view::{RegistrationView, TrunkView};
