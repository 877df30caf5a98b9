//! `sbc man`.

mod config;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Cli, Failure};

/// Where to.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory, which is made if it is missing: sbc.1, sbc-run.1, …, sbc.toml.5
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

/// What the page of `sbc` itself has besides its options.
const MORE: [(&str, &str); 3] = [
    (
        "FILES",
        "/etc/sbc/sbc.toml: the config that the packaged service runs on. /etc/sbc/environment: lines of NAME=value for secrets that the config \
         takes from the environment. /var/lib/sbc: what outlives the daemon.",
    ),
    (
        "SIGNALS",
        "SIGHUP has the daemon read its config again; calls stay. SIGTERM and SIGINT end every call, then the daemon; a second one does \
         not wait for calls.",
    ),
    (
        "ENVIRONMENT",
        "SBC_LOG and SBC_LOG_FORMAT stand for --log and --log-format. NOTIFY_SOCKET and WATCHDOG_USEC are the service manager's.",
    ),
];

/// Prints the manual page, or writes all of them.
pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let pages = pages();
    match &args.dir {
        Some(dir) => {
            let failed = |source| Failure::Write {
                file: dir.clone(),
                source,
            };
            write_all(dir, &pages).map_err(failed)
        }
        None => {
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(&pages[0].1);
            Ok(())
        }
    }
}

fn write_all(dir: &Path, pages: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    pages
        .iter()
        .try_for_each(|(name, page)| fs::write(dir.join(name), page))
}

/// File name and text of each page, that of `sbc` itself first.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut sbc = Cli::command().disable_help_subcommand(true);
    sbc.build();
    let commands: Vec<Command> = sbc.get_subcommands().cloned().collect();
    let mut pages = vec![page(sbc)];
    pages.extend(commands.into_iter().map(page));
    pages.push((config::NAME.to_owned(), config::page()));
    pages
}

fn page(command: Command) -> (String, Vec<u8>) {
    // `sbc run` is sbc-run(1), as git's are.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let (name, is_top) = (name.to_owned(), name == "sbc");
    let man = Man::new(command)
        .title(&name)
        .manual("sbc")
        .source(format!("sbc {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render(&mut text);
    if is_top {
        for (title, paragraph) in MORE {
            let mut section = Roff::new();
            section.control("SH", [title]);
            section.text([roman(paragraph)]);
            let _ = section.to_writer(&mut text);
        }
    }
    (format!("{name}.1"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_and_the_config_have_a_page() {
        let pages = pages();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        let mut expected = vec!["sbc.1".to_owned()];
        let command = Cli::command();
        let commands = command.get_subcommands();
        expected.extend(commands.map(|command| format!("sbc-{}.1", command.get_name())));
        expected.push("sbc.toml.5".to_owned());
        assert_eq!(names, expected);
        let run = &pages[names.iter().position(|name| *name == "sbc-run.1").unwrap()].1;
        let run = String::from_utf8_lossy(run);
        assert!(run.contains(".TH sbc-run 1"), "{run}");
        assert!(run.contains(r"\-\-config"), "{run}");
    }

    #[test]
    fn the_first_page_tells_of_files_and_signals() {
        let page = String::from_utf8(pages().remove(0).1).unwrap();
        for (title, _) in MORE {
            assert!(page.contains(&format!(".SH {title}")), "{page}");
        }
        assert!(page.contains("sbc\\-run(1)"), "{page}");
    }
}
