//! Keys of a telephone as two tones in the audio (ITU-T Q.23, Q.24): made, and heard.

mod detect;
mod generate;
mod window;

pub use detect::{Detector, Heard};
pub use generate::Generator;

/// Samples a second, of everything here.
const RATE: f32 = 8_000.0;
/// The lower of the two tones says the row, the higher one the column, in Hz.
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// Which code is in each row and column.
const KEYS: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];
/// Amplitude of a sine at 0 dBm0: full scale of G.711 is 3.17 dB above it.
const DBM0: f32 = 22_302.0;

/// A key: as telephone-event has it (RFC 4733 3.2), 0 to 9 are the digits, 10 `*`, 11 `#`, 12 to 15 `A` to `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dtmf(u8);

impl Dtmf {
    /// `None` above 15.
    #[must_use]
    pub fn new(code: u8) -> Option<Dtmf> {
        (code <= 15).then_some(Dtmf(code))
    }

    /// 0 to 15.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// What is printed on it.
    #[must_use]
    pub fn to_char(self) -> char {
        b"0123456789*#ABCD"
            .get(usize::from(self.0))
            .map_or('?', |&byte| char::from(byte))
    }

    /// The key with this printed on it; letters in either case.
    #[must_use]
    pub fn from_char(key: char) -> Option<Dtmf> {
        (0..=15)
            .map(Dtmf)
            .find(|dtmf| dtmf.to_char() == key.to_ascii_uppercase())
    }

    /// Its two tones in Hz, the lower one first.
    #[must_use]
    pub fn frequencies(self) -> (f32, f32) {
        ROWS.iter()
            .zip(&KEYS)
            .find_map(|(&row, keys)| {
                let mut columns = COLUMNS.iter().zip(keys);
                let (&column, _) = columns.find(|&(_, &key)| key == self.0)?;
                Some((row, column))
            })
            // Not reached: there are 16 of them.
            .unwrap_or_default()
    }

    /// From the places of its tones among the four rows and the four columns.
    fn at(row: usize, column: usize) -> Option<Dtmf> {
        KEYS.get(row)?.get(column).copied().map(Dtmf)
    }
}

#[cfg(test)]
mod tests;
