//! A page of 50 failed jobs out of a million with 2-KB payloads.
//!
//! Drover shares one read of a list among all requests for the same list within 250 ms. Here every request asks for
//! another page (each begins one row further on, or where the page before ended), so every one is a real read.

use super::{Bench, start};
use crate::Outcome;
use crate::ground::{Shape, queue};
use crate::http::Client;
use crate::measure::{Samples, micros};
use crate::process::Redis;
use crate::table::Verdict;

const ROWS: u32 = 50;

/// The lines of the table.
pub(crate) async fn jobs(bench: &mut Bench) -> Outcome<()> {
    let requests: u32 = if bench.quick { 100 } else { 600 };
    let (many, told) = (bench.many(), bench.many_told());
    let redis = bench.ground.of(Shape::of(100).failed(many))?;
    let drover = start(&bench.drover, redis, 100).await?;
    let deep = many / 2 - ROWS;
    let floors = [(0, floor(redis, 0)?.told()), (deep, floor(redis, deep)?.told())];
    let mut client = Client::connect(drover.port).await?;
    for (part, path) in [("API", "/api/v1/queues/redis/"), ("page", "/queues/redis/")] {
        for (first, floor) in &floors {
            let mut samples = Samples::default();
            let mut bytes = 0;
            for n in 0..requests {
                let path = format!("{path}{}{}", queue(0), query(part, &format!("o{}", first + n)));
                let began = micros();
                let answer = client.get(&path).await?;
                samples.add_since(began);
                bytes = answer.body.len();
            }
            let number = first / ROWS + 1;
            bench.table.line(
                format!("50 failed jobs of {told}, {part}, page {number} ({} KB)", bytes / 1024),
                "p99 ≤ 10 ms",
                samples.told(),
                floor,
                Verdict::of(samples.within(10, 10)),
            );
        }
    }
    let samples = follow(&mut client, deep, requests).await?;
    bench.table.line(
        format!(
            "50 failed jobs of {told}, API, following `next` from page {}",
            deep / ROWS + 1
        ),
        "p99 ≤ 10 ms",
        samples.told(),
        &floors[1].1,
        Verdict::of(samples.within(10, 10)),
    );
    bench.table.remark(
        "Floor of a page of jobs: the same 50 ids and their short fields read by this process with two round trips.",
    );
    Ok(())
}

fn query(part: &str, cursor: &str) -> String {
    let list = if part == "API" { "/jobs" } else { "" };
    format!("{list}?state=failed&limit={ROWS}&cursor={cursor}")
}

async fn follow(client: &mut Client, from: u32, requests: u32) -> Outcome<Samples> {
    let mut samples = Samples::default();
    let mut cursor = format!("o{from}");
    for _ in 0..requests {
        let path = format!("/api/v1/queues/redis/{}{}", queue(0), query("API", &cursor));
        let began = micros();
        let answer = client.get(&path).await?;
        samples.add_since(began);
        let page = answer.json()?;
        cursor = page["next"]
            .as_str()
            .ok_or("a page in the middle has no next one")?
            .to_owned();
    }
    Ok(samples)
}

/// The least that a page needs from Redis.
fn floor(redis: &Redis, first: u32) -> Outcome<Samples> {
    let mut connection = redis.connection()?;
    let mut samples = Samples::default();
    for n in first..first + 200 {
        let began = micros();
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(format!("{}:failed", queue(0))).arg(n).arg(n + ROWS - 1);
        let ids: Vec<String> = command.query(&mut connection)?;
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HMGET").arg(format!("{}:{id}", queue(0)));
            pipe.arg(&["name", "timestamp", "processedOn", "finishedOn", "atm", "failedReason"]);
        }
        pipe.query::<Vec<redis::Value>>(&mut connection)?;
        samples.add_since(began);
    }
    Ok(samples)
}
