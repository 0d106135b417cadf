use super::*;
use crate::model::action::Effect;
use crate::server::redact::Mask;
use serde_json::json;
use std::fs;

fn open_with(file: &Path, rotate: u64) -> Audit {
    let tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    Audit::open_with(file, rotate, &tasks)
}

fn open(file: &Path) -> Audit {
    open_with(file, journal::ROTATE)
}

fn done() -> Became {
    Became::Known(Effect::done())
}

fn record(action: &str, queue: &str, job: Option<&str>, key: Option<Key>) -> Arc<Record> {
    let at = now();
    Arc::new(Record {
        id: record::mint_id(at),
        phase: Phase::Intent,
        time: record::time(at),
        at,
        ended: None,
        who: "anonymous".into(),
        address: "127.0.0.1".into(),
        action: action.into(),
        queue: QueueRef {
            store: "redis".into(),
            queue: queue.into(),
        },
        job: job.map(Into::into),
        schedule: None,
        sentence: format!("{action} it."),
        seen: None,
        reason: None,
        request: "r".into(),
        details: json!({}),
        idempotency: key,
        effect: None,
        flow: None,
        not_sent: None,
        replica: None,
        carried: None,
    })
}

fn words(audit: &Audit, filter: &AuditFilter) -> Vec<String> {
    let page = audit.page(filter, None, 100, &|_| true).unwrap();
    page.items
        .iter()
        .map(|e| format!("{} {}", e.action, e.result))
        .collect()
}

#[tokio::test]
async fn the_intent_is_on_the_disk_before_and_the_result_after() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a/b/audit.ndjson");
    let audit = open(&file);
    assert_eq!(audit.trouble(), None);
    let asked = record("retry", "bull:q", Some("1"), None);
    audit.intend(&asked).await.unwrap();
    let lines = || {
        fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines().len(), 1);
    assert_eq!(words(&audit, &AuditFilter::default()), ["retry asked"]);
    audit.conclude(&asked, done()).await;
    let last: serde_json::Value = serde_json::from_str(&lines()[1]).unwrap();
    assert_eq!(
        (&last["phase"], &last["effect"]["result"]),
        (&json!("result"), &json!("done"))
    );
    assert_eq!(words(&audit, &AuditFilter::default()), ["retry done"]);
    drop(audit);
    let again = reopened(&file).await;
    assert_eq!(words(&again, &AuditFilter::default()), ["retry done"]);
}

/// Opens a file that another instance in this process has just closed: its thread may still hold the lock.
async fn reopened(file: &Path) -> Audit {
    loop {
        let audit = open(file);
        if audit.trouble().is_none() {
            return audit;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_intent_without_a_result_is_told_as_unknown_and_a_torn_line_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    let audit = open(&file);
    let key = Key::new("anonymous", "k", &[b"body"]);
    audit.claim(&key);
    let asked = record("retry", "bull:q", Some("1"), Some(key.clone()));
    audit.intend(&asked).await.unwrap();
    drop(audit);
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"id\":\"torn");
    fs::write(&file, &text).unwrap();
    let audit = reopened(&file).await;
    assert_eq!(words(&audit, &AuditFilter::default()), ["retry unknown"]);
    assert!(
        matches!(audit.claim(&key), Claim::Again(_, Became::Lost)),
        "the key stands for it"
    );
    audit.intend(&record("pause", "bull:q", None, None)).await.unwrap();
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with(&format!("{text}\n{{\"id\""))
    );
    assert_eq!(words(&audit, &AuditFilter::default()), ["pause asked", "retry unknown"]);
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_and_can_be_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not-a-folder");
    fs::write(&folder, "").unwrap();
    let audit = open(&folder.join("audit.ndjson"));
    assert!(audit.trouble().unwrap().contains("DROVER_AUDIT_FILE"));
    let why = audit.intend(&record("pause", "bull:q", None, None)).await.unwrap_err();
    assert!(why.to_string().contains("cannot be written"), "{why}");
    assert!(words(&audit, &AuditFilter::default()).is_empty());
    fs::remove_file(&folder).unwrap();
    audit.intend(&record("pause", "bull:q", None, None)).await.unwrap();
    assert_eq!(audit.trouble(), None);
}

