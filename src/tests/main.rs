//! Drover against the real servers and libraries: real Redis servers, the real Bull and BullMQ of every generation,
//! real workers.
//!
//! One binary, so that there is one link step. The tests start servers on free ports and stop them when they end. A
//! test whose server or library is missing fails; it is never skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod act_again;
mod act_api;
mod act_done;
mod act_offers;
mod act_pages;
#[macro_use]
mod actions;

mod access;
mod act_flow;
mod adapters;
mod archive;
mod arq;
mod audit;
mod bad_data;
mod bad_days;
mod bad_records;
mod base_path;
mod celery;
mod contract;
mod crowd;
mod database;
mod deploy;
mod discovery;
mod docs;
mod events;
mod flow;
mod foreign;
mod history;
mod http;
mod insight;
mod job;
mod large;
mod layers;
mod least;
mod lists;
mod names;
mod operations;
mod operations_api;
mod parents;
mod pgboss;
mod pooler;
mod ports;
mod postgres;
mod proxies;
mod reading;
mod schedules;
mod scripts;
mod secrets;
mod sentinel;
mod stale;
mod status;
mod stores;
mod stores_full;
mod stores_memory;
mod support;
mod tasks;
mod tls;
mod topology;
mod values;
mod waiting;
mod weather;
mod wire;
mod wording;
mod workers;
