//! Decisions over very many routes, and over a table of very many prefixes, beside a look at one after the other.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, From, NoSecret, PhoneId, Secrets};
use sbc::routing::{Caller, Circumstances, route};

/// Routes of the first config.
pub const ROUTES: usize = 10_000;
/// Prefixes of the second.
pub const PREFIXES: usize = 100_000;
/// Regular expressions of the third, beside as many routes as the first has.
pub const EXPRESSIONS: usize = 20;
/// Numbers that are asked about in turn.
const NUMBERS: usize = 4096;
const PHONE: Caller = Caller::Phone(PhoneId(0));

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Among routes with patterns of their own.
    Routes,
    /// The same, with regular expressions before the last one.
    Expressions,
    /// By the longest prefix in a table.
    Prefixes,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Not at all: what the loop costs.
    Nothing,
    /// As the box does.
    Index,
    /// One after the other.
    Scan,
}

impl Over {
    /// All of them.
    pub const ALL: [Over; 3] = [Over::Routes, Over::Expressions, Over::Prefixes];

    fn name(self) -> &'static str {
        match self {
            Over::Routes => "routes",
            Over::Expressions => "expressions",
            Over::Prefixes => "prefixes",
        }
    }
}

impl Way {
    const ALL: [Way; 3] = [Way::Nothing, Way::Index, Way::Scan];

    fn name(self) -> &'static str {
        match self {
            Way::Nothing => "nothing",
            Way::Index => "index",
            Way::Scan => "scan",
        }
    }
}

/// How a piece of work is called on the command line: `route-prefixes-index`.
#[must_use]
pub fn word(over: Over, way: Way) -> String {
    format!("route-{}-{}", over.name(), way.name())
}

/// Does what a word says, so many times.
///
/// # Errors
/// There is no such work.
pub fn work(wanted: &str, times: u32) -> Result<()> {
    let all = Over::ALL
        .into_iter()
        .flat_map(|over| Way::ALL.map(|way| (over, way)));
    let (over, way) = all
        .into_iter()
        .find(|(over, way)| word(*over, *way) == wanted)
        .with_context(|| format!("no such step: {wanted}"))?;
    Decisions::new(over)?.decide(way, times);
    Ok(())
}

/// A config, and numbers to ask about.
pub struct Decisions {
    config: Config,
    prefixes: Vec<String>,
    numbers: Vec<String>,
}

struct Table(String);

impl Secrets for Table {
    fn env(&self, _: &str) -> Result<String, NoSecret> {
        Err(NoSecret::Absent)
    }

    fn file(&self, _: &std::path::Path) -> Result<String, NoSecret> {
        Ok(self.0.clone())
    }
}

const HEAD: &str = r#"
[network.x]
address = "192.0.2.1"
[trunk.a]
network = "x"
server = "sip:198.51.100.1"
[trunk.b]
network = "x"
server = "sip:198.51.100.2"
[phone.6001]
password = "x"
"#;

