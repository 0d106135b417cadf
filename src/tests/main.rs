//! Drover against the real thing: real Redis servers, the real Bull and BullMQ of every generation, real workers.
//!
//! One binary, so that there is one link step. Servers are started by the tests on free ports and
//! stopped with them. A test whose server or library is missing fails; it is never skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod act_api;
mod act_done;
mod act_pages;
#[macro_use]
mod actions;

mod access;
mod act_flow;
mod archive;
mod audit;
mod bad_data;
mod bad_days;
mod bad_records;
mod base_path;
mod contract;
mod crowd;
mod deploy;
mod discovery;
mod docs;
mod events;
mod flow;
mod history;
mod http;
mod insight;
mod job;
mod layers;
mod least;
mod operations;
mod operations_api;
mod pgboss;
mod postgres;
mod reading;
mod schedules;
mod secrets;
mod status;
mod stores;
mod stores_full;
mod stores_memory;
mod support;
mod tls;
mod values;
mod weather;
mod wording;
mod workers;
