//! What stands in the spool's file: frames and heads, each with a checksum.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// Bytes of a head.
pub(super) const HEAD: u64 = 4096;
/// Before a frame's content: its length, a checksum of all that follows, its number, its kind.
pub(super) const PREFIX: usize = 4 + 4 + 8 + 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call goes on; replaces what was said of it before. Its id, a line feed, its record.
    Open,
    /// A call is over: its id, a line feed, its record.
    Done,
    /// The rest of the file is not used: on at its beginning.
    Wrap,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Kind> {
        [Kind::Open, Kind::Done, Kind::Wrap]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }

    pub(super) fn byte(self) -> u8 {
        match self {
            Kind::Open => 1,
            Kind::Done => 2,
            Kind::Wrap => 3,
        }
    }
}

/// Where a frame begins, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) number: u64,
}

/// How far a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The next frame that it has not seen.
    pub(super) next: Place,
    /// Of a file: which, and how long it was.
    pub(super) file: Option<(u64, u64)>,
}

/// What stands in a head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) turn: u64,
    /// The oldest frame that is needed.
    pub(super) tail: Place,
    /// The last time, in milliseconds since 1970, that the daemon was known to be alive.
    pub(super) alive: i64,
    pub(super) cursors: BTreeMap<String, Cursor>,
}

/// In the place that is not the last one's.
pub(super) fn write_head(file: &File, head: &Head) -> io::Result<()> {
    let text = serde_json::to_vec(head).map_err(io::Error::other)?;
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(8 + text.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum(0, Kind::Wrap, &text).to_le_bytes());
    bytes.extend_from_slice(&text);
    if bytes.len() as u64 > HEAD {
        return Err(io::Error::other("too many sinks"));
    }
    file.write_all_at(&bytes, HEAD * (head.turn % 2))
}

/// The younger of the two that is whole.
pub(super) fn read_head(file: &File) -> io::Result<Option<Head>> {
    let size = file.metadata()?.len();
    if size < 2 * HEAD {
        return Ok(None);
    }
    let mut best: Option<Head> = None;
    for at in [0, HEAD] {
        let mut bytes = vec![0; HEAD as usize];
        file.read_exact_at(&mut bytes, at)?;
        let head = whole_head(&bytes).filter(|head| head.tail.at < size);
        if let Some(head) = head
            && best.as_ref().is_none_or(|best| best.turn < head.turn)
        {
            best = Some(head);
        }
    }
    Ok(best)
}

fn whole_head(bytes: &[u8]) -> Option<Head> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let is_whole = checksum(0, Kind::Wrap, text) == u32::from_le_bytes(*sum);
    serde_json::from_slice(text).ok().filter(|_| is_whole)
}

/// Length, checksum, number and kind.
pub(super) fn unpack(prefix: &[u8; PREFIX]) -> Option<(u32, u32, u64, u8)> {
    let (length, rest) = prefix.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    Some((
        u32::from_le_bytes(*length),
        u32::from_le_bytes(*sum),
        u64::from_le_bytes(*number),
        *rest.first()?,
    ))
}

/// Of a frame; of a head as if it were number 0.
pub(super) fn checksum(number: u64, kind: Kind, content: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_le_bytes());
    sum.update(&[kind.byte()]);
    sum.update(content);
    sum.finalize()
}
