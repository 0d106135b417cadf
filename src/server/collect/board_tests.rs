use super::*;
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::model::verdict::Verdict;

fn queue(id: &str, waiting: u64) -> QueueSummary {
    let mut queue = QueueSummary::example(id);
    queue.store = "s".into();
    queue.id = id.into();
    queue.workers = None;
    queue.counts.set(JobState::Waiting, Some(waiting));
    queue.verdict = Verdict::not_read(0);
    queue
}

fn store() -> StoreSummary {
    StoreSummary::example("s")
}

fn board() -> Arc<Board> {
    let board = Arc::new(Board::default());
    board.add_store(store());
    board
}

fn publish(board: &Board, queues: Vec<QueueSummary>) {
    board.publish(Update {
        queues,
        ..Update::default()
    });
}

fn text(frames: &[Arc<Part>]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| String::from_utf8(frame.plain().to_vec()).unwrap())
        .collect()
}

#[test]
fn a_line_that_did_not_change_is_told_to_nobody() {
    let board = board();
    publish(&board, vec![queue("a", 1)]);
    let mut follower = board.subscribe(vec![Topic::Overview], Some(board.position()));
    publish(&board, vec![queue("a", 1)]);
    assert!(follower.take().is_empty());
    publish(&board, vec![queue("a", 2)]);
    let frames = text(&follower.take());
    assert_eq!(frames.len(), 1);
    assert!(
        frames[0].contains("event: delta") && frames[0].contains("\"waiting\":2"),
        "{frames:?}"
    );
}

#[test]
fn a_frame_is_made_once_and_shared_by_all() {
    let board = board();
    let mut a = board.subscribe(vec![Topic::Overview], Some(board.position()));
    let mut b = board.subscribe(vec![Topic::Overview], Some(board.position()));
    publish(&board, vec![queue("a", 1)]);
    assert!(Arc::ptr_eq(&a.take()[0], &b.take()[0]));
    let mut c = board.subscribe(vec![Topic::Overview], None);
    let mut d = board.subscribe(vec![Topic::Overview], None);
    assert!(Arc::ptr_eq(&c.take()[0], &d.take()[0]), "snapshots too");
}

#[test]
fn a_follower_that_falls_behind_the_ring_gets_a_snapshot_of_now() {
    let board = board();
    publish(&board, vec![queue("a", 0)]);
    let mut follower = board.subscribe(vec![Topic::Overview], Some(board.position()));
    for n in 1..=(RING_FRAMES as u64 + 1) {
        publish(&board, vec![queue("a", n)]);
    }
    let frames = text(&follower.take());
    assert!(frames[0].starts_with("event: snapshot"), "{}", frames[0]);
    assert!(frames[0].contains(&format!("\"waiting\":{}", RING_FRAMES + 1)));
    assert!(
        frames[1].starts_with("id: "),
        "the position comes when all snapshots are there"
    );
    assert_eq!(frames.len(), 2);
    assert!(follower.take().is_empty());
}

#[test]
fn what_one_topic_has_sent_is_never_mistaken_for_what_another_has() {
    let board = board();
    publish(&board, vec![queue("a", 0), queue("b", 0)]);
    let topics = || {
        ["a", "b"]
            .map(|q| {
                Topic::Queue(QueueRef {
                    store: "s".into(),
                    queue: q.into(),
                })
            })
            .to_vec()
    };
    let mut follower = board.subscribe(topics(), Some(board.position()));
    follower.take();
    publish(&board, vec![queue("a", 1)]);
    publish(&board, vec![queue("b", 1)]);
    publish(&board, vec![queue("a", 2)]);
    let frames = text(&follower.take());
    let position = |frame: &str| {
        frame
            .strip_prefix("id: ")
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .parse::<Position>()
            .unwrap()
    };
    let seqs: Vec<u64> = frames.iter().map(|f| position(f).seq).collect();
    assert!(seqs.is_sorted() && seqs.len() == 3, "{seqs:?}");
    // A connection that dies after the first frame gets the other two again.
    let mut again = board.subscribe(topics(), Some(position(&frames[0])));
    assert_eq!(text(&again.take()), frames[1..]);
}

#[test]
fn a_position_of_another_process_or_of_the_future_means_a_snapshot() {
    let board = board();
    let here = board.position();
    for odd in [
        Position {
            epoch: here.epoch + 1,
            ..here
        },
        Position {
            seq: here.seq + 1,
            ..here
        },
    ] {
        let mut follower = board.subscribe(vec![Topic::Overview], Some(odd));
        assert!(text(&follower.take())[0].starts_with("event: snapshot"));
    }
    assert_eq!(here.to_string().parse(), Ok(here));
}

