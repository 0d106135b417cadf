//! Redis as every adapter on it sees it: one supervised connection with deadlines.
//!
//! - [`link`]: the connection, its supervisor and its state of health
//! - [`info`]: what the server says about itself, parsed
//! - [`report`]: the same report in full, for the page of a store
//! - [`ask`]: what that page asks for beyond it
//! - [`reply`]: reading replies without trusting their shape

pub mod ask;
pub mod info;
pub mod link;
pub mod reply;
pub mod report;
