//! Chores of this repository: `cargo xtask help`.

mod clients;
mod dist;
mod ebpf;
mod kernel;
mod package;
mod run;
mod tidy;
mod tool;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The chores of sbc.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// All tests; with root also those with real clients, which are installed if they are missing
    Test,
    /// Only the tests with real clients in network namespaces (root)
    E2e {
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Two real phones call each other through the box, in network namespaces (root)
    Demo {
        /// How long the call lasts, in seconds
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Who forwards the media: native, generic or off
        #[arg(long, default_value = "native")]
        fast_path: String,
    },
    /// Formatting, clippy, layering, the committed eBPF object, all tests
    Ci,
    /// Builds the kernel programs that are committed, or says whether they fit their sources
    Ebpf {
        /// Only says whether they fit
        #[arg(long)]
        check: bool,
    },
    /// The tests of the kernel path and of io_uring under Debian's Linux 6.1, in a virtual machine (qemu)
    Kernel,
    /// Builds the Debian package, target/dist/sbc_*.deb
    Dist {
        /// Packs this program instead of building one
        #[arg(long)]
        binary: Option<PathBuf>,
    },
    /// The Debian package, of the debug build, on a Debian that is booted for it (root)
    PackageTest,
    /// The quick start of README.md, word by word on a fresh Debian, with two phones (root)
    QuickStartTest,
    /// Layering, house rules, links of the documentation
    Tidy,
    /// Writes what of the documentation is made from the code: docs/config.md, docs/metrics.md
    Docs,
    /// Measures: prints a table, writes target/bench.json
    Bench {
        /// Only this section: sip, route, codec, xdp, install, relay, media, latency, transcode, capacity, talking, load, calls, rate, setup, held, scrape, registrar, records, trace; or million, which is not among the rest
        section: Option<String>,
        /// How many calls `million` makes through the daemon
        calls: Option<u32>,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(chore: Chore) -> Result<()> {
    match chore {
        Chore::Test => run::test(),
        Chore::E2e { filter } => run::e2e(filter.as_deref()),
        Chore::Demo { seconds, fast_path } => run::demo(seconds, &fast_path),
        Chore::Ci => run::ci(),
        Chore::Ebpf { check } => ebpf::run(check),
        Chore::Kernel => kernel::run(),
        Chore::PackageTest => package::run(),
        Chore::Dist { binary } => dist::run(binary.as_deref()),
        Chore::QuickStartTest => package::quick_start(),
        Chore::Tidy => tidy::run(),
        Chore::Docs => run::docs(),
        Chore::Bench { section, calls } => run::bench(section.as_deref(), calls),
    }
}
