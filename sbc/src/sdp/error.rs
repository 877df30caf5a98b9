//! Why a body is no session description.

use thiserror::Error;

/// Why a body was not understood. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    /// Longer than [`super::Limits::size`].
    #[error("the session description has {size} bytes; {limit} are the most that is read")]
    TooLong {
        /// Bytes it has.
        size: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// More lines than [`super::Limits::lines`].
    #[error("the session description has more than {limit} lines")]
    TooManyLines {
        /// Lines it may have.
        limit: usize,
    },
    /// More m= lines than [`super::Limits::streams`].
    #[error("the session description has more than {limit} m= lines")]
    TooManyStreams {
        /// Streams it may have.
        limit: usize,
    },
    /// Not of the form `x=value`, or with a NUL or a lone CR inside.
    #[error("line {line} of the session description is not of the form x=value")]
    Line {
        /// Which.
        line: usize,
    },
    /// It does not begin with `v=0`.
    #[error("the session description does not begin with v=0")]
    Version,
    /// There is no o= line.
    #[error("the session description has no o= line")]
    NoOrigin,
    /// An o=, c= or m= line that does not follow RFC 8866.
    #[error("line {line} of the session description: its {kind}= cannot be read")]
    Value {
        /// Which.
        line: usize,
        /// `o`, `c` or `m`.
        kind: char,
    },
}

impl SdpError {
    /// The metric label: one of a handful of fixed words.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            SdpError::TooLong { .. } => "sdp-too-long",
            SdpError::TooManyLines { .. } => "sdp-lines",
            SdpError::TooManyStreams { .. } => "sdp-streams",
            SdpError::Line { .. } => "sdp-line",
            SdpError::Version => "sdp-version",
            SdpError::NoOrigin => "sdp-origin",
            SdpError::Value { .. } => "sdp-value",
        }
    }
}
