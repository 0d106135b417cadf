use super::*;
use crate::model::status::{PublicStatus, Range, State, Trend};
use schemars::schema_for;
use serde_json::{Value, json};

fn settings(count: usize, name: &str, description: &str) -> Settings {
    let component = |n: usize| Component {
        id: format!("component-{n}"),
        name: name.into(),
        queues: format!("secret-store/secret:queue-{n}*"),
        promise: 60_000,
        group: n.is_multiple_of(3).then(|| name.into()),
        description: Some(description.into()),
    };
    Settings {
        name: name.into(),
        url: String::new(),
        listen: None,
        rate_limit: 60,
        visibility: Visibility::Public,
        frame_ancestors: vec![],
        patience: Patience { worse: 0, better: 0 },
        components: (0..count).map(component).collect(),
    }
}

/// What is said when everything that can be said is.
fn full(settings: &Settings) -> PublicStatus {
    let at = 1_790_000_000_000;
    let mut looker = Looker {
        all: settings.components.iter().map(|_| One::new(at)).collect(),
        base: String::new(),
        made: None,
    };
    let mut days = Days::default();
    // Every day looks different from the one before: nothing is saved by drawing runs of days.
    for day in 0..90 {
        days.note(at - day * 86_400_000, day % 2 == 0);
    }
    let days = vec![days; settings.components.len()];
    let mut status = looker.look(settings, Some(at - 3_000), &[], at, &days, true);
    for component in &mut status.components {
        component.state = State::PartialOutage;
        component.sentence =
            "New work starts within about 45 min (promise 45 min). Part of it is paused by an operator.".into();
        component.trend = Some(Trend::Clearing);
        component.back_to_normal = Some(Range {
            from_s: 45,
            to_s: 7_200,
        });
    }
    status.state = State::PartialOutage;
    status
}

#[test]
fn the_page_stays_below_thirty_kilobytes_whatever_is_configured() {
    let (name, text) = ("Outgoing & incoming <email> and letters".repeat(2), "x".repeat(100));
    for count in [1, 8, 20] {
        let settings = settings(count, &name[..60], &text);
        for base in [None, Some("/a/rather/long/base/path/for/a/board")] {
            let page = page::render(&full(&settings), base, true);
            assert!(page.len() < 30_000, "{count} components take {} bytes", page.len());
            assert_eq!(page.matches("<article").count(), count);
        }
    }
}

#[test]
fn what_is_configured_is_text_on_the_page_and_queues_are_not_on_it() {
    let settings = settings(2, "<script>alert('x')</script>\"&", "a <b>bold</b> claim");
    let status = full(&settings);
    let both = Both::of(&status, &settings, "/base");
    for files in [&both.fresh, &both.without_news] {
        for look in [(false, true), (false, false), (true, true), (true, false)] {
            let (alone, renews) = look;
            let page = files.page(files::Look { alone, renews }).unwrap();
            let page = String::from_utf8(page.bytes.to_vec()).unwrap();
            assert!(
                !page.contains("<script") && !page.contains("<b>bold") && !page.contains(" style="),
                "{page}"
            );
            assert!(
                page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"),
                "{page}"
            );
            assert_eq!(page.contains("http-equiv=\"refresh\""), renews);
            assert_eq!(page.contains("/base/"), !alone, "{page}");
            assert!(!page.contains("secret"), "{page}");
        }
        let json = String::from_utf8(files.json.bytes.to_vec()).unwrap();
        assert!(!json.contains("secret"), "{json}");
    }
}

#[test]
fn without_news_nothing_is_claimed_but_the_past() {
    let settings = settings(2, "Mail", "Letters");
    let mut status = full(&settings);
    status.state = State::Operational;
    for component in &mut status.components {
        component.state = State::Operational;
    }
    let both = Both::of(&status, &settings, "/base");
    let json: PublicStatus = serde_json::from_slice(&both.without_news.json.bytes).unwrap();
    assert_eq!(json.state, State::Unknown);
    assert_eq!(json.updated_at, status.updated_at);
    for (component, before) in json.components.iter().zip(&status.components) {
        assert_eq!(
            (component.state, component.sentence.as_str()),
            (State::Unknown, "No recent data.")
        );
        assert_eq!(
            (component.starts_within_s, component.trend, component.back_to_normal),
            (None, None, None)
        );
        assert_eq!(component.history, before.history);
    }
    for file in both.without_news.v2.values() {
        let text = String::from_utf8(file.bytes.to_vec()).unwrap();
        assert!(!text.contains("operational") && !text.contains("\"none\""), "{text}");
    }
    let badge = both.without_news.badge("component-0", None).unwrap();
    assert!(String::from_utf8(badge.bytes.to_vec()).unwrap().contains("no data"));
    assert_ne!(both.fresh.json.tag, both.without_news.json.tag);
}

