//! Acting on many jobs, compared with the library's own means: fetch the jobs and call each one's own method, as boards
//! do, or its own `clean()`.
//!
//! Each way gets the same hundred thousand failed jobs on a Redis of its own. While it works, another client sends PING
//! after PING: its longest wait is what every other client of that Redis experiences.

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

/// The queue with the failed jobs.
const QUEUE: &str = "queue-000";

/// The cost of one way of doing it.
struct Way {
    /// Jobs acted on, a second, from the first to the last.
    per_second: f64,
    /// The same including the selection of the jobs.
    in_all: f64,
    /// The selection of the jobs.
    choosing: Duration,
    pings: Samples,
}

/// An action on many jobs.
struct Deed {
    what: &'static str,
    /// The request to the API.
    asked: Value,
    /// Which of the jobs: all, or those whose id ends like this.
    ending: &'static str,
    /// The argument for the library's way, see `usual_way.mjs`.
    usual: &'static str,
    /// The fewest jobs a second.
    least: Least,
}

/// The bound for a rate.
enum Least {
    Jobs(f64),
    /// A share of the library's rate in the same run.
    OfUsual(f64),
}

/// Retries a hundred thousand in both ways, removes ten thousand chosen ones, cleans a hundred thousand.
pub(crate) async fn act(bench: &mut Bench) -> Outcome<()> {
    let many: u32 = if bench.quick { 10_000 } else { 100_000 };
    for deed in [
        Deed {
            what: "retry all",
            asked: json!({"action": "retry"}),
            ending: "",
            usual: "retry",
            least: Least::Jobs(100_000.0),
        },
        Deed {
            what: "retry one by one, attempts counted anew",
            asked: json!({"action": "retry", "reset_attempts": true}),
            ending: "",
            usual: "retry",
            least: Least::Jobs(40_000.0),
        },
        Deed {
            what: "remove a tenth of them, chosen by id",
            asked: json!({"action": "remove"}),
            ending: "7",
            usual: "remove",
            least: Least::Jobs(34_000.0),
        },
        Deed {
            what: "remove all, beside the library's clean()",
            asked: json!({"action": "remove"}),
            ending: "",
            usual: "clean",
            least: Least::OfUsual(0.9),
        },
    ] {
        bench.ground = Ground::default();
        let redis = bench.ground.of(Shape::of(1).failed(many))?;
        let usual = usual_way(redis, &deed, many).await?;
        bench.ground = Ground::default();
        let redis = bench.ground.of(Shape::of(1).failed(many))?;
        let drover = start(&bench.drover, redis, 1).await?;
        let ours = our_way(redis, drover.port, &deed, many).await?;
        let ratio = ours.per_second / usual.per_second;
        let (budget, verdict) = match deed.least {
            Least::Jobs(least) => (format!("≥ {least:.0} jobs/s"), Verdict::of(ours.per_second >= least)),
            Least::OfUsual(share) => (format!("≥ {share} × the library"), Verdict::of(ratio >= share)),
        };
        let thousands = many / 1_000;
        bench.table.line(
            format!("{}: {thousands}k failed jobs, 2 KB each", deed.what),
            &budget,
            format!(
                "{:.0} jobs/s, {ratio:.1} × the library's way ({:.0} jobs/s); {:.0} jobs/s with the preview ({:.1} s)",
                ours.per_second,
                usual.per_second,
                ours.in_all,
                ours.choosing.as_secs_f64()
            ),
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
            format!("{:.1} ms (the library's way {:.1} ms)", worst(&ours), worst(&usual)),
            "",
            Verdict::of(worst(&ours) <= 10.0),
        );
    }
    bench.ground = Ground::default();
    Ok(())
}

/// Sends PING after PING until told to stop.
pub(super) fn ping(redis: &Redis, stop: Arc<AtomicBool>) -> Outcome<std::thread::JoinHandle<Samples>> {
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
async fn usual_way(redis: &Redis, deed: &Deed, jobs: u32) -> Outcome<Way> {
    let stop = Arc::new(AtomicBool::new(false));
    let pings = ping(redis, stop.clone())?;
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/usual_way.mjs"))
        .args([redis.url().as_str(), QUEUE, deed.usual, deed.ending])
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    stop.store(true, Ordering::Relaxed);
    let pings = pings.join().map_err(|_| "the pinging ended early")?;
    if !output.status.success() {
        return Err("benches/usual_way.mjs failed; has `npm ci` been run?".into());
    }
    let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let chosen = if deed.ending.is_empty() { jobs } else { jobs / 10 };
    Ok(Way {
        per_second: f64::from(chosen) / seconds,
        in_all: f64::from(chosen) / seconds,
        choosing: Duration::ZERO,
        pings,
    })
}

async fn our_way(redis: &Redis, port: u16, deed: &Deed, jobs: u32) -> Outcome<Way> {
    let mut client = Client::connect(port).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let pings = ping(redis, stop.clone())?;
    let (mut filter, mut chosen) = (format!("state:failed queue:{QUEUE}"), jobs);
    if !deed.ending.is_empty() {
        filter += &format!(" id:*{}", deed.ending);
        chosen = jobs / 10;
    }
    let mut wanted = deed.asked.clone();
    wanted["filter"] = filter.into();
    wanted["dry_run"] = true.into();
    let began = Instant::now();
    let preview = client.post("/api/v1/operations", &wanted).await?.json()?;
    let choosing = began.elapsed();
    if preview["selected"] != chosen {
        return Err(format!("{} of {chosen} jobs were selected", preview["selected"]).into());
    }
    let ended = operate(&mut client, &preview).await?;
    let in_all = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let pings = pings.join().map_err(|_| "the pinging ended early")?;
    let (done, ran) = outcome(&ended, chosen)?;
    Ok(Way {
        per_second: float(done) / ran,
        in_all: float(done) / in_all,
        choosing,
        pings,
    })
}

/// Starts the operation of a preview, and waits until it is done.
pub(super) async fn operate(client: &mut Client, preview: &Value) -> Outcome<Value> {
    let body = json!({"token": preview["token"], "typed": preview["typed"]});
    let started = client.post("/api/v1/operations", &body).await?.json()?;
    let path = format!("/api/v1/operations/{}", started["id"].as_str().ok_or("no id")?);
    let began = Instant::now();
    loop {
        let now = client.get(&path).await?.json()?;
        if now["state"] == "done" {
            return Ok(now);
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("the operation is {} after two minutes: {}", now["state"], now["totals"]).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many jobs it did, which must be all, and in how many seconds.
pub(super) fn outcome(ended: &Value, wanted: u32) -> Outcome<(u64, f64)> {
    let done = ended["totals"]["done"].as_u64().unwrap_or(0);
    if done != u64::from(wanted) {
        return Err(format!("{done} of {wanted} jobs were done: {}", ended["totals"]).into());
    }
    let ms = |name: &str| ended[name].as_u64().ok_or("an operation without times");
    Ok((done, float((ms("ended")? - ms("started")?).max(1)) / 1e3))
}