impl Decisions {
    /// Makes a config of this kind, the same each time.
    ///
    /// # Errors
    /// It is refused: a mistake of ours.
    pub fn new(over: Over) -> Result<Decisions> {
        let mut random = ChaCha8Rng::from_seed([7; 32]);
        let mut below = |limit: usize| random.next_u32() as usize % limit;
        let mut text = HEAD.to_owned();
        let (mut prefixes, mut numbers) = (Vec::new(), Vec::new());
        let mut table = String::new();
        if over == Over::Prefixes {
            let mut known = std::collections::BTreeSet::new();
            while known.len() < PREFIXES {
                let digits = 3 + below(7);
                let first = 1 + below(9);
                known.insert(
                    (0..digits).fold(first.to_string(), |all, _| all + &below(10).to_string()),
                );
            }
            prefixes = known.into_iter().collect();
            for (at, prefix) in prefixes.iter().enumerate() {
                let trunk = if at % 3 == 0 { "a" } else { "b" };
                let _ = writeln!(table, "{prefix},trunk:{trunk}");
            }
            text += "[[route]]\nfrom = \"phone:*\"\nnumber = { file = \"table\" }\n";
            for _ in 0..NUMBERS {
                let prefix = &prefixes[below(prefixes.len())];
                numbers.push(format!("+{prefix}{:05}", below(100_000)));
            }
        } else {
            for at in 0..ROUTES - 1 {
                if over == Over::Expressions && at >= ROUTES - 1 - EXPRESSIONS {
                    let _ = writeln!(
                        text,
                        "[[route]]\nfrom = \"phone:*\"\nto = \"trunk:a\"\nnumber = '/^\\*{at}(\\d+)#$/'"
                    );
                    continue;
                }
                let number = match at % 4 {
                    0 => format!("+49{at:05}X."),
                    1 => format!("00{at:05}NXX!"),
                    2 => format!("{at:05}XXXX"),
                    _ => format!("+1{at:05}[2-57]XX."),
                };
                let from = if at % 10 == 0 {
                    "phone:6001"
                } else {
                    "phone:*"
                };
                let _ = writeln!(
                    text,
                    "[[route]]\nfrom = \"{from}\"\nto = \"trunk:a\"\nnumber = \"{number}\""
                );
            }
            text += "[[route]]\nfrom = \"phone:*\"\nto = \"trunk:b\"\n";
            for _ in 0..NUMBERS {
                let at = below(ROUTES);
                numbers.push(match at % 4 {
                    0 => format!("+49{at:05}1234"),
                    1 => format!("00{at:05}5123"),
                    2 => format!("{at:05}1234"),
                    // Some lead to the last route only.
                    _ => format!("+1{at:05}{}123", 2 + below(6)),
                });
            }
        }
        let config = Config::parse(&text, "bench", &Table(table))
            .map_err(|errors| anyhow!("the bench's config: {errors}"))?;
        let decisions = Decisions {
            config,
            prefixes,
            numbers,
        };
        decisions.check()?;
        Ok(decisions)
    }

    /// Both ways come to the same.
    fn check(&self) -> Result<()> {
        for number in self.numbers.iter().take(64) {
            let indexed = self.indexed(number).map(|(route, _)| route);
            ensure!(indexed == self.scanned(number), "{number}: {indexed:?}");
        }
        Ok(())
    }

    /// Asks about as many numbers, this way.
    pub fn decide(&self, way: Way, times: u32) {
        for (number, _) in self.numbers.iter().cycle().zip(0..times) {
            let number = black_box(number);
            match way {
                Way::Nothing => {}
                Way::Index => drop(black_box(self.indexed(number))),
                Way::Scan => drop(black_box(self.scanned(number))),
            }
        }
    }

    /// Nanoseconds of one decision: the least of several rounds.
    #[must_use]
    pub fn nanoseconds(&self, way: Way, times: u32) -> f64 {
        const ROUNDS: usize = 7;
        let rounds = (0..ROUNDS).map(|_| {
            let began = Instant::now();
            self.decide(way, times);
            began.elapsed().as_nanos() as f64 / f64::from(times)
        });
        rounds.fold(f64::INFINITY, f64::min)
    }

    fn indexed(&self, number: &str) -> Option<(usize, usize)> {
        let decision = route(&self.config, PHONE, number, Circumstances::default()).ok()?;
        Some((decision.route.index(), decision.steps.len()))
    }

    fn scanned(&self, number: &str) -> Option<usize> {
        self.config.routes.iter().position(|route| {
            let is_for = |from: &From| matches!(from, From::AnyPhone | From::Phone(PhoneId(0)));
            route.from.iter().any(is_for)
                && if route.prefixes.is_some() {
                    let digits = number.trim_start_matches('+');
                    let fits = self
                        .prefixes
                        .iter()
                        .filter(|p| digits.starts_with(p.as_str()));
                    fits.max_by_key(|prefix| prefix.len()).is_some()
                } else {
                    route.number.is_empty() || route.number.iter().any(|p| p.matches(number))
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_work_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<String> = Over::ALL
            .into_iter()
            .flat_map(|over| Way::ALL.map(|way| word(over, way)))
            .collect();
        assert_eq!(words.len(), 9);
        assert!(work("route-nowhere", 1).is_err());
    }
}
