//! The engine, the clock, and everybody around.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use sbc::config::{Config, NoSecrets};
use sbc::engine::{Action, Engine, Event, Input, Limits, Party as Named};
use sbc::media::{PortCommand, Transcoding};
use sbc::sip::{Message, Method};
use sbc::transaction::{self, ConnectionId, Hop};

use super::Run;
use super::check::{Check, title};
use super::config::{CONFIG, PLACES};
use super::party::{Party, remember};
use super::shells::{Shells, of_network};
use super::step::{Kind, Reader, change};

const LIMITS: Limits = Limits {
    calls: 12,
    dialogs: 80,
    bindings: 6,
    transactions: transaction::Limits {
        client: 120,
        server: 120,
    },
};

/// Turns in which a timer that is due may find that another is.
const TURNS: usize = 1000;

pub(super) struct World {
    engine: Engine,
    now: Instant,
    parties: Vec<Party>,
    shells: Shells,
    check: Check,
    /// What the engine has said and nobody has done anything about, the oldest first.
    open: VecDeque<(usize, Message)>,
    sent: VecDeque<(Hop, Bytes)>,
    ports: Vec<u64>,
    connections: u64,
    run: Run,
    show: bool,
}

impl World {
    /// Phones are registered.
    pub(super) fn new() -> Result<World> {
        let config = Config::parse(CONFIG, "fuzz.toml", &NoSecrets)?;
        let now = Instant::now();
        let engine = Engine::with_limits(Arc::new(config), [7; 32], now, LIMITS);
        let engine = engine.transcoding(Transcoding::On);
        let mut world = World {
            ports: engine.stats(now).media_ports_free.into_values().collect(),
            engine,
            now,
            parties: PLACES.into_iter().map(Party::new).collect::<Result<_>>()?,
            shells: Shells::default(),
            check: Check::default(),
            open: VecDeque::new(),
            sent: VecDeque::new(),
            connections: 100,
            run: Run::default(),
            show: false,
        };
        for (who, place) in PLACES.iter().enumerate() {
            if place.account.is_some() {
                // Nothing that is left out has its bit set.
                let asked = world.parties[who].asks(&mut Reader(&[4, 0, 0, 0, 0]), &[]);
                world.says(who, asked.into())?;
                world.step(&[7, 255])?;
                world.open.clear();
            }
        }
        let registered: u64 = world.engine.stats(now).registrations.values().sum();
        ensure!(registered == 2, "{registered} phones are registered");
        Ok(world)
    }

    pub(super) fn play(mut self, bytes: &[u8], show: bool) -> Result<Run> {
        self.show = show;
        for (number, step) in super::steps(bytes).into_iter().enumerate() {
            self.step(step)
                .with_context(|| format!("in step {number}, {step:?}"))?;
        }
        self.finish().context("at the end")?;
        self.run.flows = self.shells.pairs();
        Ok(self.run)
    }

    fn step(&mut self, bytes: &[u8]) -> Result<()> {
        let mut step = Reader(bytes);
        let kind = Kind::of(step.byte());
        let who = step.byte();
        let mut index = usize::from(who) % self.parties.len();
        let others: Vec<String> = self.parties.iter().flat_map(Party::names).collect();
        let said = match kind {
            Kind::Asks => Some(self.parties[index].asks(&mut step, &others)),
            Kind::GoesOn => self.parties[index].goes_on(&mut step, &others),
            Kind::Answers => self.parties[index].answers(&mut step),
            Kind::Reacts => match self.heard(who) {
                Some((to, message)) => {
                    index = to;
                    let said = self.parties[to].reacts(&message, &mut step);
                    // Who rings has still to answer.
                    let goes_on = said.as_ref().is_some_and(|s| s.starts_with(b"SIP/2.0 18"));
                    if goes_on {
                        self.open.push_back((to, message));
                    }
                    said
                }
                None => None,
            },
            Kind::Follows => self.parties[index].follows(&mut step),
            Kind::Repeats => {
                let which = usize::from(step.byte());
                let said = &self.parties[index].said;
                said.get(which % said.len().max(1))
                    .map(|said| said.to_vec())
            }
            Kind::Raw => {
                let raw = step.clone().rest().to_vec();
                return self.says(index, raw.into());
            }
            Kind::Waits => {
                let unit = step.of(&[1, 10, 100, 1000, 1000, 10_000, 60_000]);
                let time = Duration::from_millis(unit * u64::from(step.byte()));
                self.pass(time)?;
                return self.is_bounded();
            }
            Kind::Reports => {
                self.reports(&mut step)?;
                return self.is_bounded();
            }
        };
        if let Some(mut said) = said {
            change(&mut said, step.rest());
            self.says(index, said.into())?;
        }
        self.is_bounded()
    }

