//! `cargo xtask ebpf`: builds the kernel objects that the daemon and the bench embed, and checks that they fit their sources.
//!
//! The objects are committed, so that a build needs stable Rust and nothing else. Beside them lies a sidecar that says what they were made of and with
//! what: the sources' hash, the tools' versions. With the same tools a rebuild gives the same bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// Program, and the file that it is committed as.
const OBJECTS: [(&str, &str); 2] = [("sbc-xdp", "sbc-xdp.o"), ("sbc-floor", "sbc-floor.o")];
const SIDECAR: &str = "sbc-xdp.toml";
const TARGET: &str = "bpfel-unknown-none";
/// In force for every build; part of the sources' hash.
const FLAGS: [&str; 5] = [
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    // Since Linux 5.1; compare-and-swap needs it in any case.
    "-Ctarget-cpu=v3",
    "-Ctarget-feature=+allows-misaligned-mem-access",
    "--cfg=bpf_target_arch=\"x86_64\"",
];
const PROFILE: [&str; 2] = ["profile.release.codegen-units=1", "profile.release.debug=2"];
const MISSING: &str = "\
the tools that build for the kernel are missing. Either a rustup nightly with rust-src and bpf-linker:
    rustup toolchain install nightly --component rust-src && cargo install bpf-linker
or, on Debian 12:
    apt-get install -y --no-install-recommends rust-web-src rustc-web llvm-22-dev
    LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22";

/// Rebuilds the committed objects; with `check`, only says whether they fit.
///
/// # Errors
/// Tools are missing, the build fails, or (with `check`) the objects are not what their sources make.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = root()?;
    let folder = root.join("ebpf");
    if check {
        return self::check(&root, &folder);
    }
    let tools = Tools::find()?.context(MISSING)?;
    let built = build(&root, &tools)?;
    for (name, bytes) in &built {
        fs::write(folder.join(name), bytes)?;
        println!("ebpf/{name}: {} bytes", bytes.len());
    }
    let sidecar = Sidecar {
        sources: sources(&root)?,
        abi: abi(),
        tools: tools.versions,
        objects: hashes(&built),
    };
    fs::write(folder.join(SIDECAR), sidecar.text())?;
    println!("ebpf/{SIDECAR}: commit it together with the objects");
    Ok(())
}

fn check(root: &Path, folder: &Path) -> Result<()> {
    let sidecar = Sidecar::read(&folder.join(SIDECAR))?;
    ensure!(
        sidecar.sources == sources(root)?,
        "ebpf/src has changed since the committed objects were built: run `cargo xtask ebpf` and commit them"
    );
    ensure!(
        sidecar.abi == abi(),
        "the map ABI is not that of the committed objects: run `cargo xtask ebpf` and commit them"
    );
    for (_, name) in OBJECTS {
        let bytes = fs::read(folder.join(name)).with_context(|| format!("ebpf/{name}"))?;
        ensure!(
            sidecar.objects.get(name) == Some(&hex(&bytes)),
            "ebpf/{name} is not the file that ebpf/{SIDECAR} describes: run `cargo xtask ebpf` and commit both"
        );
    }
    println!("ebpf: the committed objects fit their sources");
    match Tools::find()? {
        None => println!(
            "ebpf: not rebuilt, {}",
            MISSING.lines().next().unwrap_or_default()
        ),
        Some(tools) if tools.versions != sidecar.tools => println!(
            "ebpf: not rebuilt, other tools than theirs: {:?} here, {:?} there",
            tools.versions, sidecar.tools
        ),
        Some(tools) => {
            ensure!(
                hashes(&build(root, &tools)?) == sidecar.objects,
                "a rebuild with the same tools gives other bytes than the committed objects have"
            );
            println!("ebpf: a rebuild gives the same bytes");
        }
    }
    Ok(())
}

/// Objects by file name, stripped of all but BTF.
fn build(root: &Path, tools: &Tools) -> Result<BTreeMap<String, Vec<u8>>> {
    let target = root.join("target/ebpf");
    let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
    flags.push(format!("--remap-path-prefix={}=/sbc", root.display()));
    let cargo_home = cargo_home()?;
    flags.push(format!(
        "--remap-path-prefix={}=/cargo",
        cargo_home.display()
    ));
    // Where a crate was fetched from is no part of the program; of two prefixes that fit the later one holds.
    let mut fetched = folders(&cargo_home.join("registry/src"))?;
    fetched.sort();
    for folder in fetched {
        flags.push(format!("--remap-path-prefix={}=/cargo", folder.display()));
    }
    flags.push(format!(
        "--remap-path-prefix={}=/rust",
        tools.sysroot.display()
    ));
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--quiet",
            "--release",
            "-p",
            "sbc-ebpf",
            "--bins",
        ])
        .args([
            "--features",
            "program",
            "--target",
            TARGET,
            "-Zbuild-std=core",
        ])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTC", &tools.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for line in PROFILE {
        cargo.args(["--config", line]);
    }
    for inherited in [
        "RUSTUP_TOOLCHAIN",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
    ] {
        cargo.env_remove(inherited);
    }
    ensure!(cargo.status()?.success(), "the kernel objects do not build");
    let mut objects = BTreeMap::new();
    for (program, name) in OBJECTS {
        let built = target.join(TARGET).join("release").join(program);
        let stripped = target.join(name);
        let status = Command::new(tools.strip)
            .arg("-g")
            .arg("-o")
            .args([&stripped, &built])
            .status()?;
        ensure!(
            status.success(),
            "{} {} failed",
            tools.strip,
            built.display()
        );
        let bytes = fs::read(&stripped)?;
        let tells = |path: &[u8]| bytes.windows(path.len()).any(|window| window == path);
        ensure!(
            !tells(b"/registry/") && !tells(root.as_os_str().as_encoded_bytes()),
            "{name} names a folder of the machine that it was built on"
        );
        objects.insert(name.to_owned(), bytes);
    }
    Ok(objects)
}

