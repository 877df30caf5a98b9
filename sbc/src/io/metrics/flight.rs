//! The flight recorder.

use super::Reading;
use super::family::Family;

/// Nothing where it is off.
pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let Some(flight) = &reading.flight else {
        return Vec::new();
    };
    let mut captures = Family::counter(
        "sbc_flight_captures_total",
        "Captures of calls with a bad stream, by what became of them: written, failed (the directory), skipped (too many at once).",
        &["result"],
    );
    captures.add(["written"], flight.written);
    captures.add(["failed"], flight.failed);
    captures.add(["skipped"], flight.skipped);
    let mut missed = Family::counter(
        "sbc_flight_unrecorded_pairs_total",
        "Flow pairs of which nothing is kept, as too many others were up when they began.",
        &[],
    );
    missed.add([], flight.missed);
    let mut families = vec![captures, missed];
    if let Some([up, lost]) = flight.recordings {
        let mut recordings = Family::gauge(
            "sbc_flight_recordings",
            "Calls that are recorded with their payload now, counted once for each who does.",
            &[],
        );
        recordings.add([], up);
        let mut missing = Family::counter(
            "sbc_flight_payload_lost_packets_total",
            "Packets of calls recorded with their payload that are not in the recording: its reader, or the writer, was too slow.",
            &[],
        );
        missing.add([], lost);
        families.extend([recordings, missing]);
    }
    families
}