#[tokio::test]
async fn only_one_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    let first = open(&file);
    first.intend(&record("pause", "bull:q", None, None)).await.unwrap();
    let second = open(&file);
    assert!(second.trouble().unwrap().contains("another Drover"));
    assert_eq!(words(&second, &AuditFilter::default()).len(), 1, "it can be read");
    assert!(second.intend(&record("pause", "bull:q", None, None)).await.is_err());
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    let audit = open(&file);
    audit.intend(&record("pause", "bull:q", None, None)).await.unwrap();
    fs::rename(&file, dir.path().join("elsewhere")).unwrap();
    audit.intend(&record("resume", "bull:q", None, None)).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
    assert_eq!(words(&audit, &AuditFilter::default()).len(), 2);
}

#[tokio::test]
async fn a_large_file_is_put_aside_and_read_again_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    let audit = open_with(&file, 1_000);
    let key = Key::new("anonymous", "k", &[]);
    for n in 0..9 {
        let key = (n == 0).then(|| key.clone());
        let asked = record("retry", "bull:q", Some(&n.to_string()), key);
        audit.intend(&asked).await.unwrap();
        audit.conclude(&asked, done()).await;
    }
    drop(audit);
    let names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().filter(|name| name.starts_with("audit-")).count() > 2,
        "{names:?}"
    );
    let lines: usize = names
        .iter()
        .map(|name| fs::read_to_string(dir.path().join(name)).unwrap().lines().count())
        .sum();
    assert_eq!(lines, 18, "no line is lost");
    let audit = reopened(&file).await;
    assert_eq!(words(&audit, &AuditFilter::default()), ["retry done"; 9]);
    assert!(matches!(audit.claim(&key), Claim::Again(..)), "a key outlives its file");
}

#[tokio::test]
async fn a_hundred_actions_at_once_are_all_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    let audit = Arc::new(open(&file));
    let asking = (0..100).map(|n| {
        let audit = audit.clone();
        async move {
            audit
                .intend(&record("retry", "bull:q", Some(&n.to_string()), None))
                .await
        }
    });
    for written in futures::future::join_all(asking).await {
        written.unwrap();
    }
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| serde_json::from_str::<Record>(line).is_ok())
            .count(),
        100
    );
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(&dir.path().join("audit.ndjson"));
    let key = |text: &str, body: &[u8]| Key::new("anonymous", text, &[b"POST", b"/p", body]);
    assert!(matches!(audit.claim(&key("a", b"1")), Claim::New));
    assert!(matches!(audit.claim(&key("a", b"1")), Claim::Running));
    assert!(matches!(audit.claim(&key("a", b"2")), Claim::Other));
    audit.release(&key("a", b"1"));
    assert!(
        matches!(audit.claim(&key("a", b"2")), Claim::New),
        "nothing was done with it"
    );
    let asked = record("pause", "bull:q", None, Some(key("a", b"2")));
    audit.intend(&asked).await.unwrap();
    assert!(matches!(audit.claim(&key("a", b"2")), Claim::Running));
    audit.conclude(&asked, done()).await;
    assert!(matches!(audit.claim(&key("a", b"2")), Claim::Again(_, became) if became == done()));
    let other = record("pause", "bull:q", None, Some(key("b", b"")));
    audit.claim(&key("b", b""));
    audit.intend(&other).await.unwrap();
    audit.conclude(&other, Became::NotSent("no".into())).await;
    assert!(
        matches!(audit.claim(&key("b", b"")), Claim::New),
        "the store was never asked"
    );
}

