//! The whole daemon in this process, on loopback addresses of its own: real sockets, no root. Programs are started by another one (`programs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: what they cannot do is a failure"
)]

mod agent;
mod api;
mod bad_input;
mod bans;
mod calls;
mod documented;
mod drain;
mod flows;
mod kept;
mod life;
mod options;
mod page;
mod programs;
mod recordings;
mod records;
mod status;
mod top;
mod traces;
mod trunks;
mod watched;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use sbc::config::{Bind, Config, NoSecrets};
use sbc::io::run::{Options, Running, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A loopback address that only this process uses: all that it listens at is at one of them.
fn own_address(last: u8) -> IpAddr {
    programs::starter_is_there();
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 217 + high % 38, low, last).into()
}

/// A config with one network at `sbc`, a trunk at `trunk` and two phones that can call each other.
fn config(sbc: IpAddr, trunk: IpAddr) -> Arc<Config> {
    let text = format!(
        r#"
[sbc]
admin = "{sbc}:9960"
[network.lan]
address = ["{sbc}"]
sip = ["udp:5060", "tcp:5060"]
media_ports = "20000-20099"
[trunk.pbx]
network = "lan"
server = "sip:{trunk}:5060"
[phone.6001]
password = "one"
[phone.6002]
password = "two"
[[route]]
from = ["phone:*"]
to = ["phone:{{number}}"]
"#
    );
    let mut config =
        Config::parse(&text, "test.toml", &NoSecrets).unwrap_or_else(|e| panic!("{e}"));
    for network in &mut config.networks {
        if let Bind::Addresses(addresses) = &network.bind {
            network.addresses = addresses.clone();
        }
    }
    Arc::new(config)
}

fn options() -> Options {
    Options {
        workers: 1,
        ..Options::of_host().unwrap()
    }
}

/// A daemon at an address of its own; three more follow it for peers.
struct Sbc {
    running: Running,
    first: u8,
}

impl Sbc {
    async fn start() -> Sbc {
        Sbc::start_with(|_| ()).await
    }

    /// The same with something else in its config.
    async fn start_with(change: impl FnOnce(&mut Config)) -> Sbc {
        static STARTED: AtomicU8 = AtomicU8::new(0);
        // Those below are for tests that begin otherwise. Whoever was there a whole round ago is gone.
        let turn = STARTED.fetch_add(1, Ordering::Relaxed) % 47;
        let first = 64 + 4 * turn;
        let mut config = config(own_address(first), own_address(first + 1));
        change(Arc::make_mut(&mut config));
        let running = start(config, options())
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        Sbc { running, first }
    }

    fn sip(&self) -> SocketAddr {
        self.running.locals()[0].address
    }

    /// An address of a peer: 1 is the trunk.
    fn peer(&self, number: u8) -> IpAddr {
        own_address(self.first + number)
    }

    /// Where its admin pages are.
    fn admin(&self) -> SocketAddr {
        self.running.admin().tcp().unwrap()
    }

    async fn page(&self, path: &str) -> (u16, String) {
        fetch(self.admin(), "sbc", path).await
    }

    /// A page that only this host gets.
    async fn api(&self, path: &str) -> (u16, String) {
        let admin = self.admin();
        fetch(admin, &admin.to_string(), path).await
    }

    async fn metrics(&self) -> Metrics {
        let (status, text) = self.page("/metrics").await;
        assert_eq!(status, 200, "{text}");
        Metrics::of(&text)
    }

    async fn stop(self) {
        self.running.control().stop().await;
        self.ends().await;
    }

    /// By itself, or as it was told to.
    async fn ends(self) {
        let ended = tokio::time::timeout(PATIENCE, self.running.ended()).await;
        ended.expect("it does not end").expect("the engine failed");
    }
}

/// A scrape.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn of(text: &str) -> Metrics {
        let series = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            });
        Metrics(series.collect())
    }

    /// The sum of all series of this name that have all these labels; one at least must be there.
    fn sum(&self, name: &str, labels: &str) -> f64 {
        let wanted: Vec<&str> = labels
            .split(' ')
            .filter(|label| !label.is_empty())
            .collect();
        let matching: Vec<f64> = self
            .0
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .filter(|(series, _)| {
                wanted.iter().all(|label| {
                    let (key, value) = label.split_once('=').unwrap();
                    series.contains(&format!("{key}=\"{value}\""))
                })
            })
            .map(|(_, value)| *value)
            .collect();
        assert!(!matching.is_empty(), "no {name} with {labels}");
        matching.iter().sum()
    }
}

async fn fetch(admin: SocketAddr, host: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