/// The names of an object's members, with those of what it holds.
fn keys(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                all.push(format!("{at}{name}"));
                keys(member, &format!("{at}{name}."), all);
            }
        }
        Value::Array(items) => items.iter().take(1).for_each(|item| keys(item, at, all)),
        _ => {}
    }
}

fn closed(schema: &Value, at: &str) {
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], json!(false), "{at} is open");
        let required = schema["required"].as_array().map_or(0, Vec::len);
        assert!(required <= properties.len());
    }
    if let Some(members) = schema.as_object() {
        for (name, member) in members {
            closed(member, &format!("{at}/{name}"));
        }
    }
}

#[test]
fn s_33_what_can_be_published_is_this_list_and_nothing_else() {
    // S-33: the schema is closed. A field that is added has to be added here, by a developer who asks whether it may be
    // public.
    let status = full(&settings(1, "Mail", "Letters"));
    let value = serde_json::to_value(&status).unwrap();
    let mut all = Vec::new();
    keys(&value, "", &mut all);
    all.sort();
    let mut listed = [
        "name",
        "state",
        "headline",
        "since",
        "updated_at",
        "age_s",
        "components",
        "components.id",
        "components.name",
        "components.description",
        "components.group",
        "components.state",
        "components.since",
        "components.sentence",
        "components.promise_s",
        "components.starts_within_s",
        "components.trend",
        "components.back_to_normal",
        "components.back_to_normal.from_s",
        "components.back_to_normal.to_s",
        "components.history",
        "components.history.kept",
        "components.history.within_promise",
        "components.history.days",
        "components.history.days.date",
        "components.history.days.within_promise",
    ];
    listed.sort_unstable();
    assert_eq!(all, listed);
    closed(&schema_for!(PublicStatus).to_value(), "");
    for place in [
        "/queues",
        "/components/0/queues",
        "/components/0/history/jobs",
        "/components/0/history/days/0/count",
    ] {
        let mut open = value.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        open.pointer_mut(parent).unwrap()[name] = json!(1);
        assert!(serde_json::from_value::<PublicStatus>(open).is_err(), "{place} passes");
    }
}

#[test]
fn programs_made_for_statuspage_find_what_they_look_for_and_nothing_is_well_that_is_not_known() {
    let mut settings = settings(3, "Mail", "Letters");
    settings.components[0].group = Some("Messages".into());
    settings.url = "https://status.example.com".into();
    let mut status = full(&settings);
    let answer = |status: &PublicStatus, path: &str| {
        let all = statuspage::all(status, &settings.url);
        let (_, answer) = all.iter().find(|(known, _)| *known == path).unwrap();
        serde_json::to_value(answer).unwrap()
    };
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let summary = answer(&status, "summary.json");
    assert_eq!(
        names(&summary),
        ["components", "incidents", "page", "scheduled_maintenances", "status"]
    );
    assert_eq!(names(&answer(&status, "status.json")), ["page", "status"]);
    assert_eq!(names(&answer(&status, "components.json")), ["components", "page"]);
    assert_eq!(answer(&status, "incidents/unresolved.json")["incidents"], json!([]));
    assert_eq!(
        names(&answer(&status, "scheduled-maintenances.json")),
        ["page", "scheduled_maintenances"]
    );
    assert_eq!(
        names(&summary["page"]),
        ["id", "name", "time_zone", "updated_at", "url"]
    );
    let component = &summary["components"][0];
    let fields = [
        "created_at",
        "description",
        "drover_state",
        "group",
        "group_id",
        "id",
        "name",
        "only_show_if_degraded",
        "page_id",
        "position",
        "showcase",
        "start_date",
        "status",
        "updated_at",
    ];
    assert_eq!(names(component), fields);
    assert_eq!(component["group_id"], "group-1");
    let group = summary["components"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&group["group"], &group["components"]),
        (&json!(true), &json!(["component-0"]))
    );
    for (state, indicator, word) in [
        (State::Operational, "none", "operational"),
        (State::UnderMaintenance, "minor", "under_maintenance"),
        (State::DegradedPerformance, "minor", "degraded_performance"),
        (State::PartialOutage, "major", "partial_outage"),
        (State::MajorOutage, "critical", "major_outage"),
        (State::Unknown, "minor", "degraded_performance"),
    ] {
        status
            .components
            .iter_mut()
            .for_each(|component| component.state = state);
        (status.state, _) = words::worst(&status.components);
        let summary = answer(&status, "summary.json");
        assert_eq!(summary["status"]["indicator"], indicator, "{state:?}");
        assert_eq!(summary["components"][0]["status"], word);
        assert_eq!(summary["components"][0]["drover_state"], state.as_str());
        if state == State::Unknown {
            assert_eq!(summary["status"]["description"], "No recent data");
        }
    }
    // One that is not known among others that are well.
    status
        .components
        .iter_mut()
        .for_each(|component| component.state = State::Operational);
    status.components[1].state = State::Unknown;
    (status.state, _) = words::worst(&status.components);
    assert_eq!(answer(&status, "status.json")["status"]["indicator"], "minor");
}

