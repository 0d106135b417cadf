use super::*;
use crate::model::system::{Family, System};
use crate::model::verdict::Level;
use std::borrow::Cow;

const START: Millis = 100_000_000;
const HOUR: Millis = 3_600_000;
const CLOCKS_AGREE: Clocks = Clocks { ahead: Some(0) };
const FAMILY: Family = Family {
    layout: Cow::Borrowed("newest"),
    evidence: Cow::Borrowed("nothing"),
};

fn track() -> Track {
    let found = FoundQueue {
        id: "bull:q".into(),
        name: "q".into(),
        system: System::BullMq,
        family: FAMILY,
    };
    Track::new("redis", &found, START)
}

fn count(track: &mut Track, now: Millis, states: &[(JobState, u64)]) {
    let mut counts = Counts::zero();
    for (state, n) in states {
        counts.set(*state, Some(*n));
    }
    let reading = Reading {
        counts,
        reason: None,
        paused: Some(false),
        version: None,
        system: System::BullMq,
        family: FAMILY,
        added: None,
        pushed: true,
        exists: true,
    };
    track.counted(now, reading);
}

fn hear(track: &mut Track, now: Millis, events: &[(Millis, &str, What)]) {
    let event = |(at, job, what): &(Millis, &str, What)| JobEvent {
        at: *at,
        job: (*job).into(),
        what: what.clone(),
    };
    let change = Change {
        queue: "bull:q".into(),
        events: events.iter().map(event).collect(),
        gap: false,
        own_clock: false,
    };
    track.hear(now, CLOCKS_AGREE, &change);
}

/// How many seconds after its last count a queue is due.
fn due_after(track: &Track, counted: Millis, watched: bool) -> Millis {
    let at = Circumstances {
        watched,
        pushed: true,
        refused: false,
    };
    let due = |second: &Millis| track.is_due(counted + second * 1000, at);
    (0..1_000).find(due).unwrap()
}

#[test]
fn on_an_unwatched_board_only_what_a_verdict_may_depend_on_is_counted_soon() {
    let mut track = track();
    track.phase = 0;
    count(&mut track, START, &[(JobState::Completed, 1)]);
    assert_eq!(
        (due_after(&track, START, true), due_after(&track, START, false)),
        (64, 300)
    );
    let waits = (START, "1", What::Entered(JobState::Waiting));
    hear(&mut track, START, std::slice::from_ref(&waits));
    assert_eq!(due_after(&track, START, false), 4, "work waits");
    hear(
        &mut track,
        START,
        &[
            (START, "1", What::Entered(JobState::Active)),
            (START, "1", What::Entered(JobState::Completed)),
            (START, "", What::Drained),
        ],
    );
    assert_eq!(due_after(&track, START, false), 300, "it came and went");
    assert_eq!(due_after(&track, START, true), 1, "a viewer comes");
    hear(&mut track, START, &[(START, "", What::Queue)]);
    assert_eq!(due_after(&track, START, false), 4, "it may have been paused");
    let counted = START + 20_000;
    count(&mut track, counted, &[(JobState::Active, 1)]);
    assert_eq!(due_after(&track, counted, false), 64, "what runs may come back");
    hear(
        &mut track,
        counted,
        &[(counted, "2", What::Entered(JobState::Completed))],
    );
    assert_eq!(due_after(&track, counted, false), 15, "what ran has ended");
}

fn head(id: &str, created: Millis, ready: Option<Millis>) -> Vec<Head> {
    vec![Head {
        id: id.into(),
        created: Some(created),
        ready,
    }]
}

/// Lets time pass second by second, and gives what is thought at the end.
fn pass(track: &mut Track, from: Millis, to: Millis) -> (Level, String) {
    for second in (from / 1000)..=(to / 1000) {
        track.tick(second * 1000, CLOCKS_AGREE, true);
    }
    (track.line.verdict.level, track.line.verdict.rule.clone())
}