    /// What someone has heard and done nothing about; with 255 whoever has waited longest.
    fn heard(&mut self, who: u8) -> Option<(usize, Message)> {
        if who == 255 {
            return self.open.pop_front();
        }
        let who = usize::from(who) % self.parties.len();
        let at = self.open.iter().rposition(|(to, _)| *to == who)?;
        self.open.remove(at)
    }

    fn reports(&mut self, step: &mut Reader<'_>) -> Result<()> {
        match step.byte() % 14 {
            what @ 0..=6 => {
                for input in self.shells.reports(what, step) {
                    self.tell(input)?;
                }
            }
            7 | 8 => {
                // All of his connections are gone; he makes another.
                let who = usize::from(step.byte()) % self.parties.len();
                let party = &mut self.parties[who];
                if let Some(old) = party.hop.connection {
                    self.connections += 1;
                    party.hop.connection = Some(ConnectionId(self.connections));
                    self.tell(Input::ConnectionClosed(old))?;
                }
            }
            9 => {
                let index = usize::from(step.byte()) % self.sent.len().max(1);
                if let Some((hop, bytes)) = self.sent.get(index).cloned() {
                    self.tell(Input::SendFailed { hop, bytes })?;
                }
            }
            10 => {
                let who = usize::from(step.byte()) % self.parties.len();
                let hop = self.parties[who].hop;
                self.tell(Input::StreamBroken {
                    hop,
                    reason: "body-too-long",
                })?;
            }
            13 if step.byte() < 16 => self.tell(Input::Drain)?,
            _ => {
                let others: Vec<_> = self.parties.iter().map(|p| p.address).collect();
                self.tell(of_network(step, &others))?;
            }
        }
        Ok(())
    }

    fn says(&mut self, who: usize, bytes: Bytes) -> Result<()> {
        let hop = self.parties[who].hop;
        if self.show {
            println!("{} > {}", hop.remote, title(&bytes));
        }
        self.parties[who].note_said(&bytes);
        self.check.received(self.now, who, &hop, &bytes);
        self.run.received += 1;
        self.tell(Input::Message { hop, bytes })
    }

    fn tell(&mut self, input: Input) -> Result<()> {
        self.engine.handle_input(self.now, input);
        self.perform()
    }

    fn perform(&mut self) -> Result<()> {
        let mut nth = 0;
        loop {
            while let Some(command) = self.engine.poll_ports() {
                if let PortCommand::Hold(reserve) = command {
                    let is_taken = self.shells.taken;
                    let input = Input::PortsFound { reserve, is_taken };
                    self.engine.handle_input(self.now, input);
                }
            }
            match self.engine.poll_action() {
                Some(Action::Send { hop, bytes }) => {
                    self.hears(&hop, &bytes, nth)?;
                    nth += 1;
                }
                Some(Action::Flow(command)) => {
                    if self.show {
                        println!("  {command:?}");
                    }
                    if let Some(input) = self.shells.order(command)? {
                        self.engine.handle_input(self.now, input);
                    }
                }
                Some(
                    Action::Close(_)
                    | Action::CloseOutside(_)
                    | Action::LookUp { .. }
                    | Action::Resolve(_),
                ) => {}
                None => break,
            }
        }
        while let Some(event) = self.engine.poll_event() {
            if self.show {
                println!("  {event:?}");
            }
            self.run.answered += u64::from(matches!(event, Event::CallAnswered { .. }));
        }
        Ok(())
    }

