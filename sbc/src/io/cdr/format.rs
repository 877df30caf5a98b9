//! What a record looks like in a file. In memory and in the spool it is one JSON object.

use std::borrow::Cow;
use std::fmt;
use std::io;

use compact_str::{CompactString, ToCompactString as _};
use serde::Deserialize as _;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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

/// Lines of several records.
pub(super) enum Rows {
    Json(Vec<u8>),
    Csv {
        writer: Box<csv::Writer<Vec<u8>>>,
        length: usize,
    },
}

impl Format {
    /// What a new file begins with.
    pub(super) fn header(self) -> io::Result<Vec<u8>> {
        match self {
            Format::Json => Ok(Vec::new()),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer
                    .write_record(CallRecord::FIELDS)
                    .map_err(io::Error::other)?;
                written_rows(writer)
            }
        }
    }

    /// A record's line, with its end.
    pub(super) fn line(self, record: &[u8]) -> io::Result<Vec<u8>> {
        let mut rows = self.rows();
        rows.add(record)?;
        rows.finish()
    }

    /// For lines of several.
    pub(super) fn rows(self) -> Rows {
        match self {
            Format::Json => Rows::Json(Vec::new()),
            Format::Csv => Rows::Csv {
                writer: Box::new(csv::Writer::from_writer(Vec::new())),
                length: 0,
            },
        }
    }
}

impl Rows {
    /// Adds a record's line.
    pub(super) fn add(&mut self, record: &[u8]) -> io::Result<()> {
        match self {
            Rows::Json(lines) => {
                lines.extend_from_slice(record);
                lines.push(b'\n');
            }
            Rows::Csv { writer, length } => {
                let mut from = serde_json::Deserializer::from_slice(record);
                let cells = from.deserialize_map(Row)?;
                let cells = cells.iter().map(|cell| cell.text().as_bytes());
                writer.write_record(cells).map_err(io::Error::other)?;
                *length += record.len();
            }
        }
        Ok(())
    }

    /// About so many bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Rows::Json(lines) => lines.len(),
            Rows::Csv { length, .. } => *length,
        }
    }

    /// All lines.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Rows::Json(lines) => Ok(lines),
            Rows::Csv { writer, .. } => written_rows(*writer),
        }
    }
}

fn written_rows(writer: csv::Writer<Vec<u8>>) -> io::Result<Vec<u8>> {
    writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))
}

/// A record as it is kept; the last digits of numbers are left out if that is wanted.
pub(super) fn write(
    record: &CallRecord,
    mask: usize,
    to: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    if mask == 0 {
        return serde_json::to_writer(to, record);
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
    serde_json::to_writer(to, &record)
}

/// Without its last digits, if it has digits at all; a short one has none left.
fn masked(number: &str, mask: usize) -> CompactString {
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

/// What stands in a field of CSV.
enum Cell<'r> {
    Text(Cow<'r, str>),
    Other(CompactString),
}

impl Cell<'_> {
    fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text,
            Cell::Other(text) => text,
        }
    }
}

type Cells<'r> = [Cell<'r>; CallRecord::FIELDS.len()];

/// Reads a record's fields into their places, without a tree of all that there is.
struct Row;

impl<'r> Visitor<'r> for Row {
    type Value = Cells<'r>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record of a call")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<Cells<'r>, A::Error> {
        let mut cells: Cells<'r> = CallRecord::FIELDS.map(|_| Cell::Text(Cow::Borrowed("")));
        // They come in this order, unless another version of the daemon wrote them.
        let mut next = 0;
        while let Some(Name(name)) = map.next_key_seed(Name::default())? {
            if CallRecord::FIELDS.get(next) != Some(&name.as_ref()) {
                let known = CallRecord::FIELDS.iter().position(|field| *field == name);
                next = known.unwrap_or(CallRecord::FIELDS.len());
            }
            match cells.get_mut(next) {
                Some(cell) => *cell = map.next_value_seed(AnyCell)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            next += 1;
        }
        Ok(cells)
    }
}

/// A name, without a copy of it.
#[derive(Default)]
struct Name<'r>(Cow<'r, str>);

impl<'r> DeserializeSeed<'r> for Name<'r> {
    type Value = Name<'r>;

    fn deserialize<D: Deserializer<'r>>(self, from: D) -> Result<Name<'r>, D::Error> {
        match AnyCell.deserialize(from)? {
            Cell::Text(text) => Ok(Name(text)),
            Cell::Other(text) => Ok(Name(Cow::Owned(text.into_string()))),
        }
    }
}

struct AnyCell;

impl<'r> DeserializeSeed<'r> for AnyCell {
    type Value = Cell<'r>;

    fn deserialize<D: Deserializer<'r>>(self, from: D) -> Result<Cell<'r>, D::Error> {
        from.deserialize_any(AnyCell)
    }
}

impl<'r> Visitor<'r> for AnyCell {
    type Value = Cell<'r>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field of a record")
    }

    fn visit_unit<E>(self) -> Result<Cell<'r>, E> {
        Ok(Cell::Text(Cow::Borrowed("")))
    }

    fn visit_borrowed_str<E>(self, text: &'r str) -> Result<Cell<'r>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'r>, E> {
        Ok(Cell::Other(text.into()))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Cell<'r>, E> {
        Ok(Cell::Other(is.to_compact_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell<'r>, E> {
        Ok(Cell::Other(number.to_compact_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell<'r>, E> {
        Ok(Cell::Other(number.to_compact_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell<'r>, E> {
        Ok(Cell::Other(Value::from(number).to_compact_string()))
    }

    fn visit_seq<A: SeqAccess<'r>>(self, list: A) -> Result<Cell<'r>, A::Error> {
        let list = Value::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(Cell::Other(list.to_compact_string()))
    }
}
