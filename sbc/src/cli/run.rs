//! `sbc run`.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use sbc::io::reload::Loader;
use sbc::io::service::Notifier;
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
        let mut options = daemon::Options::of_host().map_err(Failure::Host)?;
        options.notifier = Notifier::of_environment().map_err(Failure::Host)?;
        options.bpffs.clone_from(&args.bpffs);
        // Accounts of the built-in settings are others each time.
        if let Origin::File(file) = &source.origin {
            options.state = Some(config.sbc.state_dir.clone());
            let file = file.clone();
            options.loader = Some(Loader::new(file.clone(), move || {
                let source = source::load(Some(&file)).map_err(|error| error.to_string())?;
                Ok(source.config)
            }));
        }
        let is_reloadable = options.loader.is_some();
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
        tokio::spawn(signals.follow(running.control(), is_reloadable));
        Ok(running.ended().await?)
    })
}

/// What ends the daemon, and what has it read its file again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The file is to be read again; without one, the terminal is gone, and with it whoever could end the daemon.
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

    /// The first to end it asks it to, the second not to wait for anybody.
    async fn follow(mut self, control: daemon::Control, is_reloadable: bool) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => {
                    if is_reloadable {
                        // What comes of it is in the log.
                        let _ = control.reload().await;
                        continue;
                    }
                }
            }
            control.stop().await;
        }
    }
}
