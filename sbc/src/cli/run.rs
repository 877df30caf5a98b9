//! `sbc run`.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use sbc::io::{log, run as daemon};

use super::banner::Banner;
use super::source::{self, Origin};
use super::{Failure, RunArgs};

/// Runs until a signal ends it.
pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    log::start(&args.log, args.log_format.into())?;
    let source = source::load(args.file.config.as_deref())?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Host)?;
    runtime.block_on(async {
        // Before anything is there that would have to be ended.
        let signals = Signals::new().map_err(Failure::Host)?;
        let config = Arc::new(source.config);
        let options = daemon::Options::of_host().map_err(Failure::Host)?;
        let running = daemon::start(Arc::clone(&config), options)
            .await
            .map_err(|error| Failure::Start {
                error,
                built_in: matches!(source.origin, Origin::BuiltIn(_)),
            })?;
        let banner = Banner {
            config: &config,
            origin: &source.origin,
            admin: running.admin(),
            paths: running.paths(),
        };
        // When nobody reads standard output the daemon runs all the same.
        let _ = write!(io::stdout(), "{banner}").and_then(|()| io::stdout().flush());
        tokio::spawn(signals.stop(running.control()));
        Ok(running.ended().await?)
    })
}

/// What ends the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone, and with it whoever could end the daemon.
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The first asks it to end, the second not to wait for anybody.
    async fn stop(mut self, control: daemon::Control) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => {}
            }
            control.stop().await;
        }
    }
}
