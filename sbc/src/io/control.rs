//! The way to the engine's task for everyone else: bounded, and answered within a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::calls::{CallPart, Found};
use super::fast_path::{Meter, Totals};
use super::flight::{NotRecorded, Recording, RecordingView};
use super::flows::{Heard, Part, Recorded};
use super::media::{Driver, WorkerView};
use super::metrics::Reading;
use super::reload::Loader;
use super::service::Notifier;
use super::signalling::Local;
use super::upkeep::Contacts;
use crate::call::CallDetail;
use crate::config::{Changes, Config, NeedsRestart, NetworkId, PhoneId};
use crate::engine::{CallId, StatusView};
use crate::media::{Finding, FlowReport, PairId};
use crate::shed::{Ban, BanError, Banned, UnbanError};
use crate::trace::{Seen, Summary};
use crate::trunks::TrunkView;

/// Requests that may wait for the engine's task.
const REQUESTS: usize = 64;
/// How long whoever asks waits for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// Where in its life the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not listening yet.
    Starting,
    /// Takes calls.
    Ready,
    /// Takes no more calls, and ends with the last of those that are up.
    Draining,
    /// Takes no more calls, and ends those that are up.
    Stopping,
}

/// The way to ask the engine's task things.
#[derive(Clone, Debug)]
pub struct Control {
    requests: mpsc::Sender<Request>,
    phase: Arc<AtomicU8>,
    loader: Option<Loader>,
    reloading: Arc<Mutex<()>>,
    notifier: Notifier,
    /// What the kernel counts, where it forwards.
    kernel: Option<Arc<Totals>>,
    started: Instant,
    /// Milliseconds after that: when the config in force was read.
    loaded: Arc<AtomicU64>,
}

/// What the engine's task is asked. Its answers take little time: media and signalling wait meanwhile.
#[derive(Debug)]
pub(super) enum Request {
    /// All counters but the kernel's, which [`Control::reading`] adds.
    Read(oneshot::Sender<Reading>),
    Ping(oneshot::Sender<()>),
    /// How things are, and where SIP comes in.
    Status(oneshot::Sender<(StatusView, Vec<Local>)>),
    /// The next flow pairs after that one, if it belongs to a call of this name.
    Flows {
        after: Option<PairId>,
        call: Option<String>,
        answer: oneshot::Sender<Part>,
    },
    /// The next calls after that one.
    Calls {
        after: Option<CallId>,
        answer: oneshot::Sender<CallPart>,
    },
    /// Those of the next calls that go by this name.
    Find {
        name: String,
        after: Option<CallId>,
        answer: oneshot::Sender<Found>,
    },
    /// All of a call.
    Call {
        id: CallId,
        answer: oneshot::Sender<Option<CallDetail>>,
    },
    /// What the flow of a call's audio has done.
    Heard {
        id: CallId,
        answer: oneshot::Sender<Heard>,
    },
    /// Why a party of a call hears nothing, if its audio has done this.
    Findings {
        id: CallId,
        report: Option<Box<FlowReport>>,
        answer: oneshot::Sender<Vec<Finding>>,
    },
    /// The traces that began before that one, the latest first; a page of them.
    Traces {
        before: Option<u64>,
        answer: oneshot::Sender<Vec<Summary>>,
    },
    /// Those that a name may stand for.
    FindTrace {
        name: String,
        answer: oneshot::Sender<Vec<Summary>>,
    },
    /// All of a trace.
    Trace {
        number: u64,
        answer: oneshot::Sender<Option<Seen>>,
    },
    /// Ends a call; whether there was one to end.
    HangUp {
        id: CallId,
        answer: oneshot::Sender<bool>,
    },
    /// What the flight recorder has of a call; none if there is no such call.
    Recorded {
        id: CallId,
        answer: oneshot::Sender<Option<Recorded>>,
    },
    /// Records what is said in a call from now on, for whoever this is.
    Record {
        id: CallId,
        by: String,
        answer: oneshot::Sender<Result<Recording, NotRecorded>>,
    },
    /// The recordings that are made now; none where the config allows none.
    Recordings(oneshot::Sender<Option<Vec<RecordingView>>>),
    /// Ends a recording; whether there was one to end.
    EndRecording {
        number: u64,
        answer: oneshot::Sender<bool>,
    },
    /// How media workers are, and what they run on.
    Workers(oneshot::Sender<(Driver, Vec<WorkerView>)>),
    /// All trunks.
    Trunks(oneshot::Sender<Vec<TrunkView>>),
    /// Some contacts of phones, from that account on.
    Contacts {
        from: PhoneId,
        answer: oneshot::Sender<Contacts>,
    },
    /// The next bans after that one.
    Bans {
        after: Option<(NetworkId, IpNet)>,
        answer: oneshot::Sender<Vec<Ban>>,
    },
    Ban {
        prefix: IpNet,
        lasting: Option<Duration>,
        answer: oneshot::Sender<Result<Banned, BanError>>,
    },
    Unban {
        prefix: IpNet,
        answer: oneshot::Sender<Result<Vec<Ban>, UnbanError>>,
    },
    /// Another config, bound to this host.
    Reload {
        config: Box<Config>,
        answer: oneshot::Sender<Result<Changes, NeedsRestart>>,
    },
    /// No new calls, and the end with the last of them; or new calls again. How many calls there are, and the phase that this led to.
    Drain {
        wanted: bool,
        answer: oneshot::Sender<(u64, Phase)>,
    },
    Stop,
    /// As [`Request::Stop`]. How many calls are ended.
    End(oneshot::Sender<u64>),
    /// The same, with more time for the far ends to answer.
    Purge(oneshot::Sender<u64>),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// It has enough to do.
    #[error("too many requests wait for the engine: ask again later")]
    Full,
    /// It did not answer in time.
    #[error("the engine does not answer within {} s: it has too much to do", ANSWER.as_secs())]
    Late,
    /// There is none any more.
    #[error("the engine has ended")]
    Gone,
}

