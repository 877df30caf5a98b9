//! A user agent: how it behaves, and what it can be asked to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore as _;

use super::dialog::{Dialog, State};
use super::media::{Change, Media};
use super::setup::Incoming;
use super::transact::{Asked, Todo, Unacked, Why};

/// What an agent says of 100rel when it calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliable {
    /// Nothing.
    #[default]
    No,
    /// Supported.
    Supported,
    /// Require.
    Required,
}

/// What it wants of session timers.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// Seconds: what it asks for, or agrees to if it is less.
    pub interval: u32,
    /// Seconds: what it takes at least.
    pub least: u32,
    /// It refreshes, if it may choose.
    pub refreshes: bool,
    /// It agrees to refresh and then does not.
    pub forgets: bool,
}

/// Asks for a password.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// 401 or 407.
    pub code: u16,
    /// For these methods.
    pub methods: &'static [&'static str],
    /// The right one, of `acct`.
    pub password: &'static str,
}

/// Something that is said to an INVITE.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// ms after the INVITE came.
    pub after: u64,
    /// In which dialog.
    pub tag: &'static str,
    /// Which answer.
    pub code: u16,
    /// With SDP.
    pub describes: bool,
    /// Wants a PRACK, if the caller knows that.
    pub reliable: bool,
    /// Its media is another one from now on.
    pub change: Option<Change>,
}

impl Step {
    /// Says this so many ms after the INVITE; with SDP if it is a 200.
    #[must_use]
    pub fn says(after: u64, code: u16) -> Step {
        Step {
            after,
            tag: "a",
            code,
            describes: (200..300).contains(&code),
            reliable: false,
            change: None,
        }
    }

    /// In another dialog.
    #[must_use]
    pub fn of(self, tag: &'static str) -> Step {
        Step { tag, ..self }
    }

    /// With SDP or without.
    #[must_use]
    pub fn sdp(self, describes: bool) -> Step {
        Step { describes, ..self }
    }

    /// And wants a PRACK for it, or does not.
    #[must_use]
    pub fn prack(self, reliable: bool) -> Step {
        Step { reliable, ..self }
    }

    /// Its media is another one from now on.
    #[must_use]
    pub fn moves(self, change: Change) -> Step {
        Step {
            change: Some(change),
            ..self
        }
    }
}

/// How an agent behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    /// What it says when it is called.
    pub steps: Vec<Step>,
    /// Its calls come without an offer.
    pub is_late: bool,
    /// 100rel in its calls.
    pub reliable: Reliable,
    /// Its first PRACK offers other media.
    pub pracks_with: Option<Change>,
    /// It says that it takes UPDATE.
    pub updates: bool,
    /// It knows session timers.
    pub timer: Option<Timer>,
    /// Methods that it refuses inside dialogs, and how. Of INVITE and UPDATE only what changes something.
    pub refuses: BTreeMap<&'static str, u16>,
    /// Whom it proves to be.
    pub account: Option<(&'static str, &'static str)>,
    /// What it wants proven.
    pub challenge: Option<Challenge>,
    /// Sends every call here, with a 302.
    pub moved_to: Option<&'static str>,
    /// So many of its ACKs to 200 are lost for certain.
    pub loses_acks: u32,
    /// So many ACKs to its 200 do not reach it.
    pub ignores_acks: u32,
    /// What its media is like at first.
    pub media: Option<Change>,
    /// Further lines of its calls, each with its end.
    pub lines: &'static str,
    /// Max-Forwards of its calls.
    pub forwards: u32,
    /// Calls are sent back to the box, to this number: it is a proxy that stays in their way, its media relayed, and keeps no state.
    pub sends_back: Option<&'static str>,
    /// Switches streams of this kind off that others offer.
    pub declines: Option<&'static str>,
    /// What is answered it asks again, at once.
    pub insists: bool,
    /// Answers 488 to re-INVITEs that want an offer of it.
    pub makes_no_late_offer: bool,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            steps: vec![Step::says(20, 180), Step::says(500, 200)],
            is_late: false,
            reliable: Reliable::No,
            pracks_with: None,
            updates: false,
            timer: None,
            refuses: BTreeMap::new(),
            account: None,
            challenge: None,
            moved_to: None,
            loses_acks: 0,
            ignores_acks: 0,
            media: None,
            lines: "",
            forwards: 70,
            sends_back: None,
            declines: None,
            insists: false,
            makes_no_late_offer: false,
        }
    }
}

