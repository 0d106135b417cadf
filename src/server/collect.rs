//! Turns what stores say into the one picture that every page and stream is made of.
//!
//! One [`collector`] per store reads; the [`board`] holds the last known truth and hands every change to its streams.
//! [`throughput`](crate::server::throughput) remembers how fast work came and went, [`past`] what was noted of that
//! before, `entries` since when jobs have been ready to run, [`adapters`] which adapter each queue belongs to, and
//! [`vitals`] how the store itself was; `pace` says how often a store may be asked, `conditions` what is the matter
//! with it, `clock` what time it is, and [`source`] which kind of store it is. A browser costs a socket: nothing here
//! is done once per watcher, and nothing waits for a store other than the one it is about.

pub mod adapters;
pub mod board;
mod clock;
pub mod collector;
mod conditions;
mod entries;
mod pace;
pub mod past;
pub mod source;
pub mod track;
pub mod vitals;
