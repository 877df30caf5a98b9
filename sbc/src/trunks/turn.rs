//! What may happen to a registration, and what it may look at.

use crate::config::Config;
use crate::dialog::Tokens;
use crate::routing::locate::Places;
use crate::sip::Message;
use crate::transaction::{ConnectionId, Failure, Hop};

/// What it may look at and draw from.
pub(super) struct Around<'a> {
    pub(super) config: &'a Config,
    pub(super) places: &'a Places,
    pub(super) tokens: &'a mut Tokens,
}

/// What may happen to it.
pub(super) enum Turn<'a> {
    Answer(u32, Hop, &'a Message),
    Failed(u32, Failure),
    Full(u32),
    ConnectionClosed(ConnectionId),
    /// It is to be made anew, as what it says is not true any more.
    Again,
    /// The trunk is there again after a silence: it may have forgotten us.
    Back,
    Stop,
}