/// A user agent.
pub struct Agent {
    /// Where it is.
    pub address: SocketAddr,
    /// How it behaves.
    pub manner: Manner,
    /// All its dialogs, the first ones first.
    pub dialogs: Vec<Dialog>,
    /// What came: requests with the first line of what they say, `183+` with SDP and `183!` if acknowledged, and final answers to what it has asked.
    pub heard: Vec<String>,
    /// Headers of the last request of each method.
    pub requests: BTreeMap<String, crate::heard::Heard>,
    /// How often a session of its was refreshed, by either side.
    pub refreshes: usize,
    /// What seemed wrong.
    pub wrong: Vec<String>,
    /// It says nothing any more.
    pub is_dead: bool,
    /// It sends no media while time goes by.
    pub is_mute: bool,
    pub(super) ours: SocketAddr,
    pub(super) out: Vec<Vec<u8>>,
    pub(super) number: usize,
    pub(super) count: u64,
    pub(super) nonces: u32,
    pub(super) random: ChaCha12Rng,
    pub(super) asked: Vec<Asked>,
    pub(super) unacked: Vec<Unacked>,
    pub(super) answers: BTreeMap<(String, String), Vec<u8>>,
    pub(super) acks: BTreeMap<(String, u32, String), Vec<u8>>,
    pub(super) incoming: Vec<Incoming>,
    pub(super) todo: Vec<(Instant, Todo)>,
    /// Offers that wait for what is under way.
    pub(super) waiting: VecDeque<Todo>,
    /// Branches of INVITEs that it has sent back.
    pub(super) sent_back: BTreeSet<String>,
}

impl Agent {
    pub(super) fn new(
        number: usize,
        address: SocketAddr,
        ours: SocketAddr,
        random: ChaCha12Rng,
    ) -> Agent {
        Agent {
            address,
            manner: Manner::default(),
            dialogs: Vec::new(),
            heard: Vec::new(),
            requests: BTreeMap::new(),
            refreshes: 0,
            wrong: Vec::new(),
            is_dead: false,
            is_mute: false,
            ours,
            out: Vec::new(),
            number,
            count: 0,
            nonces: 0,
            random,
            asked: Vec::new(),
            unacked: Vec::new(),
            answers: BTreeMap::new(),
            acks: BTreeMap::new(),
            incoming: Vec::new(),
            todo: Vec::new(),
            waiting: VecDeque::new(),
            sent_back: BTreeSet::new(),
        }
    }

    /// Calls a number.
    pub fn call(&mut self, now: Instant, number: &str) -> usize {
        self.begin(now, "INVITE", number, "", "")
    }

    /// Begins a dialog with a request; `extra` are whole lines.
    pub fn begin(
        &mut self,
        now: Instant,
        method: &str,
        number: &str,
        extra: &str,
        body: &str,
    ) -> usize {
        let user = self.manner.account.map_or("user", |(user, _)| user);
        let target = match number {
            "" => format!("sip:{}", self.ours),
            _ => format!("sip:{number}@{}", self.ours),
        };
        let to = match method {
            "REGISTER" => format!("<sip:{user}@{}>", self.ours),
            _ => format!("<{target}>"),
        };
        let id = self.random.next_u64();
        let local = format!("<sip:{user}@{}>;tag=t{id:016x}", self.address);
        let index = self.dialogs.len();
        let mut dialog = Dialog::new(format!("c{id:016x}"), local, to, self.fresh_media(index));
        dialog.target = target;
        dialog.calls = true;
        let body = match method {
            "INVITE" if !self.manner.is_late => {
                let media = dialog.media.clone();
                dialog.describe(&media, None)
            }
            _ => body.to_owned(),
        };
        self.dialogs.push(dialog);
        let why = if method == "INVITE" {
            Why::Call
        } else {
            Why::Plain
        };
        self.ask(now, index, method, extra, &body, why);
        index
    }

    /// Offers something else; tried again while the other side is busy.
    pub fn offer(&mut self, now: Instant, dialog: usize, method: &'static str, change: Change) {
        if self.dialogs[dialog].state != State::Up {
            return;
        }
        self.waiting.push_back(Todo::Offer(dialog, method, change));
        self.go_on(now);
    }

