//! `sbc check`.

use std::io::{self, Write};
use std::path::Path;

use sbc::config;

use super::{Failure, source};

/// Says what a config means, or what is wrong with it.
pub(super) fn check(file: Option<&Path>) -> Result<(), Failure> {
    let source = source::load(file)?;
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(config::describe(&source.config).as_bytes());
    Ok(())
}
