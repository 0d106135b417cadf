use super::*;
use crate::model::condition::Condition;
use crate::model::counts::Counts;
use crate::model::queue::Rates;
use crate::model::state::JobState;
use crate::model::system::System;
use crate::model::verdict::Verdict;

const NOW: Millis = 10_000_000_000;
const PROMISE: Millis = 60_000;
const AT_ONCE: Patience = Patience { worse: 0, better: 0 };
const USUAL: Patience = Patience {
    worse: 180_000,
    better: 300_000,
};

fn store() -> StoreSummary {
    StoreSummary {
        as_of: Some(NOW),
        ..StoreSummary::example("redis")
    }
}

/// A queue in which the next job has waited for so long.
fn queue(level: Level, rule: &str, wait: Option<Millis>) -> QueueSummary {
    let mut counts = Counts::zero();
    counts.set(JobState::Waiting, Some(u64::from(wait.is_some()) * 10));
    QueueSummary {
        store: "redis".into(),
        id: "bull:mail".into(),
        system: System::BullMq,
        name: "mail".into(),
        label: "mail".into(),
        version: None,
        family: None,
        paused: Some(level == Level::Paused),
        counts,
        reason: None,
        rates: Some(Rates {
            arrivals: 60.0,
            departures: 60.0,
            failed: 0.0,
            window_s: 60,
        }),
        oldest_waiting: wait.map(|wait| NOW - wait),
        next_created: None,
        unseen: false,
        stuck: None,
        workers: Some(1),
        verdict: Verdict {
            level,
            rule: rule.into(),
            reason: String::new(),
            since: NOW,
        },
        spark: vec![],
        as_of: NOW,
    }
}

fn seen(level: Level, rule: &str, wait: Option<Millis>) -> Seen {
    Seen::of(&queue(level, rule, wait), &store(), PROMISE, NOW)
}

fn together(all: &[Seen]) -> Together {
    Together::new(all.to_vec(), false)
}

/// What is said at once.
fn said(all: &[Seen]) -> State {
    let mut public = Public::new(NOW);
    public.consider(NOW, &together(all), PROMISE, AT_ONCE);
    public.shown().0
}

#[test]
fn the_share_of_bad_queues_decides_how_bad_it_is() {
    let (ok, bad) = (seen(Level::Ok, "", None), seen(Level::Bad, "B1", Some(1_000)));
    assert_eq!(said(&[ok; 4]), State::Operational);
    assert_eq!(said(&[bad, ok, ok, ok]), State::DegradedPerformance);
    assert_eq!(said(&[bad, bad, ok, ok]), State::PartialOutage);
    assert_eq!(said(&[bad, bad, bad, ok]), State::PartialOutage);
    assert_eq!(said(&[bad; 4]), State::MajorOutage);
    assert_eq!(said(&[bad]), State::MajorOutage);
}

#[test]
fn watch_is_nobody_s_business_before_ten_minutes() {
    let watch = together(&[seen(Level::Watch, "W5", None), seen(Level::Ok, "", None)]);
    let mut public = Public::new(NOW);
    public.consider(NOW, &watch, PROMISE, AT_ONCE);
    public.consider(NOW + WATCHED - 1, &watch, PROMISE, AT_ONCE);
    assert_eq!(public.shown().0, State::Operational);
    public.consider(NOW + WATCHED, &watch, PROMISE, AT_ONCE);
    assert_eq!(public.shown(), (State::DegradedPerformance, NOW + WATCHED));
    public.consider(
        NOW + WATCHED + 1,
        &together(&[seen(Level::Ok, "", None)]),
        PROMISE,
        AT_ONCE,
    );
    assert_eq!(public.shown().0, State::Operational);
}

