//! Redis as every adapter on it sees it: one supervised connection with deadlines.
//!
//! - [`link`]: the connection, its supervisor and its state of health
//! - [`classify`]: what an error means, in a sentence; [`refusals`]: those that do not stop it from answering
//! - [`rights`]: what our user may do, asked without doing it; [`script`]: a script as one atomic step
//! - [`topology`]: at an address, or where Sentinels say
//! - `knock`: what is behind an address that no connection can be made to
//! - [`info`]: what the server says about itself, parsed; [`signs`]: what of it tells of trouble
//! - [`report`]: the same report in full, for the page of a store
//! - [`ask`]: what that page asks for beyond it
//! - [`reply`]: reading replies without trusting their shape
//! - [`walk`]: the key space in small steps; [`listen`]: channels by pattern; [`spacing`]: the distance between two reads

pub mod ask;
pub mod classify;
pub mod info;
mod knock;
pub mod link;
pub mod listen;
pub mod refusals;
pub mod reply;
pub mod report;
pub mod rights;
pub mod script;
pub mod signs;
pub mod spacing;
pub mod topology;
pub mod walk;
