//! Many readers, some of which do not read, against the real binary: its memory, its cost for Redis, and its shutdown.
//! Numbers `F-n` are those of the reliability plan; here are 1,000 clients for seconds instead of 10,000 for half an
//! hour.

use crate::support::app::Drover;
use crate::support::client::Stream;
use crate::support::oracle::Oracle;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CLIENTS: usize = 1000;
const STUCK: usize = 100;
const EVENTS: &str = "/admin/queues/events?topics=overview,queue:redis/bull:q";

/// Requests the stream; the caller reads it.
async fn ask(port: u16) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// Clients that discard what they read, and come back when they lose the connection.
fn crowd(port: u16, size: usize) -> tokio::task::JoinSet<()> {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..size {
        clients.spawn(async move {
            let mut buffer = vec![0; 4096];
            loop {
                if let Ok(mut socket) = ask(port).await {
                    while let Ok(1..) = socket.read(&mut buffer).await {}
                }
                tokio::time::sleep(Duration::from_millis(rand_ms())).await;
            }
        });
    }
    clients
}

/// A pause between a half and one and a half seconds, different for each.
fn rand_ms() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    500 + hash % 1000
}

/// Adds a job and reads the stream until it reports the job.
async fn heard(stream: &mut Stream, oracle: &mut Oracle) {
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    stream
        .until("the new job", |e| {
            let jobs = e.data["jobs"].as_array()?;
            jobs.iter().any(|j| j["id"] == id.as_str()).then_some(())
        })
        .await;
}

/// What a client sends before it falls silent: nothing, half a head, a head without its body, or one request.
const HALVES: [&str; 4] = [
    "",
    "GET /admin/queues/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ",
    "POST /admin/queues/theme HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n\
     Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\ntheme",
    "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
];

/// Raises the limit of open files of this process.
fn open_many() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

async fn streams(port: u16) -> usize {
    let metrics = crate::support::client::get(port, "/metrics").await.body;
    let line = metrics.lines().find(|line| line.starts_with("drover_streams "));
    line.map_or(0, |line| line.split([' ', '.']).nth(1).unwrap().parse().unwrap())
}

/// F-17 and F-18.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_whom_a_hundred_never_read_cost_little_and_end_in_time() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let mut process = Process::over(&redis.url(), None).await;
    eventually("the queue", LATER, || async {
        let answer = crate::support::client::get(process.port, "/admin/queues/api/v1/queues/redis/bull:q").await;
        (answer.status == 200).then_some(())
    })
    .await;
    let mut stream = Stream::open(process.port, EVENTS, &[]).await;
    heard(&mut stream, &mut oracle).await;
    let calls = redis.calls_in_all();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let cost_alone = redis.calls_in_all() - calls;

    let memory = process.memory();
    let readers = crowd(process.port, CLIENTS - STUCK - 1);
    let mut stuck = vec![];
    for _ in 0..STUCK {
        stuck.push(ask(process.port).await.unwrap());
    }
    eventually("all streams", LATER, || async {
        (streams(process.port).await >= CLIENTS).then_some(())
    })
    .await;
    let calls = redis.calls_in_all();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let cost_together = redis.calls_in_all() - calls;
    // Drover sends the same few commands in the same time, give or take one round.
    assert!(
        cost_together <= cost_alone + cost_alone / 5 + 50,
        "{cost_alone} commands for one reader, {cost_together} for {CLIENTS}"
    );
    heard(&mut stream, &mut oracle).await;
    // Many changes: Drover does not buffer them for clients that do not read.
    for _ in 0..10 {
        oracle
            .ask(
                "addMany",
                "q",
                json!({"count": 500, "name": "n", "data": {}, "opts": {}}),
            )
            .await;
    }
    heard(&mut stream, &mut oracle).await;
    let grown = process.memory().saturating_sub(memory);
    assert!(grown < 150_000_000, "{CLIENTS} readers hold {grown} bytes");

    // It ends in time although a hundred clients read nothing, and the crowd comes back to the next one.
    let status = process.terminate().await;
    assert!(status.success(), "{status}: {}", process.log());
    drop((readers, stuck));
    let mut costs = vec![];
    for size in [1, CLIENTS - STUCK] {
        let port = crate::support::free_port();
        let waiting = crowd(port, size);
        let before = redis.calls_in_all();
        let mut process = Process::at(port, &redis.url(), None).await;
        eventually("the crowd is back", LATER, || async {
            (streams(port).await >= size).then_some(())
        })
        .await;
        let began = process.began;
        tokio::time::sleep(Duration::from_secs(5).saturating_sub(began.elapsed())).await;
        // Per second of its life, so that a slower return of more clients does not count as a cost.
        costs.push(f64::from(u32::try_from(redis.calls_in_all() - before).unwrap()) / began.elapsed().as_secs_f64());
        drop(waiting);
        process.terminate().await;
    }
    assert!(
        costs[1] <= costs[0] * 1.25 + 10.0,
        "commands a second after a restart: {} for one reader, {} for all",
        costs[0],
        costs[1]
    );
}

/// Queues of the unwatched board.
const QUEUES: usize = 20;

