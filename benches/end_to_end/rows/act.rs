//! Acting on many jobs, beside the usual board's way: ask the library for the jobs and call each one's own method.
//!
//! Each way gets the same hundred thousand failed jobs on a Redis of its own. While it works, another client sends PING
//! after PING: how long it waits at most is what everybody else of that Redis feels.

use super::{Bench, start};
use crate::Outcome;
use crate::ground::{Ground, Shape};
use crate::http::Client;
use crate::measure::{Samples, float, micros};
use crate::process::Redis;
use crate::table::Verdict;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The queue that holds the failed jobs.
const QUEUE: &str = "queue-000";

/// What one way of doing it took.
struct Way {
    per_second: f64,
    pings: Samples,
}

/// Retry a hundred thousand, remove ten thousand chosen ones, clean a hundred thousand.
pub(crate) async fn act(bench: &mut Bench) -> Outcome<()> {
    let many: u32 = if bench.quick { 10_000 } else { 100_000 };
    for (what, action, jobs, least) in [
        ("retry", "retry", many, 40_000.0),
        ("remove, chosen by name and age", "remove", many / 10, 0.0),
        ("remove all", "remove", many, 0.0),
    ] {
        bench.ground = Ground::default();
        let redis = bench.ground.of(Shape::of(1).failed(jobs))?;
        let usual = usual_way(redis, action, jobs).await?;
        bench.ground = Ground::default();
        let redis = bench.ground.of(Shape::of(1).failed(jobs))?;
        let drover = start(&bench.drover, redis, 1).await?;
        let ours = our_way(redis, drover.port, action, jobs).await?;
        let ratio = ours.per_second / usual.per_second;
        let told = format!(
            "{:.0} jobs/s, {ratio:.1} × the usual way ({:.0} jobs/s)",
            ours.per_second, usual.per_second
        );
        let (budget, verdict) = if least > 0.0 {
            (format!("≥ {least:.0} jobs/s"), Verdict::of(ours.per_second >= least))
        } else {
            ("≥ 1 × the usual way".to_owned(), Verdict::of(ratio >= 1.0))
        };
        let thousands = jobs / 1_000;
        bench.table.line(
            format!("{what}: {thousands}k failed jobs, 2 KB each"),
            &budget,
            told,
            "",
            verdict,
        );
        let worst = |way: &Way| {
            way.pings
                .per_mille(1000)
                .map_or(0.0, |longest| longest.as_secs_f64() * 1e3)
        };
        bench.table.line(
            "… the longest PING of another client meanwhile",
            "≤ 10 ms",
            format!("{:.1} ms (the usual way {:.1} ms)", worst(&ours), worst(&usual)),
            "",
            Verdict::of(worst(&ours) <= 10.0),
        );
    }
    bench.ground = Ground::default();
    Ok(())
}

/// Sends PING after PING until told to stop.
fn ping(redis: &Redis, stop: Arc<AtomicBool>) -> Outcome<std::thread::JoinHandle<Samples>> {
    let mut connection = redis.connection()?;
    Ok(std::thread::spawn(move || {
        let mut samples = Samples::default();
        while !stop.load(Ordering::Relaxed) {
            let began = micros();
            if redis::cmd("PING").query::<String>(&mut connection).is_err() {
                break;
            }
            samples.add_since(began);
            std::thread::sleep(Duration::from_micros(500));
        }
        samples
    }))
}

/// The library's own queue and jobs in Node, as the usual boards use them.
async fn usual_way(redis: &Redis, action: &str, jobs: u32) -> Outcome<Way> {
    let stop = Arc::new(AtomicBool::new(false));
    let pings = ping(redis, stop.clone())?;
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/usual_way.mjs"))
        .args([redis.url().as_str(), QUEUE, action])
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    stop.store(true, Ordering::Relaxed);
    let pings = pings.join().map_err(|_| "the pinging ended early")?;
    if !output.status.success() {
        return Err("benches/usual_way.mjs failed; has `npm ci` been run?".into());
    }
    let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(Way {
        per_second: f64::from(jobs) / seconds,
        pings,
    })
}

async fn our_way(redis: &Redis, port: u16, action: &str, jobs: u32) -> Outcome<Way> {
    let mut client = Client::connect(port).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let pings = ping(redis, stop.clone())?;
    let filter = if action == "remove" && jobs < 100_000 {
        format!("state:failed queue:{QUEUE} name:send age:>1s")
    } else {
        format!("state:failed queue:{QUEUE}")
    };
    // The preview is part of it: without one nothing of this size starts.
    let began = Instant::now();
    let wanted = json!({"action": action, "filter": filter, "dry_run": true});
    let preview = client.post("/api/v1/operations", &wanted).await?.json()?;
    if preview["selected"] != jobs {
        return Err(format!("{} of {jobs} jobs were selected", preview["selected"]).into());
    }
    let body = json!({"token": preview["token"], "typed": preview["typed"]});
    let started = client.post("/api/v1/operations", &body).await?.json()?;
    let path = format!("/api/v1/operations/{}", started["id"].as_str().ok_or("no id")?);
    let ended: Value = loop {
        let now = client.get(&path).await?.json()?;
        if now["state"] == "done" {
            break now;
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("the operation is {} after two minutes: {}", now["state"], now["totals"]).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let took = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let pings = pings.join().map_err(|_| "the pinging ended early")?;
    let done = ended["totals"]["done"].as_u64().unwrap_or(0);
    if done != u64::from(jobs) {
        return Err(format!("{done} of {jobs} jobs were done: {}", ended["totals"]).into());
    }
    Ok(Way {
        per_second: float(done) / took,
        pings,
    })
}
