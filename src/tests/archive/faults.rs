//! The steps one by one, with a change in between.

use super::archived;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Proxy, Weather};
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::action::{Effect, JobAction, Seen};
use drover::server::adapter::Act as _;
use drover::server::adapter::Archiving as _;
use drover::server::adapter::bullmq::{BullMq, Scope};
use drover::server::adapter::redis::link::Link;
use drover::server::archive::{Archive, ArchivedQueue, Settings};
use drover::server::redact::Masks;
use drover::server::tasks::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The parts, without a board.
struct Parts {
    adapter: BullMq,
    archive: Arc<Archive>,
    place: ArchivedQueue,
    stop: CancellationToken,
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Parts {
    async fn over(redis: &str, postgres: &str) -> Self {
        let tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop().clone();
        let link = Arc::new(Link::new(redis).unwrap());
        tasks.spawn(link.clone().supervise(stop.clone()));
        let settings = Settings {
            url: postgres.to_owned(),
            migrate: true,
            allow_unsafe: false,
            require_sync_standby: false,
            policies: vec![],
            keep: vec![],
            read_only: false,
        };
        let archive = Arc::new(Archive::new(settings).unwrap());
        archive.start(&tasks);
        eventually("both answer", LATER, || async {
            (archive.ready().is_ok() && link.health().borrow().is_ok()).then_some(())
        })
        .await;
        Self {
            adapter: BullMq::new(link, Scope::default(), Masks::default()),
            archive,
            place: ArchivedQueue {
                store: "redis".into(),
                queue: "bull:mail".into(),
                system: Some("bullmq"),
            },
            stop,
        }
    }

    /// Reads and archives these, runs `meanwhile`, and removes the jobs that may be removed.
    async fn archive(&self, ids: &[String], meanwhile: impl AsyncFnOnce()) -> Vec<Effect> {
        let jobs: Vec<(String, Seen)> = ids.iter().map(|id| (id.clone(), Seen::default())).collect();
        let secured = self.archive.secure(&self.adapter, &self.place, &jobs).await.unwrap();
        assert_eq!(secured.len(), ids.len());
        meanwhile().await;
        secured.remove(&self.adapter).await.unwrap().0
    }
}

async fn failed_jobs(oracle: &mut Oracle, count: usize) -> Vec<String> {
    crate::operations::failed(oracle, "mail", "send", count, "no").await;
    oracle.ids("mail", "failed", true).await
}

#[tokio::test]
async fn a_queue_that_the_board_does_not_know_is_archived_as_its_librarys() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    for (family, system) in [("6", "bullmq"), ("bull", "bull")] {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        redis.run::<()>(&["FLUSHALL"]);
        let ids = failed_jobs(&mut oracle, 1).await;
        let mut parts = Parts::over(&redis.url(), &postgres.url()).await;
        parts.place.system = None;
        assert_eq!(parts.archive(&ids, async || {}).await, [Effect::done()], "{family}");
        let written: String = postgres.one("SELECT system FROM drover.archive").await;
        assert_eq!(written, system);
        postgres.run("TRUNCATE drover.archive").await;
    }
}

