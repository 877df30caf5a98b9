//! `cargo xtask package-test`: the Debian package, installed on a Debian that is booted for it; `cargo xtask quick-start-test`: the quick start there.
//!
//! The Debian is made once, by debootstrap, below `target`, and a copy of it booted by systemd-nspawn. The package is made of the
//! debug build, which the tests have built anyway. What is done with it is `package` of the package `sbc-tests`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run::{cargo, target, top};
use crate::{clients, dist, tool};

const SUITE: &str = "bookworm";
/// Beside what a Debian without these would not be one.
const PACKAGES: &str = "systemd,systemd-sysv,iproute2,ca-certificates";
/// The same for the quick start, with what its first line asks for.
const WITH_COMPILER: &str = "systemd,systemd-sysv,iproute2,ca-certificates,gcc,libc6-dev";
/// Where packages come from, where apt does not say.
const USUAL: &str = "http://deb.debian.org/debian";

/// Makes sure that everything is there, installing programs and making the Debian where that can be done; else says why it is not.
pub(crate) fn provided() -> Result<()> {
    ensure!(
        clients::is_root(),
        "it boots a machine in a container: run it as root"
    );
    clients::provide();
    clients::provide_container()?;
    debian(PACKAGES).map(drop)
}

/// Packs, boots, tries.
///
/// # Errors
/// Something is missing, or the package is not as it should be.
pub(crate) fn run() -> Result<()> {
    provided()?;
    cargo(&["build", "--package", "sbc"])?;
    cargo(&["build", "--package", "sbc-tests", "--bin", "package"])?;
    let package = dist::pack(&target().join("debug/sbc"), &target().join("package"))?;
    let status = Command::new(target().join("debug/package"))
        .arg(package)
        .arg(debian(PACKAGES)?)
        .status()
        .context("cannot start the test")?;
    ensure!(status.success(), "the package is not as it should be");
    Ok(())
}

/// The quick start of README.md on a fresh Debian. Rust is what this machine has, mounted there: it stands for what rustup would bring, and what it has
/// built for what it would build.
///
/// # Errors
/// Something is missing, or a new user would not get through.
pub(crate) fn quick_start() -> Result<()> {
    provided()?;
    cargo(&["build", "--release", "--package", "sbc"])?;
    cargo(&["build", "--package", "sbc-tests", "--bin", "quick_start"])?;
    let rust = tool::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let status = Command::new(target().join("debug/quick_start"))
        .args([
            debian(WITH_COMPILER)?,
            top(),
            target(),
            rust.trim().into(),
            cargo_home()?,
        ])
        .status()
        .context("cannot start the test")?;
    ensure!(status.success(), "the quick start is not as it should be");
    Ok(())
}

/// Where cargo keeps the sources of other crates.
fn cargo_home() -> Result<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    named
        .or_else(usual)
        .context("neither CARGO_HOME nor HOME is set")
}

/// The root directory of a Debian with these packages.
fn debian(packages: &str) -> Result<PathBuf> {
    let folder = target().join("package");
    // Another one where other packages are wanted.
    let root = folder.join(format!("root-{}", packages.replace(',', "-")));
    if root.is_dir() {
        return Ok(root);
    }
    let making = folder.join("making");
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    fs::create_dir_all(&folder)?;
    println!("package: making a Debian, two minutes");
    tool::output(
        Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={packages}"), SUITE])
            .arg(&making)
            .arg(mirror()),
    )?;
    for file in dist::files(&making.join("var/cache/apt/archives"))? {
        fs::remove_file(file)?;
    }
    fs::rename(&making, &root)?;
    Ok(root)
}

/// Where this machine has its own packages from, if they are of the same Debian.
fn mirror() -> String {
    let format = "$(CODENAME) $(COMPONENT) $(REPO_URI)";
    let indexes = tool::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]));
    let own = format!("{SUITE} main ");
    let found = indexes.ok().and_then(|lines| {
        let mut lines = lines.lines();
        lines.find_map(|line| Some(line.strip_prefix(&own)?.to_owned()))
    });
    found.unwrap_or_else(|| USUAL.to_owned())
}
