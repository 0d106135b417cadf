//! Redis as every adapter on it sees it: one supervised connection with deadlines.
//!
//! - [`link`]: the connection, its supervisor and its state of health
//! - [`info`]: what the server says about itself, parsed
//! - [`reply`]: reading replies without trusting their shape

pub mod info;
pub mod link;
pub mod reply;
