//! What the service manager is told (sd_notify): ready, reloading, stopping, how many calls there are, and that all is alive.
//!
//! The watchdog is fed by the engine's own task, and only when every media worker has turned since it was fed last: whoever hangs, the
//! service manager restarts the daemon. Where nobody listens (no `NOTIFY_SOCKET`) nothing is done at all.

use std::env;
use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use sd_notify::NotifyState;
use tracing::{error, warn};

use super::media::{Felt, Pulse};

/// What may wait for a service manager that has something else to do.
const WAITING: usize = 16;
/// How old the status line may be, and how often the watchdog is fed at least, if it wants that at all.
const STATUS: Duration = Duration::from_secs(5);
/// Beats in the watchdog's time: three may come late.
const BEATS: u32 = 4;
/// No watchdog is fed more often.
const FASTEST: Duration = Duration::from_millis(10);

/// The way to the service manager, if one listens. Telling it something never waits.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    news: Option<Sender<News>>,
    watchdog: Option<Duration>,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum News {
    Ready(String),
    Reloading,
    Reloaded(Option<&'static str>),
    Stopping,
    Alive,
    Status(String),
}

impl Notifier {
    /// The one that started this process, as its environment says.
    ///
    /// # Errors
    /// There is no thread to tell it things.
    pub fn of_environment() -> io::Result<Notifier> {
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Notifier::default());
        }
        let mut microseconds = 0;
        let is_watched = sd_notify::watchdog_enabled(false, &mut microseconds);
        let (news, told) = bounded(WAITING);
        // Its socket may be full: the engine is not to wait for that.
        std::thread::Builder::new()
            .name("notify".to_owned())
            .spawn(move || pass_on(&told))?;
        Ok(Notifier {
            news: Some(news),
            watchdog: is_watched.then(|| Duration::from_micros(microseconds)),
        })
    }

    /// Everything is open: calls are taken.
    pub(super) fn ready(&self) {
        self.tell(News::Ready(status((0, false))));
    }

    /// The config file is being read again.
    pub(super) fn reloading(&self) {
        self.tell(News::Reloading);
    }

    /// It is in force, or refused.
    pub(super) fn reloaded(&self, is_in_force: bool) {
        let refused = "reload refused, as the log says; the config in force stays";
        self.tell(News::Reloaded((!is_in_force).then_some(refused)));
    }

    /// No calls are taken any more.
    pub(super) fn stopping(&self) {
        self.tell(News::Stopping);
    }

    fn tell(&self, news: News) {
        if let Some(way) = &self.news
            && let Err(lost) = way.try_send(news)
        {
            warn!(news = ?lost.into_inner(), "the service manager takes no news");
        }
    }
}

/// Tells the service manager what there is to tell, until nobody will say anything any more.
fn pass_on(told: &Receiver<News>) {
    let mut has_failed = false;
    for news in told {
        if let Err(error) = send(&news)
            && !std::mem::replace(&mut has_failed, true)
        {
            warn!(%error, "cannot tell the service manager ($NOTIFY_SOCKET)");
        }
    }
}

fn send(news: &News) -> io::Result<()> {
    match news {
        News::Ready(status) => notify(&[NotifyState::Ready, NotifyState::Status(status)]),
        // The time tells it which reload this is.
        News::Reloading => notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        News::Reloaded(None) => notify(&[NotifyState::Ready]),
        News::Reloaded(Some(why)) => notify(&[NotifyState::Ready, NotifyState::Status(why)]),
        News::Stopping => notify(&[NotifyState::Stopping]),
        News::Alive => notify(&[NotifyState::Watchdog]),
        News::Status(status) => notify(&[NotifyState::Status(status)]),
    }
}

