//! The quick start of README.md as a new user would go through it: its own commands on a fresh Debian, and two phones that register with what it prints.
//!
//! `quick_start ROOT CHECKOUT TARGET RUST CARGO_HOME`; `cargo xtask quick-start-test` makes them and runs it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbc_tests::e2e::{Account, Baresip, EDGE_LEFT, Lab, Machine, Need, PHONE, Phone, Process};

/// The box is built already, but cargo may find that some crates see another machine and build them anew.
const START: Duration = Duration::from_secs(900);
/// In Hz.
const TONES: [u32; 2] = [425, 775];

fn main() -> ExitCode {
    let start = Instant::now();
    match quick_start() {
        Ok(()) => {
            println!("quick start: fine, {:.0} s", start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("quick start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn quick_start() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [root, checkout, target, rust, cargo_home] = arguments.as_slice() else {
        bail!("usage: quick_start ROOT CHECKOUT TARGET RUST CARGO_HOME");
    };
    for need in [
        Need::Namespaces,
        Need::Program("ethtool"),
        Need::Program("baresip"),
        Need::Program("nsenter"),
        Need::Program("systemd-nspawn"),
    ] {
        if let Some(reason) = need.lacking() {
            bail!("{reason}");
        }
    }
    let page = std::fs::read_to_string(checkout.join("README.md"))?;
    let lab = Lab::new()?;
    let machine = Machine::boot_with(root, &lab.edge, &lab.scratch, |command| {
        for folder in [checkout, rust, cargo_home] {
            command.arg(format!("--bind-ro={}", folder.display()));
        }
        // Cargo writes down there what it has looked at.
        command.arg(format!("--bind={}", target.display()));
    })?;
    println!("quick start: a fresh Debian is up");
    let shell = |block: &str| {
        format!(
            "set -e\nexport PATH={}/bin:$PATH CARGO_HOME={} CARGO_TARGET_DIR={} CARGO_NET_OFFLINE=true\ncd {}\n{block}",
            rust.display(),
            cargo_home.display(),
            target.display(),
            checkout.display()
        )
    };

    let block = block(&page, "until it is stopped")?;
    println!("$ {}", block.trim());
    let mut command = machine.command("sh");
    command.args(["-c", &shell(block)]);
    let mut daemon = Process::spawn("the box", command)?;
    daemon.wait_for("Ctrl-C ends every call", START)?;
    let banner = daemon.printed();
    println!("{banner}");
    let Printed { accounts, domains } = printed(&banner)?;
    let domain = format!("{EDGE_LEFT}");
    ensure!(
        domains.contains(&domain),
        "{domain} is not among the domains that it prints: {domains:?}"
    );

    let mut phones = Vec::new();
    for (index, (name, password)) in accounts.iter().enumerate() {
        let port = 5070 + 10 * u16::try_from(index)?;
        let phone = Phone {
            // One run of a test, which ends soon.
            user: String::leak(name.clone()),
            address: (IpAddr::V4(PHONE), port).into(),
            tone: TONES[index % TONES.len()],
            account: Account::Registered {
                registrar: domain.clone(),
                password: password.clone(),
            },
        };
        let mut phone = Baresip::start(&lab.phone, &lab.scratch, &phone)?;
        phone.wait_registered()?;
        phones.push(phone);
    }
    let [one, other] = phones.as_mut_slice() else {
        bail!(
            "it prints {} accounts, expected two:\n{banner}",
            accounts.len()
        );
    };
    println!("quick start: both phones are registered");
    one.dial(&format!("sip:{}@{domain}", accounts[1].0))?;
    one.wait_established()?;
    other.wait_established()?;
    println!("quick start: they talk");
    run(
        &machine,
        self::block(&page, "while two phones talk")?,
        &shell,
    )?;
    one.hang_up()?;
    one.wait_ended()?;
    other.wait_ended()?;
    let (first, second) = (one.heard()?, other.heard()?);
    ensure!(
        first.tone == TONES[1] && second.tone == TONES[0],
        "they did not hear each other: {first}; {second}"
    );
    println!("quick start: they heard each other");
    run(&machine, self::block(&page, "after that")?, &shell)?;
    // As Ctrl-C does it.
    machine.exec("kill -INT $(pidof sbc)")?;
    let status = daemon.wait_end(START)?;
    ensure!(
        status.success(),
        "it ended with {status}:\n{}",
        daemon.printed()
    );
    Ok(())
}

/// Each line of it at the prompt.
fn run(machine: &Machine<'_>, block: &str, shell: &impl Fn(&str) -> String) -> Result<()> {
    for line in block.lines() {
        println!("$ {line}");
    }
    println!("{}", machine.exec(&shell(block))?);
    Ok(())
}

/// The commands of the block that is marked so.
fn block<'p>(page: &'p str, mark: &str) -> Result<&'p str> {
    let mark = format!("<!-- quick start: {mark} -->\n```sh\n");
    let (_, rest) = page
        .split_once(&mark)
        .with_context(|| format!("README.md has no {mark:?}"))?;
    Ok(rest.split("```").next().unwrap_or_default())
}

/// What is to be typed into a phone.
struct Printed {
    /// With passwords.
    accounts: Vec<(String, String)>,
    domains: Vec<String>,
}

fn printed(banner: &str) -> Result<Printed> {
    let (_, rest) = banner
        .split_once("account    password\n")
        .context("it prints no accounts")?;
    // What is to be typed is further to the right than what is said about it.
    let entries = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| line.is_empty());
        let entries = lines.take_while(|line| line.starts_with("    "));
        entries.map(|line| line.trim().to_owned()).collect()
    };
    let accounts = entries(rest)
        .iter()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(name, password)| (name.to_owned(), password.trim().to_owned()))
        .collect();
    let (_, rest) = rest
        .split_once("over UDP or TCP:\n")
        .context("it prints no domains")?;
    let domains = entries(rest)
        .iter()
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    Ok(Printed { accounts, domains })
}
