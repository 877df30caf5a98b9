//! Bans outlive the daemon, however it ends.

use std::io::{BufRead, BufReader, PipeReader};
use std::path::{Path, PathBuf};

use super::agent::Agent;
use super::bans::told;
use super::programs::{Piped, Program, Started};
use super::*;

/// A directory that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("sbc-kept-{name}-{}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&scratch.0).unwrap();
        scratch
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A daemon at that address that keeps what it has there.
async fn keeping(first: u8, state: &Path) -> Sbc {
    let options = Options {
        state: Some(state.to_owned()),
        ..options()
    };
    let config = config(own_address(first), own_address(first + 1));
    let running = start(config, options).await;
    Sbc {
        running: running.unwrap_or_else(|e| panic!("{e}")),
        first,
    }
}

async fn listed(sbc: &Sbc) -> Vec<sbc::io::admin::types::Ban> {
    let (out, _, _) = told(sbc, &["bans", "--json"]).await;
    serde_json::from_str(&out).unwrap()
}

#[tokio::test]
async fn whoever_is_banned_still_is_after_a_restart_until_he_is_served_again() {
    let scratch = Scratch::new("restart");
    let state = scratch.state();
    let sbc = keeping(31, &state).await;
    let source = sbc.peer(2).to_string();
    told(&sbc, &["ban", &source, "--for", "1h"]).await;
    told(&sbc, &["ban", "2001:db8::/32"]).await;
    sbc.stop().await;

    let sbc = keeping(31, &state).await;
    let bans = listed(&sbc).await;
    let [ban, wide] = bans.as_slice() else {
        panic!("{bans:?}")
    };
    assert_eq!(
        (ban.prefix.to_string(), ban.by.as_str()),
        (format!("{source}/32"), "operator")
    );
    assert!((3500..=3600).contains(&ban.seconds_left), "{ban:?}");
    assert!((500..=600).contains(&wide.seconds_left), "{wide:?}");
    assert_eq!(sbc.metrics().await.sum("sbc_bans", "network=lan"), 2.0);
    let mut stranger = Agent::udp(sbc.peer(2), sbc.sip()).await;
    let register = stranger.text(&stranger.request("REGISTER", ""));
    stranger.send(register.as_bytes()).await;
    let dropped = |metrics: &Metrics| metrics.sum("sbc_sip_refused_total", "reason=banned");
    while dropped(&sbc.metrics().await) < 1.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&sbc, &["unban", &source]).await.2, 0);
    sbc.stop().await;

    let sbc = keeping(31, &state).await;
    assert_eq!(listed(&sbc).await.len(), 1);
    stranger.send(register.as_bytes()).await;
    stranger.answer(401).await;
    sbc.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_read_stops_nothing() {
    let scratch = Scratch::new("damaged");
    let state = scratch.state();
    let sbc = keeping(35, &state).await;
    told(&sbc, &["ban", "192.0.2.0/24"]).await;
    sbc.stop().await;
    let file = state.join("state.redb");
    let good = std::fs::read(&file).unwrap();
    let halves = (&good[..good.len() / 2], &good[good.len() / 2..]);
    let mut scrambled = good.clone();
    for byte in scrambled.iter_mut().skip(4096).step_by(97) {
        *byte ^= 0x5a;
    }
    for damaged in [b"something else".as_slice(), halves.0, halves.1, &scrambled] {
        std::fs::write(&file, damaged).unwrap();
        let sbc = keeping(35, &state).await;
        let mut phone = Agent::udp(sbc.peer(2), sbc.sip()).await;
        let register = phone.text(&phone.request("REGISTER", ""));
        phone.send(register.as_bytes()).await;
        phone.answer(401).await;
        // What is said from now on holds until the end, if no longer.
        assert_eq!(told(&sbc, &["ban", "192.0.2.1"]).await.2, 0);
        sbc.stop().await;
    }
    std::fs::write(&file, good).unwrap();
    let sbc = keeping(35, &state).await;
    assert_eq!(listed(&sbc).await.len(), 1);
    sbc.stop().await;
}

/// `sbc run`, which does not outlive its test.
struct Killed {
    _program: Started,
    log: BufReader<PipeReader>,
}

impl Killed {
    fn run(file: &Path) -> Killed {
        let program = Program::sbc()
            .args(["run", "--log", "info,sbc::io::store=debug", "--config"])
            .arg(file);
        let Piped { started, out, err } = program.piped().unwrap();
        let mut out = BufReader::new(out);
        let mut killed = Killed {
            _program: started,
            log: BufReader::new(err),
        };
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            if out.read_line(&mut banner).unwrap() == 0 {
                panic!("{banner}{}", killed.logged("\0"));
            }
        }
        killed
    }

    /// The lines up to the first one with this in it.
    fn logged(&mut self, what: &str) -> String {
        let mut lines = String::new();
        while !lines.contains(what) && self.log.read_line(&mut lines).unwrap() > 0 {}
        lines
    }

    /// What the command line prints about it.
    fn told(&self, admin: &str, arguments: &[&str]) -> String {
        let program = Program::sbc().args(arguments).args(["--admin", admin]);
        String::from_utf8(program.piped().unwrap().output().stdout).unwrap()
    }
}

#[test]
fn bans_outlive_a_crash_and_so_does_the_end_of_one() {
    let scratch = Scratch::new("crash");
    let address = own_address(39);
    let admin = format!("{address}:9960");
    let text = |network: &str| {
        let state = scratch.state();
        format!(
            "[sbc]\nadmin = \"{admin}\"\nstate_dir = \"{}\"\n[network.{network}]\naddress = [\"{address}\"]\n\
             media_ports = \"20000-20099\"\n[trunk.a]\nnetwork = \"{network}\"\nserver = \"sip:{}:5060\"\n",
            state.display(),
            own_address(40)
        )
    };
    let file = scratch.0.join("sbc.toml");
    std::fs::write(&file, text("lan")).unwrap();
    let mut sbc = Killed::run(&file);
    sbc.told(&admin, &["ban", "192.0.2.0/24", "--for", "1h"]);
    sbc.logged("written");
    sbc.told(&admin, &["ban", "198.51.100.7"]);
    sbc.logged("written");
    sbc.told(&admin, &["unban", "198.51.100.7"]);
    sbc.logged("written");
    drop(sbc);

    let mut sbc = Killed::run(&file);
    let list = sbc.told(&admin, &["bans"]);
    assert!(list.contains("192.0.2.0/24  lan"), "{list}");
    assert_eq!(list.lines().count(), 2, "{list}");
    sbc.told(&admin, &["unban", "192.0.2.0/24"]);
    let log = sbc.logged("written");
    sbc.told(&admin, &["ban", "203.0.113.0/24"]);
    sbc.logged("written");
    assert!(log.contains("whoever was banned still is"), "{log}");
    drop(sbc);

    // Under another name it is another network.
    std::fs::write(&file, text("office")).unwrap();
    let mut sbc = Killed::run(&file);
    assert_eq!(sbc.told(&admin, &["bans"]), "Nobody is banned.\n");
    let log = sbc.logged("written");
    let said = "the config has no network of that name any more: its bans are dropped";
    assert!(log.contains(said) && log.contains("lan"), "{log}");
    drop(sbc);
    std::fs::write(&file, text("lan")).unwrap();
    let sbc = Killed::run(&file);
    assert_eq!(sbc.told(&admin, &["bans"]), "Nobody is banned.\n");
}