#[tokio::test]
async fn pages_go_back_in_time_and_can_be_of_one_queue_or_job() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(&dir.path().join("audit.ndjson"));
    for n in 0..7 {
        let job = n.to_string();
        let queue = if n % 2 == 0 { "bull:even" } else { "bull:odd" };
        audit.intend(&record("retry", queue, Some(&job), None)).await.unwrap();
    }
    let jobs = |page: &AuditPage| page.items.iter().map(|e| e.job.clone().unwrap()).collect::<Vec<_>>();
    let all = AuditFilter::default();
    let first = audit.page(&all, None, 3, &|_| true).unwrap();
    assert_eq!(jobs(&first), ["6", "5", "4"]);
    let second = audit.page(&all, first.next.as_deref(), 4, &|_| true).unwrap();
    assert_eq!(
        (jobs(&second), second.next),
        (vec!["3".into(), "2".into(), "1".into(), "0".into()], None)
    );
    let odd = AuditFilter {
        queue: Some(record("", "bull:odd", None, None).queue.clone()),
        job: None,
    };
    assert_eq!(jobs(&audit.page(&odd, None, 9, &|_| true).unwrap()), ["5", "3", "1"]);
    let one = AuditFilter {
        job: Some("3".into()),
        ..odd
    };
    assert_eq!(jobs(&audit.page(&one, None, 9, &|_| true).unwrap()), ["3"]);
    assert_eq!(audit.page(&all, Some("nonsense"), 3, &|_| true), None);
}

// S-5
#[tokio::test]
async fn a_cursor_of_the_record_is_one_of_an_entry_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(&dir.path().join("audit.ndjson"));
    for n in 0..6 {
        let queue = if n % 2 == 0 { "bull:even" } else { "bull:odd" };
        let asked = record("retry", queue, Some(&n.to_string()), None);
        audit.intend(&asked).await.unwrap();
    }
    let (all, even) = (AuditFilter::default(), |queue: &QueueRef| queue.queue == "bull:even");
    let shown = audit.page(&all, None, 9, &even).unwrap().items;
    let first = audit.page(&all, None, 1, &even).unwrap();
    assert_eq!(first.next.as_ref(), Some(&shown[0].id));
    assert_eq!(
        audit.page(&all, first.next.as_deref(), 9, &even).unwrap().items,
        shown[1..]
    );
    let hidden = &audit.page(&all, None, 9, &|_| true).unwrap().items[0];
    assert_eq!(hidden.queue.queue, "bull:odd");
    assert_eq!(
        audit.page(&all, Some(&hidden.id), 9, &even),
        None,
        "it is as unknown as nonsense"
    );
}

#[test]
fn of_a_payload_only_size_and_hash_are_kept() {
    let details = record::details(
        json!({"action": "retry", "reset_attempts": true, "data": "{\"card\":\"4111\"}"}),
        &Mask::default(),
    );
    assert_eq!(details["reset_attempts"], true);
    assert_eq!(details["data"]["bytes"], 15);
    assert_eq!(details["data"]["sha256"].as_str().unwrap().len(), 64);
    assert!(!details.to_string().contains("4111"));
}

async fn acted(audit: &Audit, times: usize) {
    for n in 0..times {
        let asked = record("retry", "bull:q", Some(&n.to_string()), None);
        audit.intend(&asked).await.unwrap();
        audit.conclude(&asked, done()).await;
    }
}