#[tokio::test]
async fn neither_a_visitor_nor_the_page_itself_counts_as_somebody_who_watches() {
    // A board that is watched asks its stores more often.
    let tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    let board = Arc::new(Board::default());
    let status = Status::start(settings(1, "Mail", "Letters"), "", board.clone(), None, &tasks);
    for _ in 0..100 {
        assert!(!status.files().json.bytes.is_empty());
        tokio::task::yield_now().await;
    }
    assert!(!board.is_watched());
    tasks.stop().cancel();
}

#[tokio::test]
async fn when_whoever_looks_is_gone_the_page_knows_nothing_after_half_a_minute() {
    let tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    let board = Arc::new(Board::default());
    let status = Status::start(settings(1, "Mail", "Letters"), "", board, None, &tasks);
    tasks.stop().cancel();
    tasks.ended(Duration::from_secs(10)).await;
    let mut public = full(&status.settings);
    public.state = State::Operational;
    status.files.store(Arc::new(Both::of(&public, &status.settings, "")));
    let state = || {
        serde_json::from_slice::<PublicStatus>(&status.files().json.bytes)
            .unwrap()
            .state
    };
    status.looked.store(status.elapsed(), Ordering::Release);
    status.looked_at.store(now(), Ordering::Release);
    assert_eq!(state(), State::Operational);
    // The wall clock says that half a minute passed: the machine slept, or the clock was set.
    status.looked_at.store(now() - STALE - 1_000, Ordering::Release);
    assert_eq!(state(), State::Unknown);
    status.looked_at.store(now(), Ordering::Release);
    assert_eq!(state(), State::Operational);
    // So does the one that never jumps.
    let older = Status {
        began: status.began.checked_sub(Duration::from_secs(40)).unwrap(),
        ..Arc::into_inner(status).unwrap()
    };
    assert!(older.is_stale());
}

#[test]
fn a_store_that_is_silent_for_some_seconds_is_no_news_and_one_that_is_silent_for_longer_is() {
    let mut one = One::new(0);
    let known = Together::new(
        vec![Seen {
            standing: judge::QueueStatus::Fine,
            wait: Some(0),
            backlog: Some(0),
            out: None,
            unserved: false,
        }],
        false,
    );
    let silent = || Together::new(vec![Seen::NOTHING], false);
    assert!(
        !one.last_known(0, silent(), None).is_known(),
        "nothing was known before"
    );
    assert!(one.last_known(1_000, known.clone(), Some(900)).is_known());
    assert!(one.last_known(900 + STALE, silent(), Some(900)).is_known());
    assert!(!one.last_known(901 + STALE, silent(), Some(900)).is_known());
    assert!(
        !one.last_known(0, silent(), Some(900)).is_known(),
        "a clock that was set back"
    );
    assert!(one.last_known(60_000, known, Some(60_000)).is_known());
}

#[test]
fn a_component_has_the_queues_that_its_glob_means_and_looks_for_them_in_the_stores_it_may() {
    let mut component = settings(1, "Mail", "Letters").components.remove(0);
    let mut of = |glob: &str, store: &str, id: &str, name: &str| {
        component.queues = glob.into();
        (component.takes(store, id, name), component.may_be_in(store))
    };
    assert_eq!(
        of("redis/bull:mail*", "redis", "bull:mail.bulk", "mail.bulk"),
        (true, true)
    );
    assert_eq!(of("redis/bull:mail*", "other", "bull:mail", "mail"), (false, false));
    assert_eq!(of("bull:mail", "other", "bull:mail", "mail"), (true, true));
    assert_eq!(of("bull:a/b", "other", "bull:a/b", "a/b"), (true, true));
    assert_eq!(of("*mail", "other", "bull:mail", "mail"), (true, true));
    assert_eq!(of("mail", "redis", "bull:Mail", "Mail"), (false, true));
}
