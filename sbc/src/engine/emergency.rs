//! Emergency calls, by `emergency = true` of their route: what is full for others has room for them, within a bound of its own.

use super::Engine;
use super::receive::Origin;
use crate::config::NetworkId;
use crate::routing::{Decision, dialled, route};
use crate::sip::{Message, Method, TextKey, Uri};
use crate::transaction::Room;

/// Calls that there may be beyond the limit.
pub(super) const MORE_CALLS: usize = 256;

/// Dialogs that they may have beyond the limit.
pub(super) const MORE_DIALOGS: usize = 4 * MORE_CALLS;

impl Engine {
    /// Whether a decision is that of an emergency route.
    pub(super) fn is_emergency(&self, decision: &Decision) -> bool {
        self.config.route(decision.route).emergency
    }

    /// How much of the table of transactions a message may use. Looked into only when the table is full.
    pub(super) fn room_for(
        &self,
        network: NetworkId,
        origin: Option<Origin>,
        message: &Message,
    ) -> Room {
        let is_urgent = self.layer.is_full()
            && match (message.to().tag(), origin) {
                (Some(tag), Some(_)) => {
                    let call = self.dialogs.get(&TextKey::of(tag));
                    let slot = call.and_then(|call| self.calls.get(call));
                    slot.is_some_and(|slot| slot.call.is_emergency())
                }
                (None, Some(Origin::Caller(caller))) if message.method() == Method::Invite => {
                    let uri = Uri::parse(self.dialled_uri(caller, message));
                    let number = uri.ok().and_then(|uri| dialled(&uri));
                    let from = self.number_of(caller, message);
                    let circumstances = self.wall.glance(network, &from);
                    let decision =
                        number.map(|number| route(&self.config, caller, &number, circumstances));
                    decision.is_some_and(|decision| {
                        decision.is_ok_and(|decision| self.is_emergency(&decision))
                    })
                }
                _ => false,
            };
        match is_urgent {
            true => Room::Reserve,
            false => Room::Usual,
        }
    }
}
