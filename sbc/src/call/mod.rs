//! The B2BUA: a call is one A leg and many B legs, each a SIP user agent of its own (RFC 3261 6): nothing of one side's
//! addresses shows on the other. `machine` has the call and its verbs, `legs` its legs, `parties` who is in it; `asking` opens B legs, `reachable` says whose, `answering` takes what they
//! say, `early` what they say before anybody takes the call, `reliable` provisional answers that want A's PRACK, `prack` ours, `update` offers before anybody takes the call,
//! `plan` whom to ask and when to stop, `credentials` what a trunk is told that asks for a password, `redirect` where a 3xx may lead, `midcall` what comes inside dialogs,
//! `relay` what of it changes media, `late` what comes in an ACK or an answer, `session` and `refresh` the session timers;
//! `passing` what goes to the other party, `keys` keys in INFO for whoever has them otherwise, and the other way round, `transfer` and `replacing` exchange a party for another, `target` calls one, `pickup` lets one in while it rings, `guest` makes an offer to who calls without one, `rejoin` offers what that takes,
//! `referral` tells who asked for it, `referring` passes a REFER on; `way` which dialog something goes on in, `effects` what a refusal is the end of; `ending` the ends, `ended` what their records say, `silence` that of media, `tally` what came of whom was asked, `heard` who should hear whom; `identity` says who calls, `hiding` decides what of a header tells too much, `filter` which pass by the config, `content` what else of a
//! message that is passed on, `dialog_info` what of it names dialogs; `view` shows it, `in_use` tells which trunks and phones it needs.
//!
//! L1: imports L0, and of L1 [`crate::dialog`], [`crate::media`], [`crate::registrar`], [`crate::routing`], [`crate::trunks`], and the
//! plain data of [`crate::transaction`] and [`crate::engine`].

mod answering;
mod asking;
mod before;
mod content;
mod context;
mod credentials;
mod dialog_info;
mod early;
mod effects;
mod elsewhere;
mod ended;
mod ending;
mod failure;
mod filter;
mod guest;
mod heard;
mod hiding;
mod identity;
mod in_use;
mod io;
mod keys;
mod late;
mod legs;
mod machine;
mod midcall;
mod mirror;
mod moved;
mod parties;
mod passing;
mod pickup;
mod plan;
mod prack;
mod reachable;
mod redirect;
mod referral;
mod referring;
mod refresh;
mod rejoin;
mod relay;
mod reliable;
mod replaces;
mod replacing;
mod session;
mod side;
mod silence;
mod tally;
mod target;
mod transfer;
mod update;
mod view;
mod way;

pub(crate) use asking::{Next, Target, targets};
pub use content::{describes_media, pass_content};
pub use context::{AGENT, ALLOW, Context, Host, SUPPORTED, hop_to, local_address};
pub use credentials::Remembered;
pub(crate) use credentials::{Challenges, copy_credentials};
pub(crate) use elsewhere::{Onward, retry_after};
pub use ended::{Ended, EndedBy};
pub use filter::Filter;
pub use heard::Talk;
pub(crate) use identity::{Caller as CallerIdentity, escaped};
pub use io::{Action, Input, Purpose};
pub use machine::{Call, Invitation, LEG_A};
pub(crate) use passing::pass_answer;
pub(crate) use reachable::is_there;
pub use referring::Named;
pub use replaces::{Replaces, unescaped, user_of};
pub use replacing::{Guest, Lent};
pub use session::{MIN_SE, is_too_short};
pub(crate) use side::{contact, face, next_hop, via};
pub use view::{CallDetail, CallState, CallView, Gist, LegState, LegView, SessionView, Tried, Who};
