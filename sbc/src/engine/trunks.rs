//! What trunks and phones need besides calls, and the engine's part in it: requests of ours, who somebody is by the name that we registered, limits.

use std::time::Instant;

use super::{Engine, Event};
use crate::config::{NetworkId, PhoneId, TrunkId};
use crate::routing::{Decision, Destination, Step};
use crate::sip::Message;
use crate::transaction::{ClientId, Failure, Hop};
use crate::trunks::{Action, Input, Probed, Surroundings, TrunkView, Trunks};

/// A contact of a phone, for whoever looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactView {
    /// The account.
    pub phone: PhoneId,
    /// Where its REGISTER came from.
    pub hop: Hop,
    /// As the phone gave it.
    pub contact: String,
    /// When it ends.
    pub expires: Instant,
    /// Why it is taken not to be there.
    pub silence: Option<String>,
}

impl Engine {
    /// All trunks, in the order of the config.
    #[must_use]
    pub fn trunks(&self, now: Instant) -> Vec<TrunkView> {
        self.trunks.view(now, &self.config)
    }

    /// The contacts of an account, the latest first.
    pub fn contacts(&self, phone: PhoneId) -> impl Iterator<Item = ContactView> {
        self.registrar
            .bindings(phone)
            .map(move |known| ContactView {
                phone,
                hop: known.hop,
                contact: known.contact.to_string(),
                expires: known.expires,
                silence: self
                    .trunks
                    .silence(&contact(phone, &known.hop))
                    .map(str::to_owned),
            })
    }

    /// What we are called on this network has changed: registrations of ours there are made anew.
    pub fn reregister(&mut self, now: Instant, network: NetworkId) {
        self.tell_trunks(now, Input::Readdressed(network));
        self.pump(now, None);
    }

    pub(super) fn tell_trunks(&mut self, now: Instant, input: Input<'_>) {
        let around = Surroundings {
            config: &self.config,
            registrar: &self.registrar,
            places: &self.places,
        };
        self.trunks.handle_input(now, around, input);
    }

    pub(super) fn time_trunks(&mut self, now: Instant) {
        let around = Surroundings {
            config: &self.config,
            registrar: &self.registrar,
            places: &self.places,
        };
        self.trunks.handle_timeout(now, around);
    }

    /// Does what they want done; `false`: nothing.
    pub(super) fn serve_trunks(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(action) = self.trunks.poll_action() {
            any = true;
            match action {
                Action::Request {
                    asker,
                    hop,
                    message,
                } => match self.layer.request(now, hop, message) {
                    Ok(id) => self.trunks.sent(id, asker),
                    Err(_) => {
                        self.counters.full("transactions");
                        self.tell_trunks(now, Input::Full(asker));
                    }
                },
                Action::Close(connection) => {
                    self.actions.push_back(super::Action::Close(connection));
                }
                Action::Server {
                    trunk,
                    place,
                    unwell: Some(how),
                } => self.places.failed(now, &self.config, trunk, place, how),
                Action::Server { trunk, place, .. } => {
                    self.places.heard(&self.config, trunk, place);
                }
                Action::Event(event) => self.tell(event),
            }
        }
        any
    }

    /// An answer to a request of theirs; `false`: it is none.
    pub(super) fn on_trunk_answer(
        &mut self,
        now: Instant,
        id: ClientId,
        hop: Hop,
        message: &Message,
    ) -> bool {
        let asker = match message.code() {
            Some(200..) => self.trunks.ended(id),
            _ => self.trunks.asker(id),
        };
        let Some(asker) = asker else {
            return false;
        };
        let input = Input::Answer {
            asker,
            hop,
            message,
        };
        self.tell_trunks(now, input);
        true
    }

    /// A request of theirs got none; `false`: it is not theirs.
    pub(super) fn on_trunk_failed(&mut self, now: Instant, id: ClientId, failure: Failure) -> bool {
        let Some(asker) = self.trunks.ended(id) else {
            return false;
        };
        self.tell_trunks(now, Input::Failed { asker, failure });
        true
    }

    /// Whose a contact is that has come or gone.
    pub(super) fn note_contact(&mut self, now: Instant, event: &Event) {
        let input = match *event {
            Event::Registered {
                phone,
                network,
                source,
                ..
            } => Input::Registered(Probed::Contact {
                phone,
                network,
                source,
            }),
            Event::Unregistered {
                phone,
                network,
                source,
                ..
            } => Input::Unregistered(Probed::Contact {
                phone,
                network,
                source,
            }),
            _ => return,
        };
        self.tell_trunks(now, input);
    }

    /// A phone has said that it is there.
    pub(super) fn note_phone_heard(&mut self, now: Instant, phone: PhoneId, hop: &Hop) {
        self.tell_trunks(now, Input::Heard(contact(phone, hop)));
    }

    /// Of an emergency's targets those that are not there come last: they are tried, but nobody waits for them first.
    pub(super) fn put_silent_last(&self, decision: &mut Decision) {
        let is_there = |who: &Destination| match *who {
            Destination::Trunk(id) => self.trunks.is_there(&Probed::Trunk(id)),
            Destination::Phone(_) => true,
        };
        let is_silent = |step: &Step| match step {
            Step::Ring { who, .. } => !who.iter().any(is_there),
            Step::Reject(_) => false,
        };
        let mut steps = decision
            .steps
            .split_mut(|step| matches!(step, Step::Reject(_)));
        // What follows a rejection nobody comes to.
        if let Some(tried) = steps.next() {
            tried.sort_by_key(is_silent);
        }
    }

    /// Which trunk a request comes from: by its source, and of several at one source by the name that we have registered.
    pub(super) fn trunk_at(&self, hop: &Hop, request: &Message) -> Option<TrunkId> {
        let source = hop.remote.ip();
        let known = self.places.trunk_of(&self.config, hop.network, source)?;
        let is_here = |id| self.places.is_of(&self.config, id, source.to_canonical());
        Some(Trunks::named(&self.config, hop, request, known, is_here))
    }
}

fn contact(phone: PhoneId, hop: &Hop) -> Probed {
    Probed::Contact {
        phone,
        network: hop.network,
        source: hop.remote,
    }
}
