//! The test bench: the box among real clients in network namespaces, and the engine in a simulated network.

mod books;
pub mod e2e;
pub mod frames;
pub mod fuzz;
mod heard;
pub mod legal;
pub mod matrix;
mod relay;
pub mod ringing;
pub mod sim;
pub mod stage;

pub use books::Books;