    pub(super) fn offer_now(&mut self, now: Instant, dialog: usize, method: &str, change: Change) {
        let mut media = self.dialogs[dialog].media.clone();
        change(&mut media);
        let body = self.dialogs[dialog].describe(&media, None);
        let why = Why::Offer(change, media);
        self.ask(now, dialog, method, "", &body, why);
    }

    /// Asks for an offer, and answers that with other media.
    pub fn ask_for_offer(&mut self, now: Instant, dialog: usize, change: Change) {
        if self.dialogs[dialog].state != State::Up {
            return;
        }
        self.waiting.push_back(Todo::Late(dialog, change));
        self.go_on(now);
    }

    /// A request in a dialog; `extra` are whole lines.
    pub fn say(&mut self, now: Instant, dialog: usize, method: &str, extra: &str, body: &str) {
        self.ask(now, dialog, method, extra, body, Why::Plain);
    }

    /// Hangs up; `extra` are whole lines.
    pub fn hang_up(&mut self, now: Instant, dialog: usize, extra: &str) {
        if self.dialogs[dialog].state != State::Up {
            return;
        }
        self.end(dialog, State::Over);
        self.ask(now, dialog, "BYE", extra, "", Why::Plain);
    }

    /// Calls its INVITE off, as soon as that is allowed.
    pub fn cancel(&mut self, now: Instant, dialog: usize) {
        let found = &mut self.dialogs[dialog];
        if found.state != State::Early {
            return;
        }
        found.cancels = true;
        if found.invite.2 {
            self.send_cancel(now, dialog);
        }
    }

    /// What came that begins like this.
    #[must_use]
    pub fn heard(&self, start: &str) -> Vec<&str> {
        let lines = self.heard.iter().map(String::as_str);
        lines.filter(|line| line.starts_with(start)).collect()
    }

    /// Whether nothing is under way that it began or has to end.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let is_idle = self.asked.is_empty() && self.unacked.is_empty();
        self.is_dead || is_idle && self.todo.is_empty() && self.waiting.is_empty()
    }

    /// Whether something of its own listens there.
    pub(super) fn has_media_at(&self, at: SocketAddr) -> bool {
        let mut streams = self.dialogs.iter().flat_map(|dialog| &dialog.media.streams);
        streams.any(|stream| [stream.port, stream.port + 1].contains(&at.port()))
    }

    pub(super) fn fresh_media(&self, index: usize) -> Media {
        let port = 4000 + 40 * index as u16;
        let mut media = Media::voice(self.address.ip(), port);
        if let Some(change) = self.manner.media {
            change(&mut media);
        }
        media
    }

    /// Offers go one after the other (RFC 3261 14.1, RFC 3311 5.1).
    pub(super) fn is_busy(&self, dialog: usize) -> bool {
        let offers = |asked: &Asked| asked.dialog == dialog && asked.offers();
        self.asked.iter().any(offers) || self.unacked.iter().any(|u| u.dialog == dialog)
    }

    /// The next offer, where nothing is under way any more.
    pub(super) fn go_on(&mut self, now: Instant) {
        let may = |dialog: usize| {
            let again = self
                .todo
                .iter()
                .any(|(_, todo)| todo.dialog() == Some(dialog));
            !again && !self.is_busy(dialog)
        };
        if !self.waiting.front().and_then(Todo::dialog).is_some_and(may) {
            return;
        }
        match self.waiting.pop_front() {
            Some(Todo::Offer(dialog, method, change)) => {
                self.offer_now(now, dialog, method, change)
            }
            Some(Todo::Late(dialog, change)) => {
                self.ask(now, dialog, "INVITE", "", "", Why::Late(change));
            }
            _ => {}
        }
    }

    pub(super) fn later(&mut self, now: Instant, least: u64, spread: u64, todo: Todo) {
        let wait = least + self.random.next_u64() % (spread + 1);
        self.todo.push((now + Duration::from_millis(wait), todo));
    }

    /// Nothing of the dialog goes on.
    pub(super) fn end(&mut self, dialog: usize, state: State) {
        self.dialogs[dialog].state = state;
        self.dialogs[dialog].session = None;
        self.asked
            .retain(|asked| asked.dialog != dialog || ["BYE", "REFER"].contains(&&*asked.method));
        self.unacked
            .retain(|unacked| unacked.dialog != dialog || !unacked.is_success);
        self.todo.retain(|(_, todo)| todo.dialog() != Some(dialog));
        self.waiting.retain(|todo| todo.dialog() != Some(dialog));
    }
}
