//! Edits of single lines; all others stay as they are, byte for byte.

use super::Sdp;

/// Collects edits of a session description.
#[derive(Debug)]
pub struct Editor<'s, 'a> {
    sdp: &'s Sdp<'a>,
    edits: Vec<Edit>,
    /// Whole lines, and the line that each comes after; in order.
    inserts: Vec<(usize, String)>,
}

#[derive(Clone, Debug)]
enum Edit {
    Keep,
    Remove,
    Replace(String),
}

impl<'s, 'a> Editor<'s, 'a> {
    /// Nothing is edited yet.
    #[must_use]
    pub fn new(sdp: &'s Sdp<'a>) -> Self {
        Editor {
            sdp,
            edits: vec![Edit::Keep; sdp.lines().len()],
            inserts: Vec::new(),
        }
    }

    /// Puts another value behind a line's `=`; its letter and its line end stay. What would break the line is left out.
    pub fn replace(&mut self, line: usize, mut value: String) {
        value.retain(fits_a_line);
        if let Some(edit) = self.edits.get_mut(line) {
            *edit = Edit::Replace(value);
        }
    }

    /// Takes a line out.
    pub fn remove(&mut self, line: usize) {
        if let Some(edit) = self.edits.get_mut(line) {
            *edit = Edit::Remove;
        }
    }

    /// Puts a line of its own, such as `a=sendonly`, after another one. What would break the line is left out.
    pub fn insert_after(&mut self, line: usize, mut whole: String) {
        whole.retain(fits_a_line);
        self.inserts.push((line, whole));
    }

    /// The body as edited.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        for (index, (line, edit)) in self.sdp.lines().iter().zip(&self.edits).enumerate() {
            let ending = if line.ending.is_empty() {
                b"\r\n"
            } else {
                line.ending
            };
            match edit {
                Edit::Keep => out.extend_from_slice(line.whole),
                Edit::Remove => {}
                Edit::Replace(value) => {
                    out.extend_from_slice(&[line.kind, b'=']);
                    out.extend_from_slice(value.as_bytes());
                    out.extend_from_slice(ending);
                }
            }
            for (_, inserted) in self.inserts.iter().filter(|(after, _)| *after == index) {
                if !out.is_empty() && !out.ends_with(b"\n") {
                    out.extend_from_slice(ending);
                }
                out.extend_from_slice(inserted.as_bytes());
                out.extend_from_slice(ending);
            }
        }
        // Kept for as long as the call lasts.
        out.shrink_to_fit();
        out
    }
}

fn fits_a_line(c: char) -> bool {
    !matches!(c, '\r' | '\n' | '\0')
}
