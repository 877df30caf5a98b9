//! `cargo xtask dist`: the Debian package, of the release build.
//!
//! The tree that becomes the package is laid out below `target/dist`; what is in it comes from `deploy` and from the program itself, which prints
//! its manual pages and completions. `dpkg-deb` packs it. The same binary at the same commit gives the same bytes: times are those of
//! `SOURCE_DATE_EPOCH`, or of the last commit.

mod libraries;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::run::{cargo, target, top};
use crate::{clients, tool};
use tree::Tree;
pub(crate) use tree::files;

/// Of the package, not of the program: packed anew, this grows.
const REVISION: u32 = 1;
/// Sample configs and what they name.
const EXAMPLES: [&str; 5] = [
    "deploy/lab.toml",
    "deploy/examples/home.toml",
    "deploy/examples/asterisk.toml",
    "deploy/examples/carriers.toml",
    "deploy/examples/prefixes.csv",
];

/// Builds and packs; says where the package is.
///
/// # Errors
/// The build fails, or a tool is missing.
pub(crate) fn run(binary: Option<&Path>) -> Result<()> {
    let binary = match binary {
        Some(binary) => binary.to_owned(),
        None => {
            cargo(&["build", "--release", "--locked", "--package", "sbc"])?;
            target().join("release/sbc")
        }
    };
    let package = pack(&binary, &target().join("dist"))?;
    let size = fs::metadata(&package)?.len();
    println!("{} ({:.1} MB)", package.display(), size as f64 / 1e6);
    Ok(())
}

/// Packs a program that is built; the package is in `folder`.
///
/// # Errors
/// A tool is missing, or does not do what it should.
pub(crate) fn pack(binary: &Path, folder: &Path) -> Result<PathBuf> {
    for program in ["dpkg-deb", "dpkg", "strip", "gzip", "md5sum"] {
        ensure!(
            clients::is_installed(program),
            "{program} is not installed: a package is made on Debian, with binutils"
        );
    }
    let release = Release::of_now()?;
    let root = folder.join("tree");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let tree = Tree::new(root.clone());
    lay_out(&tree, binary, &release)?;
    let control = control(&tree, &release)?;
    for name in ["postinst", "prerm", "postrm"] {
        tree.program(&format!("DEBIAN/{name}"), &deploy(name)?)?;
    }
    tree.text("DEBIAN/control", &control)?;
    tree.text("DEBIAN/conffiles", "/etc/sbc/sbc.toml\n")?;
    tree.text("DEBIAN/md5sums", &tree.checksums()?)?;
    let name = format!("sbc_{}_{}.deb", release.version, release.architecture);
    let package = folder.join(name);
    let status = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--uniform-compression", "--build"])
        .args([&root, &package])
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
        .stdout(std::process::Stdio::null())
        .status()
        .context("cannot start dpkg-deb")?;
    ensure!(status.success(), "dpkg-deb failed");
    fs::remove_dir_all(&root)?;
    Ok(package)
}

/// What is packed, and when.
struct Release {
    version: String,
    architecture: String,
    /// Seconds since 1970.
    epoch: u64,
    /// Name and address.
    maintainer: String,
}

impl Release {
    fn of_now() -> Result<Release> {
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => tool::output(Command::new("git").current_dir(top()).args([
                "log",
                "-1",
                "--format=%ct",
            ]))
            .context(
                "SOURCE_DATE_EPOCH is not set, and there is no commit to take the time from",
            )?,
        };
        // As Debian's own tools take them.
        let variable = |name, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
        let name = variable("DEBFULLNAME", "The sbc authors");
        let address = variable("DEBEMAIL", "sbc@packages.invalid");
        Ok(Release {
            version: format!("{}-{REVISION}", env!("CARGO_PKG_VERSION")),
            architecture: tool::output(Command::new("dpkg").arg("--print-architecture"))?,
            epoch: epoch.trim().parse().context("SOURCE_DATE_EPOCH")?,
            maintainer: format!("{name} <{address}>"),
        })
    }

    fn changelog(&self) -> Result<String> {
        let date = format!("@{}", self.epoch);
        let date = tool::output(Command::new("date").args(["--utc", "-R", "-d", &date]))?;
        Ok(format!(
            "sbc ({}) unstable; urgency=medium\n\n  * Release {}.\n\n -- {}  {date}\n",
            self.version,
            env!("CARGO_PKG_VERSION"),
            self.maintainer
        ))
    }
}

