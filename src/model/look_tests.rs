use super::*;

fn queue(name: &str) -> QueueSummary {
    QueueSummary::example(name)
}

fn with(name: &str, level: Level, waiting: u64, failed: Option<u64>, oldest: Option<Millis>) -> QueueSummary {
    let mut queue = queue(name);
    queue.verdict.level = level;
    queue.counts.set(JobState::Waiting, Some(waiting));
    queue.counts.set(JobState::Failed, failed);
    queue.oldest_waiting = oldest;
    queue
}

fn names(queues: &[QueueSummary], look: &Look, pins: &[QueueRef]) -> Vec<String> {
    let lines: Vec<&QueueSummary> = queues.iter().collect();
    let Arrangement { pinned, groups } = look.arrange(&lines, pins);
    let mut out: Vec<String> = pinned.iter().map(|i| format!("*{}", queues[*i].name)).collect();
    for group in groups {
        out.extend(group.key.map(|key| format!("[{key}]")));
        out.extend(group.rows.iter().map(|i| queues[*i].name.clone()));
    }
    out
}

fn shop() -> Vec<QueueSummary> {
    vec![
        with("mail.send", Level::Ok, 5, Some(0), Some(900)),
        with("mail.digest", Level::Bad, 70, Some(9), Some(100)),
        with("video", Level::Watch, 8, None, Some(50)),
        with("invoice:pdf", Level::Ok, 0, Some(2), None),
        with("invoice-post", Level::Paused, 3, Some(0), Some(400)),
    ]
}

#[test]
fn an_address_holds_the_whole_look_and_nothing_that_is_the_default() {
    let look = Look {
        text: "mail & <more> +1 é".into(),
        levels: vec![Level::Bad, Level::Ok],
        states: vec![JobState::Failed, JobState::WaitingChildren],
        sort: Sort::Oldest,
        grouped: true,
        folded: vec!["mail".into(), String::new(), "a&b=c".into()],
    };
    assert_eq!(Look::from_query(&look.to_query()), look, "{}", look.to_query());
    assert_eq!(Look::default().to_query(), "");
    assert_eq!(Look::from_query("?q=&sort=trouble&group=0"), Look::default());
    assert_eq!(Look::from_query("q=+two+words+").text, "two words");
    let odd = Look::from_query("level=worse&level=bad&level=bad&state=gone&sort=up&&x&q=%ff");
    assert_eq!(odd.levels, [Level::Bad]);
    assert!(odd.states.is_empty());
    assert!(Look::from_query(&format!("q={}", "x".repeat(9_999))).text.len() <= TEXT_MAX);
}

#[test]
fn a_filter_takes_all_words_anywhere_and_any_of_the_chips() {
    let shop = shop();
    let shown = |query: &str| names(&shop, &Look::from_query(query), &[]);
    assert_eq!(shown("q=MAIL"), ["mail.digest", "mail.send"]);
    assert_eq!(shown("q=mail+redis+send"), ["mail.send"]);
    assert_eq!(shown("q=bullmq").len(), 5, "the library's name");
    assert_eq!(shown("level=bad&level=paused"), ["mail.digest", "invoice-post"]);
    let mut mixed = shop.clone();
    mixed[0].system = System::Celery;
    mixed[3].system = System::Bull;
    let of = |query: &str| names(&mixed, &Look::from_query(query), &[]);
    assert_eq!(of("q=system:celery"), ["mail.send"]);
    assert_eq!(of("q=system:Celery,bull+mail"), ["mail.send"]);
    assert_eq!(of("q=system:bull"), ["invoice:pdf"], "the beginning of another's word");
    assert_eq!(of("q=system:bu").len(), 4, "while it is typed");
    assert_eq!(of("q=system:sidekiq"), Vec::<String>::new());
    assert_eq!(
        shown("state=failed"),
        ["mail.digest", "video", "invoice:pdf"],
        "not known is not zero"
    );
    assert_eq!(shown("state=failed&level=ok"), ["invoice:pdf"]);
    assert_eq!(shown("q=nothing"), Vec::<String>::new());
}

