//! What the engine's task says when it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::{Phase, Shell};
use crate::call::Call;
use crate::engine::{Engine, Input};
use crate::io::admin::{MOST, ROWS};
use crate::io::calls;
use crate::io::cdr::Cdr;
use crate::io::control::Request;
use crate::io::metrics::Reading;
use crate::io::upkeep::contacts;
use crate::media::MediaStats;
use crate::trace::Store;

/// Bans that are told at a time, so that traffic has its turn in between.
pub(in crate::io) const BANS: usize = 1000;
/// How long a purge waits for the far ends to answer: a service manager waits for longer (`TimeoutStopSec` of the unit).
pub(in crate::io) const PURGE: Duration = Duration::from_secs(10);

impl Shell {
    pub(super) fn answer(&mut self, request: Request) {
        let now = Instant::now();
        match request {
            Request::Read(answer) => {
                let reading = Reading {
                    engine: self.engine.stats(now),
                    kernel: MediaStats::default(),
                    user: self.flows.stats(),
                    voice: self.flows.voice(),
                    loads: self.flows.loads(),
                    sockets: Arc::clone(&self.counters),
                    cdr: self.cdr.as_ref().map(Cdr::counters),
                    trace: self.engine.traces().map(Store::totals),
                    flight: self.flows.flight_counts(),
                };
                // Whoever asked may have given up.
                let _ = answer.send(reading);
            }
            Request::Status(answer) => {
                let locals = self.signalling.locals().to_vec();
                let _ = answer.send((self.engine.status(now), locals));
            }
            Request::Ping(answer) => drop(answer.send(())),
            Request::Flows {
                after,
                call,
                answer,
            } => {
                let part = self.flows.part(&self.engine, after, call.as_deref());
                let _ = answer.send(part);
            }
            Request::Calls { after, answer } => drop(answer.send(calls::part(&self.engine, after))),
            Request::Find {
                name,
                after,
                answer,
            } => drop(answer.send(calls::find(&self.engine, &name, after))),
            Request::Call { id, answer } => {
                let _ = answer.send(self.engine.call(id).map(Call::detail));
            }
            Request::Heard { id, answer } => {
                let _ = answer.send(self.flows.heard(&self.engine, id));
            }
            Request::Findings { id, report, answer } => {
                let _ = answer.send(self.engine.findings(now, id, report.as_deref()));
            }
            Request::Traces { before, answer } => {
                let rows = traces(&self.engine).flat_map(|all| all.before(before));
                let _ = answer.send(rows.take(ROWS).collect());
            }
            Request::FindTrace { name, answer } => {
                let found = traces(&self.engine).flat_map(|all| all.find(&name, MOST + 1));
                let _ = answer.send(found.collect());
            }
            Request::Trace { number, answer } => {
                let seen = traces(&self.engine).find_map(|all| all.see(number));
                let _ = answer.send(seen);
            }
            Request::HangUp { id, answer } => {
                let done = self.engine.hang_up(now, id);
                self.turn(now);
                let _ = answer.send(done);
            }
            Request::Recorded { id, answer } => {
                let call = self.engine.call(id);
                let _ = answer.send(call.map(|call| self.flows.recorded(call)));
            }
            Request::Record { id, by, answer } => {
                // Whoever has given up drops it, which ends it.
                let _ = answer.send(self.flows.record(id, by));
            }
            Request::Recordings(answer) => drop(answer.send(self.flows.views_of_recordings())),
            Request::EndRecording { number, answer } => {
                let _ = answer.send(self.flows.end_recording(number));
            }
            Request::Workers(answer) => drop(answer.send(self.flows.workers())),
            Request::Trunks(answer) => drop(answer.send(self.engine.trunks(now))),
            Request::Contacts { from, answer } => {
                let _ = answer.send(contacts(&self.engine, now, from));
            }
            Request::Bans { after, answer } => {
                let bans = self.engine.bans_after(after).take(BANS);
                let _ = answer.send(bans.copied().collect());
            }
            Request::Ban {
                prefix,
                lasting,
                answer,
            } => {
                let banned = self.engine.ban(now, prefix, lasting);
                // In force before it is said to be.
                self.turn(now);
                let _ = answer.send(banned);
            }
            Request::Unban { prefix, answer } => {
                let lifted = self.engine.unban(prefix);
                self.turn(now);
                let _ = answer.send(lifted);
            }
            Request::Reload { config, answer } => {
                let done = self.engine.reload(now, *config);
                if let Some(cdr) = &self.cdr {
                    cdr.reopen();
                }
                if done.is_ok() {
                    self.current.put(Arc::clone(self.engine.config()));
                }
                self.turn(now);
                let _ = answer.send(done);
            }
            Request::Drain { wanted, answer } => {
                self.drain(now, wanted);
                let calls = self.engine.call_count() as u64;
                let _ = answer.send((calls, self.control.phase()));
            }
            Request::Stop if self.stopping.is_some() => self.stopping = Some(now),
            Request::Stop => self.stop(now, self.farewell),
            Request::End(answer) => {
                let _ = answer.send(self.engine.call_count() as u64);
                self.answer(Request::Stop);
            }
            Request::Purge(answer) => {
                let _ = answer.send(self.engine.call_count() as u64);
                self.stop(now, self.farewell.max(PURGE));
            }
        }
    }

    /// What is stopping goes on stopping.
    fn drain(&mut self, now: Instant, wanted: bool) {
        let (phase, input) = match wanted {
            true => (Phase::Draining, Input::Drain),
            false => (Phase::Ready, Input::Resume),
        };
        if self.stopping.is_none() {
            self.control.enter(phase);
            self.input(now, input);
        }
    }

    /// Ends with its last call, if it drains.
    pub(super) fn end_drained(&mut self) {
        if self.stopping.is_none() && self.engine.is_draining() && !self.engine.has_calls() {
            info!("the last call is over");
            self.stop(Instant::now(), self.farewell);
        }
    }

    /// Ends what is up, within that time.
    fn stop(&mut self, now: Instant, within: Duration) {
        if self.stopping.is_none() {
            info!("stopping: no new calls, those that are up are ended");
            self.control.enter(Phase::Stopping);
            self.control.notifier().stopping();
        }
        self.stopping = Some(now + within);
        self.input(now, Input::Stop);
    }
}

/// None, or one.
fn traces(engine: &Engine) -> impl Iterator<Item = &Store> {
    engine.traces().into_iter()
}
