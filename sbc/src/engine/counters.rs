//! What is counted as it happens; the rest of [`Stats`] is read off the tables.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Event;
use super::stats::{
    Histogram, JitterHistogram, MessageLabels, MosHistogram, Outcome, Party, RingingHistogram,
    RoundTripHistogram, SetupHistogram, Stats, Tried,
};
use crate::config::NetworkId;
use crate::media::{Cause, Quality};
use crate::sip::{Message, Method, Start};
use crate::transaction::Hop;

/// Only ever grows.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) calls_total: BTreeMap<(Party, Party, Outcome), u64>,
    call_setup: BTreeMap<Party, SetupHistogram>,
    call_duration: Histogram,
    talked: BTreeMap<(Party, Party), Duration>,
    pub(super) media_jitter: JitterHistogram,
    attempts: BTreeMap<(Party, Tried), u64>,
    post_dial_delay: BTreeMap<Party, RingingHistogram>,
    ringback: BTreeMap<Party, RingingHistogram>,
    one_way: BTreeMap<(Party, Party), u64>,
    verdicts: BTreeMap<Cause, u64>,
    mos: BTreeMap<Party, MosHistogram>,
    round_trip: BTreeMap<NetworkId, RoundTripHistogram>,
    media_quality: BTreeMap<NetworkId, Quality>,
    pub(super) flow_fallbacks: BTreeMap<&'static str, u64>,
    messages: BTreeMap<MessageLabels, u64>,
    malformed: BTreeMap<(NetworkId, &'static str), u64>,
    refused: BTreeMap<(NetworkId, &'static str), u64>,
    full: BTreeMap<&'static str, u64>,
    misled: BTreeMap<NetworkId, u64>,
    external_changes: BTreeMap<NetworkId, u64>,
}

impl Counters {
    pub(super) fn received(&mut self, hop: &Hop, message: &Message) {
        self.message(hop, "in", message.method(), class(message));
    }

    pub(super) fn sent(&mut self, hop: &Hop, bytes: &[u8]) {
        let (method, class) = labels(bytes);
        self.message(hop, "out", method, class);
    }

    pub(super) fn malformed(&mut self, network: NetworkId, reason: &'static str) {
        *self.malformed.entry((network, reason)).or_default() += 1;
    }

    pub(super) fn refused(&mut self, network: NetworkId, reason: &'static str) {
        *self.refused.entry((network, reason)).or_default() += 1;
    }

    pub(super) fn misled(&mut self, network: NetworkId) {
        *self.misled.entry(network).or_default() += 1;
    }

    pub(super) fn external_changed(&mut self, network: NetworkId) {
        *self.external_changes.entry(network).or_default() += 1;
    }

    pub(super) fn full(&mut self, table: &'static str) {
        *self.full.entry(table).or_default() += 1;
    }

    /// Forgets a party whose name is another one's from now on.
    pub(super) fn forget(&mut self, party: Party) {
        self.calls_total
            .retain(|(from, to, _), _| *from != party && *to != party);
        self.attempts.retain(|(to, _), _| *to != party);
        self.call_setup.remove(&party);
        self.post_dial_delay.remove(&party);
        self.ringback.remove(&party);
        self.mos.remove(&party);
        self.one_way
            .retain(|(from, to), _| *from != party && *to != party);
        self.talked
            .retain(|(from, to), _| *from != party && *to != party);
    }

    /// Someone took a call so long after its INVITE.
    pub(super) fn call_answered(&mut self, to: Party, setup: Duration) {
        self.call_setup.entry(to).or_default().0.observe(setup);
    }

    /// `talked` is from the 200 to the end; zero where nobody answered.
    pub(super) fn call_ended(
        &mut self,
        from: Party,
        to: Party,
        outcome: Outcome,
        talked: Duration,
    ) {
        *self.calls_total.entry((from, to, outcome)).or_default() += 1;
        if talked.is_zero() {
            return;
        }
        self.call_duration.observe(talked);
        *self.talked.entry((from, to)).or_default() += talked;
    }

    pub(super) fn tried(&mut self, to: Party, result: Tried) {
        *self.attempts.entry((to, result)).or_default() += 1;
    }

    pub(super) fn rang(&mut self, to: Party, after: Duration) {
        let delay = self.post_dial_delay.entry(to).or_default();
        delay.0.observe(after);
    }

    /// Who called had the first sign that it rings, or an answer.
    pub(super) fn ringback(&mut self, from: Party, after: Duration) {
        self.ringback.entry(from).or_default().0.observe(after);
    }

    /// How a stream sounded that came from there.
    pub(super) fn mos(&mut self, party: Party, score: f64) {
        self.mos.entry(party).or_default().0.observe_value(score);
    }

    /// How long it is to a peer there and back.
    pub(super) fn round_trip(&mut self, network: NetworkId, taken: Duration) {
        self.round_trip.entry(network).or_default().0.observe(taken);
    }

    /// A call is over whose legs have reported: who of them was not heard.
    pub(super) fn heard(&mut self, event: &Event) {
        let Event::CallEnded {
            from,
            to,
            one_way,
            verdict,
            ..
        } = event
        else {
            return;
        };
        for found in verdict {
            *self.verdicts.entry(found.cause).or_default() += 1;
        }
        if one_way.is_some() {
            *self.one_way.entry((*from, *to)).or_default() += 1;
        }
    }

    /// Adds what is new of a flow.
    pub(super) fn quality(&mut self, network: NetworkId, new: &Quality) {
        let total = self.media_quality.entry(network).or_default();
        total.lost += new.lost;
        total.reordered += new.reordered;
        total.duplicate += new.duplicate;
        total.ssrc_changes += new.ssrc_changes;
    }

    pub(super) fn copy_to(&self, stats: &mut Stats) {
        stats.calls_total.clone_from(&self.calls_total);
        stats.call_setup.clone_from(&self.call_setup);
        stats.call_duration = self.call_duration.clone();
        stats.talked.clone_from(&self.talked);
        stats.media_jitter = self.media_jitter.clone();
        stats.attempts.clone_from(&self.attempts);
        stats.post_dial_delay.clone_from(&self.post_dial_delay);
        stats.ringback.clone_from(&self.ringback);
        stats.one_way.clone_from(&self.one_way);
        stats.verdicts.clone_from(&self.verdicts);
        stats.mos.clone_from(&self.mos);
        stats.round_trip.clone_from(&self.round_trip);
        stats.media_quality.clone_from(&self.media_quality);
        stats.flow_fallbacks.clone_from(&self.flow_fallbacks);
        stats.sip_messages.clone_from(&self.messages);
        stats.sip_malformed.clone_from(&self.malformed);
        stats.sip_refused.clone_from(&self.refused);
        stats.full.clone_from(&self.full);
        stats.misled.clone_from(&self.misled);
        stats.external_changes.clone_from(&self.external_changes);
    }

    fn message(&mut self, hop: &Hop, direction: &'static str, method: Method, class: &'static str) {
        let labels = MessageLabels {
            network: hop.network,
            transport: hop.transport,
            direction,
            method: method.name(),
            class,
        };
        *self.messages.entry(labels).or_default() += 1;
    }
}

fn class(message: &Message) -> &'static str {
    match message.start() {
        Start::Request { .. } => "request",
        Start::Response { code, .. } => code_class(code / 100),
    }
}

