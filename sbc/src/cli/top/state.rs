//! What is shown, and what follows from keys, answers and time: no terminal, no socket, no clock.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use sbc::io::admin::types::{Call, CallDetail, Flow, Status, Trunk};

use super::list::List;
use super::rates::Rates;
use super::trace::Trace;
use crate::cli::calls::{in_words, short};

/// More calls than this are not asked for every time: each answer has all of them.
const MANY: usize = 2000;
/// How often they are then.
const SELDOM: u32 = 5;
/// How long what has been done is told of.
const TOLD: Duration = Duration::from_secs(6);
/// Rows of a page up or down.
const PAGE: isize = 10;
/// Characters of a filter.
const FILTER: usize = 200;

/// What happens.
#[derive(Debug)]
pub(super) enum Input {
    Key(KeyEvent),
    /// Time has passed.
    Tick,
    /// What the daemon says.
    Answer(Box<Answer>),
    /// It says nothing, and why.
    Silent(String),
    /// What came of hanging up.
    HungUp(Result<String, String>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask the daemon; [`Input::Answer`] or [`Input::Silent`] follows.
    Ask(Question),
    /// End this call; [`Input::HungUp`] follows.
    HangUp(String),
    Quit,
}

/// What is wanted beside how things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// All calls.
    pub(super) calls: bool,
    /// All about this one.
    pub(super) call: Option<String>,
}

/// What the daemon says.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// When it said how things are, since the start.
    pub(super) at: Duration,
    pub(super) status: Status,
    pub(super) trunks: Vec<Trunk>,
    pub(super) calls: Option<Vec<Call>>,
    pub(super) call: Option<About>,
}

/// All about a call.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) id: String,
    /// Refused where it is over.
    pub(super) detail: Result<(CallDetail, Vec<Flow>), String>,
    /// Refused where the daemon keeps none.
    pub(super) trace: Result<Trace, String>,
}

/// A call that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: String,
    /// As it was last.
    pub(super) detail: Option<(CallDetail, Vec<Flow>)>,
    pub(super) trace: Option<Result<Trace, String>>,
    /// There is no such call any more, or never was, and what was said about that.
    pub(super) over: Option<String>,
    pub(super) page: Page,
    /// The step of the ladder that is chosen; the last one while it is followed.
    pub(super) step: usize,
    pub(super) follows: bool,
    /// Lines that have been scrolled past.
    pub(super) scroll: usize,
}

/// What is shown of an opened call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Ladder,
    About,
    /// The message of the step that is chosen.
    Message,
}

/// What is asked of whoever sits there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// Another filter; what it was before.
    Filter(String),
    /// Whether this call is to be ended; which one it is in words.
    HangUp {
        id: String,
        words: String,
    },
    Help,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct State {
    interval: Duration,
    now: Duration,
    /// None before the first answer.
    pub(super) answer: Option<Answer>,
    pub(super) rates: Rates,
    pub(super) list: List,
    pub(super) opened: Option<Opened>,
    pub(super) prompt: Option<Prompt>,
    pub(super) is_paused: bool,
    /// The daemon does not answer: why, and since when.
    pub(super) silent: Option<(String, Duration)>,
    told: Option<(Duration, Result<String, String>)>,
    is_asked: bool,
    due: Duration,
    turn: u32,
    actions: VecDeque<Action>,
}

impl State {
    /// Nothing is known yet.
    pub(super) fn new(interval: Duration) -> State {
        let mut state = State {
            interval,
            now: Duration::ZERO,
            answer: None,
            rates: Rates::default(),
            list: List::default(),
            opened: None,
            prompt: None,
            is_paused: false,
            silent: None,
            told: None,
            is_asked: false,
            due: Duration::ZERO,
            turn: 0,
            actions: VecDeque::new(),
        };
        state.ask();
        state
    }