#[tokio::test]
async fn an_unwatched_board_asks_little_and_is_right_when_a_viewer_comes() {
    const WINDOW: Duration = Duration::from_secs(30);
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for n in 0..QUEUES {
        oracle.add(&format!("q{n}"), "n", json!({}), json!({})).await;
    }
    oracle.ask("startWorker", "q0", json!({"workerId": "w"})).await;
    for n in 1..QUEUES {
        oracle.ask("drain", &format!("q{n}"), json!({"delayed": true})).await;
    }
    let drover = Drover::over(&redis.url()).await;
    for n in 0..QUEUES {
        drover.knows(&format!("bull:q{n}")).await;
    }
    let counts = oracle.counts("q0").await;
    drover.counts_become("bull:q0", &counts).await;
    // A request counts as watching for 30 s.
    tokio::time::sleep(Duration::from_secs(32)).await;
    let sent = || async {
        let metrics = crate::support::client::get(drover.port, "/metrics").await.body;
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix("drover_store_commands_total{store=\"redis\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let (before, pings) = (sent().await, redis.calls_of("ping"));
    for _ in 0..WINDOW.as_secs() / 5 {
        oracle.add("q0", "n", json!({}), json!({})).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let (spent, pings) = (sent().await - before, redis.calls_of("ping") - pings);
    // 60 are the share of 120 a minute; one part that does not spare the store costs three times as much.
    assert!(spent <= 180, "{spent} commands in {WINDOW:?}");
    assert!(pings <= WINDOW.as_secs(), "{pings} signs of life in {WINDOW:?}");

    let counts = oracle.counts("q0").await;
    drover.counts_become("bull:q0", &counts).await;
    let mut stream = drover.stream("queue:redis/bull:q1").await;
    let id = oracle.add("q1", "n", json!({}), json!({})).await;
    stream
        .until("the new job", |e| {
            let jobs = e.data["jobs"].as_array()?;
            jobs.iter().any(|j| j["id"] == id.as_str()).then_some(())
        })
        .await;
}

/// F-30.
#[tokio::test]
async fn with_few_open_files_streams_are_refused_and_pages_still_read() {
    let redis = Redis::start();
    let process = Process::over(&redis.url(), Some(256)).await;
    eventually("the start says what it has", LATER, || async {
        let log = process.log();
        (log.contains("open_files=\"256\"") && log.contains("max_streams=204")).then_some(())
    })
    .await;
    assert!(
        process.log().contains("raise the limit of open files"),
        "{}",
        process.log()
    );
    let (mut held, mut refused) = (vec![], 0);
    for _ in 0..300 {
        let stream = Stream::open(process.port, "/admin/queues/events?topics=overview", &[]).await;
        match stream.status {
            200 => held.push(stream),
            503 => {
                assert!(stream.headers.iter().any(|(name, _)| name == "retry-after"));
                refused += 1;
            }
            other => panic!("a stream was answered with {other}"),
        }
    }
    assert_eq!((held.len(), refused), (204, 96));
    for _ in 0..20 {
        let page = crate::support::client::get(process.port, "/admin/queues/").await;
        assert_eq!(page.status, 200);
    }
    let store = crate::support::client::get(process.port, "/admin/queues/api/v1/stores/redis").await;
    assert_eq!(store.json()["reach"], "live");
    held.truncate(100);
    eventually("places are free again", LATER, || async {
        let stream = Stream::open(process.port, "/admin/queues/events?topics=overview", &[]).await;
        (stream.status == 200).then_some(())
    })
    .await;
}

/// F-30, S-18: silent connections leave files for the stores and connections for requests.
#[tokio::test]
async fn two_thousand_silent_connections_block_no_request() {
    open_many();
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let process = Process::over(&redis.url(), Some(512)).await;
    eventually("the queue", LATER, || async {
        let answer = crate::support::client::get(process.port, "/admin/queues/api/v1/queues/redis/bull:q").await;
        (answer.status == 200).then_some(())
    })
    .await;
    let mut stream = Stream::open(process.port, EVENTS, &[]).await;
    let mut silent = vec![];
    for n in 0..2_000 {
        let mut socket = TcpStream::connect(("127.0.0.1", process.port)).await.unwrap();
        // Drover may have closed it to make room for another one.
        let _ = socket.write_all(HALVES[n % HALVES.len()].as_bytes()).await;
        silent.push(socket);
        if n % 40 == 0 {
            let page = crate::support::client::get(process.port, "/admin/queues/").await;
            assert_eq!(page.status, 200, "among {n}");
        }
    }
    for _ in 0..50 {
        let page = crate::support::client::get(process.port, "/admin/queues/").await;
        assert_eq!(page.status, 200);
    }
    assert!(process.files() < 512, "{} files", process.files());
    let store = crate::support::client::get(process.port, "/admin/queues/api/v1/stores/redis").await;
    assert_eq!(store.json()["reach"], "live");
    // Drover did not close a stream that is read.
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    stream.until_job(&id).await;
    assert!(process.log().contains("connections run out"), "{}", process.log());
    drop(silent);
}
