//! `sbc completions`.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Failure};

/// Which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete `sbc`: what is printed goes where it looks for completions
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints what has a shell complete our commands and options.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    // Into memory first: the generators take a closed pipe for a crash.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "sbc", &mut script);
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(&script);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn each_shell_completes_each_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            generate(*shell, &mut Cli::command(), "sbc", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Cli::command().get_subcommands() {
                let name = command.get_name();
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }
}
