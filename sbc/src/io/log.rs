//! Log lines: where they go, and what the engine's facts look like as such.
//!
//! State changes are info. What strangers can cause gets one line a second of each kind, with the number of those left out.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::current::Current;
use super::metrics::party_label;
use super::servers;
use crate::config::{Codec, Config, Dtmf, NetworkId, PhoneId};
use crate::engine::{Event, FlowFailure, Party};
use crate::media::LegMedia;
use crate::shed::By;
use crate::trunks::Probed;

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why there can be no log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is not understood.
    #[error(
        "log filter `{filter}`: {source}; write a level (error, warn, info, debug, trace), or as in `info,sbc::io=debug`"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody else in this process logs already.
    #[error("the log was set up twice")]
    Twice,
}

/// From now on this process logs to standard error.
///
/// # Errors
/// See [`LogError`].
pub fn start(filter: &str, format: Format) -> Result<(), LogError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_target(false);
    let set = match format {
        Format::Human => builder
            .compact()
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_target(true)
            .try_init(),
    };
    set.map_err(|_| LogError::Twice)
}

/// How often a line of one kind may be written.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets one thing of a kind through in a second, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    kinds: HashMap<&'static str, (Instant, u64)>,
}

impl Throttle {
    /// Whether it may pass now, and how many of its kind did not since the last one that did.
    pub(super) fn pass(&mut self, now: Instant, kind: &'static str) -> Option<u64> {
        match self.kinds.get_mut(kind) {
            Some((last, left_out)) if now.saturating_duration_since(*last) < PAUSE => {
                *left_out += 1;
                None
            }
            Some((last, left_out)) => {
                *last = now;
                Some(std::mem::take(left_out))
            }
            None => {
                self.kinds.insert(kind, (now, 0));
                Some(0)
            }
        }
    }
}

/// Writes the engine's facts into the log.
#[derive(Debug)]
pub(super) struct Journal {
    current: Current,
    config: Arc<Config>,
    throttle: Throttle,
}

impl Journal {
    pub(super) fn new(current: Current) -> Self {
        Journal {
            config: Arc::clone(&current.load()),
            current,
            throttle: Throttle::default(),
        }
    }

