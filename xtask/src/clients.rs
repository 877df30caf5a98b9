//! The programs that tests call the box with: which there are, and how they come onto the machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Program and Debian package.
const CLIENTS: [(&str, &str); 13] = [
    ("baresip", "baresip-core"),
    ("linphonec", "linphone-cli"),
    ("kamailio", "kamailio"),
    ("sipp", "sip-tester"),
    ("svcrack", "sipvicious"),
    ("espeak-ng", "espeak-ng"),
    ("ffmpeg", "ffmpeg"),
    ("prometheus", "prometheus"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
];

/// What the box is measured against, and with.
const PEERS: [(&str, &str); 4] = [
    ("kamailio", "kamailio"),
    ("rtpengine", "rtpengine-daemon"),
    ("valgrind", "valgrind"),
    ("ffmpeg", "ffmpeg"),
];

/// With this, package scripts start no daemon.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs qemu if it is missing and this is root on a machine with apt.
///
/// # Errors
/// Not root, or apt says why not.
pub(crate) fn provide_machine() -> Result<()> {
    let (program, package) = ("qemu-system-x86_64", "qemu-system-x86");
    if is_installed(program) {
        return Ok(());
    }
    if !is_root() {
        bail!("{program} is not installed: root can");
    }
    println!("installing {package}");
    install(&[package])
}

/// What boots a Debian in a container.
const CONTAINER: [(&str, &str); 2] = [
    ("systemd-nspawn", "systemd-container"),
    ("debootstrap", "debootstrap"),
];

/// Installs what boots a Debian if it is missing and this is root on a machine with apt.
///
/// # Errors
/// Apt says why not.
pub(crate) fn provide_container() -> Result<()> {
    let lacking = |(program, _): &&(&str, &str)| !is_installed(program);
    let missing: Vec<&str> = CONTAINER.iter().filter(lacking).map(|one| one.1).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    install(&missing)
}

/// Installs what is missing if this is root on a machine with apt; otherwise says what is missing.
/// Whatever is missing afterwards, its tests are skipped with that reason: no error here.
pub(crate) fn provide() {
    all(&CLIENTS, "tests");
}

/// The same for what measurements need.
pub(crate) fn provide_peers() {
    all(&PEERS, "measurements");
}

/// `whose` are those that need them.
fn all(programs: &[(&str, &'static str)], whose: &str) {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return;
    }
    let names = missing.join(" ");
    if !is_root() {
        println!("missing: {names} (as root they are installed; without them {whose} are skipped)");
        return;
    }
    println!("installing {names}");
    if let Err(error) = install(&missing) {
        println!("could not install {names}: {error:#}; {whose} that need them are skipped");
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1))
            == Some("0")
    })
}

/// Whether a program is where this user or root would find it.
pub(crate) fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let ours = !Path::new(POLICY).exists();
    if ours {
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").context(POLICY)?;
        quietly("chmod", &["755", POLICY])?;
    }
    let done = apt(&["update"]).and_then(|()| {
        let mut arguments = vec!["install", "--no-install-recommends"];
        arguments.extend(packages);
        apt(&arguments)
    });
    if ours {
        std::fs::remove_file(POLICY).context(POLICY)?;
    }
    done
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut all = vec!["-qq", "-y", "-o", "Dpkg::Use-Pty=0"];
    all.extend(arguments);
    quietly("apt-get", &all)
}

/// Runs a program quietly; what it printed is in the error.
fn quietly(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