    /// Takes what happened, so long after the start.
    pub(super) fn handle_input(&mut self, now: Duration, input: Input) {
        self.now = now.max(self.now);
        match input {
            // Terminals that tell of it would have each key twice.
            Input::Key(key) if key.kind == KeyEventKind::Release => {}
            Input::Key(key) => self.on_key(key),
            Input::Tick => {}
            Input::Answer(answer) => self.on_answer(*answer),
            Input::Silent(why) => {
                self.is_asked = false;
                let since = self.silent.take().map_or(self.now, |(_, since)| since);
                self.silent = Some((why, since));
                self.due = self.now + self.interval;
            }
            Input::HungUp(told) => {
                self.told = Some((self.now, told));
                self.due = self.now;
            }
        }
        if self.now >= self.due && !self.is_paused {
            self.ask();
        }
    }

    /// What to do next.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What was done last, or why it was not, for a while.
    pub(super) fn told(&self) -> Option<&Result<String, String>> {
        let (at, told) = self.told.as_ref()?;
        (self.now < *at + TOLD).then_some(told)
    }

    /// For how long the daemon has said nothing, and why.
    pub(super) fn silence(&self) -> Option<(&str, Duration)> {
        let (why, since) = self.silent.as_ref()?;
        Some((why, self.now - *since))
    }

    fn ask(&mut self) {
        if std::mem::replace(&mut self.is_asked, true) {
            return;
        }
        self.due = self.now + self.interval;
        let calls = self.list.all() <= MANY || self.turn.is_multiple_of(SELDOM);
        self.turn = self.turn.wrapping_add(1);
        let call = self.opened.as_ref().map(|opened| opened.id.clone());
        self.actions
            .push_back(Action::Ask(Question { calls, call }));
    }

    /// Now, and not when it is due.
    fn hurry(&mut self) {
        self.due = self.now;
    }

    fn on_answer(&mut self, mut answer: Answer) {
        self.is_asked = false;
        if self.silent.take().is_some() {
            let back = Ok("the daemon answers again".to_owned());
            self.told = Some((self.now, back));
        }
        self.rates.add(answer.at, &answer.status);
        if let Some(calls) = answer.calls.take() {
            self.list.set(calls);
        }
        if let (Some(opened), Some(about)) = (&mut self.opened, answer.call.take()) {
            opened.take(about);
        }
        self.answer = Some(answer);
    }

