//! The traces of calls: what they take, and what found no room.

use super::Reading;
use super::family::Family;
use crate::trace::Class;

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let Some(trace) = &reading.trace else {
        return Vec::new();
    };
    let mut bytes = Family::gauge(
        "sbc_trace_bytes",
        "Bytes of memory that traces of calls take; `memory` of [trace] is the most.",
        &[],
    );
    bytes.add([], trace.bytes as u64);
    let mut traces = Family::gauge(
        "sbc_traces",
        "Traces of calls that are kept: running, good, failed, unknown (who called was not recognised).",
        &["state"],
    );
    for (class, count) in Class::ALL.into_iter().zip(trace.traces) {
        traces.add([class.label()], count as u64);
    }
    let mut omitted = Family::counter(
        "sbc_trace_omitted_total",
        "Messages and steps of calls that found no room in their trace, or had to give way.",
        &[],
    );
    omitted.add([], trace.omitted);
    vec![bytes, traces, omitted]
}
