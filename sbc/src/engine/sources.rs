//! Bans, and what the door has to know about sources.

use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Engine, Event};
use crate::config::NetworkId;
use crate::registrar::answers_challenge;
use crate::shed::{self, Action, Ban, BanError, Banned, End, Offence, Restored, Saved, UnbanError};
use crate::sip::{Message, Transport};
use crate::transaction::Hop;

impl Engine {
    /// Bans a prefix, as an operator may: [`shed::Sources::ban`].
    ///
    /// # Errors
    /// Nothing is banned then.
    pub fn ban(
        &mut self,
        now: Instant,
        prefix: IpNet,
        lasting: Option<Duration>,
    ) -> Result<Banned, BanError> {
        self.sources.ban(now, prefix, lasting)
    }

    /// Lifts bans: [`shed::Sources::unban`].
    ///
    /// # Errors
    /// There is none to lift.
    pub fn unban(&mut self, prefix: IpNet) -> Result<Vec<Ban>, UnbanError> {
        self.sources.unban(prefix)
    }

    /// All bans that hold.
    pub fn bans(&self) -> impl Iterator<Item = &Ban> {
        self.sources.bans()
    }

    /// The same, by network and prefix, those that come after this one.
    pub fn bans_after(&self, after: Option<(NetworkId, IpNet)>) -> impl Iterator<Item = &Ban> {
        self.sources.bans_after(after)
    }

    /// What of bans is to be kept, and has changed since it was last asked for: [`shed::Sources::poll_kept`].
    pub fn poll_bans(&mut self, now: Instant) -> Option<(u32, Option<Saved>)> {
        self.sources.poll_kept(now, &self.config)
    }

    /// All of it is told again: [`shed::Sources::keep_anew`].
    pub fn keep_bans_anew(&mut self) {
        self.sources.keep_anew();
    }

    /// Takes back what was kept: [`shed::Sources::restore`]. After the registrations: who is known is not banned by the box itself.
    pub fn restore_ban(&mut self, now: Instant, slot: u32, saved: &Saved) -> Restored {
        self.sources.restore(now, &self.config, slot, saved)
    }

    /// What is to be enforced at the door from now on, in order; drained like [`Engine::poll_action`].
    pub fn poll_shed(&mut self) -> Option<Action> {
        let action = self.sources.poll_action()?;
        match action {
            Action::Ban(ban) => self.tell(Event::Banned(ban)),
            Action::Unban {
                network,
                prefix,
                end,
            } => match end {
                End::Expired => self.tell(Event::Unbanned {
                    network,
                    prefix,
                    reason: "expired",
                }),
                End::Lifted => self.tell(Event::Unbanned {
                    network,
                    prefix,
                    reason: "lifted",
                }),
                // He is banned as before.
                End::Widened => {}
            },
            Action::Known { .. } | Action::Unknown { .. } | Action::Limits { .. } => {}
        }
        Some(action)
    }

    /// Counts a refusal against its source, if the source is proven: whoever forges one gets nobody banned.
    pub(super) fn note_offence(
        &mut self,
        now: Instant,
        hop: &Hop,
        request: &Message,
        offence: Offence,
    ) {
        let source = hop.remote.ip();
        let is_proven = hop.transport != Transport::Udp
            || answers_challenge(&self.config, &self.nonces, now, source, request);
        if !is_proven {
            return;
        }
        self.offend(now, hop, offence);
    }

    /// An ACK of a challenge proves its source, too: nobody else has seen our tag. Who calls over UDP and never answers is counted by it.
    pub(super) fn note_ack(&mut self, now: Instant, hop: &Hop, ack: &Message) {
        let source = hop.remote.ip();
        if hop.transport != Transport::Udp || self.sources.knows(hop.network, source) {
            return;
        }
        let tag = self.tokens.proving_tag(source, ack.call_id());
        if ack.to().tag() == Some(tag.as_str()) {
            self.offend(now, hop, Offence::Stranger);
        }
    }

    fn offend(&mut self, now: Instant, hop: &Hop, offence: Offence) {
        let input = shed::Input::Offence {
            network: hop.network,
            source: hop.remote.ip(),
            offence,
        };
        self.sources.handle_input(now, input);
    }

    /// A phone has proven who it is: what it asked without credentials before was its own.
    pub(super) fn note_phone(&mut self, now: Instant, hop: &Hop) {
        let input = shed::Input::Authenticated {
            network: hop.network,
            source: hop.remote.ip(),
        };
        self.sources.handle_input(now, input);
    }

    /// Where a phone is registered it is known.
    pub(super) fn note_registration(&mut self, now: Instant, event: &Event) {
        let input = match *event {
            Event::Registered {
                network, source, ..
            } => shed::Input::Registered {
                network,
                source: source.ip(),
            },
            Event::Unregistered {
                network, source, ..
            } => shed::Input::Unregistered {
                network,
                source: source.ip(),
            },
            _ => return,
        };
        self.sources.handle_input(now, input);
    }
}
