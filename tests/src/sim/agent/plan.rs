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
    /// The m= lines of its SDP and what stands behind them; one audio stream of G.711 if there are none. To an offer with
    /// `m=image`, and in its own while it faxes, those of `fax`.
    pub streams: Option<&'static str>,
    /// The same for a fax.
    pub fax: Option<&'static str>,
    /// Offers the fax so long after the call is up.
    pub faxes_after: Option<Duration>,
    /// Goes back to voice so long after the call is up.
    pub talks_after: Option<Duration>,
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