/// Everything that is installed.
fn lay_out(tree: &Tree, binary: &Path, release: &Release) -> Result<()> {
    let program = tree.place("usr/bin/sbc")?;
    let status = Command::new("strip")
        .args(["--strip-all", "--remove-section=.comment", "-o"])
        .args([program.as_path(), binary])
        .status()
        .context("cannot start strip")?;
    ensure!(status.success(), "strip {} failed", binary.display());
    tree.set_mode(&program, 0o755)?;

    tree.text("etc/sbc/sbc.toml", &deploy("sbc.toml")?)?;
    tree.text("usr/lib/sysusers.d/sbc.conf", &deploy("sysusers.conf")?)?;
    for unit in ["sbc.service", "run-bpf-sbc.mount"] {
        let text = read(&format!("deploy/{unit}"))?;
        tree.text(&format!("usr/lib/systemd/system/{unit}"), &text)?;
    }

    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/sbc"),
        ("zsh", "usr/share/zsh/vendor-completions/_sbc"),
        ("fish", "usr/share/fish/vendor_completions.d/sbc.fish"),
    ] {
        let script = tool::output(Command::new(binary).args(["completions", shell]))?;
        tree.text(path, &(script + "\n"))?;
    }
    let pages = tree.place("usr/share/man/man1/sbc.1")?;
    let pages = pages.parent().context("a folder of pages")?;
    tool::output(Command::new(binary).args(["man", "--dir"]).arg(pages))?;
    for page in tree::files(pages)? {
        let page = match page.ends_with("sbc.toml.5") {
            true => {
                let five = tree.place("usr/share/man/man5/sbc.toml.5")?;
                fs::rename(&page, &five)?;
                five
            }
            false => page,
        };
        tree.compress(&page)?;
    }

    let doc = |name: &str| format!("usr/share/doc/sbc/{name}");
    let mit: String = read("LICENSE-MIT")?
        .lines()
        .skip_while(|line| !line.starts_with("Permission"))
        .map(|line| match line {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        })
        .collect();
    let copyright = deploy("copyright")?.replace("@MIT@\n", &mit);
    tree.text(&doc("copyright"), &copyright)?;
    tree.text(&doc("changelog.Debian"), &release.changelog()?)?;
    tree.compress(&tree.at(&doc("changelog.Debian")))?;
    tree.text(&doc("README.md"), &read("README.md")?)?;
    tree.compress(&tree.at(&doc("README.md")))?;
    // Pictures stay out: the pages say in words what they show.
    let mut pages = files(&top().join("docs"))?;
    pages.retain(|page| page.extension().is_some_and(|kind| kind == "md"));
    for page in pages {
        let name = page.file_name().context("a page has a name")?;
        let name = name.to_string_lossy();
        tree.text(
            &doc(&format!("docs/{name}")),
            &read(&format!("docs/{name}"))?,
        )?;
    }
    for example in EXAMPLES {
        let name = example.rsplit('/').next().unwrap_or(example);
        tree.text(&doc(&format!("examples/{name}")), &read(example)?)?;
    }
    Ok(())
}

/// The package's own description, filled in.
fn control(tree: &Tree, release: &Release) -> Result<String> {
    let program = fs::read(tree.at("usr/bin/sbc"))?;
    let filled = deploy("control")?
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", &release.architecture)
        .replace("@MAINTAINER@", &release.maintainer)
        .replace("@SIZE@", &tree.kilobytes()?.to_string())
        .replace("@LIBRARIES@", &libraries::needed(&program)?.join(", "));
    match filled.split('@').nth(2) {
        Some(rest) if filled.matches('@').count() > 1 => bail!("control is not filled in: {rest}"),
        _ => Ok(filled),
    }
}

/// A file of the package's own.
fn deploy(name: &str) -> Result<String> {
    read(&format!("deploy/debian/{name}"))
}

/// A file of the repository.
fn read(path: &str) -> Result<String> {
    fs::read_to_string(top().join(path)).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests;