#[test]
fn a_store_that_goes_silent_is_told_to_all_who_watch_something_in_it() {
    let board = board();
    publish(&board, vec![queue("a", 1)]);
    let key = QueueRef {
        store: "s".into(),
        queue: "a".into(),
    };
    let topics = vec![
        Topic::Overview,
        Topic::Queue(key.clone()),
        Topic::Job(key, "1".into()),
        Topic::Store("s".into()),
    ];
    let mut follower = board.subscribe(topics, Some(board.position()));
    follower.take();
    board.publish(Update {
        store: Some(StoreSummary {
            reach: Reach::Frozen,
            ..store()
        }),
        ..Update::default()
    });
    let frames = text(&follower.take());
    assert_eq!(frames.len(), 4);
    assert!(
        frames.iter().all(|frame| frame.contains("\"reach\":\"frozen\"")),
        "{frames:?}"
    );
}

#[tokio::test]
async fn a_follower_is_woken_by_its_topics_and_by_no_other() {
    let board = board();
    publish(&board, vec![queue("a", 1), queue("b", 1)]);
    let key = QueueRef {
        store: "s".into(),
        queue: "a".into(),
    };
    let mut follower = board.subscribe(vec![Topic::Queue(key)], Some(board.position()));
    follower.take();
    publish(&board, vec![queue("b", 2)]);
    let quiet = tokio::time::timeout(Duration::from_millis(50), follower.changed()).await;
    assert!(quiet.is_err(), "woken by somebody else's change");
    publish(&board, vec![queue("a", 2)]);
    tokio::time::timeout(Duration::from_secs(5), follower.changed())
        .await
        .unwrap();
    assert_eq!(follower.take().len(), 1);
}

#[test]
fn a_queue_is_open_as_long_as_somebody_follows_it_or_one_of_its_jobs() {
    let board = board();
    let key = |queue: &str| QueueRef {
        store: "s".into(),
        queue: queue.into(),
    };
    let first = board.subscribe(vec![Topic::Queue(key("a")), Topic::Overview], None);
    let second = board.subscribe(vec![Topic::Job(key("b"), "7".into())], None);
    assert_eq!(board.open_queues("s"), HashSet::from(["a".to_owned(), "b".to_owned()]));
    assert!(board.open_queues("another").is_empty());
    drop(first);
    assert_eq!(board.open_queues("s"), HashSet::from(["b".to_owned()]));
    drop(second);
    assert!(board.open_queues("s").is_empty());
}

#[test]
fn a_follower_of_trouble_is_sent_the_queues_that_enter_or_leave_it() {
    let board = board();
    let with = |n: u64, level: Level, waiting: u64| {
        let mut queue = queue(&format!("q{n}"), waiting);
        queue.verdict.level = level;
        queue
    };
    publish(&board, (0..300).map(|n| with(n, Level::Ok, 0)).collect());
    let mut follower = board.subscribe(vec![Topic::Trouble], None);
    let first = text(&follower.take());
    assert!(
        first[0].starts_with("event: snapshot") && !first[0].contains("\"label\""),
        "{first:?}"
    );
    publish(&board, vec![with(7, Level::Ok, 5), with(8, Level::Paused, 0)]);
    assert!(follower.take().is_empty(), "neither is in trouble");
    let before = board.position();
    for level in [Level::Bad, Level::Ok] {
        publish(&board, vec![with(7, level, 5)]);
        let frames = text(&follower.take());
        assert!(
            frames.len() == 1 && frames[0].contains("\"id\":\"q7\""),
            "{level:?}: {frames:?}"
        );
    }
    publish(&board, vec![with(7, Level::Bad, 6)]);
    follower.take();
    publish(&board, vec![with(7, Level::Bad, 9)]);
    assert!(follower.take().is_empty(), "it is in trouble still");
    let mut again = board.subscribe(vec![Topic::Trouble], Some(before));
    assert_eq!(text(&again.take()).len(), 3, "what was missed, without a snapshot");
    publish(&board, (0..300).map(|n| with(n, Level::Watch, n)).collect());
    let whole = text(&board.subscribe(vec![Topic::Trouble], None).take());
    assert_eq!(whole[0].matches("\"label\"").count(), TROUBLED_MAX);
    let has = |id: &str| whole[0].contains(&format!("\"id\":\"{id}\""));
    assert!(has("q299") && !has("q7"), "the worst are among them");
}
