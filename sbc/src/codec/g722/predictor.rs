//! The adaptive predictor that both bands have (clause 6.2.1.4, blocks 4L and 4H): two poles, six zeros.

/// What a band's next sample is expected to be, from what has been decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Predictor {
    /// The estimate, 15 bits with room (SL, SH).
    pub(super) estimate: i32,
    /// The zeros' part of it (SZL, SZH).
    pub(super) zero_part: i32,
    /// The poles' coefficients, 1/16384 (AL, AH).
    pub(super) poles: [i32; 2],
    /// The sample before, twice (RLT, RH).
    pub(super) doubled: i32,
    /// Of the two samples before, what the zeros have not foretold; only signs count (PLT, PH).
    pub(super) partials: [i32; 2],
    /// The zeros' coefficients, 1/32768, 16 bits (BL, BH).
    pub(super) zeros: [i32; 6],
    /// The last differences, the newest first (DLT, DH): 10,228 at most.
    pub(super) differences: [i32; 6],
    /// The sum of their sizes.
    pub(super) size: i32,
}
