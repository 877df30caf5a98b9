//! What can be wrong with a config file, and how a person reads it.

use std::fmt;
use std::ops::Range;

use super::prefixes::PrefixFault;
use super::render;
use super::secrets::NoSecret;

/// How many problems are kept; the others are counted.
pub(super) const MAX_PROBLEMS: usize = 20;

/// All that is wrong with a config file, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    problems: Vec<Problem>,
    omitted: usize,
}

impl Errors {
    /// Those that are told, in the order of the file: at least one, at most twenty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many more there were.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        if self.omitted > 0 {
            write!(f, "\n\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// One thing that is wrong, and where. Displays as a compiler would; a password is never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// As the caller named the file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub fault: Fault,
    /// What would be right.
    pub help: Option<String>,
    pub(super) excerpt: render::Excerpt,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            file, line, column, ..
        } = self;
        write!(f, "{file}:{line}:{column}: error: {}", self.fault)?;
        self.excerpt.write(f, *line)?;
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// What is wrong at one place. Values of unknown keys and of passwords are never in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// More text than a config may have.
    #[error("the file has {found} bytes, expected at most {limit}")]
    TooLong {
        /// Bytes.
        found: usize,
        /// Bytes.
        limit: usize,
    },
    /// A key that the section does not have.
    #[error("unknown key `{key}` in {place}, expected {expected}")]
    UnknownKey {
        /// As written.
        key: String,
        /// The section.
        place: String,
        /// Its keys, in words.
        expected: String,
    },
    /// A key that the section must have.
    #[error("{place} has no `{key}`, which is required")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The section.
        place: String,
    },
    /// A number where a text is expected, and the like.
    #[error("{what}: found {found}, expected {expected}")]
    Type {
        /// The key or section.
        what: String,
        /// The TOML type.
        found: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A value that means nothing to us.
    #[error("{key}: found `{found}`, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// As written, shortened.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// An empty list.
    #[error("{key}: found an empty list, expected at least one {expected}")]
    Empty {
        /// The key.
        key: &'static str,
        /// Of what.
        expected: &'static str,
    },
    /// The same twice in one list, or two routes of one name.
    #[error("{key}: `{found}` is there twice")]
    Twice {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
    },
    /// A name with other characters than a name may have.
    #[error("{what}: found the name `{found}`, expected 1 to 64 of A-Z a-z 0-9 _ . + -")]
    Name {
        /// What is so called.
        what: &'static str,
        /// As written, shortened.
        found: String,
    },
    /// A reference to something that the file does not have.
    #[error("{key}: there is no {kind} `{name}`")]
    NoSuch {
        /// The key.
        key: &'static str,
        /// `network`, `trunk`, `phone` or `group`.
        kind: &'static str,
        /// As written.
        name: String,
    },
    /// `interface` and `address`, or neither.
    #[error("{place} has {found}, expected exactly one of `interface` and `address`")]
    Bind {
        /// The section.
        place: String,
        /// `both` or `neither`.
        found: &'static str,
    },
    /// A secret that is elsewhere could not be had.
    #[error("{key}: {source_name} {failure}")]
    Secret {
        /// What it is for.
        key: &'static str,
        /// The variable or file, in words.
        source_name: String,
        /// Why not.
        failure: NoSecret,
    },
    /// A token that can be guessed, or cannot be said in a header.
    #[error("admin_token: expected at least {least} visible ASCII characters")]
    Token {
        /// How many.
        least: usize,
    },
    /// Nobody has to say who he is before he listens in.
    #[error("payload: whoever can run a program on this host could listen in to every call")]
    OpenPayload,
    /// A table of prefixes could not be had.
    #[error("number: file `{file}` {failure}")]
    Table {
        /// As written.
        file: String,
        /// Why not.
        failure: NoSecret,
    },
    /// A table of prefixes is wrong.
    #[error("number: file `{file}` {fault}")]
    Prefixes {
        /// As written.
        file: String,
        /// What is wrong.
        fault: PrefixFault,
    },
    /// More of a kind than an id can count.
    #[error("found {found} {kind}, expected at most {limit}")]
    TooMany {
        /// In the plural.
        kind: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Not one network: the box would listen nowhere.
    #[error("the file has no network, expected at least one `[network.NAME]`")]
    NoNetwork,
    /// Two parts that are right each for itself, but not together.
    #[error("{0}")]
    Conflict(Conflict),
}

/// What two parts of the config cannot both have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// One socket for two networks.
    #[error("networks `{first}` and `{second}` both listen on {listener} at {place}")]
    Listener {
        /// The one that stands first.
        first: String,
        /// The other one.
        second: String,
        /// As `udp:5060`.
        listener: String,
        /// The address or interface.
        place: String,
    },
    /// One media port for two networks.
    #[error(
        "networks `{first}` and `{second}` share {place}, and their media ports {ours} and {theirs} overlap"
    )]
    MediaPorts {
        /// The one that stands first.
        first: String,
        /// The other one.
        second: String,
        /// The address or interface.
        place: String,
        /// Range of the other one.
        ours: String,
        /// Range of the first one.
        theirs: String,
    },
    /// SIP in the middle of media: what is no flow is dropped there.
    #[error(
        "SIP of network `{network}` on {listener} is among the media ports {range} of network `{owner}`"
    )]
    SipAmongMedia {
        /// Whose SIP.
        network: String,
        /// As `udp:5060`.
        listener: String,
        /// Media ports.
        range: String,
        /// Whose media ports.
        owner: String,
    },
    /// HTTP and SIP on one port.
    #[error("admin {admin} is where network `{network}` listens for SIP")]
    Admin {
        /// The address.
        admin: String,
        /// Whose SIP.
        network: String,
    },
    /// Whoever reaches the API may use it.
    #[error("admin {admin} can be reached from other hosts, and there is no `admin_token`")]
    OpenAdmin {
        /// The address.
        admin: String,
    },
    /// No address of ours can reach the trunk.
    #[error("server: found an {family} address, but network `{network}` has no {family} address")]
    Family {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The trunk's network.
        network: String,
    },
    /// Nothing to put into Via and Contact.
    #[error(
        "server: its transport is {transport}, but network `{network}` does not listen on {transport}"
    )]
    Transport {
        /// `udp` or `tcp`.
        transport: &'static str,
        /// The trunk's network.
        network: String,
    },
    /// An address that none of ours stands behind.
    #[error("external: found an {family} address, but network `{network}` has no {family} address")]
    ExternalFamily {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// Its name.
        network: String,
    },
    /// STUN leaves from where SIP does.
    #[error("external: STUN goes over UDP, which network `{network}` does not listen on")]
    StunOverUdp {
        /// Its name.
        network: String,
    },
    /// `auto`, and nobody to learn it from.
    #[error(
        "external: network `{network}` has neither `stun` nor a trunk that could tell its address"
    )]
    NobodyTells {
        /// Its name.
        network: String,
    },
    /// A trunk that is ourselves.
    #[error("server: {server} is the box itself, in network `{network}`")]
    Ourselves {
        /// Its address.
        server: String,
        /// Where we listen there.
        network: String,
    },
}

