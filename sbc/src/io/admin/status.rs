//! `/api/status`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sbc_ebpf::shed::Shed;

use super::Admin;
use super::api::{json, unanswered};
use super::types::{
    Amount, CallCounts, FlowCounts, MediaTotals, NetworkStatus, QualityTotals, Status, TrunkCounts,
    WorkerStatus,
};
use crate::config::{Config, MediaPriority, NetworkId, TrunkId};
use crate::engine::{Histogram, StatusView};
use crate::io::control::{Phase, Request, Unanswered};
use crate::io::host;
use crate::io::media::{Driver, WorkerView};
use crate::io::metrics::{Reading, network_name};
use crate::io::signalling::Local;
use crate::media::{NetworkPath, Traffic, XdpMode};
use crate::trunks::TrunkView;

/// Of a hundred: a media range that is taken so far is warned of.
const TAKEN: u64 = 80;

/// How things are.
pub(super) async fn page(State(admin): State<Admin>) -> Response {
    match status(&admin).await {
        Ok(status) => json(StatusCode::OK, &status),
        Err(why) => unanswered(why),
    }
}

async fn status(admin: &Admin) -> Result<Status, Unanswered> {
    let control = &admin.control;
    let reading = control.reading().await?;
    let trunks = control.ask(Request::Trunks).await?;
    let (view, locals) = control.ask(Request::Status).await?;
    let (driver, workers) = control.ask(Request::Workers).await?;
    let config = admin.config.load();
    let [up, loaded] = control.ages();
    let file = control.loader().map(|loader| loader.file().display());
    let mut status = Status {
        warnings: Vec::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: config.sbc.name.clone(),
        phase: phase(control.phase()).to_owned(),
        up_seconds: up.as_secs(),
        config: file.map(|file| file.to_string()),
        config_seconds: loaded.as_secs(),
        calls: CallCounts {
            up: view.up,
            ringing: view.ringing,
            last_minute: view.last_minute,
        },
        flows: FlowCounts {
            kernel: view.kernel,
            user: view.user,
            transcoded: view.transcoded,
        },
        media: media(&reading),
        quality: quality(&reading),
        trunks: trunk_counts(&trunks, &reading),
        registrations: reading.engine.registrations.values().sum(),
        bans: reading.engine.bans.values().sum(),
        networks: networks(&config, &view, &reading, &locals),
        workers: workers.iter().map(|view| worker(driver, view)).collect(),
        memory_bytes: host::resident_memory(),
    };
    status.warnings = warnings(&config, &view, &reading, &trunks, &status);
    Ok(status)
}

/// Its name.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
    }
}

fn media(reading: &Reading) -> MediaTotals {
    let sum = |all: &mut dyn Iterator<Item = Traffic>| {
        all.fold(Amount::default(), |sum, one| Amount {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
        })
    };
    let (kernel, user) = (&reading.kernel.networks, &reading.user.networks);
    let voice = reading.voice.networks.values();
    MediaTotals {
        kernel: sum(&mut kernel.values().map(|network| network.received)),
        user: sum(&mut user.values().map(|network| network.received)),
        transcoded: sum(&mut voice.map(|network| network.received)),
    }
}

fn quality(reading: &Reading) -> QualityTotals {
    let engine = &reading.engine;
    let (count, sum) = engine.mos.values().fold((0, 0.0), |(count, sum), mos| {
        (count + observed(&mos.0), sum + mos.0.sum())
    });
    let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
    let jitter = &engine.media_jitter.0;
    QualityTotals {
        lost: engine.media_quality.values().map(|all| all.lost).sum(),
        streams: count,
        mos: mean(sum, count),
        jitter_ms: mean(1000.0 * jitter.sum(), observed(jitter)),
    }
}

fn observed(histogram: &Histogram) -> u64 {
    histogram.counts().iter().sum()
}

fn trunk_counts(trunks: &[TrunkView], reading: &Reading) -> TrunkCounts {
    let (up, registered) = (&reading.engine.trunk_up, &reading.engine.trunk_registered);
    let count = |known: &BTreeMap<TrunkId, bool>| known.values().filter(|is| **is).count() as u64;
    TrunkCounts {
        all: trunks.len() as u64,
        watched: up.len() as u64,
        up: count(up),
        registering: registered.len() as u64,
        registered: count(registered),
    }
}

fn worker(driver: Driver, view: &WorkerView) -> WorkerStatus {
    let seated = view.seated;
    let priority = seated.map_or(MediaPriority::Normal, |seated| seated.priority);
    WorkerStatus {
        driver: driver.label().to_owned(),
        core: seated.and_then(|seated| seated.core),
        priority: priority.label().to_owned(),
        no_higher: seated
            .and_then(|seated| seated.refused)
            .map(|error| error.desc().to_owned()),
        transcoded: view.transcoded,
        load_percent: view.load / 10,
        refuses: view.refuses,
    }
}

fn networks(
    config: &Config,
    view: &StatusView,
    reading: &Reading,
    locals: &[Local],
) -> Vec<NetworkStatus> {
    let all = (0..).map(NetworkId).zip(&config.networks);
    all.map(|(id, network)| {
        let path = view.paths.iter().find(|(known, _)| *known == id);
        let (path, path_why) = path.map_or(("user", String::new()), |(_, path)| words(*path));
        let ports = network.media_ports.len() as u64;
        let of = |counts: &BTreeMap<NetworkId, u64>| counts.get(&id).copied().unwrap_or_default();
        let here = locals.iter().filter(|local| local.network == id);
        NetworkStatus {
            name: network.name.clone(),
            addresses: network.addresses.clone(),
            sip: here
                .map(|local| format!("{}:{}", local.transport.name(), local.address))
                .collect(),
            path: path.to_owned(),
            path_why,
            media_ports_free: of(&reading.engine.media_ports_free),
            media_ports: ports * network.addresses.len() as u64,
            registrations: of(&reading.engine.registrations),
            bans: of(&reading.engine.bans),
            media_dropped: media_dropped(id, reading),
            sip_dropped: sip_dropped(id, reading),
        }
    })
    .collect()
}