#[test]
fn every_order_has_its_reason_and_a_tie_is_broken_by_name() {
    let shop = shop();
    let shown = |query: &str| names(&shop, &Look::from_query(query), &[]);
    let by_trouble = ["mail.digest", "video", "invoice-post", "invoice:pdf", "mail.send"];
    assert_eq!(shown(""), by_trouble);
    assert_eq!(shown("sort=name")[..2], ["invoice-post", "invoice:pdf"]);
    assert_eq!(shown("sort=backlog")[..3], ["mail.digest", "video", "mail.send"]);
    assert_eq!(shown("sort=failed")[..2], ["mail.digest", "invoice:pdf"]);
    assert_eq!(shown("sort=failed")[4], "video", "what is not known comes last");
    assert_eq!(
        shown("sort=oldest"),
        ["video", "mail.digest", "invoice-post", "mail.send", "invoice:pdf"]
    );
}

#[test]
fn groups_share_the_first_part_of_a_name_and_stand_where_their_first_queue_would() {
    let shop = shop();
    let shown = |query: &str| names(&shop, &Look::from_query(query), &[]);
    let all = [
        "[mail]",
        "mail.digest",
        "mail.send",
        "[invoice]",
        "invoice-post",
        "invoice:pdf",
        "[]",
        "video",
    ];
    assert_eq!(shown("group=1"), all);
    assert_eq!(
        shown("group=1&q=send"),
        ["[mail]", "mail.send"],
        "a filter changes no heading"
    );
    assert_eq!(
        shown("group=1&q=video"),
        ["video"],
        "a heading over nothing but itself says nothing"
    );
    for (name, part) in [
        ("a.b", "a"),
        ("a/b.c", "a"),
        ("-a", "-a"),
        ("ab", "ab"),
        ("é-b", "é"),
        ("", ""),
    ] {
        assert_eq!(first_part(name), part, "{name}");
    }
}

#[test]
fn pinned_queues_stand_above_all_others_if_they_pass_the_filter() {
    let shop = shop();
    let pins = [shop[3].key(), shop[4].key(), queue("no more").key()];
    assert_eq!(
        names(&shop, &Look::default(), &pins)[..3],
        ["*invoice-post", "*invoice:pdf", "mail.digest"]
    );
    assert_eq!(names(&shop, &Look::from_query("level=bad"), &pins), ["mail.digest"]);
    assert_eq!(
        names(&shop, &Look::from_query("group=1"), &pins)[2..4],
        ["[mail]", "mail.digest"]
    );
}

#[test]
fn a_sum_says_the_worst_and_does_not_hide_what_is_not_known() {
    let sum = Sum::of(shop().iter());
    assert_eq!((sum.queues, sum.level), (5, Level::Bad));
    let total = |state| sum.counts.get(state).map(|total| total.to_string());
    assert_eq!(total(JobState::Waiting).as_deref(), Some("86"));
    assert_eq!(total(JobState::Failed).as_deref(), Some("≥11"));
}

#[test]
fn pins_survive_names_made_of_anything_and_never_outgrow_a_cookie() {
    let odd = ["a b", "a!b;c,d\"e\\f", "..", "é\n\0", "<x>", "a/b"];
    let pins: Vec<QueueRef> = odd.iter().map(|name| queue(name).key()).collect();
    let cookie = write_pins(&pins);
    assert!(
        cookie.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b)),
        "{cookie}"
    );
    assert_eq!(read_pins(&cookie), pins);
    let many: Vec<QueueRef> = (0..500).map(|i| queue(&format!("queue {i}")).key()).collect();
    let cookie = write_pins(&many);
    assert!(cookie.len() <= PINS_BYTES);
    assert_eq!(read_pins(&cookie).last(), many.last(), "the latest are kept");
    assert_eq!(read_pins("nonsense!redis/bull%3Aa!!"), [queue("a").key()]);
}
