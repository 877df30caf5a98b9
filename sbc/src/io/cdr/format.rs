//! What a record looks like in a file. In memory and in the spool it is one JSON object.

use std::io;

use serde_json::Value;

use crate::engine::CallRecord;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One object a line.
    Json,
    /// RFC 4180, with a line of names first; what is a list is JSON in its field.
    Csv,
}

impl Format {
    /// What a new file begins with.
    pub(super) fn header(self) -> io::Result<Vec<u8>> {
        match self {
            Format::Json => Ok(Vec::new()),
            Format::Csv => row(CallRecord::FIELDS.map(str::to_owned)),
        }
    }

    /// A record's line, with its end.
    pub(super) fn line(self, record: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Format::Json => Ok([record, b"\n"].concat()),
            Format::Csv => {
                let record: Value = serde_json::from_slice(record)?;
                row(CallRecord::FIELDS.map(|field| text(record.get(field))))
            }
        }
    }
}

/// A record as it is kept; the last digits of numbers are left out if that is wanted.
pub(super) fn written(record: &CallRecord, mask: usize) -> Result<Vec<u8>, serde_json::Error> {
    if mask == 0 {
        return serde_json::to_vec(record);
    }
    let mut record = record.clone();
    let sent = [&mut record.calling_sent, &mut record.called_sent];
    let tried = record.tries.iter_mut().map(|tried| &mut tried.called);
    for number in [&mut record.calling, &mut record.called]
        .into_iter()
        .chain(sent.into_iter().flatten())
        .chain(tried)
    {
        *number = masked(number, mask);
    }
    serde_json::to_vec(&record)
}

/// Without its last digits, if it has digits at all; a short one has none left.
fn masked(number: &str, mask: usize) -> String {
    let mut left = mask;
    let mut kept: Vec<char> = number.chars().collect();
    for character in kept.iter_mut().rev() {
        if left > 0 && character.is_ascii_digit() {
            *character = 'x';
            left -= 1;
        }
    }
    kept.into_iter().collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn row<const N: usize>(fields: [String; N]) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(fields).map_err(io::Error::other)?;
    writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))
}