#[tokio::test]
async fn lines_hold_on_to_each_other_through_files_restarts_and_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    acted(&open_with(&file, 1_500), 6).await;
    fs::write(&file, [&fs::read(&file).unwrap()[..], br#"{"id":"torn"#].concat()).unwrap();
    let audit = eventually_open(&file).await;
    acted(&audit, 2).await;
    let files = chain::files(&file);
    assert!(files.len() > 2, "{files:?}");
    let found = chain::verify(&files, None).unwrap();
    assert_eq!((&found.broken, found.lines, found.torn), (&vec![], 17, 1));
    assert!(!found.begins_later && found.unlinked == 0);
    let later = chain::verify(&files[1..], None).unwrap();
    assert!(later.begins_later && later.broken.is_empty(), "{later:?}");
    assert_eq!(later.head, found.head);
}

/// The lock of a writer that was dropped is given back by its thread.
async fn eventually_open(file: &Path) -> Audit {
    loop {
        let audit = open(file);
        if audit.trouble().is_none() {
            return audit;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_line_that_was_changed_taken_out_or_cut_off_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    acted(&open(&file), 3).await;
    let files = chain::files(&file);
    let whole = fs::read_to_string(&file).unwrap();
    let head = chain::verify(&files, None).unwrap().head;
    let lines: Vec<&str> = whole.lines().collect();
    let tried = |text: String, expected: Option<&str>| {
        fs::write(&file, text).unwrap();
        chain::verify(&files, expected).unwrap()
    };
    assert!(tried(whole.clone(), Some(&head)).expected);

    let changed = tried(whole.replacen("anonymous", "somebody", 1), None);
    assert_eq!(changed.broken.len(), 1);
    assert!(changed.broken[0].contains("line 2 "), "{:?}", changed.broken);
    let without = [&lines[..2], &lines[3..]].concat().join("\n");
    let taken = tried(without, None);
    assert!(taken.broken[0].contains("line 3 "), "{:?}", taken.broken);
    let forged = [&lines[..], &[r#"{"id":"x"}"#]].concat().join("\n");
    assert!(!tried(forged, None).broken.is_empty());

    let cut = tried(lines[..4].join("\n"), Some(&head));
    assert!(cut.broken.is_empty(), "no chain shows its end");
    assert!(!cut.expected, "a hash that was noted elsewhere does");
}

/// The next lines of an export, until there are no more.
async fn exported(source: &mut export::Source) -> (Vec<String>, u64) {
    let (mut lines, mut odd) = (vec![], 0);
    loop {
        let batch = source.next().await.unwrap();
        if batch.is_end() {
            return (lines, odd);
        }
        odd += batch.odd;
        lines.extend(String::from_utf8(batch.bytes).unwrap().lines().map(str::to_owned));
    }
}

fn lines_of(files: &[PathBuf]) -> Vec<String> {
    let text = files.iter().map(|path| fs::read_to_string(path).unwrap());
    text.collect::<String>().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_export_gives_each_line_once_through_rotation_torn_lines_and_moves() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    let mut source = export::Source::Files(export::Files::new(&file));
    assert_eq!(exported(&mut source).await, (vec![], 0), "there is no file yet");
    let audit = open_with(&file, 1_500);
    let mut all = vec![];
    // Sometimes within a file, and sometimes several files later.
    for times in [1, 1, 7, 0, 2] {
        acted(&audit, times).await;
        all.extend(exported(&mut source).await.0);
    }
    assert!(chain::files(&file).len() > 3);
    assert_eq!(all.len(), 22);
    assert_eq!(all, lines_of(&chain::files(&file)), "byte for byte");
    drop(audit);

    // A line that is torn is not given before it has an end, and then it is no record.
    let audit = eventually_open(&file).await;
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], br#"{"id":"torn"#].concat()).unwrap();
    assert_eq!(exported(&mut source).await, (vec![], 0));
    drop(audit);
    let audit = eventually_open(&file).await;
    assert_eq!(exported(&mut source).await, (vec![], 1));

    // One that was moved away is followed by the new one.
    acted(&audit, 1).await;
    let moved = dir.path().join("moved");
    fs::rename(&file, &moved).unwrap();
    acted(&audit, 1).await;
    let given = exported(&mut source).await.0;
    let there = lines_of(&[moved, file.clone()]);
    assert_eq!(given, there[there.len() - 4..]);
}

#[tokio::test]
async fn an_export_ends_when_what_it_gave_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.ndjson");
    acted(&open(&file), 2).await;
    let whole = fs::read_to_string(&file).unwrap();
    let cut = whole.lines().next().unwrap().len() + 1;
    // Cut off, and cut off and written over.
    for later in [whole[..cut].to_owned(), whole[..cut].repeat(9)] {
        fs::write(&file, &whole).unwrap();
        let mut source = export::Source::Files(export::Files::new(&file));
        assert_eq!(exported(&mut source).await.0.len(), 4);
        fs::write(&file, later).unwrap();
        let why = source.next().await.unwrap_err();
        assert!(
            matches!(&why, export::Unread::Gone(why) if why.contains("from the beginning")),
            "{why:?}"
        );
    }
}