#[test]
fn what_is_not_known_is_never_well() {
    let ok = seen(Level::Ok, "", None);
    let unknown = seen(Level::Unknown, "U1", None);
    assert_eq!(said(&[]), State::Unknown, "no queue fits");
    assert_eq!(said(&[ok, unknown]), State::Unknown);
    assert_eq!(said(&[seen(Level::Paused, "P", None), unknown]), State::Unknown);
    let mut uncounted = queue(Level::Ok, "", None);
    uncounted.counts = Counts::UNKNOWN;
    assert_eq!(Seen::of(&uncounted, &store(), PROMISE, NOW), Seen::NOTHING);
    // Known trouble is reported, and never as worse than is known.
    let bad = seen(Level::Bad, "B1", Some(1));
    assert_eq!(said(&[bad, unknown]), State::PartialOutage);
    for age in [STALE + 1, 120_000, 90_000_000] {
        let mut silent = store();
        silent.as_of = Some(NOW - age);
        assert_eq!(
            Seen::of(&queue(Level::Ok, "", None), &silent, PROMISE, NOW),
            Seen::NOTHING
        );
    }
    let mut first = store();
    first.reach = Reach::Connecting;
    assert!(!is_fresh(&first, NOW) && !is_fresh(&StoreSummary::example("never"), NOW));
    let mut public = Public::new(NOW);
    public.consider(NOW, &Together::new(vec![ok], true), PROMISE, AT_ONCE);
    assert_eq!(
        public.shown().0,
        State::Unknown,
        "a store that may hold more was never searched"
    );
}

#[test]
fn only_what_is_held_everywhere_is_under_maintenance() {
    let (held, ok) = (seen(Level::Paused, "P", Some(10)), seen(Level::Ok, "", None));
    assert_eq!(said(&[held, held]), State::UnderMaintenance);
    assert_eq!(said(&[held, ok]), State::Operational);
    assert!(together(&[held, ok]).is_partly_held());
    let late = together(&[seen(Level::Paused, "P", Some(PROMISE + 1)), ok]);
    let mut public = Public::new(NOW);
    public.consider(NOW, &late, PROMISE, AT_ONCE);
    public.consider(NOW + WATCHED, &late, PROMISE, AT_ONCE);
    assert_eq!(public.shown().0, State::DegradedPerformance, "held beyond the promise");
}

#[test]
fn the_promise_is_the_component_s_and_not_the_board_s() {
    let of =
        |level, rule: &str, wait, promise| Seen::of(&queue(level, rule, Some(wait)), &store(), promise, NOW).standing;
    assert_eq!(
        of(Level::Bad, "B3", 400_000, 600_000),
        QueueStatus::Fine,
        "ten minutes are promised"
    );
    assert_eq!(of(Level::Watch, "W3", 61_000, 600_000), QueueStatus::Fine);
    assert_eq!(
        of(Level::Ok, "", 6_000, 5_000),
        QueueStatus::Watch,
        "five seconds are promised"
    );
    assert_eq!(of(Level::Ok, "", 25_000, 5_000), QueueStatus::Bad);
    assert_eq!(of(Level::Bad, "B1", 1, 600_000), QueueStatus::Bad, "no worker");
    assert_eq!(
        of(Level::Ok, "", 5_000, 5_000),
        QueueStatus::Fine,
        "exactly as promised"
    );
    // By the clock of the store, which is ahead by an hour.
    let mut ahead = store();
    ahead.clock_ahead = Some(3_600_000);
    let wait = Seen::of(&queue(Level::Ok, "", Some(-3_599_000)), &ahead, PROMISE, NOW).wait;
    assert_eq!(wait, Some(1_000));
}

#[test]
fn a_wait_that_is_not_known_is_no_outage_and_keeps_no_promise() {
    let mut unknown = queue(Level::Ok, "", Some(0));
    (unknown.oldest_waiting, unknown.next_created) = (None, Some(NOW - 14 * 86_400_000));
    let seen = |queue: &QueueSummary| Seen::of(queue, &store(), PROMISE, NOW);
    assert_eq!(
        (seen(&unknown).standing, seen(&unknown).wait),
        (QueueStatus::Fine, None)
    );
    // It has waited at least so long.
    unknown.oldest_waiting = Some(NOW - PROMISE / 2);
    assert_eq!(
        (seen(&unknown).standing, seen(&unknown).wait),
        (QueueStatus::Fine, None)
    );
    unknown.oldest_waiting = Some(NOW - 5 * PROMISE);
    assert_eq!(
        (seen(&unknown).standing, seen(&unknown).wait),
        (QueueStatus::Bad, Some(5 * PROMISE))
    );
}

