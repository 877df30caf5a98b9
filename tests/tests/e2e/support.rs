//! What several of these tests do.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc::io::admin::types::Flow;
use sbc_tests::e2e::{
    Account, Baresip, Daemon, FastPath, Heard, Lab, Metrics, Namespace, Need, Phone, RunAs, host,
    lab_config_over,
};

/// What Alice plays, in Hz: a lost packet of 20 ms is half a period too little.
pub(crate) const ALICE: u32 = 425;
/// What Bob plays, in Hz.
pub(crate) const BOB: u32 = 775;

/// Longer than voice of any length takes beyond that.
const PATIENCE: Duration = Duration::from_secs(60);
/// A packet's.
const LOOK: Duration = Duration::from_millis(20);

/// What a test with phones needs.
pub(crate) const PHONES: [Need; 3] = [
    Need::Namespaces,
    Need::Program("ethtool"),
    Need::Program("baresip"),
];

/// What a test with load needs.
pub(crate) const LOAD: [Need; 3] = [
    Need::Namespaces,
    Need::Program("ethtool"),
    Need::Program("sipp"),
];

/// A phone that is a trunk to the box, at port 5060.
pub(crate) fn server(user: &'static str, address: impl Into<IpAddr>, tone: u32) -> Phone {
    Phone {
        user,
        address: SocketAddr::new(address.into(), 5060),
        tone,
        account: Account::Trunk,
    }
}

/// The daemon at the edge with the lab's config.
pub(crate) fn start(lab: &Lab, fast_path: FastPath) -> Result<Daemon<'_>> {
    let config = lab_config_over(lab.family, fast_path, &lab.scratch.path().join("state"));
    start_on(lab, &config)
}

/// The daemon at the edge with another config.
pub(crate) fn start_on<'a>(lab: &'a Lab, config: &str) -> Result<Daemon<'a>> {
    let file = lab.scratch.write("lab.toml", config)?;
    Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )
}

/// Alice and Bob on a call through the box.
pub(crate) struct Call {
    pub(crate) alice: Baresip,
    pub(crate) bob: Baresip,
}

impl Call {
    /// Both phones are there; Alice calls, Bob answers.
    pub(crate) fn begin(lab: &Lab) -> Result<Call> {
        let bob = server("bob", lab.family.carrier(), BOB);
        let alice = server("alice", lab.family.phone(), ALICE);
        let mut bob = Baresip::start(&lab.carrier, &lab.scratch, &bob)?;
        let mut alice = Baresip::start(&lab.phone, &lab.scratch, &alice)?;
        alice.dial(&format!("sip:bob@{}", host(lab.family.edge_left())))?;
        alice.wait_established()?;
        bob.wait_established()?;
        Ok(Call { alice, bob })
    }

    /// Alice hangs up; what each has heard.
    pub(crate) fn end(mut self) -> Result<[Heard; 2]> {
        self.alice.hang_up()?;
        self.alice.wait_ended()?;
        self.bob.wait_ended()?;
        Ok([self.alice.heard()?, self.bob.heard()?])
    }
}

/// Voice that reaches hosts: on a busy machine so much of it takes longer than it lasts.
pub(crate) struct Voice<'a> {
    hosts: Vec<(&'a Namespace, u64)>,
}

impl<'a> Voice<'a> {
    /// What has reached these from now on, whatever else they get by UDP included.
    pub(crate) fn to(hosts: &[&'a Namespace]) -> Result<Voice<'a>> {
        let hosts = hosts.iter();
        let hosts = hosts.map(|&host| Ok((host, host.udp()?.in_datagrams)));
        Ok(Voice {
            hosts: hosts.collect::<Result<_>>()?,
        })
    }

    /// Waits until so much has been taken by somebody there: 50 packets a second.
    pub(crate) fn lasts(&self, duration: Duration) -> Result<()> {
        let packets = duration.as_millis() as u64 / 20;
        let end = Instant::now() + duration + PATIENCE;
        for (host, before) in &self.hosts {
            while host.udp()?.in_datagrams < before + packets {
                let name = host.name();
                ensure!(
                    Instant::now() < end,
                    "{name} does not hear for {duration:?}"
                );
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }
}

/// Both phones of the lab hear for so long.
pub(crate) fn talk(lab: &Lab, duration: Duration) -> Result<()> {
    Voice::to(&[&lab.phone, &lab.carrier])?.lasts(duration)
}

/// Each has heard the other's tone, for at least so long, without a gap.
pub(crate) fn assert_heard([alice, bob]: &[Heard; 2], seconds: f64) {
    assert_eq!(alice.tone, BOB, "Alice: {alice}");
    assert_eq!(bob.tone, ALICE, "Bob: {bob}");
    for heard in [alice, bob] {
        assert!(heard.gaps.is_empty(), "{heard:?}");
        assert!(heard.seconds >= seconds, "{heard:?}");
        assert!(heard.level > -20.0, "{heard:?}");
    }
}

/// Media packets that were dropped for that reason.
pub(crate) fn dropped(metrics: &Metrics, reason: &str) -> u64 {
    metrics.sum("sbc_media_dropped_packets_total", &[("reason", reason)]) as u64
}

/// Set on drop, so that a test that fails does not wait for its threads.
pub(crate) struct Raise<'a>(pub(crate) &'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Where the RTP of the left side comes from, as `sbc flows` says, once that is as it should be.
pub(crate) fn latched_until(
    lab: &Lab,
    holds: impl Fn(Option<SocketAddr>) -> bool,
) -> Result<Option<SocketAddr>> {
    let file = lab.scratch.path().join("lab.toml");
    let file = file.to_str().context("not UTF-8")?;
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let output = Daemon::cli(&lab.edge, ["flows", "--json", "--config", file])?;
        let flows: Vec<Flow> = serde_json::from_slice(&output.stdout)?;
        let rtp = flows.iter().find(|flow| flow.kind.starts_with("rtp"));
        let sides = rtp.into_iter().flat_map(|flow| &flow.sides);
        let latched = sides
            .filter(|side| side.network == "left")
            .find_map(|side| side.latched);
        if holds(latched) {
            return Ok(latched);
        }
        ensure!(Instant::now() < end, "latched to {latched:?}: {flows:?}");
    }
}