#[test]
fn a_job_has_waited_since_its_events_said_so_and_not_since_its_record_was_made() {
    let mut track = track();
    track.workers(START, Some(1));
    count(&mut track, START, &[(JobState::Waiting, 1)]);
    hear(
        &mut track,
        START + 500,
        &[(START + 400, "7", What::Entered(JobState::Waiting))],
    );
    track.looked(START + 1_000, CLOCKS_AGREE, head("7", START - 14 * 24 * HOUR, None));
    let told = |track: &Track| (track.line.oldest_waiting, track.line.next_created);
    assert_eq!(told(&track), (Some(START + 400), None));
    // What it did during a gap is not known.
    track.gap(START + 2_000, START + 2_000);
    track.looked(START + 3_000, CLOCKS_AGREE, head("7", START - HOUR, None));
    assert_eq!(told(&track), (None, Some(START - HOUR)));
    assert_eq!(pass(&mut track, START, START + 40_000), (Level::Ok, String::new()));
}

#[test]
fn what_was_found_waiting_a_minute_ago_has_waited_at_least_that_long() {
    let mut track = track();
    track.workers(START, Some(1));
    count(&mut track, START, &[(JobState::Waiting, 1)]);
    let unknown = || head("7", START - HOUR, None);
    track.looked(START, CLOCKS_AGREE, unknown());
    track.looked(START + 30_000, CLOCKS_AGREE, unknown());
    assert_eq!(track.line.oldest_waiting, None, "half a minute says nothing");
    track.looked(START + 61_000, CLOCKS_AGREE, unknown());
    assert_eq!(track.line.oldest_waiting, Some(START));
    assert_eq!(track.line.next_created, Some(START - HOUR), "it is a bound");
    assert_eq!(track.line.waited(START + 61_000), "≥ 1 m 1 s");
    // Another job is another wait.
    track.looked(START + 62_000, CLOCKS_AGREE, head("8", START - HOUR, None));
    assert_eq!(track.line.oldest_waiting, None);
}

#[test]
fn a_record_that_tells_of_a_time_in_which_nothing_waited_is_not_believed() {
    let mut track = track();
    count(&mut track, START, &[]);
    count(&mut track, START + 20_000, &[(JobState::Waiting, 1)]);
    let told = |track: &Track| (track.line.oldest_waiting, track.line.next_created);
    // Its delay was changed, which its record does not tell.
    let before = head("7", START - 2 * HOUR, Some(START - HOUR));
    track.looked(START + 20_000, CLOCKS_AGREE, before);
    assert_eq!(told(&track), (None, Some(START - 2 * HOUR)));
    // It was promoted before its delay was over.
    track.looked(
        START + 21_000,
        CLOCKS_AGREE,
        head("7", START - HOUR, Some(START + HOUR)),
    );
    assert_eq!(told(&track), (None, Some(START - HOUR)));
    track.looked(START + 22_000, CLOCKS_AGREE, head("7", START, Some(START + 15_000)));
    assert_eq!(told(&track), (Some(START + 15_000), None));
}

/// Work that no listed worker does: a job begun and finished each second.
fn busy(track: &mut Track, from: Millis, seconds: Millis) {
    for second in 0..seconds {
        let at = from + second * 1000;
        let done = [
            (at, "1", What::Entered(JobState::Active)),
            (at + 900, "1", What::Entered(JobState::Completed)),
        ];
        hear(track, at + 950, &done);
        if second % 3 == 0 {
            track.workers(at + 960, Some(0));
        }
        track.tick(at + 990, CLOCKS_AGREE, true);
    }
}

#[test]
fn workers_that_do_jobs_and_are_not_in_the_list_are_not_absent() {
    let mut track = track();
    track.workers(START, Some(0));
    count(&mut track, START, &[(JobState::Waiting, 178)]);
    track.looked(START, CLOCKS_AGREE, head("7", START + 50_000, Some(START + 50_000)));
    busy(&mut track, START, 50);
    assert!(track.line.unseen);
    assert_eq!(
        (track.line.workers, track.deserted()),
        (None, None),
        "unknown is not zero"
    );
    assert_eq!(track.line.verdict.level, Level::Ok, "{:?}", track.line.verdict);
    // They are gone after all: nothing is begun any more.
    let gone = START + 50_000;
    track.looked(gone, CLOCKS_AGREE, head("7", START - HOUR, None));
    let (level, rule) = pass(&mut track, gone, gone + 340_000);
    assert_eq!((level, rule.as_str()), (Level::Bad, "B1"));
    assert_eq!((track.line.workers, track.line.unseen), (Some(0), false));
    let (since, _) = track.deserted().unwrap();
    assert!(
        since >= gone - 2_000,
        "not since the list was empty: {} ms before",
        gone - since
    );
}

