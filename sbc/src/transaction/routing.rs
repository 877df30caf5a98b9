//! Where a response goes (RFC 3261 18.2.2, RFC 3581).

use super::Hop;
use crate::sip::{Message, Via};

/// SIP's port where none is named.
const PORT: u16 = 5060;

impl Hop {
    /// Where the response to a request goes that came in over this hop with this topmost Via: back over its connection; else to
    /// the address it came from, at the port it came from if the sender asked for that (`rport`), at the port it names otherwise.
    ///
    /// `maddr` is not followed: it would let a stranger aim our answers at anyone.
    #[must_use]
    pub fn reply(self, via: &Via<'_>) -> Hop {
        if via.has_rport() {
            return self;
        }
        let mut remote = self.remote;
        remote.set_port(via.port().unwrap_or(PORT));
        Hop { remote, ..self }
    }

    /// As [`Hop::reply`], with the Via of a request.
    #[must_use]
    pub fn reply_to(self, request: &Message) -> Hop {
        self.reply(&request.via())
    }
}
