//! Pipes on a virtual clock: exact packets in, exact packets out.

mod hour;
mod keys;
mod noise;
mod odd;
mod order;
mod property;
mod reports;
mod sound;
mod support;
mod switches;
mod time;