#[tokio::test]
async fn what_changes_while_it_is_looked_at_is_left_alone_and_said() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    for family in ["6", "5", "4", "3", "bull"] {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        redis.run::<()>(&["FLUSHALL"]);
        let ids = failed_jobs(&mut oracle, 7).await;
        let parts = Parts::over(&redis.url(), &postgres.url()).await;
        let key = |i: usize| format!("bull:mail:{}", ids[i]);
        let effects = parts
            .archive(&ids, async || {
                // Retried, edited, another field, another line of its log, failed again, removed.
                let retry = JobAction::Retry {
                    reset_attempts: false,
                    data: None,
                };
                let retried = [(ids[0].clone(), Seen::default())];
                parts
                    .adapter
                    .on_jobs(&"bull:mail".into(), &retried, &retry)
                    .await
                    .unwrap();
                redis.run::<()>(&["HSET", &key(1), "data", "{\"fail\":\"on\"}"]);
                redis.run::<()>(&["HSET", &key(2), "more", ""]);
                redis.run::<()>(&["RPUSH", &format!("{}:logs", key(3)), "a line"]);
                redis.run::<()>(&["HINCRBY", &key(4), "finishedOn", "1"]);
                redis.run::<()>(&["ZINCRBY", "bull:mail:failed", "1", &ids[4]]);
                redis.run::<()>(&["DEL", &key(5)]);
                redis.run::<()>(&["ZREM", "bull:mail:failed", &ids[5]]);
            })
            .await;
        for i in [0, 1, 2, 3, 4] {
            assert!(
                matches!(effects[i], Effect::Changed { .. }),
                "{family} {i}: {effects:?}"
            );
            assert!(redis.run::<bool>(&["EXISTS", &key(i)]), "{family} {i} is gone");
        }
        assert!(matches!(effects[5], Effect::Already { .. }), "{family}: {effects:?}");
        assert_eq!(effects[6], Effect::done(), "{family}");
        assert!(!redis.run::<bool>(&["EXISTS", &key(6)]));
        // The edited job is another content for the same run: it stays until an operator decides.
        let again = parts.archive(&ids[1..2], async || {}).await;
        assert!(
            matches!(&again[0], Effect::Refused { reason } if reason.contains("different contents")),
            "{family}: {again:?}"
        );
        assert!(redis.run::<bool>(&["EXISTS", &key(1)]));
        // The job that failed again is another run, and has a row of its own.
        let again = parts.archive(&ids[4..5], async || {}).await;
        assert_eq!(again[0], Effect::done(), "{family}");
        let runs: i64 = postgres
            .one(&format!(
                "SELECT count(*) FROM drover.archive WHERE job_id = '{}'",
                ids[4]
            ))
            .await;
        assert_eq!(runs, 2, "{family}");
        postgres.run("TRUNCATE drover.archive").await;
    }
}

#[tokio::test]
async fn many_oldest_ones_with_a_changed_one_among_them() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    crate::operations::write_failed(&redis, "mail", 600);
    let ids = oracle.ids("mail", "failed", true).await;
    let parts = Parts::over(&redis.url(), &postgres.url()).await;
    let effects = parts
        .archive(&ids, async || {
            redis.run::<()>(&["HSET", "bull:mail:300", "data", "[]"]);
        })
        .await;
    let done = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Done { .. }))
        .count();
    assert_eq!(done, 599);
    let left: Vec<String> = redis.run(&["ZRANGE", "bull:mail:failed", "0", "-1"]);
    assert_eq!(left, ["300"]);
    assert_eq!(archived(&postgres).await, (600, 600));
}

#[tokio::test]
async fn a_parent_that_waits_for_it_keeps_it() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let ids = failed_jobs(&mut oracle, 1).await;
    let child = format!("bull:mail:{}", ids[0]);
    redis.run::<()>(&["HSET", &child, "parentKey", "bull:mail:parent"]);
    redis.run::<()>(&["HSET", "bull:mail:parent", "name", "p"]);
    redis.run::<()>(&["SADD", "bull:mail:parent:dependencies", &child]);
    let parts = Parts::over(&redis.url(), &postgres.url()).await;
    let effects = parts.archive(&ids, async || {}).await;
    assert!(
        matches!(&effects[0], Effect::Refused { reason } if reason.contains("still waits for it")),
        "{effects:?}"
    );
    assert!(redis.run::<bool>(&["EXISTS", &child]));
}

/// In front of a Postgres: once armed, the first commit reaches the server and its answer reaches no client.
struct Cutter {
    port: u16,
    armed: Arc<AtomicBool>,
    cut: Arc<AtomicUsize>,
}