fn words(path: NetworkPath) -> (&'static str, String) {
    match path {
        NetworkPath::Kernel { mode } => {
            let mode = match mode {
                XdpMode::Native => "native",
                XdpMode::Generic => "generic",
            };
            ("kernel", format!("in the kernel (XDP, {mode} mode)"))
        }
        NetworkPath::User(reason) => ("user", format!("in user space: {}", reason.words())),
    }
}

/// Sums by reason, without those of which there are none.
#[derive(Default)]
struct Sums(BTreeMap<String, u64>);

impl Sums {
    fn add(&mut self, reason: &str, count: u64) {
        if count > 0 {
            *self.0.entry(reason.to_owned()).or_default() += count;
        }
    }
}

fn media_dropped(id: NetworkId, reading: &Reading) -> BTreeMap<String, u64> {
    let mut sums = Sums::default();
    for stats in [&reading.kernel, &reading.user] {
        let dropped = stats.networks.get(&id).map(|network| &network.dropped);
        for (reason, count) in dropped.into_iter().flatten() {
            if !Shed::ALL.iter().any(|shed| shed.label() == *reason) {
                sums.add(reason, *count);
            }
        }
    }
    sums.0
}

fn sip_dropped(id: NetworkId, reading: &Reading) -> BTreeMap<String, u64> {
    let mut sums = Sums::default();
    let kernel = reading.kernel.networks.get(&id);
    for shed in Shed::ALL {
        let label = shed.label();
        let in_kernel = kernel.and_then(|network| network.dropped.get(label));
        let in_user = reading.sockets.network(id).shed(shed);
        sums.add(label, in_kernel.copied().unwrap_or_default() + in_user);
    }
    let engine = &reading.engine;
    for ((network, reason), count) in &engine.sip_refused {
        // Who has not been asked for his password yet sends none.
        if *network == id && *reason != "no-credentials" {
            sums.add(reason, *count);
        }
    }
    let malformed = engine.sip_malformed.iter();
    let malformed = malformed.filter(|((network, _), _)| *network == id);
    sums.add("malformed", malformed.map(|(_, count)| count).sum());
    let sockets = reading.sockets.network(id);
    sums.add(
        "overload",
        sockets.overload_in.value() + sockets.overload_out.value(),
    );
    sums.0
}

fn warnings(
    config: &Config,
    view: &StatusView,
    reading: &Reading,
    trunks: &[TrunkView],
    status: &Status,
) -> Vec<String> {
    let mut warnings = Vec::new();
    match status.phase.as_str() {
        "stopping" => warnings.push("the daemon is stopping: no new calls".to_owned()),
        "draining" => warnings.push(
            "the daemon drains: no new calls but for emergencies, and it ends with the last one; `sbc drain --cancel` takes that back"
                .to_owned(),
        ),
        _ => {}
    }
    for (id, address) in &view.gone {
        let network = network_name(config, *id);
        warnings.push(format!(
            "network {network}: this host does not have {address} now; nothing comes or leaves there"
        ));
    }
    for view in trunks {
        about_trunk(config, view, &mut warnings);
    }
    for network in &status.networks {
        let taken = network.media_ports.saturating_sub(network.media_ports_free);
        let percent = taken * 100 / network.media_ports.max(1);
        if percent >= TAKEN {
            warnings.push(format!(
                "network {}: {percent} % of media_ports are taken or rest; give it a wider range",
                network.name
            ));
        }
    }
    let refusing = status
        .workers
        .iter()
        .filter(|worker| worker.refuses)
        .count();
    if refusing > 0 {
        warnings.push(format!(
            "{refusing} of {} media workers do not keep up and take no new calls that must be transcoded",
            status.workers.len()
        ));
    }
    let denied = status.workers.iter().find_map(|w| w.no_higher.as_ref());
    if let Some(why) = denied {
        warnings.push(format!(
            "media workers have not the priority that media_priority wants: {why}"
        ));
    }
    for (table, count) in &reading.engine.full {
        warnings.push(format!("the table of {table} was full {count} times"));
    }
    for (id, count) in &reading.engine.misled {
        let network = network_name(config, *id);
        warnings.push(format!(
            "network {network}: {count} legs on the internet were told a private address of ours; set `external`"
        ));
    }
    warnings
}

fn about_trunk(config: &Config, view: &TrunkView, warnings: &mut Vec<String>) {
    let Some(trunk) = config.trunks.get(view.trunk.index()) else {
        return;
    };
    let name = &trunk.name;
    if let Some(silence) = &view.silence {
        let last = match view.answered {
            Some(since) => format!("its last answer was {} ago", span(since.as_secs())),
            None => "it has not answered yet".to_owned(),
        };
        warnings.push(format!("trunk:{name} does not answer: {silence}; {last}"));
    }
    if let Some(registration) = &view.registration
        && let Some(trouble) = &registration.trouble
    {
        let how = match registration.left {
            Some(left) => format!("is registered for {} more, and", span(left.as_secs())),
            None => "is not registered:".to_owned(),
        };
        warnings.push(format!("trunk:{name} {how} {trouble}"));
    }
    if trunk.limits.calls.is_some_and(|most| view.calls >= most) {
        warnings.push(format!(
            "trunk:{name} has all the {} calls that max_calls allows",
            view.calls
        ));
    }
}

/// `3 min`.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
