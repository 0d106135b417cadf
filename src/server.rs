//! Everything that needs a socket. One gate (`feature = "ssr"`) in front of all of it.
//!
//! Data goes one way: an [`adapter`] reads a store, the [`collect`]or keeps the board up to date, [`service`] answers
//! what a page or a caller may know, [`http`] writes it into pages, JSON and streams. [`redact`] hides the secrets of a
//! job before any of them sees it. [`boot`] is the only place that knows every part by its concrete type.

pub mod adapter;
pub mod archive;
pub mod args;
pub mod audit;
pub mod auth;
pub mod boot;
pub mod chart;
pub mod collect;
pub mod config;
pub mod cron;
pub mod database;
pub mod history;
pub mod http;
pub mod limiter;
pub mod limits;
pub mod operation;
pub mod redact;
pub mod service;
pub mod shared;
pub mod status;
pub mod tasks;
pub mod telemetry;
pub mod throughput;
pub mod verdict;
pub mod wire;