    fn on_key(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return self.actions.push_back(Action::Quit);
        }
        if is_control {
            return;
        }
        match self.prompt.take() {
            Some(Prompt::Filter(before)) => self.on_filter_key(key.code, before),
            Some(Prompt::HangUp { id, words }) => match key.code {
                KeyCode::Char('y' | 'Y') => self.actions.push_back(Action::HangUp(id)),
                KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc | KeyCode::Enter => {
                    self.told = Some((self.now, Ok("not hung up".to_owned())));
                }
                // It has to be answered.
                _ => self.prompt = Some(Prompt::HangUp { id, words }),
            },
            Some(Prompt::Help) => {}
            None => self.on_command(key.code),
        }
    }

    fn on_filter_key(&mut self, key: KeyCode, before: String) {
        let mut filter = self.list.filter.clone();
        match key {
            KeyCode::Enter => return,
            KeyCode::Esc => return self.list.set_filter(before),
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Char(letter) if filter.chars().count() < FILTER => filter.push(letter),
            KeyCode::Up => self.list.step(-1),
            KeyCode::Down => self.list.step(1),
            _ => {}
        }
        self.prompt = Some(Prompt::Filter(before));
        self.list.set_filter(filter);
    }

    fn on_command(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('q') => self.actions.push_back(Action::Quit),
            KeyCode::Char('?') | KeyCode::F(1) => self.prompt = Some(Prompt::Help),
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                self.hurry();
            }
            KeyCode::Char('h') | KeyCode::Delete => self.ask_to_hang_up(),
            key if self.opened.is_some() => self.on_opened_key(key),
            KeyCode::Char('/') => self.prompt = Some(Prompt::Filter(self.list.filter.clone())),
            KeyCode::Esc => self.list.set_filter(String::new()),
            KeyCode::Char('s') => {
                let sort = self.list.sort.next();
                self.list.set_sort(sort, self.list.descending);
            }
            KeyCode::Char('r') => {
                let descending = !self.list.descending;
                self.list.set_sort(self.list.sort, descending);
            }
            KeyCode::Enter | KeyCode::Right => self.open(),
            key => {
                if let Some(by) = steps(key) {
                    self.list.step(by);
                }
            }
        }
    }

    fn open(&mut self) {
        let Some(call) = self.list.chosen() else {
            return;
        };
        self.opened = Some(Opened::new(call.id.clone()));
        // Also while it is paused: what was asked for is shown.
        self.is_asked = false;
        self.ask();
    }

    fn ask_to_hang_up(&mut self) {
        let (id, words) = match &self.opened {
            Some(opened) if opened.over.is_some() => return,
            Some(opened) => {
                let detail = opened.detail.as_ref();
                let words = detail.map(|(detail, _)| in_words(&detail.call));
                (opened.id.clone(), words.unwrap_or_default())
            }
            None => match self.list.chosen() {
                Some(call) => (call.id.clone(), in_words(call)),
                None => return,
            },
        };
        let words = format!("{} ({words})", short(&id));
        self.prompt = Some(Prompt::HangUp { id, words });
    }

    fn on_opened_key(&mut self, key: KeyCode) {
        let Some(opened) = &mut self.opened else {
            return;
        };
        match (key, opened.page) {
            (KeyCode::Esc | KeyCode::Backspace | KeyCode::Left, Page::Message) => {
                opened.turn_to(Page::Ladder);
            }
            (KeyCode::Esc | KeyCode::Backspace | KeyCode::Left, _) => self.opened = None,
            (KeyCode::Tab | KeyCode::BackTab, Page::Ladder) => opened.turn_to(Page::About),
            (KeyCode::Tab | KeyCode::BackTab, _) => opened.turn_to(Page::Ladder),
            (KeyCode::Enter | KeyCode::Right, Page::Ladder) if opened.steps() > 0 => {
                opened.turn_to(Page::Message);
            }
            (KeyCode::Char('n'), Page::Message) => opened.choose(1),
            (KeyCode::Char('b'), Page::Message) => opened.choose(-1),
            (key, page) => match (steps(key), page) {
                (Some(by), Page::Ladder) => opened.choose(by),
                (Some(by), _) => opened.scroll = opened.scroll.saturating_add_signed(by).min(MOST),
                (None, _) => {}
            },
        }
    }
}

/// No message has more lines.
const MOST: usize = 100_000;

/// By how many rows a key goes up or down.
fn steps(key: KeyCode) -> Option<isize> {
    Some(match key {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -PAGE,
        KeyCode::PageDown => PAGE,
        KeyCode::Home | KeyCode::Char('g') => isize::MIN,
        KeyCode::End | KeyCode::Char('G') => isize::MAX,
        _ => return None,
    })
}

impl Opened {
    fn new(id: String) -> Opened {
        Opened {
            id,
            detail: None,
            trace: None,
            over: None,
            page: Page::Ladder,
            step: 0,
            follows: true,
            scroll: 0,
        }
    }

    /// Its ladder, if there is one.
    pub(super) fn ladder(&self) -> Option<&Trace> {
        self.trace.as_ref()?.as_ref().ok()
    }

    fn steps(&self) -> usize {
        self.ladder().map_or(0, |trace| trace.steps.len())
    }

    fn take(&mut self, about: About) {
        if about.id != self.id {
            return;
        }
        self.over = match about.detail {
            Ok(detail) => {
                self.detail = Some(detail);
                None
            }
            Err(why) => Some(why),
        };
        // What was known of a call stays where the daemon is busy, or has forgotten it.
        if about.trace.is_ok() || self.ladder().is_none() {
            self.trace = Some(about.trace);
        }
        self.choose(0);
    }

    fn turn_to(&mut self, page: Page) {
        self.page = page;
        self.scroll = 0;
    }

    /// Another step; whoever chooses the last one follows what comes after it.
    fn choose(&mut self, by: isize) {
        let last = self.steps().saturating_sub(1);
        self.step = match by {
            0 if self.follows => last,
            by => self.step.saturating_add_signed(by).min(last),
        };
        if by != 0 {
            self.follows = self.step == last;
            self.scroll = 0;
        }
    }
}