impl Control {
    /// The way, and its other end.
    pub(super) fn new(
        loader: Option<Loader>,
        notifier: Notifier,
    ) -> (Control, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let control = Control {
            requests,
            phase: Arc::new(AtomicU8::new(0)),
            loader,
            reloading: Arc::default(),
            notifier,
            kernel: None,
            started: Instant::now(),
            loaded: Arc::default(),
        };
        (control, asked)
    }

    /// The same, with the kernel's counters in what is read.
    pub(super) fn counting(self, kernel: Option<Arc<Totals>>) -> Control {
        Control { kernel, ..self }
    }

    /// Ends all calls, then the daemon; asked a second time, at once.
    pub async fn stop(&self) {
        // Without a task it has stopped.
        let _ = self.requests.send(Request::Stop).await;
    }

    /// All counters. Those of the kernel are read here, some milliseconds long where there are thousands of calls: not for the engine's thread.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub(super) async fn reading(&self) -> Result<Reading, Unanswered> {
        let reading = self.ask(Request::Read).await?;
        let kernel = self.kernel.as_ref().map(|kernel| kernel.read());
        Ok(Reading {
            kernel: kernel.unwrap_or_default(),
            ..reading
        })
    }

    /// What pairs that the kernel forwards have done, read here; none for one that has ended since.
    pub(super) fn reports(&self, meters: &[Meter]) -> Vec<Option<FlowReport>> {
        match &self.kernel {
            Some(kernel) => kernel.reports(meters),
            None => vec![None; meters.len()],
        }
    }

    /// Whether the engine answers in time.
    pub async fn is_alive(&self) -> bool {
        self.ask(Request::Ping).await.is_ok()
    }

    /// Asks the engine's task. Where too many wait already it is not asked at all.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.requests
            .try_send(request(answer))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => Unanswered::Full,
                mpsc::error::TrySendError::Closed(_) => Unanswered::Gone,
            })?;
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(answer) => answer.map_err(|_| Unanswered::Gone),
            Err(_) => Err(Unanswered::Late),
        }
    }

    /// Reads the config file again, if there is one.
    pub(super) fn loader(&self) -> Option<&Loader> {
        self.loader.as_ref()
    }

    /// Held while it is read and put in force.
    pub(super) fn reloading(&self) -> &Mutex<()> {
        &self.reloading
    }

    /// Who is told of a reload.
    pub(super) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Another config is in force.
    pub(super) fn loaded(&self) {
        let passed = self.started.elapsed().as_millis() as u64;
        self.loaded.store(passed, Ordering::Relaxed);
    }

    /// Since the daemon is there, and since the config in force is.
    pub(super) fn ages(&self) -> [Duration; 2] {
        let up = self.started.elapsed();
        let loaded = Duration::from_millis(self.loaded.load(Ordering::Relaxed));
        [up, up.saturating_sub(loaded)]
    }

    /// Where in its life the daemon is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    /// Waits until the engine's task is gone.
    pub(super) async fn ended(&self) {
        self.requests.closed().await;
    }

    /// It is another one now.
    pub(super) fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => 0,
            Phase::Ready => 1,
            Phase::Draining => 2,
            Phase::Stopping => 3,
        };
        self.phase.store(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_too_many_wait_nobody_else_does() {
        let (control, asked) = Control::new(None, Notifier::default());
        let waiting: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let control = control.clone();
                tokio::spawn(async move { control.ask(Request::Ping).await })
            })
            .collect();
        while control.requests.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(control.ask(Request::Ping).await, Err(Unanswered::Full));
        drop(asked);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Err(Unanswered::Gone));
        }
        assert_eq!(control.ask(Request::Ping).await, Err(Unanswered::Gone));
    }
}
