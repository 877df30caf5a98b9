//! Who calls.

mod updates;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::sdp::{place, sdp};
use crate::heard::{GIVE_UP, Heard, Repeat, T2, finish};

/// Where its media is, unless it moves.
const PORT: u16 = 4000;

/// What a caller says of 100rel.
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

/// What a caller does.
#[derive(Clone, Debug)]
pub struct CallerPlan {
    /// Whom.
    pub number: &'static str,
    /// An offer in the INVITE.
    pub offers: bool,
    /// 100rel.
    pub reliable: Reliable,
    /// Acknowledges provisional answers.
    pub pracks: bool,
    /// Its first PRACK to an answer moves its media.
    pub moves_with_prack: bool,
    /// Takes UPDATE.
    pub takes_update: bool,
    /// Moves its media with an UPDATE so long after its first PRACK was answered.
    pub updates_after: Option<Duration>,
    /// Gives up so long after the INVITE.
    pub cancels_after: Option<Duration>,
    /// The first so many ACKs are never sent.
    pub lost_acks: u32,
    /// Sends its BYE before its ACK.
    pub hangs_up_first: bool,
    /// Hangs up so long after it is up.
    pub talks_for: Duration,
}

impl Default for CallerPlan {
    fn default() -> Self {
        CallerPlan {
            number: "100",
            offers: true,
            reliable: Reliable::No,
            pracks: true,
            moves_with_prack: false,
            takes_update: false,
            updates_after: None,
            cancels_after: None,
            lost_acks: 0,
            hangs_up_first: false,
            talks_for: Duration::from_secs(60),
        }
    }
}

struct Open {
    method: &'static str,
    branch: String,
    repeat: Repeat,
}

/// An early dialog, or the one that is up.
#[derive(Clone, Debug, Default)]
struct Dialog {
    target: String,
    to: String,
    rseq: Option<u32>,
    cseq: u32,
    /// Where the box wants our media.
    place: Option<SocketAddr>,
}

/// Who calls.
pub struct Caller {
    /// Where it is.
    pub address: SocketAddr,
    peer: SocketAddr,
    plan: CallerPlan,
    open: Vec<Open>,
    dialogs: HashMap<String, Dialog>,
    acks: HashMap<String, Vec<u8>>,
    /// The tag of who took it.
    pub up: Option<String>,
    /// How it ended: the code of a refusal, `hung up`, `they hung up`.
    pub ended: Option<String>,
    /// Codes as they came for the first time, `+` with SDP, `!` if it was acknowledged.
    pub heard: Vec<String>,
    /// What the PRACKs were answered with.
    pub prack_codes: Vec<u16>,
    /// What the UPDATEs were.
    pub update_codes: Vec<u16>,
    /// UPDATEs that came.
    answers: HashMap<String, Vec<u8>>,
    updates: Option<(Instant, String)>,
    port: u16,
    branches: u32,
    hangs_up: Option<Instant>,
    cancels: Option<Instant>,
    rings: bool,
    /// To be sent.
    pub out: Vec<Vec<u8>>,
}

impl Caller {
    /// One at this place, who knows the box only.
    #[must_use]
    pub fn new(address: SocketAddr, peer: SocketAddr, plan: CallerPlan) -> Caller {
        Caller {
            address,
            peer,
            plan,
            open: Vec::new(),
            dialogs: HashMap::new(),
            acks: HashMap::new(),
            up: None,
            ended: None,
            heard: Vec::new(),
            prack_codes: Vec::new(),
            update_codes: Vec::new(),
            answers: HashMap::new(),
            updates: None,
            port: PORT,
            branches: 0,
            hangs_up: None,
            cancels: None,
            rings: false,
            out: Vec::new(),
        }
    }

    /// Begins.
    pub fn start(&mut self, now: Instant) {
        let reliable = match self.plan.reliable {
            Reliable::No => "",
            Reliable::Supported => "Supported: 100rel\r\n",
            Reliable::Required => "Require: 100rel\r\n",
        };
        let body = if self.plan.offers {
            self.sdp()
        } else {
            String::new()
        };
        let (uri, to) = (self.uri(), format!("<{}>", self.uri()));
        let allow = match self.plan.takes_update {
            true => "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE\r\n",
            false => "",
        };
        let lines = format!("{reliable}{allow}");
        self.request(now, "INVITE", &uri, &to, 1, &lines, &body);
        self.cancels = self.plan.cancels_after.map(|after| now + after);
    }