    pub(super) fn write(&mut self, now: Instant, event: Event) {
        if let Event::Reloaded(_) = event {
            self.config = Arc::clone(&self.current.load());
        }
        match event {
            Event::Registered {
                phone,
                network,
                source,
                expires,
            } => {
                let (phone, network) = (self.phone(phone), self.network(network));
                info!(phone, network, %source, expires = expires.as_secs(), "registered");
            }
            Event::Unregistered {
                phone,
                network,
                source,
                reason,
            } => {
                let (phone, network) = (self.phone(phone), self.network(network));
                info!(phone, network, %source, reason, "no longer registered");
            }
            Event::TrunkRegistered {
                trunk,
                server,
                expires,
            } => {
                let trunk = self.party(Party::Trunk(trunk));
                info!(trunk, %server, expires = expires.as_secs(), "registered with the trunk");
            }
            Event::TrunkUnregistered {
                trunk,
                reason,
                retry: Some(retry),
            } => {
                let (trunk, seconds) = (self.party(Party::Trunk(trunk)), retry.as_secs());
                warn!("{trunk}: not registered: {reason}; trying again in {seconds} s");
            }
            Event::TrunkUnregistered {
                trunk,
                reason,
                retry: None,
            } => {
                let trunk = self.party(Party::Trunk(trunk));
                info!(trunk, reason, "no longer registered with the trunk");
            }
            Event::Silent { who, reason } => match who {
                Probed::Trunk(trunk) => {
                    let trunk = self.party(Party::Trunk(trunk));
                    warn!(
                        "{trunk} does not answer its probes ({reason}): no call goes there until it does; if it never answers OPTIONS, set `probe = \"off\"`"
                    );
                }
                Probed::Contact {
                    phone,
                    network,
                    source,
                } => {
                    let (phone, network) = (self.phone(phone), self.network(network));
                    info!(phone, network, %source, reason, "the phone does not answer its probes");
                }
            },
            Event::Answers { who } => match who {
                Probed::Trunk(trunk) => info!(
                    trunk = self.party(Party::Trunk(trunk)),
                    "the trunk answers its probes again"
                ),
                Probed::Contact {
                    phone,
                    network,
                    source,
                } => {
                    let (phone, network) = (self.phone(phone), self.network(network));
                    info!(phone, network, %source, "the phone answers its probes again");
                }
            },
            Event::Banned(ban) => {
                let seconds = ban.until.saturating_duration_since(now).as_secs();
                let left_out = match ban.by {
                    By::Operator => Some(0),
                    By::Offence(_) | By::Several => self.throttle.pass(now, "banned"),
                };
                if let Some(left_out) = left_out {
                    let (network, by) = (self.network(ban.network), ban.by.label());
                    let (times, why) = (ban.times, ban.by.why());
                    info!(prefix = %ban.prefix, network, by, why, times, seconds, left_out, "banned");
                }
            }
            Event::Unbanned {
                network,
                prefix,
                reason,
            } => {
                let left_out = match reason {
                    "lifted" => Some(0),
                    _ => self.throttle.pass(now, "no longer banned"),
                };
                if let Some(left_out) = left_out {
                    let network = self.network(network);
                    info!(%prefix, network, reason, left_out, "no longer banned");
                }
            }
            Event::Refused {
                network,
                source,
                reason,
            } => {
                if let Some(left_out) = self.throttle.pass(now, reason) {
                    info!(network = self.network(network), %source, reason, left_out, "refused");
                }
            }
            Event::Reloaded(changes) => info!(%changes, "another config is in force"),
            Event::NotLocal {
                phone,
                network,
                source,
            } => {
                if let Some(left_out) = self.throttle.pass(now, "not-local") {
                    let (phone, network) = (self.phone(phone), self.network(network));
                    info!(phone, network, %source, left_out, "refused: the phone is neither `remote` nor in a `local` prefix of the network");
                }
            }
            Event::Malformed {
                network,
                source,
                reason,
            } => {
                if let Some(left_out) = self.throttle.pass(now, "malformed") {
                    info!(network = self.network(network), %source, reason, left_out, "malformed message");
                }
            }
            Event::CallStarted {
                call,
                sip_call_id,
                from,
                number,
                route,
            } => {
                let (from, route) = (self.party(from), self.config.routes.get(route));
                info!(%call, ?sip_call_id, from, ?number, route = route.map(|r| r.name.as_str()), "call started");
            }
            Event::CallRefused {
                from,
                number,
                code,
                reason,
            } => {
                if let Some(left_out) = self.throttle.pass(now, "call refused") {
                    info!(
                        from = self.party(from),
                        ?number,
                        code,
                        ?reason,
                        left_out,
                        "call refused"
                    );
                }
            }
            Event::CallAnswered {
                call,
                sip_call_id,
                to,
                setup,
            } => {
                info!(%call, ?sip_call_id, to = self.party(to), setup_ms = milliseconds(setup), "call answered");
            }
            Event::CallTransferred { call, from, to } => {
                info!(%call, from = self.party(from), to = self.party(to), "call transferred");
            }
            Event::MediaAnchored { call, why } => {
                info!(%call, %why, "media goes through the box");
            }
            Event::MediaTranscoded { call, codecs } => {
                let [a, b] = codecs.map(Codec::name);
                info!(%call, "media is transcoded: {a} <-> {b}");
            }
            Event::MediaKeyed { call, forms } => {
                let [a, b] = forms.map(Dtmf::name);
                info!(%call, "keys go from one form to the other: dtmf {a} <-> {b}");
            }
            Event::MediaStopped {
                call,
                from,
                to,
                silent,
                time,
            } => {
                let (from, to, silent) = (self.party(from), self.party(to), silent.name());
                info!(%call, from, to, silent, time_ms = milliseconds(time), "media has stopped");
            }
            Event::CallEnded {
                call,
                from,
                to,
                outcome,
                reason,
                duration,
                media: [caller, callee],
                one_way: _,
                verdict,
            } => {
                let (from, to, outcome) = (self.party(from), self.party(to), outcome.label());
                let (caller, callee) = (heard(&caller), heard(&callee));
                let verdict: Vec<String> = verdict.iter().map(ToString::to_string).collect();
                let verdict = (!verdict.is_empty()).then(|| verdict.join("; "));
                info!(%call, from, to, outcome, ?reason, duration_ms = milliseconds(duration), caller, callee, verdict, "call ended");
            }
            Event::FlowFellBack { call, pair, reason } => {
                let reason = reason.label();
                debug!(%call, pair = pair.0, reason, "media goes through user space");
                if let Some(left_out) = self.throttle.pass(now, reason) {
                    warn!(%call, reason, left_out, "media goes through user space, not through the kernel");
                }
            }
            Event::MediaTakenBack { call, failure } => {
                let reason = match failure {
                    FlowFailure::PortTaken => "someone else has a port",
                    FlowFailure::Kernel(reason) => reason.label(),
                    FlowFailure::Overloaded => "no media worker has time",
                };
                warn!(%call, reason, "media of a new session cannot be forwarded; the call goes on with the one before");
            }
            Event::FlowEnded { pair, report } => {
                let [a, b] = report.sides;
                debug!(
                    pair = pair.0,
                    from_caller = a.packets,
                    caller = a.latched.map(tracing::field::display),
                    from_called = b.packets,
                    called = b.latched.map(tracing::field::display),
                    "flow ended"
                );
            }
            Event::HostAddresses { addresses } => debug!(?addresses, "addresses of this host"),
            Event::ExternalChanged {
                network,
                from,
                to,
                calls,
            } => {
                let network = self.network(network);
                match from {
                    Some(from) => info!(network, calls, "external address {from} -> {to}"),
                    None => info!(network, calls, "external address {to}"),
                }
            }
            Event::ExternalUnknown { network, known } => {
                let network = self.network(network);
                match known {
                    Some(known) => {
                        warn!(
                            network,
                            "nobody tells the external address: peers outside go on to see {known}"
                        );
                    }
                    None => {
                        warn!(
                            network,
                            "nobody tells the external address: peers outside see our own until the STUN server of `stun` answers"
                        );
                    }
                }
            }
            Event::Misled {
                network,
                address,
                peer,
            } => {
                let network = self.network(network);
                warn!(network, %address, %peer, "a peer on the internet is told an address that is none there: what it sends does not arrive; set `external` in [network.{network}]");
            }
            Event::Servers(news) => servers::write(&self.config, &news),
            Event::Draining => {
                info!("no new calls from now on, but for emergencies; those that are up go on")
            }
            Event::Resumed => info!("new calls are taken again"),
        }
    }

