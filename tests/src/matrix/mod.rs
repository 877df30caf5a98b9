//! Every turn that a call can take, by whoever can take it, on every kind of line: `docs/turns.md` is made of this.
//!
//! A [`Row`] is a turn. Each of its cells is run with several seeds on the [`crate::stage`]: signalling has to end right, packets have to
//! flow both ways afterwards, and nothing may be left.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench for tests: what should not be ends the test"
)]

mod cell;
mod circles;
mod early;
mod ends;
mod inside;
mod offers;
mod page;
mod passed;
mod sdp;
mod sessions;
mod setup;
mod transfers;

pub use cell::{Cell, Fault, Who};
pub use page::{Table, page};

/// What a cell comes to: what is wrong with it, if anything.
pub type Run = fn(&mut Cell) -> Result<(), String>;

/// A turn.
pub struct Row {
    /// Which.
    pub name: &'static str,
    /// Who can take it.
    pub who: &'static [Who],
    /// Why the others cannot: a key of the legend.
    pub because: &'static str,
    /// Takes it.
    pub run: Run,
}

impl Row {
    fn new(name: &'static str, run: Run) -> Row {
        Row {
            name,
            who: &[Who::Caller, Who::Called, Who::Both],
            because: "",
            run,
        }
    }

    fn only(self, who: &'static [Who], because: &'static str) -> Row {
        Row {
            who,
            because,
            ..self
        }
    }
}

/// All rows, under their headings.
#[must_use]
pub fn rows() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("How a call begins", setup::rows()),
        (
            "Calls that come back, and calls that go elsewhere",
            circles::rows(),
        ),
        ("Before the answer", early::rows()),
        ("Offers in a call", offers::rows()),
        ("What descriptions say", sdp::rows()),
        ("Sessions and their time", sessions::rows()),
        ("Transfers", transfers::rows()),
        ("What else is said", inside::rows()),
        ("What the config lets through", passed::rows()),
        ("How a call ends", ends::rows()),
    ]
}