    /// Where its media is.
    #[must_use]
    pub fn media(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.port)
    }

    /// Where the box wants its media, as of the dialog that is up or else the latest early one that said.
    #[must_use]
    pub fn place(&self) -> Option<SocketAddr> {
        let up = self
            .up
            .as_ref()
            .and_then(|tag| self.dialogs.get(tag)?.place);
        up.or_else(|| self.dialogs.values().find_map(|dialog| dialog.place))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let open = self.open.iter().map(|open| open.repeat.wakes());
        let updates = self.updates.as_ref().map(|(at, _)| *at);
        open.chain(self.hangs_up)
            .chain(self.cancels)
            .chain(updates)
            .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let out = &mut self.out;
        self.open.retain_mut(|open| {
            out.extend(open.repeat.due(now));
            !open.repeat.is_over(now)
        });
        if self
            .cancels
            .take_if(|at| *at <= now && self.rings)
            .is_some()
            && self.up.is_none()
        {
            let branch = "z9hG4bKc1".to_owned();
            let (uri, to) = (self.uri(), format!("<{}>", self.uri()));
            let bytes = self.write("CANCEL", &uri, &branch, &to, 1, "", "");
            self.send(now, "CANCEL", branch, bytes);
        } else if let Some(at) = self.cancels.as_mut().filter(|at| **at <= now) {
            *at = now + Duration::from_millis(20);
        }
        if let Some((_, tag)) = self.updates.take_if(|(at, _)| *at <= now)
            && self.up.is_none()
            && self.ended.is_none()
        {
            self.port += 10;
            let body = self.sdp();
            self.in_dialog(now, "UPDATE", &tag, "", &body);
        }
        if self.hangs_up.take_if(|at| *at <= now).is_some() && self.ended.is_none() {
            self.hang_up(now);
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let heard = Heard::read(bytes);
        if heard.code().is_none() && heard.method() == "UPDATE" {
            return self.on_update(&heard);
        }
        if heard.code().is_none() {
            let code = if heard.method() == "BYE" { 200 } else { 405 };
            if code == 200 && self.ended.is_none() {
                self.ended = Some("they hung up".to_owned());
                self.hangs_up = None;
            }
            return self.out.push(heard.answer_as(code, "", "", ""));
        }
        match heard.method() {
            "INVITE" if heard.status() < 200 => self.on_provisional(now, &heard),
            "INVITE" => self.on_final(now, &heard),
            method => {
                let before = self.open.len();
                self.open
                    .retain(|open| open.branch != heard.branch() || open.method != method);
                if before != self.open.len() {
                    match method {
                        "PRACK" => self.on_pracked(now, &heard),
                        "UPDATE" => self.on_updated(now, &heard),
                        "BYE" => self.ended = Some("hung up".to_owned()),
                        _ => {}
                    }
                }
            }
        }
    }

    fn on_provisional(&mut self, now: Instant, heard: &Heard) {
        self.rings = true;
        for open in self.open.iter_mut().filter(|open| open.method == "INVITE") {
            open.repeat.arrived(now, GIVE_UP * 100);
        }
        if heard.status() == 100 || self.ended.is_some() || self.up.is_some() {
            return;
        }
        let tag = heard.tag("to").to_owned();
        let is_reliable = heard.has("require", "100rel");
        match self.plan.reliable {
            Reliable::No => assert!(!is_reliable, "nobody asked for it"),
            Reliable::Supported => {}
            Reliable::Required => assert!(is_reliable, "he must be asked for a PRACK"),
        }
        let dialog = self.dialogs.entry(tag.clone()).or_default();
        dialog.target = heard.contact().expect("a Contact");
        dialog.to = heard.header("to").to_owned();
        dialog.cseq = dialog.cseq.max(1);
        let is_first = dialog.place.is_none();
        if is_reliable {
            let rseq: u32 = heard.header("rseq").parse().expect("an RSeq");
            if dialog.rseq.is_some_and(|last| rseq != last + 1) {
                assert!(dialog.rseq.unwrap() >= rseq, "a gap: more than one is open");
                return;
            }
            if !self.plan.pracks {
                return;
            }
            dialog.rseq = Some(rseq);
        }
        dialog.place = place(heard).or(dialog.place);
        let mut note = heard.status().to_string();
        if !heard.body.is_empty() {
            note.push('+');
        }
        if is_reliable {
            note.push('!');
        }
        self.heard.push(note);
        if is_reliable {
            let body = match (heard.body.is_empty(), self.plan.offers) {
                (false, false) => self.sdp(),
                (false, true) if self.plan.moves_with_prack && is_first => {
                    self.port += 10;
                    self.sdp()
                }
                _ => String::new(),
            };
            let rack = format!("RAck: {} 1 INVITE\r\n", heard.header("rseq"));
            self.in_dialog(now, "PRACK", &tag, &rack, &body);
        }
    }

    fn on_pracked(&mut self, now: Instant, heard: &Heard) {
        self.prack_codes.push(heard.status());
        if let Some(after) = self.plan.updates_after.take() {
            self.updates = Some((now + after, heard.tag("to").to_owned()));
        }
        if heard.status() >= 300 && self.port != PORT {
            // Refused: everything stays where it was.
            self.port = PORT;
        }
        if let Some(place) = place(heard) {
            let dialog = self.dialogs.get_mut(heard.tag("to")).expect("a dialog");
            dialog.place = Some(place);
        }
    }

    fn on_final(&mut self, now: Instant, heard: &Heard) {
        let code = heard.status();
        let tag = heard.tag("to").to_owned();
        if code >= 300 {
            let to = heard.header("to").to_owned();
            let uri = self.uri();
            let ack = self.write("ACK", &uri, heard.branch(), &to, 1, "", "");
            self.out.push(ack);
            let before = self.open.len();
            self.open.retain(|open| open.method != "INVITE");
            if before != self.open.len() {
                self.ended = Some(code.to_string());
            }
            return;
        }
        if let Some(ack) = self.acks.get(&tag) {
            let ack = ack.clone();
            return self.acknowledge(ack);
        }
        assert!(
            self.up.is_none() || self.up.as_ref() == Some(&tag),
            "the box answers once"
        );
        let open_pracks = self
            .open
            .iter()
            .filter(|open| open.method == "PRACK")
            .count();
        assert!(
            open_pracks == 0 || self.plan.reliable != Reliable::No,
            "a 200 while a PRACK is on its way"
        );
        self.open.retain(|open| open.method != "INVITE");
        let dialog = self.dialogs.entry(tag.clone()).or_default();
        dialog.target = heard.contact().expect("a Contact");
        dialog.to = heard.header("to").to_owned();
        dialog.cseq = dialog.cseq.max(1);
        let is_settled = dialog.place.is_some();
        dialog.place = place(heard).or(dialog.place);
        assert!(dialog.place.is_some(), "no SDP at all");
        let (target, to) = (dialog.target.clone(), dialog.to.clone());
        let late = !self.plan.offers && !is_settled;
        let body = if late { self.sdp() } else { String::new() };
        self.up = Some(tag.clone());
        let branch = self.branch();
        let ack = self.write("ACK", &target, &branch, &to, 1, "", &body);
        if self.plan.hangs_up_first || self.cancels.is_some() || self.plan.cancels_after.is_some() {
            self.hang_up(now);
        }
        self.acks.insert(tag, ack.clone());
        self.acknowledge(ack);
        self.hangs_up = self.ended.is_none().then_some(now + self.plan.talks_for);
    }

    fn acknowledge(&mut self, ack: Vec<u8>) {
        if self.plan.lost_acks > 0 {
            self.plan.lost_acks -= 1;
        } else {
            self.out.push(ack);
        }
    }

    fn hang_up(&mut self, now: Instant) {
        self.cancels = None;
        self.hangs_up = None;
        if let Some(tag) = self.up.clone() {
            self.in_dialog(now, "BYE", &tag, "", "");
        }
    }

    fn in_dialog(
        &mut self,
        now: Instant,
        method: &'static str,
        tag: &str,
        extra: &str,
        body: &str,
    ) {
        let dialog = self.dialogs.get_mut(tag).expect("a dialog");
        dialog.cseq += 1;
        let (target, to, cseq) = (dialog.target.clone(), dialog.to.clone(), dialog.cseq);
        self.request(now, method, &target, &to, cseq, extra, body);
    }

    #[expect(clippy::too_many_arguments, reason = "a request has so many parts")]
    fn request(
        &mut self,
        now: Instant,
        method: &'static str,
        uri: &str,
        to: &str,
        cseq: u32,
        extra: &str,
        body: &str,
    ) {
        let branch = self.branch();
        let bytes = self.write(method, uri, &branch, to, cseq, extra, body);
        self.send(now, method, branch, bytes);
    }

    fn send(&mut self, now: Instant, method: &'static str, branch: String, bytes: Vec<u8>) {
        self.out.push(bytes.clone());
        let longest = if method == "INVITE" { GIVE_UP } else { T2 };
        let repeat = Repeat::new(now, &bytes, longest);
        self.open.push(Open {
            method,
            branch,
            repeat,
        });
    }

    #[expect(clippy::too_many_arguments, reason = "a request has so many parts")]
    fn write(
        &self,
        method: &str,
        uri: &str,
        branch: &str,
        to: &str,
        cseq: u32,
        extra: &str,
        body: &str,
    ) -> Vec<u8> {
        let at = self.address;
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:al@{at}>;tag=al\r\nTo: {to}\r\nCall-ID: the-call@{at}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:al@{at}>\r\n{extra}"
        );
        finish(text, method, body)
    }

    fn uri(&self) -> String {
        format!("sip:{}@{}", self.plan.number, self.peer)
    }

    fn branch(&mut self) -> String {
        self.branches += 1;
        format!("z9hG4bKc{}", self.branches)
    }

    fn sdp(&self) -> String {
        sdp(self.media(), u32::from(self.port))
    }
}
