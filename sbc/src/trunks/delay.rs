//! How long one waits, with jitter: what failed together is not to come again together.

use std::time::Duration;

use crate::dialog::Tokens;

/// How the time between tries grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
}

impl Backoff {
    /// No answer, or one that says that it is the other side's trouble.
    pub(super) const TROUBLE: Backoff = Backoff::new(4, 240);
    /// A refusal: it takes a person to mend it, and carriers ban who insists.
    pub(super) const REFUSED: Backoff = Backoff::new(60, 900);

    const fn new(first: u64, most: u64) -> Backoff {
        Backoff {
            first: Duration::from_secs(first),
            most: Duration::from_secs(most),
        }
    }

    /// After so many failures in a row, this one included: twice the time before, and of that half at random (RFC 5626 4.5).
    pub(super) fn after(self, failures: u32, tokens: &mut Tokens) -> Duration {
        let doubled = failures.saturating_sub(1).min(16);
        let longest = self.first.saturating_mul(1 << doubled).min(self.most);
        between(tokens, longest / 2, longest)
    }
}

/// A time from `least` to `most`, any of them as likely as any other.
pub(super) fn between(tokens: &mut Tokens, least: Duration, most: Duration) -> Duration {
    let span = most.saturating_sub(least).as_millis() as u64;
    least + Duration::from_millis(tokens.number() % (span + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_doubles_up_to_its_bound_and_is_never_less_than_half() {
        let mut tokens = Tokens::new([3; 32]);
        for backoff in [Backoff::TROUBLE, Backoff::REFUSED] {
            let mut seen = Vec::new();
            for failures in 1..40 {
                let longest = backoff.first * 2_u32.saturating_pow(failures - 1).min(1 << 16);
                let longest = longest.min(backoff.most);
                let delay = backoff.after(failures, &mut tokens);
                assert!(
                    (longest / 2..=longest).contains(&delay),
                    "{failures}: {delay:?}"
                );
                seen.push(delay);
            }
            seen.dedup();
            assert!(seen.len() > 30, "{seen:?}");
        }
        let same = Duration::from_secs(1);
        assert_eq!(between(&mut tokens, same, same), same);
    }
}
