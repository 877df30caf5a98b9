//! The B2BUA: a call is one A leg and many B legs, each a SIP user agent of its own (RFC 3261 6): nothing of one side's
//! addresses shows on the other. `machine` has the call and its verbs; `asking` opens B legs, `answering` takes what they
//! say, `early` what they say before anybody takes the call, `reliable` provisional answers that want a PRACK, `midcall` what comes
//! inside dialogs, `relay` what of it changes media, `late` what comes in an ACK or an answer, `session` and `refresh` the session timers,
//! `ending` the ends, `silence` that of media; `hiding` decides which headers pass.
//!
//! L1: imports L0, and of L1 [`crate::dialog`], [`crate::media`], [`crate::registrar`], [`crate::routing`], and the plain
//! data of [`crate::transaction`] and [`crate::engine`].

mod answering;
mod asking;
mod context;
mod early;
mod ending;
mod failure;
mod hiding;
mod io;
mod late;
mod machine;
mod midcall;
mod refresh;
mod relay;
mod reliable;
mod session;
mod side;
mod silence;

pub use context::{AGENT, ALLOW, Context, Host, SUPPORTED, local_address};
pub use io::{Action, Input, Purpose};
pub use machine::{Call, Invitation, LEG_A};
pub use session::{MIN_SE, is_too_short};