    fn hears(&mut self, hop: &Hop, bytes: &Bytes, nth: usize) -> Result<()> {
        if self.show {
            println!("    {} < {}", hop.remote, title(bytes));
        }
        self.run.sent += 1;
        self.check
            .sent(self.now, (hop, bytes), &self.parties, nth)
            .with_context(|| format!("to {}:\n{}", hop.remote, String::from_utf8_lossy(bytes)))?;
        remember(&mut self.sent, (*hop, bytes.clone()));
        let to = self.parties.iter().position(|p| p.address == hop.remote);
        let message = Message::parse(bytes.clone(), &Default::default());
        if let (Some(to), Ok(message)) = (to, message) {
            self.parties[to].note_heard(&message);
            let is_ack = message.is_request() && message.method() == Method::Ack;
            if !is_ack && message.code() != Some(100) {
                self.open.push_back((to, message));
            }
            while self.open.len() > 64 {
                self.open.pop_front();
            }
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        let end = self.now + time;
        let mut turns = 0;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            turns = if at > self.now { 0 } else { turns + 1 };
            ensure!(turns < TURNS, "a timer is due for ever");
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.perform()?;
        }
        self.now = end;
        Ok(())
    }

    fn is_bounded(&mut self) -> Result<()> {
        let stats = self.engine.stats(self.now);
        let Limits {
            calls,
            dialogs,
            bindings,
            transactions,
        } = LIMITS;
        let up: u64 = stats.calls.values().sum();
        ensure!(up <= calls as u64, "{up} calls");
        ensure!(stats.dialogs <= dialogs as u64, "{} dialogs", stats.dialogs);
        let both = transactions.client + transactions.server;
        ensure!(
            stats.transactions <= both as u64,
            "{} transactions",
            stats.transactions
        );
        let registered: u64 = stats.registrations.values().sum();
        ensure!(registered <= bindings as u64, "{registered} contacts");
        Ok(())
    }

    /// Nobody says anything any more. What has an end by itself ends, and then all is stopped: nothing is left.
    fn finish(&mut self) -> Result<()> {
        for input in self.shells.release() {
            self.tell(input)?;
        }
        self.shells.taken = false;
        self.pass(Duration::from_secs(3 * 3600))?;
        let stats = self.engine.stats(self.now);
        // Phones on hold may wait for each other as long as they like.
        let by_trunk = |(from, to): &(Named, Named)| {
            [from, to]
                .iter()
                .any(|party| matches!(party, Named::Trunk(_)))
        };
        let left: Vec<_> = stats.calls.keys().filter(|who| by_trunk(who)).collect();
        ensure!(left.is_empty(), "{left:?} go on for ever");
        self.tell(Input::Stop)?;
        self.pass(Duration::from_secs(3 * 3600))?;
        self.pass(Duration::from_secs(86_400))?;
        let stats = self.engine.stats(self.now);
        ensure!(stats.transactions == 0, "transactions are left");
        ensure!(stats.dialogs == 0, "dialogs are left");
        ensure!(stats.calls.is_empty(), "calls are left: {:?}", stats.calls);
        ensure!(stats.flows.is_empty(), "flows are left: {:?}", stats.flows);
        let registered: u64 = stats.registrations.values().sum();
        ensure!(registered == 0, "contacts are left");
        ensure!(self.shells.is_empty(), "the shells still have flows");
        ensure!(!self.engine.has_calls(), "calls are left");
        ensure!(self.engine.is_idle(), "it is not idle");
        let trunks = self.engine.trunks(self.now);
        let busy = trunks.iter().find(|trunk| trunk.calls != 0);
        ensure!(busy.is_none(), "a trunk is still busy: {busy:?}");
        // Where there was no room for a BYE there is none.
        if stats.full.values().all(|&times| times == 0) {
            self.check.finished()?;
        }
        // Networks may have other addresses by now.
        let free: Vec<u64> = stats.media_ports_free.into_values().collect();
        for (free, ports) in free.iter().zip(&self.ports) {
            ensure!(
                free.is_multiple_of(*ports) && *free > 0,
                "ports are left: {free}"
            );
        }
        Ok(())
    }
}