fn code_class(hundreds: u16) -> &'static str {
    match hundreds {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "6xx",
    }
}

/// Method and class of what we send, without reading all of it: the first line, and of a response the CSeq.
fn labels(bytes: &[u8]) -> (Method, &'static str) {
    let mut lines = bytes.split(|&b| b == b'\n');
    let word = |line: &[u8], index: usize| {
        let word = line
            .split(|&b| b == b' ' || b == b'\r')
            .filter(|w| !w.is_empty())
            .nth(index);
        word.and_then(|word| std::str::from_utf8(word).ok())
            .map(str::to_owned)
    };
    let first = lines.next().unwrap_or_default();
    let Some(status) = first.strip_prefix(b"SIP/2.0 ") else {
        let method = word(first, 0).unwrap_or_default();
        return (Method::parse(&method), "request");
    };
    let hundreds = status
        .first()
        .map_or(0, |digit| u16::from(digit.wrapping_sub(b'0')));
    let cseq = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"cseq:").then_some(value)
    });
    let method = cseq.and_then(|value| word(value, 1)).unwrap_or_default();
    (Method::parse(&method), code_class(hundreds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Silent;

    #[test]
    fn what_we_send_is_labelled_by_its_first_line_and_cseq() {
        let response = b"SIP/2.0 486 Busy Here\r\nVia: x\r\ncseq:  12 INVITE\r\n\r\n";
        assert_eq!(labels(response), (Method::Invite, "4xx"));
        let request = b"BYE sip:a@b SIP/2.0\r\nCSeq: 1 BYE\r\n\r\n";
        assert_eq!(labels(request), (Method::Bye, "request"));
        assert_eq!(labels(b"SIP/2.0 200 OK\r\n\r\n"), (Method::Other, "2xx"));
        assert_eq!(labels(b""), (Method::Other, "request"));
    }

    #[test]
    fn how_long_was_talked_is_told_of_each_two_parties() {
        let party = |id| Party::Trunk(crate::config::TrunkId(id));
        let mut counters = Counters::default();
        for (to, outcome, seconds) in [
            (1, Outcome::Answered, 60),
            (1, Outcome::MediaTimeout, 30),
            (1, Outcome::Busy, 0),
            (2, Outcome::Answered, 5),
            (3, Outcome::Rejected, 0),
        ] {
            let talked = Duration::from_secs(seconds);
            counters.call_ended(party(0), party(to), outcome, talked);
        }
        let mut stats = Stats::default();
        counters.forget(party(2));
        counters.copy_to(&mut stats);
        let talked = [((party(0), party(1)), Duration::from_secs(90))];
        assert_eq!(stats.talked, talked.into());
        assert_eq!(stats.call_duration.counts().iter().sum::<u64>(), 3);
    }

    #[test]
    fn who_was_not_heard_is_counted_by_who_called_and_who_was_called() {
        let party = |id| Party::Trunk(crate::config::TrunkId(id));
        let end = |one_way| Event::CallEnded {
            call: crate::engine::CallId(1),
            from: party(0),
            to: party(1),
            outcome: Outcome::Answered,
            reason: String::new(),
            duration: Duration::from_secs(60),
            media: Default::default(),
            one_way,
            verdict: vec![crate::media::Finding {
                hears: crate::media::Hears::Caller,
                cause: Cause::Silence,
                text: String::new(),
            }],
        };
        let mut counters = Counters::default();
        counters.heard(&end(None));
        assert!(counters.one_way.is_empty());
        counters.heard(&end(Some(Silent::Called)));
        counters.heard(&end(Some(Silent::Caller)));
        assert_eq!(counters.verdicts, [(Cause::Silence, 3)].into());
        assert_eq!(counters.one_way, [((party(0), party(1)), 2)].into());
        counters.forget(party(1));
        assert!(counters.one_way.is_empty());
    }
}
