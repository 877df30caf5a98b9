//! Pipes on a virtual clock: exact packets in, exact packets out.

mod forms;
mod forms_heard;
mod hour;
mod keys;
mod laws;
mod noise;
mod odd;
mod order;
mod property;
mod reports;
mod several;
mod sound;
mod support;
mod switches;
mod time;
