//! Several adapters over one connection: each has its own queues, whatever the other one finds.

use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::action::{Effect, JobAction, Seen};
use drover::model::queue::{QueueRef, QueueSummary};
use drover::model::state::JobState;
use drover::server::adapter::QueueId;
use drover::server::adapter::bullmq::{BullMq, Scope};
use drover::server::adapter::redis::link::Link;
use drover::server::collect::board::Board;
use drover::server::collect::collector::Collector;
use drover::server::collect::source::Source;
use drover::server::redact::Masks;
use drover::server::tasks::Tasks;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A Redis with two applications whose keys have different prefixes, each read by an adapter of its own.
struct Shared {
    _redis: Redis,
    oracle: Oracle,
    board: Arc<Board>,
    collector: Arc<Collector>,
    stop: CancellationToken,
}

impl Shared {
    async fn start() -> Self {
        let redis = Redis::start();
        let mut oracle = Oracle::start(&redis.url(), 5).await;
        for (prefix, jobs) in [("shop", 3), ("mail", 5)] {
            add(&mut oracle, prefix, jobs).await;
        }
        let link = Arc::new(Link::new(&redis.url()).unwrap());
        let of = |prefix: &str| -> Arc<dyn drover::server::adapter::Adapter> {
            let scope = Scope {
                prefixes: vec![prefix.into()],
                ..Scope::default()
            };
            Arc::new(BullMq::new(link.clone(), scope, Masks::default()))
        };
        let (board, stop) = (Arc::<Board>::default(), CancellationToken::new());
        let adapters = vec![of("shop"), of("mail")];
        let collector = Collector::new("redis", Source::Redis(link.clone()), adapters, board.clone());
        let collector = Arc::new(collector);
        collector.start(&Tasks::new(stop.clone()));
        Self {
            _redis: redis,
            oracle,
            board,
            collector,
            stop,
        }
    }

    fn line(&self, queue: &str) -> Option<Arc<QueueSummary>> {
        let key = QueueRef {
            store: "redis".into(),
            queue: queue.into(),
        };
        Some(self.board.queue(&key)?.0)
    }

    async fn waiting_becomes(&self, queue: &str, jobs: u64) {
        eventually(&format!("{jobs} jobs in {queue}"), LATER, || async {
            (self.line(queue)?.counts.get(JobState::Waiting) == Some(jobs)).then_some(())
        })
        .await;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn add(oracle: &mut Oracle, prefix: &str, count: u32) {
    let jobs = json!({"prefix": prefix, "count": count, "name": "n", "data": {}, "opts": {}});
    oracle.ask("addMany", "q", jobs).await;
}

async fn counts(oracle: &mut Oracle, prefix: &str) -> Value {
    oracle.ask("counts", "q", json!({"prefix": prefix})).await
}

#[tokio::test]
async fn two_adapters_over_one_redis_each_have_their_own_queues() {
    let mut shared = Shared::start().await;
    shared.waiting_becomes("shop:q", 3).await;
    shared.waiting_becomes("mail:q", 5).await;

    // Drover receives the changes of both.
    add(&mut shared.oracle, "shop", 4).await;
    shared.waiting_becomes("shop:q", 7).await;
    add(&mut shared.oracle, "mail", 1).await;
    shared.waiting_becomes("mail:q", 6).await;

    // Each queue has the adapter that found it, and each adapter its own queues only.
    let (shop, mail): (QueueId, QueueId) = ("shop:q".into(), "mail:q".into());
    let adapters = shared.collector.adapters();
    let shares = adapters.shares(&[mail.clone(), "other:q".into(), shop.clone()]);
    let shares: Vec<Vec<QueueId>> = shares.into_iter().map(|share| share.queues).collect();
    assert_eq!(shares, [vec![shop.clone()], vec![mail.clone()]]);
    assert!(Arc::ptr_eq(&adapters.of(&shop).unwrap(), &adapters.all()[0]));
    assert!(Arc::ptr_eq(&adapters.of(&mail).unwrap(), &adapters.all()[1]));

    // An action goes to the queue's own adapter.
    let id = shared
        .oracle
        .ask(
            "add",
            "q",
            json!({"prefix": "mail", "name": "n", "data": {}, "opts": {}}),
        )
        .await;
    let id = id["jobId"].as_str().unwrap().to_owned();
    let adapter = shared.collector.adapter(&mail).unwrap();
    let remove = JobAction::Remove { children: false };
    let jobs = [(id, Seen::default())];
    let effects = adapter.act().unwrap().on_jobs(&mail, &jobs, &remove).await.unwrap();
    assert_eq!(effects, [Effect::done()]);
    assert_eq!(counts(&mut shared.oracle, "mail").await["waiting"], 6);
}

#[tokio::test]
async fn a_queue_that_is_gone_or_of_no_system_belongs_to_no_adapter() {
    let mut shared = Shared::start().await;
    shared.waiting_becomes("shop:q", 3).await;
    shared.waiting_becomes("mail:q", 5).await;
    let adapters = shared.collector.adapters();

    // Drover searches for a queue that no search has found yet; one of another application belongs to no adapter.
    let late = json!({"prefix": "mail", "name": "n", "data": {}, "opts": {}});
    shared.oracle.ask("add", "late", late).await;
    let owner = adapters.whose(&"mail:late".into()).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&owner, &adapters.all()[1]));
    let other = json!({"prefix": "other", "name": "n", "data": {}, "opts": {}});
    shared.oracle.ask("add", "q", other).await;
    assert!(adapters.whose(&"other:q".into()).await.unwrap().is_none());

    shared
        .oracle
        .ask("obliterate", "q", json!({"prefix": "shop", "force": true}))
        .await;
    eventually("the queue leaves the board", LATER, || async {
        shared.line("shop:q").is_none().then_some(())
    })
    .await;
    assert!(adapters.of("shop:q").is_none(), "its id may become another system's");
    eventually("the others stay", SOON, || async { shared.line("mail:late").map(drop) }).await;
    assert!(adapters.of("mail:q").is_some());
}
