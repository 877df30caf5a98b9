//! Other config files, one after the other, while calls come and go.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, FastPath, Lab, Load, PHONE, RunAs, Sipp, lab_config, skipped,
};

use super::shedding::Agent;
use super::support::LOAD;

const RELOADS: u32 = 200;
const CALLS: Load = Load {
    calls: 2_000,
    rate: 60,
};
/// Through dozens of reloads.
const TALK: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(30);
const REGISTERED: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 4);
/// Transactions linger for 32 s (RFC 3261, timers H, J, L: 64 * T1), ports rest for 30 s.
const CLEAR: Duration = Duration::from_secs(60);

/// A file that no other turn has: a phone, a trunk and two routes of its own, one of which is before those of the load, which has other words each time.
fn file(base: &str, turn: u32) -> String {
    let own = format!(
        "[phone.9{turn:04}]\npassword = \"p{turn}\"\nname = \"Turn {turn}\"\n[trunk.t{turn}]\nnetwork = \"right\"\nserver = \"sip:10.71.2.9:{}\"\n\
         [[route]]\nname = \"own-{turn}\"\nfrom = [\"trunk:t{turn}\"]\nto = [\"phone:9{turn:04}\"]\n",
        6000 + turn
    );
    let (head, routes) = base.split_once("[[route]]").unwrap_or((base, ""));
    let base = format!("{head}{own}[[route]]{routes}");
    let limits = format!("limits = {{ requests_per_second = {} }}\n", 50 + turn % 2);
    let base = base.replace("[network.right]\n", &format!("[network.right]\n{limits}"));
    base.replace(
        "codecs      = [\"PCMU\", \"G722\", \"PCMA\"]",
        match turn % 3 {
            0 => "codecs = [\"PCMU\"]",
            1 => "codecs = [\"PCMU\", \"PCMA\"]",
            _ => "codecs = [\"PCMA\", \"PCMU\"]",
        },
    )
}

fn reload(lab: &Lab) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = Daemon::cli(&lab.edge, ["reload"])?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ensure!(status.success(), "{}", text(&stderr));
    Ok(text(&stdout))
}

#[test]
fn two_hundred_reloads_under_load_lose_no_call_and_no_registration() -> Result<()> {
    if skipped("200 reloads", &LOAD) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.phone
        .ip(&format!("addr add {REGISTERED}/24 dev eth0"))?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let base = format!("{config}\n[phone.6001]\npassword = \"secret\"\n");
    let path = lab.scratch.write("reload.toml", &base)?;
    let daemon = Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), path.as_os_str()],
    )?;
    let free = |metrics: &sbc_tests::e2e::Metrics| metrics.sum("sbc_media_ports_free", &[]);
    let all_free = free(&daemon.scrape()?);
    Agent::open(&lab, REGISTERED)?.register()?;
    let callee = SocketAddrV4::new(CARRIER, 5060);
    let _callee = Sipp::callee(&lab.carrier, &lab.scratch, callee)?;

    let (turns, report) = std::thread::scope(|scope| -> Result<_> {
        let from = SocketAddrV4::new(PHONE, 5060);
        let to = SocketAddrV4::new(EDGE_LEFT, 5060);
        let both = [TALK, PATIENCE];
        let (phone, scratch) = (&lab.phone, &lab.scratch);
        let load = scope.spawn(move || Sipp::call_for(phone, scratch, from, to, CALLS, both));
        let mut turn = 0;
        // For as long as there is load, each time another file, now and then one that is refused.
        while !load.is_finished() {
            turn += 1;
            lab.scratch.write("reload.toml", &file(&base, turn))?;
            let told = reload(&lab)?;
            ensure!(
                told.contains("1 trunk new") && told.contains("routes changed"),
                "{told}"
            );
            if turn % 10 == 0 {
                lab.scratch.write(
                    "reload.toml",
                    &file(&base, turn).replace("to   =", "too   ="),
                )?;
                ensure!(reload(&lab).is_err(), "a wrong file is taken");
            }
        }
        let report = load
            .join()
            .map_err(|_| anyhow::anyhow!("the load has crashed"))?;
        Ok((turn, report?))
    })?;
    println!("{turns} reloads, {report:?}");
    ensure!(turns >= RELOADS, "only {turns} reloads");
    assert_eq!(
        (report.successful, report.failed),
        (u64::from(CALLS.calls), 0),
        "{report:?}"
    );
    let metrics = daemon.scrape()?;
    assert_eq!(
        metrics.sum("sbc_registrations", &[("network", "left")]),
        1.0
    );
    let answered = [
        ("from", "trunk:a"),
        ("to", "trunk:b"),
        ("outcome", "answered"),
    ];
    assert_eq!(
        metrics.sum("sbc_calls_total", &answered),
        f64::from(CALLS.calls)
    );
    // The last file alone is what there is.
    let (_, page) = daemon.http("/metrics")?;
    let trunks = page.lines().filter(|line| line.contains("trunk:t"));
    let own = format!("trunk:t{turns}\"");
    let others: Vec<&str> = trunks.filter(|line| !line.contains(&own)).collect();
    assert!(others.is_empty(), "{others:?}");
    daemon
        .scrape_until(
            "without transactions, dialogs, flows, ports",
            CLEAR,
            |metrics| {
                ["sbc_transactions", "sbc_dialogs", "sbc_flows", "sbc_calls"]
                    .iter()
                    .all(|name| metrics.sum(name, &[]) == 0.0)
                    && free(metrics) == all_free
            },
        )
        .context("after all calls")?;
    Ok(())
}