/// The folders in this one; none if it is not there.
fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    if !parent.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(parent)?.map(|entry| Ok(entry?.path()));
    let entries: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    Ok(entries.into_iter().filter(|path| path.is_dir()).collect())
}

/// What a rebuild needs.
struct Tools {
    rustc: PathBuf,
    sysroot: PathBuf,
    strip: &'static str,
    /// What they call themselves.
    versions: BTreeMap<String, String>,
}

impl Tools {
    /// A rustc that has the source of its own core library, bpf-linker, llvm-strip; none if one is missing.
    fn find() -> Result<Option<Tools>> {
        let nightly = output("rustup", ["run", "nightly", "rustc", "--print", "sysroot"])
            .map(|sysroot| Path::new(&sysroot).join("bin/rustc"));
        let candidates = env::var_os("SBC_EBPF_RUSTC").map(PathBuf::from).into_iter();
        let candidates = candidates
            .chain(nightly)
            .chain([PathBuf::from("/usr/bin/rustc")]);
        let with_source = candidates
            .filter_map(|rustc| {
                Some((
                    PathBuf::from(output(&rustc, ["--print", "sysroot"])?),
                    rustc,
                ))
            })
            .find(|(sysroot, _)| sysroot.join("lib/rustlib/src/rust/library/core").exists());
        let Some((sysroot, rustc)) = with_source else {
            return Ok(None);
        };
        let strip = ["llvm-strip-22", "llvm-strip"]
            .into_iter()
            .find_map(|strip| Some((strip, output(strip, ["--version"])?)));
        let (Some(linker), Some((strip, strip_version))) =
            (output("bpf-linker", ["--version"]), strip)
        else {
            return Ok(None);
        };
        let rustc_version = output(&rustc, ["--version"]).context("rustc --version")?;
        let strip_version = strip_version
            .lines()
            .find_map(|line| {
                line.split_once("LLVM version ")
                    .map(|(_, version)| version.to_owned())
            })
            .unwrap_or(strip_version);
        let versions = [
            ("rustc", rustc_version),
            ("bpf-linker", linker),
            ("llvm-strip", strip_version),
        ];
        Ok(Some(Tools {
            rustc,
            sysroot,
            strip,
            versions: versions
                .map(|(tool, version)| (tool.to_owned(), version))
                .into(),
        }))
    }
}

/// What lies beside the objects.
struct Sidecar {
    sources: String,
    abi: String,
    tools: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
}

impl Sidecar {
    fn text(&self) -> String {
        let mut text = format!(
            "# Written by `cargo xtask ebpf`; `cargo xtask ebpf --check` compares.\nsources = \"{}\"\nabi = \"{}\"\n",
            self.sources, self.abi
        );
        for (title, table) in [("tools", &self.tools), ("objects", &self.objects)] {
            let _ = write!(text, "\n[{title}]\n");
            for (key, value) in table {
                let _ = writeln!(text, "\"{key}\" = \"{value}\"");
            }
        }
        text
    }

    fn read(path: &Path) -> Result<Sidecar> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let table: toml::Table = text.parse()?;
        let field = |name: &str| {
            let value = table.get(name).and_then(toml::Value::as_str);
            value
                .map(str::to_owned)
                .with_context(|| format!("{}: no {name}", path.display()))
        };
        let section = |name: &str| {
            let section = table.get(name).and_then(toml::Value::as_table);
            let section = section.with_context(|| format!("{}: no [{name}]", path.display()))?;
            anyhow::Ok(
                section
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                    .collect(),
            )
        };
        Ok(Sidecar {
            sources: field("sources")?,
            abi: field("abi")?,
            tools: section("tools")?,
            objects: section("objects")?,
        })
    }
}

/// One hash of everything that the objects are made of.
fn sources(root: &Path) -> Result<String> {
    let mut files = vec![root.join("ebpf/Cargo.toml")];
    for entry in fs::read_dir(root.join("ebpf/src"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(fs::read(&file)?);
        hash.update([0]);
    }
    hash.update(FLAGS.join(" "));
    hash.update(PROFILE.join(" "));
    for line in kernel_packages(&fs::read_to_string(root.join("Cargo.lock"))?) {
        hash.update(line);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Versions and checksums of what the programs link.
fn kernel_packages(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("[[package]]")
        .filter(|package| package.trim_start().starts_with("name = \"aya-ebpf"))
        .map(str::trim)
}

fn hashes(objects: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    objects
        .iter()
        .map(|(name, bytes)| (name.clone(), hex(bytes)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn abi() -> String {
    format!("{:016x}", sbc_ebpf::abi::HASH)
}

/// What a tool prints, if it is there and content.
fn output<const N: usize>(program: impl AsRef<OsStr>, arguments: [&str; N]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    match env::var_os("HOME") {
        Some(home) => Ok(Path::new(&home).join(".cargo")),
        None => bail!("neither CARGO_HOME nor HOME is set"),
    }
}

fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map(Path::to_path_buf)
        .context("xtask has no parent folder")
}
