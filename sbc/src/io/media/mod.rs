//! Media in user space: the path of flows that the kernel does not forward. L2.
//!
//! A worker is a thread that owns flow pairs, both sides of each: no lock and no allocation per packet, and no other thread ever
//! sees one. From the outside in:
//!
//! | file | what it is |
//! |---|---|
//! | `workers.rs` | [`Workers`]: starts threads, passes commands, sums what they count |
//! | `worker.rs` | one thread's loop: commands, reports, turns |
//! | `relay.rs` | the flow table: what happens to a packet, by the very verdict that the XDP program has; no I/O |
//! | `backend.rs` | the seam: which socket has what from whom, send that from there |
//! | `ring.rs` | the seam's one implementation so far, on io_uring; the daemon's only unsafe code |
//! | `socket.rs`, `counters.rs`, `reason.rs` | a media socket; what is counted; why a packet is dropped |
//!
//! May import everything below `io`.

mod backend;
mod counters;
mod reason;
mod relay;
mod ring;
mod socket;
mod worker;
mod workers;

pub use backend::MAX_PAYLOAD;
pub use workers::{MAX_SOCKETS, MAX_WAITING, Workers, WorkersError};
