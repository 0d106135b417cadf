//! Each sign makes its own sentence, and only that one.

use super::*;
use crate::model::verdict::Level;

fn kinds(conditions: &mut Conditions, now: Millis, refusals: &Refusals, own: &Own) -> Vec<ConditionKind> {
    let list = conditions.list(now, "drover", refusals, own);
    assert!(
        list.iter().all(|c| c.sentence.len() > 20 && c.effect.len() > 10),
        "{list:?}"
    );
    list.into_iter().map(|c| c.kind).collect()
}

fn after(signs: Signs) -> Vec<ConditionKind> {
    let mut conditions = Conditions::default();
    conditions.report(0, signs);
    kinds(&mut conditions, 0, &Refusals::default(), &Own::default())
}

#[test]
fn each_sign_has_its_condition_and_no_sign_has_none() {
    assert_eq!(after(Signs::default()), []);
    let full = Signs {
        memory: Some((100, 100)),
        ..Signs::default()
    };
    assert_eq!(after(full.clone()), [ConditionKind::OutOfMemory]);
    assert_eq!(after(Signs { evicts: true, ..full }), [], "one that evicts makes room");
    let replica = Signs {
        replica_of: Some("a:1".into()),
        follows: true,
        ..Signs::default()
    };
    assert_eq!(after(replica.clone()), [ConditionKind::Replica]);
    assert_eq!(
        after(Signs {
            follows: false,
            ..replica
        }),
        [ConditionKind::CutOff]
    );
    let alone = Signs {
        good_replicas: Some(0),
        ..Signs::default()
    };
    assert_eq!(after(alone), [ConditionKind::TooFewReplicas]);
    let paused = Signs {
        paused: true,
        ..Signs::default()
    };
    assert_eq!(after(paused), [ConditionKind::WritesPaused]);
    let node = Signs {
        cluster: Some(Slots::Some(100)),
        ..Signs::default()
    };
    assert_eq!(after(node), [ConditionKind::Cluster]);
}

#[test]
fn what_happened_between_two_reports_is_held_for_a_while_and_keeps_its_beginning() {
    let counted = |oom, evicted| Signs {
        refusals: HashMap::from([("OOM".to_owned(), oom)]),
        evicted,
        ..Signs::default()
    };
    let (refusals, own) = (Refusals::default(), Own::default());
    let mut conditions = Conditions::default();
    conditions.report(0, counted(7, 7));
    assert_eq!(
        kinds(&mut conditions, 0, &refusals, &own),
        [],
        "refusals of the past are past"
    );
    conditions.report(5_000, counted(8, 9));
    let list = conditions.list(5_000, "drover", &refusals, &own);
    assert_eq!(list[0].kind, ConditionKind::OutOfMemory);
    assert!(list[1].sentence.contains("2 in the last minutes"), "{list:?}");
    conditions.report(10_000, counted(8, 9));
    let list = conditions.list(10_000, "drover", &refusals, &own);
    assert_eq!((list.len(), list[0].since), (2, 5_000));
    conditions.shift(3_600_000);
    let list = conditions.list(3_610_000, "drover", &refusals, &own);
    assert_eq!(
        (list.len(), list[0].since),
        (2, 3_605_000),
        "a clock that was set changes nothing"
    );
    assert_eq!(
        kinds(&mut conditions, 3_600_000 + 26_000, &refusals, &own),
        [ConditionKind::Evicting]
    );
    assert_eq!(kinds(&mut conditions, 3_600_000 + 306_000, &refusals, &own), []);
    conditions.report(4_000_000, counted(2, 0));
    assert_eq!(
        kinds(&mut conditions, 4_000_000, &refusals, &own),
        [],
        "a restarted server counts anew"
    );
}

#[test]
fn slowness_and_clocks_are_told_as_the_board_met_them() {
    let own = Own {
        slowed: Some((Duration::from_millis(487), Duration::from_secs(15))),
        slow: true,
        ahead: Some(-600_000),
        sentinels: None,
        unreadable: None,
    };
    let list = Conditions::default().list(0, "drover", &Refusals::default(), &own);
    assert_eq!(list[0].sentence, "Polled less often: Redis takes 480 ms to answer.");
    assert!(list[1].sentence.contains("10 m behind Drover's"), "{list:?}");
    let close = Own {
        ahead: Some(1_900),
        ..Own::default()
    };
    assert_eq!(
        Conditions::default().list(0, "drover", &Refusals::default(), &close),
        []
    );
}

#[test]
fn actions_are_refused_with_the_reason() {
    let mut store = StoreSummary::example("a");
    assert!(!actions(&store, 0, None).allowed, "nothing was read yet");
    store.as_of = Some(0);
    assert!(actions(&store, 0, None).allowed);
    store.reach = Reach::Frozen;
    assert!(actions(&store, 29_000, None).allowed, "a short silence");
    let lacks = actions(&store, 0, Some("It may only read.".into()));
    assert_eq!(
        (lacks.allowed, lacks.reason.as_deref()),
        (false, Some("It may only read."))
    );
    let refused = actions(&store, 31_000, None);
    assert!(!refused.allowed && refused.reason.unwrap().contains("unresponsive"));
    store.reach = Reach::Live;
    for (kind, allowed) in [
        (ConditionKind::OutOfMemory, true),
        (ConditionKind::Slow, true),
        (ConditionKind::Replica, false),
        (ConditionKind::DiskFailed, false),
    ] {
        store.conditions = vec![Condition {
            kind,
            sentence: "Because.".into(),
            effect: String::new(),
            since: 0,
        }];
        assert_eq!(actions(&store, 0, None).allowed, allowed, "{kind:?}");
    }
    assert_eq!(ConditionKind::Slow.level(), Level::Watch);
}