#[test]
fn workers_that_are_not_seen_and_parents_that_cannot_run_are_no_outage() {
    let mut unseen = queue(Level::Ok, "", Some(1_000));
    (unseen.workers, unseen.unseen) = (None, true);
    assert!(!Seen::of(&unseen, &store(), PROMISE, NOW).unserved);
    assert_eq!(seen(Level::Watch, STUCK, None).standing, QueueStatus::Fine);
}

#[test]
fn a_store_that_takes_no_writes_is_bad_for_all_its_queues() {
    let with = |kind| {
        let mut store = store();
        store.conditions.push(Condition {
            kind,
            sentence: String::new(),
            effect: String::new(),
            since: NOW,
        });
        Seen::of(&queue(Level::Ok, "", None), &store, PROMISE, NOW).standing
    };
    assert_eq!(with(ConditionKind::DiskFailed), QueueStatus::Bad);
    assert_eq!(with(ConditionKind::WritesPaused), QueueStatus::Watch);
    assert_eq!(with(ConditionKind::Slow), QueueStatus::Fine);
}

#[test]
fn worse_is_said_after_three_minutes_and_better_after_five_and_a_moment_is_not_said_at_all() {
    let (ok, bad) = (
        together(&[seen(Level::Ok, "", None)]),
        together(&[seen(Level::Bad, "B1", Some(1))]),
    );
    let half = together(&[seen(Level::Bad, "B1", Some(1)), seen(Level::Ok, "", None)]);
    let unknown = together(&[]);
    let mut public = Public::new(NOW);
    let mut at = |after: Millis, how: &Together| {
        public.consider(NOW + after, how, PROMISE, USUAL);
        public.shown()
    };
    assert_eq!(
        at(0, &ok).0,
        State::Operational,
        "the first thing that is known is said"
    );
    assert_eq!(at(1_000, &bad).0, State::Operational);
    assert_eq!(at(100_000, &ok).0, State::Operational, "it was a moment");
    assert_eq!(at(110_000, &bad).0, State::Operational);
    assert_eq!(at(200_000, &half).0, State::Operational);
    // How bad it is changed meanwhile; that it is bad did not.
    assert_eq!(at(290_000, &bad), (State::MajorOutage, NOW + 110_000));
    assert_eq!(at(300_000, &ok).0, State::MajorOutage);
    assert_eq!(at(599_000, &ok).0, State::MajorOutage);
    assert_eq!(at(600_000, &ok), (State::Operational, NOW + 300_000));
    assert_eq!(at(601_000, &unknown), (State::Unknown, NOW + 601_000), "at once");
    assert_eq!(at(602_000, &bad), (State::MajorOutage, NOW + 602_000));
}

#[test]
fn what_new_work_may_expect_is_estimated_only_where_everything_moves() {
    // Ten wait, one a second is done.
    let moving = seen(Level::Ok, "", Some(3_000));
    assert_eq!(together(&[moving]).starts_within(), Some(10_000));
    assert_eq!(
        together(&[seen(Level::Ok, "", Some(40_000))]).starts_within(),
        Some(40_000)
    );
    let mut still = queue(Level::Ok, "", Some(3_000));
    still.rates = still.rates.map(|rates| Rates {
        departures: 0.0,
        ..rates
    });
    let still = Seen::of(&still, &store(), PROMISE, NOW);
    assert_eq!(together(&[moving, still]).starts_within(), None);
    assert_eq!(together(&[moving, still]).wait(), Some(3_000));
    let mut unserved = queue(Level::Ok, "", None);
    unserved.workers = Some(0);
    let unserved = together(&[Seen::of(&unserved, &store(), PROMISE, NOW)]);
    assert_eq!(unserved.starts_within(), None, "nobody would begin it");
    assert_eq!(unserved.wait(), Some(0));
}
