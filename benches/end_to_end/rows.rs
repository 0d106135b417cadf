//! The measurements, one module for each part of the board.

pub(crate) mod abuse;
pub(crate) mod act;
pub(crate) mod archive;
pub(crate) mod commands;
pub(crate) mod floors;
pub(crate) mod footprint;
pub(crate) mod freshness;
pub(crate) mod jobs;
pub(crate) mod many;
pub(crate) mod pages;
pub(crate) mod pgboss;

use crate::Outcome;
use crate::ground::Ground;
use crate::http::Client;
use crate::process::{Drover, Redis};
use crate::table::Table;
use floors::Floors;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long Drover may take to find every queue: with a million jobs it searches for seconds.
const KNOWN: Duration = Duration::from_secs(60);

/// What every measurement needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) drover: PathBuf,
    pub(crate) quick: bool,
    pub(crate) ground: Ground,
    pub(crate) floors: Floors,
    pub(crate) table: Table,
}

impl Bench {
    /// A time in a full run, a sixth of it in a quick one.
    pub(crate) fn time(&self, seconds: u64) -> Duration {
        let full = Duration::from_secs(seconds);
        if self.quick { full / 6 } else { full }
    }

    /// Failed jobs in the big queue.
    pub(crate) const fn many(&self) -> u32 {
        if self.quick { 100_000 } else { 1_000_000 }
    }

    /// That number in words.
    pub(crate) const fn many_told(&self) -> &'static str {
        if self.quick { "100k" } else { "1M" }
    }
}

/// Starts Drover and waits until it has read this many queues.
pub(crate) async fn start(binary: &Path, redis: &Redis, queues: u32) -> Outcome<Drover> {
    started(Drover::spawn(binary, redis)?, queues).await
}

/// Waits until it has read this many queues.
pub(crate) async fn started(drover: Drover, queues: u32) -> Outcome<Drover> {
    let began = Instant::now();
    let mut client = loop {
        match Client::connect(drover.port).await {
            Ok(client) => break client,
            Err(error) if began.elapsed() > KNOWN => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    loop {
        let listing = client.get("/api/v1/queues").await?.json()?;
        let items = listing["items"].as_array().map_or(&[][..], Vec::as_slice);
        let read = items.iter().filter(|queue| queue["reason"].is_null()).count();
        // A long list comes in pages; its first one stands for the others.
        if read == items.len() && listing["total"] == queues {
            return Ok(drover);
        }
        if began.elapsed() > KNOWN {
            return Err(format!(
                "Drover has read {read} of {queues} queues after {KNOWN:?}: {}",
                drover.log()
            )
            .into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
