//! The kernel of Debian 12, from its package, installed nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Depends on the newest one. The cloud flavour: the same sources, a third of the size.
const NEWEST: &str = "linux-image-cloud-amd64";
const SERIES: &str = "linux-image-6.1.";

/// A kernel that is unpacked.
pub(super) struct Kernel {
    /// What is booted.
    pub(super) image: PathBuf,
    /// `lib/modules/RELEASE`.
    pub(super) modules: PathBuf,
}

impl Kernel {
    /// Unpacks it in `folder`; downloads it if it is not there yet.
    ///
    /// # Errors
    /// There is no such package here, or no network.
    pub(super) fn unpacked(folder: &Path) -> Result<Kernel> {
        let root = folder.join("debian");
        if !root.join("boot").is_dir() {
            let package = fetched(folder)?;
            tool(
                folder,
                "dpkg-deb",
                &["-x".as_ref(), package.as_os_str(), "unpacking".as_ref()],
            )?;
            fs::rename(folder.join("unpacking"), &root)?;
        }
        let image = only(&root.join("boot"), "vmlinuz-")?;
        let modules = only(&root.join("lib/modules"), "6.1.")?;
        Ok(Kernel { image, modules })
    }
}

/// Downloads the package.
fn fetched(folder: &Path) -> Result<PathBuf> {
    let described = tool(folder, "apt-cache", &["depends".as_ref(), NEWEST.as_ref()])?;
    let signed = described
        .split_whitespace()
        .find(|word| word.starts_with(SERIES))
        .with_context(|| format!("{NEWEST} of this machine's package sources is no Linux 6.1"))?;
    // Not signed for the firmware, which is not asked here; the package is the same.
    let names = [signed.to_owned(), format!("{signed}-unsigned")];
    println!("kernel: downloading {signed}");
    let mut done = Ok(String::new());
    for name in names {
        done = tool(
            folder,
            "apt-get",
            &["-qq".as_ref(), "download".as_ref(), name.as_ref()],
        );
        if done.is_ok() {
            return only(folder, &format!("{name}_"));
        }
    }
    done.and_then(|_| only(folder, SERIES))
}

/// The one entry of a folder that begins so.
fn only(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .with_context(|| format!("{} has no {prefix}…", folder.display()))
}

/// Runs a program in `folder`; what it printed.
fn tool(folder: &Path, program: &str, arguments: &[&std::ffi::OsStr]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
