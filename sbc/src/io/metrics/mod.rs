//! What has been counted, as Prometheus text. Everything is kept elsewhere as plain numbers, and read at scrape.
//!
//! Series whose labels the config gives exist from the start, at zero: `rate()` sees their first change.

mod calls;
mod cdr;
mod family;
mod flight;
mod media;
mod parties;
mod process;
mod servers;
mod sip;
mod trace;
mod trunks;
mod voice;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

pub(super) use self::calls::label as party_label;
use self::family::Family;
#[cfg(test)]
pub(super) use self::{media::drop_reasons, sip::refusals};
use super::cdr::Counters as CdrCounters;
use super::current::Current;
use super::signalling::Counters;
use crate::config::{Config, NetworkId};
use crate::engine::Stats;
use crate::media::{MediaStats, VoiceStats};
use crate::trace::Totals;

/// All that was counted, as of one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The engine's.
    pub engine: Stats,
    /// The XDP programs'.
    pub kernel: MediaStats,
    /// The media workers', of what they forward as it is.
    pub user: MediaStats,
    /// The media workers', of what they transcode.
    pub voice: VoiceStats,
    /// What each media worker takes of a processor, of a thousand.
    pub loads: Vec<u64>,
    /// The signalling sockets'.
    pub sockets: Arc<Counters>,
    /// The records of calls, where they are wanted.
    pub cdr: Option<Arc<CdrCounters>>,
    /// The traces of calls, where they are kept.
    pub trace: Option<Totals>,
    /// The flight recorder, where it is on.
    pub flight: Option<FlightCounts>,
}

/// What the flight recorder has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlightCounts {
    /// Captures of bad calls.
    pub written: u64,
    /// Those that could not be written.
    pub failed: u64,
    /// Those that there was no time for: too many others waited.
    pub skipped: u64,
    /// Flow pairs that are not kept, as too many others are.
    pub missed: u64,
    /// Where payload may be recorded: recordings that there are now, and packets that were lost to them.
    pub recordings: Option<[u64; 2]>,
}

/// The page at `/metrics`.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    page: Page,
}

/// The collector: the config gives the labels, the last reading the values.
#[derive(Clone, Debug)]
struct Page {
    config: Current,
    reading: Arc<Mutex<Reading>>,
    started: SystemTime,
}

impl Metrics {
    /// For the labels of the config that is in force when it is read.
    ///
    /// # Errors
    /// Two metrics of one name: a mistake in this module, which its tests find.
    pub fn new(config: Current) -> Result<Self, prometheus::Error> {
        let sockets = Arc::new(Counters::new(config.load().networks.len()));
        let reading = Reading {
            engine: Stats::default(),
            kernel: MediaStats::default(),
            user: MediaStats::default(),
            voice: VoiceStats::default(),
            loads: Vec::new(),
            sockets,
            cdr: None,
            trace: None,
            flight: None,
        };
        let page = Page {
            config,
            reading: Arc::new(Mutex::new(reading)),
            started: SystemTime::now(),
        };
        let registry = Registry::new();
        registry.register(Box::new(page.clone()))?;
        Ok(Metrics { registry, page })
    }

    /// The text exposition of a reading.
    ///
    /// # Errors
    /// The encoder's: a family without a metric or a name.
    pub fn render(&self, reading: Reading) -> Result<String, prometheus::Error> {
        *self
            .page
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = reading;
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Page {
    fn families(&self) -> Vec<Family> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.config.load();
        let mut families = media::families(&config, &reading);
        families.extend(voice::families(&config, &reading));
        families.extend(calls::families(&config, &reading.engine));
        families.extend(parties::families(&config, &reading.engine));
        families.extend(sip::families(&config, &reading));
        families.extend(trunks::families(&config, &reading.engine));
        families.extend(servers::families(&reading.engine));
        families.extend(cdr::families(&reading));
        families.extend(trace::families(&reading));
        families.extend(flight::families(&reading));
        families.extend(process::families(self.started));
        families
    }
}

impl Collector for Page {
    fn desc(&self) -> Vec<&Desc> {
        // An unchecked collector: its descriptions would only repeat what its families say.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families()
            .into_iter()
            .filter_map(Family::finish)
            .collect()
    }
}

/// Ids and names of all networks.
fn networks(config: &Config) -> impl Iterator<Item = (NetworkId, &str)> {
    (0u16..)
        .map(NetworkId)
        .zip(config.networks.iter().map(|network| network.name.as_str()))
}

/// The name of a network, whatever the id.
pub(super) fn network_name(config: &Config, id: NetworkId) -> &str {
    config
        .networks
        .get(id.index())
        .map_or("?", |network| &network.name)
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
