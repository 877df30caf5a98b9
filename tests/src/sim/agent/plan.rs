//! What an agent means to do, and what happens to it.

use std::time::Duration;

/// What an agent means to do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Calls this number at the start.
    pub calls: Option<String>,
    /// Without an offer: it comes in the 200, the answer in the ACK.
    pub late_offer: bool,
    /// Gives up so long after the INVITE.
    pub cancels_after: Option<Duration>,
    /// Never acknowledges a 2xx.
    pub never_acks: bool,
    /// What it does when it is called.
    pub answer: Answer,
    /// Hangs up so long after the call is up.
    pub hangs_up_after: Option<Duration>,
    /// Puts the call on hold so long after it is up.
    pub holds_after: Option<Duration>,
}

/// What an agent does when it is called.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// Rings and takes the call.
    #[default]
    Takes,
    /// Rings for so long, with early media, and takes the call.
    TakesAfter(Duration),
    /// Takes the call without a word before.
    TakesAtOnce,
    /// Refuses with this code.
    Refuses(u16),
    /// Rings for ever.
    Rings,
    /// Says nothing at all.
    Silent,
}

/// What happened to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// 180 or 183 came.
    Ringing,
    /// 200 and ACK are through, as far as this side can tell.
    Up,
    /// A re-INVITE of ours was accepted.
    Held,
    /// A re-INVITE of theirs was accepted.
    WasHeld,
    /// BYE came.
    TheyHungUp,
    /// Our BYE was answered.
    HungUp,
    /// CANCEL came.
    WasCancelled,
    /// A refusal came.
    Refused(u16),
    /// Nothing came.
    TimedOut(String),
}
