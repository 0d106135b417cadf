//! The connection that every Postgres-based adapter shares, and what a Postgres says of itself.
//!
//! | module | what it does |
//! |---|---|
//! | [`database`] | two small pools, supervised: reads that cannot write, and actions |
//! | [`health`] | what it says when somebody looks at its page |
//! | [`report`] | what the server says of itself, every few seconds |
//! | [`classify`] | an error as a person can use it |

pub mod classify;
pub mod database;
pub mod health;
pub mod report;