fn notify(state: &[NotifyState<'_>]) -> io::Result<()> {
    sd_notify::notify(false, state)
}

fn status((calls, is_draining): (usize, bool)) -> String {
    let calls = match calls {
        0 => "no calls".to_owned(),
        1 => "1 call".to_owned(),
        calls => format!("{calls} calls"),
    };
    match is_draining {
        true => format!("draining: no new calls, {calls} to end"),
        false => calls,
    }
}

/// When the service manager hears that all is alive, and how many calls there are.
#[derive(Debug)]
pub(super) struct Heartbeat<P = Pulse> {
    notifier: Notifier,
    /// None where nobody listens.
    due: Option<Instant>,
    /// What the workers were asked last.
    pulse: Option<P>,
    /// Beats since they all have answered.
    missed: u32,
    said: (usize, bool),
}

/// Something that tells whether the workers have turned.
pub(super) trait Beats {
    /// What is known by now.
    fn feel(&mut self) -> Felt;
}

impl Beats for Pulse {
    fn feel(&mut self) -> Felt {
        Pulse::feel(self)
    }
}

impl<P: Beats> Heartbeat<P> {
    pub(super) fn new(notifier: Notifier, now: Instant) -> Heartbeat<P> {
        Heartbeat {
            due: notifier.news.is_some().then_some(now),
            notifier,
            pulse: None,
            missed: 0,
            said: (0, false),
        }
    }

    /// When [`Heartbeat::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// There are so many calls, and perhaps no new ones any more; `ask` asks the workers for a sign of life.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        load: (usize, bool),
        ask: impl FnOnce() -> P,
    ) {
        let period = match self.notifier.watchdog {
            Some(time) => (time / BEATS).clamp(FASTEST, STATUS),
            None => STATUS,
        };
        self.due = Some(now + period);
        if std::mem::replace(&mut self.said, load) != load {
            self.notifier.tell(News::Status(status(load)));
        }
        if self.notifier.watchdog.is_some() {
            self.feed(ask);
        }
    }

    fn feed(&mut self, ask: impl FnOnce() -> P) {
        let felt = self.pulse.as_mut().map(Beats::feel);
        match felt {
            // The first time there was nothing to answer yet.
            None => {}
            Some(Felt::All) => {
                self.missed = 0;
                self.notifier.tell(News::Alive);
            }
            Some(Felt::Waiting(workers) | Felt::Lost(workers)) => {
                self.missed += 1;
                if self.missed == BEATS / 2 {
                    error!(
                        workers,
                        "media workers hang or are gone: the watchdog is not fed until all turn"
                    );
                }
            }
        }
        // Who has been asked and has not answered yet is not asked again.
        if !matches!(felt, Some(Felt::Waiting(_))) {
            self.pulse = Some(ask());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers that say this, one after the other.
    struct Script(Vec<Felt>);

    impl Beats for Script {
        fn feel(&mut self) -> Felt {
            self.0.remove(0)
        }
    }

    fn listener(watchdog: Option<u64>) -> (Notifier, Receiver<News>) {
        let (news, told) = bounded(WAITING);
        let notifier = Notifier {
            news: Some(news),
            watchdog: watchdog.map(Duration::from_secs),
        };
        (notifier, told)
    }

    #[test]
    fn where_nobody_listens_nothing_is_ever_due() {
        let heart: Heartbeat<Script> = Heartbeat::new(Notifier::default(), Instant::now());
        assert_eq!(heart.poll_timeout(), None);
        Notifier::default().ready();
    }

    #[test]
    fn the_watchdog_is_fed_when_all_workers_have_turned() {
        let (notifier, told) = listener(Some(10));
        let start = Instant::now();
        let mut heart = Heartbeat::new(notifier, start);
        let mut asked = 0;
        let mut beat = |heart: &mut Heartbeat<Script>, answers: &[Felt]| {
            let now = heart.poll_timeout().unwrap();
            let answers = answers.to_vec();
            heart.handle_timeout(now, (0, false), || {
                asked += 1;
                Script(answers)
            });
            assert_eq!(
                heart.poll_timeout(),
                Some(now + Duration::from_millis(2500))
            );
            (asked, told.try_iter().collect::<Vec<_>>())
        };
        let (waiting, lost) = (Felt::Waiting(1), Felt::Lost(1));
        assert_eq!(beat(&mut heart, &[Felt::All]), (1, vec![]));
        let answers = [waiting, waiting, Felt::All];
        assert_eq!(beat(&mut heart, &answers), (2, vec![News::Alive]));
        // One hangs for a while; it is not asked again.
        assert_eq!(beat(&mut heart, &[]), (2, vec![]));
        assert_eq!(beat(&mut heart, &[]), (2, vec![]));
        assert_eq!(beat(&mut heart, &[lost]), (3, vec![News::Alive]));
        // One could not be asked.
        assert_eq!(beat(&mut heart, &[Felt::All]), (4, vec![]));
        assert_eq!(beat(&mut heart, &[Felt::All]), (5, vec![News::Alive]));
    }

    #[test]
    fn the_status_is_told_when_it_is_another_one() {
        let (notifier, told) = listener(None);
        let start = Instant::now();
        let mut heart: Heartbeat<Script> = Heartbeat::new(notifier, start);
        for (load, news) in [
            ((0, false), None),
            ((1, false), Some("1 call")),
            ((1, false), None),
            ((7, false), Some("7 calls")),
            ((7, true), Some("draining: no new calls, 7 calls to end")),
            ((0, false), Some("no calls")),
        ] {
            let now = heart.poll_timeout().unwrap();
            heart.handle_timeout(now, load, || unreachable!("nobody watches"));
            assert_eq!(heart.poll_timeout(), Some(now + STATUS));
            let news: Vec<News> = news
                .map(|text| News::Status(text.to_owned()))
                .into_iter()
                .collect();
            assert_eq!(told.try_iter().collect::<Vec<_>>(), news);
        }
    }

    #[test]
    fn a_service_manager_that_takes_no_news_keeps_nobody_waiting() {
        let (notifier, told) = listener(None);
        for _ in 0..2 * WAITING {
            notifier.stopping();
        }
        assert_eq!(told.len(), WAITING);
    }
}