#[test]
fn workers_that_are_not_seen_and_have_nothing_to_do_stay_unseen() {
    let mut track = track();
    track.workers(START, Some(0));
    count(&mut track, START, &[(JobState::Waiting, 1)]);
    track.looked(START, CLOCKS_AGREE, head("7", START, Some(START)));
    busy(&mut track, START, 10);
    count(&mut track, START + 10_000, &[]);
    pass(&mut track, START + 10_000, START + HOUR);
    assert_eq!((track.line.workers, track.line.unseen), (None, true));
    // Work comes, and is not begun within a moment.
    count(&mut track, START + HOUR, &[(JobState::Waiting, 3)]);
    assert_eq!(pass(&mut track, START + HOUR, START + HOUR + 60_000).0, Level::Ok);
    assert!(track.line.unseen);
}

#[test]
fn workers_that_leave_are_missed_after_half_a_minute_although_they_finish_what_they_hold() {
    let mut track = track();
    track.workers(START, Some(2));
    count(&mut track, START, &[(JobState::Waiting, 5), (JobState::Active, 2)]);
    track.looked(START, CLOCKS_AGREE, head("7", START - HOUR, None));
    track.workers(START + 3_000, Some(0));
    let done = [(START + 9_000, "1", What::Entered(JobState::Completed))];
    hear(&mut track, START + 9_000, &done);
    track.workers(START + 12_000, Some(0));
    assert_eq!((track.line.workers, track.line.unseen), (Some(0), false));
    assert!(!track.wants_locks(START + 12_000), "their locks outlive them");
    assert_eq!(pass(&mut track, START, START + 36_000), (Level::Bad, "B1".into()));
}

#[test]
fn a_worker_that_is_in_the_next_list_is_not_taken_for_one_that_is_not_seen() {
    let mut track = track();
    track.workers(START, Some(0));
    count(&mut track, START, &[(JobState::Waiting, 1)]);
    let begun = [(START + 60_000, "1", What::Entered(JobState::Active))];
    hear(&mut track, START + 60_000, &begun);
    track.workers(START + 61_000, Some(1));
    assert_eq!((track.line.workers, track.line.unseen), (Some(1), false));
    // It leaves, and nothing has been begun since.
    track.workers(START + 64_000, Some(0));
    track.workers(START + 67_000, Some(0));
    assert_eq!((track.line.workers, track.line.unseen), (Some(0), false));
}

#[test]
fn a_lock_is_looked_for_where_no_worker_was_ever_seen() {
    let mut track = track();
    track.workers(START, Some(0));
    count(&mut track, START, &[(JobState::Waiting, 1), (JobState::Active, 1)]);
    assert!(track.wants_locks(START));
    track.locked(START);
    assert_eq!((track.line.workers, track.line.unseen), (None, true));
    assert!(!track.wants_locks(START + 10_000) && track.wants_locks(START + 15_000));
}

#[test]
fn a_queue_that_is_not_heard_has_no_rates_and_its_sparkline_no_zeros() {
    let mut track = track();
    count(&mut track, START, &[(JobState::Waiting, 1)]);
    pass(&mut track, START, START + 30_000);
    assert_eq!(track.line.rates.map(|rates| rates.window_s), Some(30));
    for second in 31..=60 {
        track.tick(START + second * 1000, CLOCKS_AGREE, false);
    }
    assert_eq!(track.line.rates, None);
    assert_eq!(track.line.spark, [Some(0), Some(0), None, None, None]);
}
