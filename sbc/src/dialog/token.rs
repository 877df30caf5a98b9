//! Names that must not be guessed: tags, Call-IDs, branches.

use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::net::IpAddr;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// RFC 3261 8.1.1.7.
pub const MAGIC: &str = "z9hG4bK";

/// How many characters of a branch of ours are random; a mark of eight follows.
const BRANCH_RANDOM: usize = 24;

/// Makes tags, Call-IDs and branches out of a seed: the same seed gives the same names.
pub struct Tokens {
    random: ChaCha12Rng,
    mark: [u8; 16],
}

impl Tokens {
    /// `seed` must be secret and new at each start.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let mut mark = [0; 16];
        random.fill_bytes(&mut mark);
        Tokens { random, mark }
    }

    /// A From or To tag: 80 random bits (RFC 3261 19.3 wants 32).
    pub fn tag(&mut self) -> String {
        self.hex(20)
    }

    /// A Call-ID without a host: 128 random bits.
    pub fn call_id(&mut self) -> String {
        self.hex(32)
    }

    /// A number that was never given before, as far as 64 bits go.
    pub fn number(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// Where CSeq starts: below 2^31 with room to count (RFC 3261 8.1.1.5).
    pub fn cseq(&mut self) -> u32 {
        self.random.next_u32() >> 12
    }

    /// A branch for a request to `uri`. If that very request comes back, [`Tokens::is_mine`] says so.
    pub fn branch(&mut self, uri: &str) -> String {
        let mut branch = String::with_capacity(MAGIC.len() + BRANCH_RANDOM + 8);
        branch.push_str(MAGIC);
        branch.push_str(&self.hex(BRANCH_RANDOM));
        let mark = self.mark(&branch, uri);
        let _ = write!(branch, "{mark:08x}");
        branch
    }

    /// As [`Tokens::branch`], for a request that `cause` has led to: where it came from and what it asked for, say. It is known
    /// again by that, too.
    pub fn branch_because(&mut self, uri: &str, cause: &str) -> String {
        let mut branch = self.branch(uri);
        let head = branch.get(..MAGIC.len() + BRANCH_RANDOM);
        let mark = self.mark(head.unwrap_or_default(), cause);
        let _ = write!(branch, "{mark:08x}");
        branch
    }

    /// Whether `branch` was made here for a request to this same `uri`, or for this same cause: a loop (RFC 3261 16.3, item 4).
    /// A request that came back with another Request-URI is a spiral, and legal.
    #[must_use]
    pub fn is_mine(&self, branch: &str, about: &str) -> bool {
        let Some((head, marks)) = branch.split_at_checked(MAGIC.len() + BRANCH_RANDOM) else {
            return false;
        };
        let mark = format!("{:08x}", self.mark(head, about));
        matches!(marks.len(), 8 | 16) && marks.as_bytes().chunks(8).any(|m| m == mark.as_bytes())
    }

    /// A tag for an answer that leaves no state behind: the same for each copy of the same request.
    #[must_use]
    pub fn stateless_tag(&self, branch: &str, call_id: &str) -> String {
        format!(
            "{:08x}{:08x}",
            self.mark(branch, call_id),
            self.mark(call_id, branch)
        )
    }

    /// A tag for an answer to this source that leaves no state behind, whose ACK is to prove that it got there: whatever branch the ACK has.
    #[must_use]
    pub fn proving_tag(&self, source: IpAddr, call_id: &str) -> String {
        let source = source.to_canonical().to_string();
        format!(
            "{:08x}{:08x}",
            self.mark(&source, call_id),
            self.mark(call_id, &source)
        )
    }

    fn mark(&self, one: &str, two: &str) -> u32 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(&self.mark);
        hasher.write(one.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(two.as_bytes());
        hasher.write(&self.mark);
        // Half of it: a mark tells friend from accident, it is no proof.
        (hasher.finish() >> 32) as u32
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.random.next_u64());
        }
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_every_name() {
        let (mut one, mut two) = (Tokens::new([7; 32]), Tokens::new([7; 32]));
        let mut other = Tokens::new([8; 32]);
        let tag = one.tag();
        assert_eq!(tag, two.tag());
        assert_ne!(tag, other.tag());
        assert_ne!(tag, one.tag());
        assert_eq!(tag.len(), 20);
        assert_eq!(one.call_id().len(), 32);
        assert!(one.cseq() < 1 << 20);
        let numbers: std::collections::BTreeSet<_> = (0..100).map(|_| one.number()).collect();
        assert_eq!(numbers.len(), 100);
    }

    #[test]
    fn an_answer_without_state_has_the_tag_of_its_request() {
        let tokens = Tokens::new([1; 32]);
        let tag = tokens.stateless_tag("z9hG4bK1", "c");
        assert_eq!(
            (tag.len(), tokens.stateless_tag("z9hG4bK1", "c")),
            (16, tag.clone())
        );
        assert_ne!(tag, tokens.stateless_tag("z9hG4bK2", "c"));
        assert_ne!(tag, tokens.stateless_tag("z9hG4bK1", "d"));
        assert_ne!(tag, Tokens::new([2; 32]).stateless_tag("z9hG4bK1", "c"));
    }

    #[test]
    fn a_branch_is_known_again_for_its_own_uri_only() {
        let mut tokens = Tokens::new([1; 32]);
        let branch = tokens.branch("sip:1@h");
        assert!(branch.starts_with("z9hG4bK"));
        assert!(tokens.is_mine(&branch, "sip:1@h"));
        assert!(!tokens.is_mine(&branch, "sip:2@h"));
        assert!(!tokens.is_mine("z9hG4bK-other", "sip:1@h"));
        assert!(!tokens.is_mine("z9hG4bKäööööööööööööööööööööööööö", "sip:1@h"));
        assert!(!Tokens::new([2; 32]).is_mine(&branch, "sip:1@h"));
        let branch = tokens.branch_because("sip:1@h", "from a");
        assert!(tokens.is_mine(&branch, "sip:1@h"));
        assert!(tokens.is_mine(&branch, "from a"));
        assert!(!tokens.is_mine(&branch, "from b"));
        assert!(!tokens.is_mine(&format!("{branch}0"), "from a"));
    }
}
