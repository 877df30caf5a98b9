//! What is not in the file itself: passwords, and tables of prefixes.

/// Reads what `{ env = "NAME" }` and `{ file = "PATH" }` name. The shell has one that asks the system.
pub trait Secrets {
    /// The environment variable of this name.
    ///
    /// # Errors
    /// [`NoSecret`] says why it cannot be had.
    fn env(&self, name: &str) -> Result<String, NoSecret>;

    /// The content of this file; of a secret one line break at its end is not part.
    ///
    /// # Errors
    /// [`NoSecret`] says why it cannot be had.
    fn file(&self, path: &std::path::Path) -> Result<String, NoSecret>;
}

/// Why a secret cannot be had. Reads on from "environment variable `NAME`" or "file `PATH`".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// No such variable, no such file.
    #[error("does not exist")]
    Absent,
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// A line break or another control character inside.
    #[error("holds more than one line or a control character")]
    Control,
    /// Longer than a password may be.
    #[error("holds more than {0} bytes")]
    TooLong(usize),
}

/// Has no secret at all: for texts that name none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn env(&self, _name: &str) -> Result<String, NoSecret> {
        Err(NoSecret::Absent)
    }

    fn file(&self, _path: &std::path::Path) -> Result<String, NoSecret> {
        Err(NoSecret::Absent)
    }
}
