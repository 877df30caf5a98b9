//! How long it is to a peer and back, by its RTCP (RFC 3550 6.4.1): which sender reports went to it when, and how long after it had one it spoke of it.
//! One clock, ours, is all that takes part.

use std::time::Duration;

use crate::rtp::Rtcp;

/// Sender reports of one side that may still be spoken of: they are seconds apart.
const NOTED: usize = 2;

/// What takes longer was reckoned with another clock, or made up.
const LONGEST: Duration = Duration::from_secs(10);

/// The share of what was known that stays when more is known (as RFC 6298 2 has it).
const STAYS: u32 = 7;

/// To one peer and back, in the mean of the last few times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip(Option<Duration>);

impl RoundTrip {
    /// Once more.
    pub fn observe(&mut self, taken: Duration) {
        if taken <= LONGEST {
            let mean = |known: Duration| (known * STAYS + taken) / (STAYS + 1);
            self.0 = Some(self.0.map_or(taken, mean));
        }
    }

    /// None while nothing is known.
    #[must_use]
    pub fn value(self) -> Option<Duration> {
        self.0
    }
}

/// To both peers of a pair whose RTCP is forwarded as it is: what one says of the other's reports is timed from when these went by.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrips([OfSide; 2]);

#[derive(Clone, Copy, Debug, Default)]
struct OfSide {
    /// The middle of the NTP time of each of its last sender reports, and when that went by.
    noted: [Option<(u32, u64)>; NOTED],
    trip: RoundTrip,
}

impl RoundTrips {
    /// RTCP that goes from this side, 0 or 1, to the other one; `now` in nanoseconds.
    pub fn follow(&mut self, now: u64, from: usize, datagram: &[u8]) {
        let Ok(rtcp) = Rtcp::new_checked(datagram) else {
            return;
        };
        let [a, b] = &mut self.0;
        let (own, other) = match from {
            0 => (a, b),
            _ => (b, a),
        };
        for packet in rtcp.packets() {
            if let Some(info) = packet.sender_info() {
                own.noted.rotate_right(1);
                own.noted[0] = Some(((info.ntp >> 16) as u32, now));
            }
            for block in packet.reports().filter(|block| block.last_sr != 0) {
                let mut noted = other.noted.iter().flatten();
                let Some((_, at)) = noted.find(|(middle, _)| *middle == block.last_sr) else {
                    continue;
                };
                let kept = (u64::from(block.delay) * 1_000_000_000) >> 16;
                // Less than nothing: it does not know how long it has kept it.
                if let Some(taken) = now.checked_sub(at + kept) {
                    own.trip.observe(Duration::from_nanos(taken));
                }
            }
        }
    }

    /// To each peer.
    #[must_use]
    pub fn values(&self) -> [Option<Duration>; 2] {
        self.0.map(|side| side.trip.value())
    }
}

/// One way through the network, from one peer to the other by us: half of what is known of both ways there and back. A side of which nothing is
/// known is reckoned with as if it were here.
#[must_use]
pub fn one_way(round_trips: [Option<Duration>; 2]) -> Duration {
    round_trips.into_iter().flatten().sum::<Duration>() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A report of this sender with one block about whoever sent `last_sr`, which it has had for so many milliseconds.
    fn report(ntp: u64, last_sr: u32, kept: u64) -> Vec<u8> {
        let mut bytes = vec![0x81, 200, 0, 12, 0, 0, 0, 9];
        bytes.extend(ntp.to_be_bytes());
        bytes.extend([0; 12 + 16]);
        bytes.extend(last_sr.to_be_bytes());
        bytes.extend(((kept * 65_536 / 1000) as u32).to_be_bytes());
        bytes
    }

    fn middle(ntp: u64) -> u32 {
        (ntp >> 16) as u32
    }

    #[test]
    fn each_peer_is_timed_by_the_others_reports() {
        let mut trips = RoundTrips::default();
        let (of_a, of_b) = (0x1234_5678_9abc_def0, 0x8765_4321_0fed_cba9);
        trips.follow(0, 0, &report(of_a, 0, 0));
        assert_eq!(trips.values(), [None, None]);
        // 20 ms to B and back, which had it for 500; and 60 ms to A and back.
        trips.follow(520 * MS, 1, &report(of_b, middle(of_a), 500));
        trips.follow(
            1_580 * MS,
            0,
            &report(of_a + (1 << 32), middle(of_b), 1_000),
        );
        let ms = trips.values().map(|trip| trip.unwrap().as_millis());
        assert_eq!(ms, [60, 20]);
        // The mean moves by an eighth: 28 ms are 8 more.
        trips.follow(2_000 * MS, 1, &report(of_b, middle(of_a + (1 << 32)), 392));
        assert_eq!(trips.values()[1].unwrap().as_millis(), 21);
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let mut trips = RoundTrips::default();
        let ntp = 0x1234_5678_9abc_def0;
        trips.follow(0, 0, &report(ntp, 0, 0));
        // It had it before it was sent; it names none of ours; it took too long; it is none.
        trips.follow(500 * MS, 1, &report(1, middle(ntp), 501));
        trips.follow(500 * MS, 1, &report(1, middle(ntp) + 1, 0));
        trips.follow(10_001 * MS, 1, &report(1, middle(ntp), 0));
        trips.follow(1, 1, &[0x81, 200, 0, 1]);
        assert_eq!(trips.values(), [None, None]);
        // The one before the last may still be spoken of, no older one.
        for n in 1..=2 {
            trips.follow(n, 0, &report(ntp + (n << 32), 0, 0));
        }
        trips.follow(30 * MS, 1, &report(1, middle(ntp), 0));
        assert_eq!(trips.values(), [None, None]);
        trips.follow(30 * MS, 1, &report(1, middle(ntp + (1 << 32)), 0));
        assert!(trips.values()[1].is_some());
    }

    #[test]
    fn one_way_is_half_of_both() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(one_way([ms(40), ms(200)]), Duration::from_millis(120));
        assert_eq!(one_way([None, ms(200)]), Duration::from_millis(100));
        assert_eq!(one_way([None, None]), Duration::ZERO);
    }
}
