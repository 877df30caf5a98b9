//! Programs that are run to their end.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What it printed, without blanks at the end.
///
/// # Errors
/// It cannot be started, or failed; the error has what it printed then.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}