    fn phone(&self, id: PhoneId) -> &str {
        self.config
            .phones
            .get(id.index())
            .map_or("?", |phone| &phone.name)
    }

    fn network(&self, id: NetworkId) -> &str {
        self.config
            .networks
            .get(id.index())
            .map_or("?", |network| &network.name)
    }

    fn party(&self, party: Party) -> String {
        party_label(&self.config, party)
    }
}

/// What came from a leg, if anything did.
fn heard(leg: &LegMedia) -> Option<String> {
    let LegMedia {
        packets,
        bytes: _,
        lost,
        reordered,
        duplicate,
        ssrc_changes,
        jitter,
        round_trip,
    } = *leg;
    let jitter = jitter.as_secs_f64() * 1e3;
    let round_trip = round_trip.map_or_else(String::new, |taken| {
        format!(" round_trip_ms={:.1}", taken.as_secs_f64() * 1e3)
    });
    (packets > 0).then(|| {
        format!(
            "packets={packets} lost={lost} reordered={reordered} duplicate={duplicate} jitter_ms={jitter:.1} \
             ssrc_changes={ssrc_changes}{round_trip}"
        )
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_a_second_and_the_others_are_counted() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(throttle.pass(at(0), "stranger"), Some(0));
        assert_eq!(throttle.pass(at(1), "stranger"), None);
        assert_eq!(throttle.pass(at(2), "digest"), Some(0));
        assert_eq!(throttle.pass(at(999), "stranger"), None);
        assert_eq!(throttle.pass(at(1000), "stranger"), Some(2));
        assert_eq!(throttle.pass(at(2000), "stranger"), Some(0));
    }

    #[test]
    fn what_came_from_a_leg_is_said_if_anything_did() {
        assert_eq!(heard(&LegMedia::default()), None);
        let leg = LegMedia {
            packets: 1500,
            bytes: 258_000,
            lost: 3,
            reordered: 2,
            duplicate: 1,
            ssrc_changes: 4,
            jitter: Duration::from_micros(1260),
            round_trip: None,
        };
        let text = "packets=1500 lost=3 reordered=2 duplicate=1 jitter_ms=1.3 ssrc_changes=4";
        assert_eq!(heard(&leg).as_deref(), Some(text));
        let leg = LegMedia {
            round_trip: Some(Duration::from_micros(84_300)),
            ..leg
        };
        let text = format!("{text} round_trip_ms=84.3");
        assert_eq!(heard(&leg), Some(text));
    }

    #[test]
    fn a_filter_that_is_none_is_told_what_one_looks_like() {
        let error = start("sbc=loud", Format::Human).unwrap_err().to_string();
        assert!(error.starts_with("log filter `sbc=loud`: "), "{error}");
        assert!(error.contains("info,sbc::io=debug"), "{error}");
    }
}