/// Takes problems while the file is read, and makes [`Errors`] of them.
pub(super) struct Report {
    found: Vec<(Range<usize>, Fault, Option<String>)>,
    omitted: usize,
}

impl Report {
    pub(super) fn new() -> Self {
        Report {
            found: Vec::new(),
            omitted: 0,
        }
    }

    pub(super) fn add(&mut self, at: Range<usize>, fault: Fault) {
        self.add_with(at, fault, None);
    }

    pub(super) fn add_with(&mut self, at: Range<usize>, fault: Fault, help: Option<String>) {
        if self.found.len() < MAX_PROBLEMS {
            self.found.push((at, fault, help));
        } else {
            self.omitted += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The first problem in a line: for what is told elsewhere.
    pub(super) fn first_words(self) -> String {
        match self.found.into_iter().next() {
            Some((_, fault, Some(help))) => format!("{fault}; {help}"),
            Some((_, fault, None)) => fault.to_string(),
            None => String::new(),
        }
    }

    /// In the order of the file.
    pub(super) fn into_errors(mut self, text: &str, file: &str) -> Errors {
        self.found.sort_by_key(|(at, ..)| at.start);
        let problems = self
            .found
            .into_iter()
            .map(|(at, fault, help)| {
                let (line, column) = render::position(text, at.start);
                let syntax = matches!(fault, Fault::Syntax(_));
                let whole = matches!(
                    fault,
                    Fault::NoNetwork | Fault::TooMany { .. } | Fault::TooLong { .. }
                );
                Problem {
                    file: file.to_owned(),
                    line,
                    column,
                    excerpt: render::Excerpt::new(if whole { "" } else { text }, at, syntax),
                    fault,
                    help,
                }
            })
            .collect();
        Errors {
            problems,
            omitted: self.omitted,
        }
    }
}

/// The name among `known` that `found` is probably meant to be.
pub(crate) fn nearest<'n>(
    found: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if found.len() > 64 {
        return None;
    }
    let lower = found.to_ascii_lowercase();
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_ascii_lowercase()),
                name,
            )
        })
        // A third of the letters may be wrong, and one in a short name.
        .filter(|&(distance, name)| distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// What a person wrote, short enough for a line: up to the first control character, which might move the cursor.
pub(super) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    let mut short: String = text
        .chars()
        .take(LIMIT)
        .take_while(|c| !c.is_control())
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
