//! How speech sounds that comes in with so much loss and jitter: the E-model (ITU-T G.107) with its default values, so that loss (G.113),
//! and delay as far as it is known, are all that takes something away.

use std::time::Duration;

/// The best rating that narrow-band speech has with all defaults of G.107.
const BEST: f64 = 93.2;
/// G.113, Appendix I: how well G.711 with concealment (its Appendix I) stands random loss, in percent.
const ROBUSTNESS: f64 = 25.1;
/// What a packet waits to be filled.
const PACKET: Duration = Duration::from_millis(20);
/// From here on a conversation suffers from delay alone, in milliseconds.
const NOTICED: f64 = 177.3;

/// What came in of a leg's speech.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speech {
    /// Packets that came.
    pub packets: u64,
    /// Packets that did not.
    pub lost: u64,
    /// RFC 3550.
    pub jitter: Duration,
    /// One way through the network, as far as it is known: [`super::one_way`].
    pub delay: Duration,
}

/// The mean opinion score, 1 (bad) to 4.5: of G.711, and of G.722 as if it were that. A far end's buffer is reckoned with at twice the jitter. None if
/// nothing came.
///
/// The wider band of G.722 is given no credit, as this scale has none to give. That of G.107.1 has: R goes up to 129 there, 13 less for G.722 at
/// 64 kbit/s (G.113), and R / 1.29 makes the score. But G.711 is worth 3.7 at best there, 4.4 here, G.722 4.3: one threshold would not fit both, or the better
/// sound would have the lower score. And how G.722 stands loss is not published for it (G.113 has that of a few modes of G.722.2): what the far decoder
/// makes of it we do not know.
#[must_use]
pub fn mos(speech: &Speech) -> Option<f64> {
    (speech.packets > 0).then(|| of_rating(rating(speech)))
}

/// The transmission rating R of G.107.
fn rating(speech: &Speech) -> f64 {
    let (packets, lost) = (speech.packets as f64, speech.lost as f64);
    let loss = 100.0 * lost / (packets + lost).max(1.0);
    let equipment = 95.0 * loss / (loss + ROBUSTNESS);
    let buffer = speech.jitter.saturating_mul(2);
    let delay = speech.delay.saturating_add(buffer).saturating_add(PACKET);
    let delay = 1000.0 * delay.as_secs_f64();
    // The usual straight lines for Idd of G.107.
    let delayed = 0.024 * delay + 0.11 * (delay - NOTICED).max(0.0);
    BEST - equipment - delayed
}

/// G.107, Annex B.
fn of_rating(r: f64) -> f64 {
    match r {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        // The curve dips below 1 for the very worst.
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(packets: u64, lost: u64, jitter: u64, delay: u64) -> f64 {
        let speech = Speech {
            packets,
            lost,
            jitter: Duration::from_millis(jitter),
            delay: Duration::from_millis(delay),
        };
        (100.0 * mos(&speech).unwrap()).round() / 100.0
    }

    #[test]
    fn the_curve_of_annex_b() {
        // The values of its table for R = 90, 80, 70, 60, 50.
        let rounded = |r: f64| (100.0 * of_rating(r)).round() / 100.0;
        let scores = [90.0, 80.0, 70.0, 60.0, 50.0].map(rounded);
        assert_eq!(scores, [4.34, 4.02, 3.6, 3.1, 2.58]);
        assert_eq!(
            [of_rating(-5.0), of_rating(3.0), of_rating(101.0)],
            [1.0, 1.0, 4.5]
        );
    }

    #[test]
    fn loss_jitter_and_delay_take_something_away() {
        assert_eq!(mos(&Speech::default()), None);
        assert_eq!(of(1000, 0, 0, 0), 4.4);
        assert_eq!(of(990, 10, 0, 0), 4.32);
        assert_eq!(of(950, 50, 0, 0), 3.9);
        assert_eq!(of(800, 200, 0, 0), 2.61);
        assert_eq!(of(1, 999_999, 0, 0), 1.16);
        assert!(of(1000, 0, 100, 0) < of(1000, 0, 10, 0));
        assert!(of(1000, 0, 0, 400) < 3.9);
        assert_eq!(of(u64::MAX, u64::MAX, 0, 0), of(100, 100, 0, 0));
    }
}
