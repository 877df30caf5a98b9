//! What the bytes of a step mean.

/// Reads a step; zeros behind its end.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// One of these.
    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Which of the kinds below a first byte stands for.
pub(super) const KINDS: u8 = 16;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Someone asks for something new.
    Asks,
    /// He goes on in a dialog that he has.
    GoesOn,
    /// He answers a request of the box's.
    Answers,
    /// He does what is proper about the last thing that he heard.
    Reacts,
    /// He acknowledges, cancels or PRACKs an INVITE of his.
    Follows,
    /// He says again what he has said, or says what another has.
    Repeats,
    /// He says these bytes.
    Raw,
    /// Time passes.
    Waits,
    /// The shells have something to report.
    Reports,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Kind {
        match byte % KINDS {
            0 | 1 => Kind::Asks,
            2..=4 => Kind::GoesOn,
            5 | 6 => Kind::Answers,
            7..=9 => Kind::Reacts,
            10 => Kind::Follows,
            11 => Kind::Repeats,
            12 => Kind::Raw,
            13 | 14 => Kind::Waits,
            _ => Kind::Reports,
        }
    }
}

/// Changes a message as the rest of a step says: four bytes for where, how and with what.
pub(super) fn change(bytes: &mut Vec<u8>, how: &[u8]) {
    const DELIMITERS: &[u8] = b"\r\n \t:;,<>\"\\=@[]/0%?.";
    for change in how.chunks_exact(4) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
        let at = at % bytes.len().max(1);
        let byte = match change[2] & 8 {
            0 => change[3],
            _ => DELIMITERS[usize::from(change[3]) % DELIMITERS.len()],
        };
        match change[2] % 8 {
            _ if bytes.is_empty() => {}
            0 | 1 => bytes[at] = byte,
            2 | 3 => bytes.insert(at, byte),
            4 => drop(bytes.remove(at)),
            5 => bytes.truncate(at),
            // Something twice.
            6 => {
                let end = (at + usize::from(byte)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(end..end, copy);
            }
            _ => {
                let end = (at + usize::from(byte)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
}
