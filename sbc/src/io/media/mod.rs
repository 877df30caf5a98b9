//! Media in user space: the path of flows that the kernel does not forward. L2.
//!
//! A worker is a thread that owns flow pairs, both sides of each: no lock and no allocation per packet, and no other thread ever
//! sees one. What comes in goes on as it is, or, where the sides of a pair share no codec, ends in the pair's pipe, which makes what
//! leaves. From the outside in:
//!
//! | file | what it is |
//! |---|---|
//! | `workers.rs` | [`Workers`]: starts threads, passes commands, sums what they count |
//! | `worker.rs` | one thread's loop: commands, reports, turns |
//! | `load.rs` | whether a worker keeps up |
//! | `pulse.rs` | whether workers turn at all |
//! | `window.rs` | how long it waits for frames that are cheaper together |
//! | `setup.rs` | how many workers there are, on which cores, at what priority |
//! | `relay.rs` | the flow table: what happens to a packet, by the very verdict that the XDP program has, and the pipes of pairs that are transcoded; no I/O |
//! | `backend.rs` | the seam: which socket has what from whom, send that from there |
//! | `ring.rs` | the seam on io_uring: the first choice; the daemon's only unsafe code |
//! | `epoll.rs` | the seam on epoll (mio), where io_uring is refused |
//! | `refusal.rs` | why it is |
//! | `socket.rs`, `counters.rs`, `reason.rs`, `system.rs` | a media socket; what is counted; why a packet is dropped; limits and wake-ups |
//!
//! May import everything below `io`.

mod backend;
mod counters;
mod epoll;
mod load;
mod pulse;
mod reason;
mod refusal;
mod relay;
mod ring;
mod setup;
mod socket;
mod system;
mod window;
mod worker;
mod workers;

pub use backend::MAX_PAYLOAD;
pub use pulse::{Felt, Pulse};
pub use refusal::{Driver, Refusal};
pub(super) use ring::scheduling::give_way;
pub use setup::{Gathering, Misplaced, Seated, Setup, fits};
pub use window::{MAX_WINDOW, WINDOW};
pub use workers::{MAX_SOCKETS, MAX_WAITING, WorkerView, Workers, WorkersError};