impl Cutter {
    async fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (armed, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (of, count) = (armed.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (armed, cut) = (of.clone(), count.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(n) = from_client.read(&mut buffer).await {
                        if n == 0 {
                            break;
                        }
                        let commits = buffer[..n].windows(6).any(|text| text == b"COMMIT");
                        let cuts = commits && armed.swap(false, Ordering::SeqCst);
                        if cuts {
                            back.abort();
                        }
                        if to_server.write_all(&buffer[..n]).await.is_err() {
                            break;
                        }
                        if cuts {
                            cut.fetch_add(1, Ordering::SeqCst);
                            // The server has everything; the client never gets the answer.
                            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                            break;
                        }
                    }
                    back.abort();
                });
            }
        });
        Self { port, armed, cut }
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_read_back() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let ids = failed_jobs(&mut oracle, 5).await;
    let cutter = Cutter::before(postgres.port).await;
    let parts = Parts::over(&redis.url(), &postgres.url_over(cutter.port)).await;
    cutter.armed.store(true, Ordering::SeqCst);
    let effects = parts.archive(&ids, async || {}).await;
    assert_eq!(cutter.cut.load(Ordering::SeqCst), 1, "the commit was cut");
    assert!(effects.iter().all(|effect| *effect == Effect::done()), "{effects:?}");
    assert_eq!(archived(&postgres).await, (5, 5));
    // And where nothing was committed nothing is removed.
    let ids = failed_jobs(&mut oracle, 5).await;
    let mut holder = postgres.connection().await;
    sqlx::query("BEGIN").execute(&mut holder).await.unwrap();
    sqlx::query("LOCK TABLE drover.archive IN ACCESS EXCLUSIVE MODE")
        .execute(&mut holder)
        .await
        .unwrap();
    let jobs: Vec<(String, Seen)> = ids.iter().map(|id| (id.clone(), Seen::default())).collect();
    let refused = parts
        .archive
        .secure(&parts.adapter, &parts.place, &jobs)
        .await
        .unwrap_err();
    assert!(refused.cause.contains("lock"), "{refused}");
    assert_eq!(oracle.counts("mail").await["failed"], 5);
}

#[tokio::test]
async fn a_frozen_archive_is_said_and_nothing_is_removed() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let ids = failed_jobs(&mut oracle, 1).await;
    let parts = Parts::over(&redis.url(), &postgres.url()).await;
    postgres.freeze();
    eventually("the silence", LATER, || async {
        parts.archive.ready().is_err().then_some(())
    })
    .await;
    let jobs = [(ids[0].clone(), Seen::default())];
    let began = std::time::Instant::now();
    parts
        .archive
        .archive(&parts.adapter, &parts.place, &jobs)
        .await
        .unwrap_err();
    assert!(
        began.elapsed() < SOON,
        "nobody waits for a server that is known to be silent"
    );
    assert_eq!(oracle.counts("mail").await["failed"], 1);
    postgres.thaw();
    eventually("the archive", LATER, || async {
        parts.archive.ready().is_ok().then_some(())
    })
    .await;
    let effects = parts
        .archive
        .archive(&parts.adapter, &parts.place, &jobs)
        .await
        .unwrap();
    assert_eq!(effects, [Effect::done()]);
    let jobs = parts.adapter.whole(&"bull:mail".into(), &jobs).await.unwrap();
    assert_eq!(jobs.len(), 1);
}

#[tokio::test]
async fn a_removal_that_nobody_hears_of_is_read_back_and_never_done_twice() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    crate::operations::write_failed(&redis, "mail", 100);
    let ids = oracle.ids("mail", "failed", true).await;
    let port = redis.url().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::before(port).await;
    let parts = Parts::over(&proxy.url(), &postgres.url()).await;
    // The command may arrive, its answer does not; then the store is back.
    let jobs: Vec<(String, Seen)> = ids.iter().map(|id| (id.clone(), Seen::default())).collect();
    let secured = parts.archive.secure(&parts.adapter, &parts.place, &jobs).await.unwrap();
    proxy.becomes(Weather::Fair(std::time::Duration::from_millis(600)));
    let cut = async {
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        proxy.becomes(Weather::Cut);
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        proxy.becomes(Weather::Fair(std::time::Duration::ZERO));
    };
    let (effects, ()) = tokio::join!(secured.remove(&parts.adapter), cut);
    let left: Vec<String> = redis.run(&["ZRANGE", "bull:mail:failed", "0", "-1"]);
    for (id, effect) in ids.iter().zip(effects.unwrap_or_default().0) {
        if matches!(effect, Effect::Done { .. }) {
            assert!(!left.contains(id), "{id} is said to be gone and is there");
        }
    }
    assert_eq!(
        archived(&postgres).await,
        (100, 100),
        "durable before anything was removed"
    );
    eventually("the rest", LATER, || async {
        let again = parts.archive.archive(&parts.adapter, &parts.place, &jobs).await;
        let effects = again.ok()?;
        let known = |effect: &Effect| matches!(effect, Effect::Done { .. } | Effect::Gone | Effect::Already { .. });
        effects.iter().all(known).then_some(())
    })
    .await;
    assert_eq!(oracle.counts("mail").await["failed"], 0);
    assert_eq!(archived(&postgres).await, (100, 100));
}
