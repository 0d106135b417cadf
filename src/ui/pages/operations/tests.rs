use super::*;
use crate::model::action::JobAction;
use crate::model::operation::page::{OperationPage, PreviewPage};
use crate::model::operation::{Bounds, Canary, ItemResult, Preview, Sample, Share, Totals};
use crate::model::page::{Body, Page};
use crate::ui;

const AT: i64 = 1_795_239_692_120;

fn queue(id: &str) -> QueueRef {
    QueueRef {
        store: "redis".into(),
        queue: id.into(),
    }
}

fn filter(text: &str) -> JobFilter {
    text.parse().unwrap()
}

fn operation() -> Operation {
    Operation {
        id: "01-op".into(),
        action: JobAction::Retry {
            reset_attempts: false,
            data: None,
        },
        filter: filter("state:failed queue:redis/bull:emails error:\"timed out\""),
        queues: vec![queue("bull:emails")],
        sentence: "Retry 41,212 failed jobs of emails in redis.".into(),
        who: "ana <on call>".into(),
        reason: "the provider is back".into(),
        bounds: Bounds {
            rate: Some(1_500),
            canary: Some(Canary::default()),
        },
        state: OperationState::Running,
        note: String::new(),
        totals: Totals {
            selected: 41_212,
            done: 25_900,
            already: 40,
            changed: 30,
            gone: 20,
            failed: 7,
            unconfirmed: 3,
        },
        reasons: vec![Share {
            of: "A worker holds it.".into(),
            jobs: 7,
        }],
        created: AT - 60_000,
        started: Some(AT - 50_000),
        ended: None,
        per_second: Some(1_250.4),
        left_ms: Some(12_500),
    }
}

fn preview() -> Preview {
    Preview {
        token: "t0ken".into(),
        action: operation().action,
        filter: operation().filter,
        sentence: "Retry 41,212 failed jobs of emails in redis.".into(),
        at: AT,
        selected: 41_212,
        capped: false,
        looked_at: 60_000,
        samples: vec![Sample {
            queue: queue("bull:emails"),
            id: "order-1".into(),
            name: "<b>send</b>".into(),
            error: Some("timed out".into()),
            since: Some(AT - 5_000),
        }],
        by_name: vec![Share {
            of: "send".into(),
            jobs: 41_000,
        }],
        by_queue: vec![(queue("bull:emails"), 41_212)],
        skipped: vec![Share {
            of: "a worker holds them".into(),
            jobs: 4,
        }],
        done_again: 0,
        notes: vec![],
        typed: None,
    }
}

fn written(page: OperationsPage) -> String {
    ui::render(Page {
        base: "/admin/queues".into(),
        now: AT,
        after: String::new(),
        theme: String::new(),
        local_time: false,
        archive: false,
        silence: None,
        body: Body::Operations(page),
    })
}

fn one(operation: Operation) -> OperationPage {
    OperationPage {
        operation,
        results: Ok(vec![]),
        of: 0,
        result: None,
        offset: 0,
    }
}

/// The text of a page without its markup, with every run of white space as one space.
fn text(html: &str) -> String {
    let main = html.split("id=\"main\"").nth(1).unwrap();
    let mut out = String::new();
    let mut inside = true;
    for c in main.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                out.push(' ');
            }
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
}

#[test]
fn a_preview_says_that_work_which_was_done_is_done_again() {
    let shown = |selected, done_again| {
        let preview = Preview {
            selected,
            done_again,
            ..preview()
        };
        text(&written(OperationsPage::Preview(Box::new(PreviewPage::new(preview)))))
    };
    says(
        &shown(1, 1),
        &["It completed. Its side effects, such as e-mails and payments, will happen again."],
    );
    says(&shown(3, 3), &["They completed. Their side effects"]);
    says(&shown(3_000, 2_000), &["2,000 of them completed. Their side effects"]);
    assert!(!shown(3, 0).contains("will happen again"));
}

#[test]
fn a_preview_says_how_many_which_and_what_not() {
    let html = written(OperationsPage::Preview(Box::new(PreviewPage::new(preview()))));
    says(
        &text(&html),
        &[
            "Retry 41,212 failed jobs of emails in redis Exactly 41,212 jobs.",
            "60,000 checked.",
            "Nothing has been done yet.",
            "send 41,000",
            "others 212",
            "4 a worker holds them",
            "&lt;b&gt;send&lt;/b&gt;",
            "Canary: try a few jobs first",
        ],
    );
    says(
        &html,
        &[
            "href=\"/admin/queues/queues/redis/bull:emails/jobs/order-1\"",
            "action=\"/admin/queues/operations/start\"",
            "value=\"t0ken\"",
            "href=\"/admin/queues/queues/redis/bull:emails?state=failed\"",
            "name=\"canary\" value=\"1\" checked",
        ],
    );
    assert_eq!(html.matches("<button class=\"main\"").count(), 1);
    assert!(!html.contains("name=\"typed\"") && !html.contains("destroys"));
}

#[test]
fn a_column_of_which_nothing_is_known_is_left_out() {
    let mut ticked = preview();
    let all = text(&written(OperationsPage::Preview(Box::new(PreviewPage::new(
        ticked.clone(),
    )))));
    assert!(all.contains("Job Name Since Error"), "{all}");
    ticked.samples[0].name = String::new();
    ticked.samples[0].error = None;
    let few = text(&written(OperationsPage::Preview(Box::new(PreviewPage::new(ticked)))));
    assert!(few.contains("Job Since order-1"), "{few}");
    assert!(few.contains("By queue bull:emails redis"), "a colon parts no id: {few}");
}

#[test]
fn a_few_jobs_go_all_at_once_and_what_destroys_looks_different_and_asks_for_a_word() {
    let few = Preview {
        selected: 100,
        ..preview()
    };
    let html = written(OperationsPage::Preview(Box::new(PreviewPage::new(few))));
    assert!(!html.contains("name=\"canary\" value=\"1\" checked"), "{html}");
    let remove = Preview {
        action: JobAction::Remove { children: false },
        typed: Some("a.b(c)".into()),
        ..preview()
    };
    let html = written(OperationsPage::Preview(Box::new(PreviewPage::new(remove))));
    says(
        &html,
        &[
            "order start destroys",
            "pattern=\"a\\.b\\(c\\)\"",
            "Remove 41,212 jobs permanently",
        ],
    );
    assert!(!html.contains("name=\"canary\""), "what is gone cannot fail again");
}

#[test]
fn more_jobs_than_one_operation_takes_are_said_and_none_has_no_button() {
    let capped = Preview {
        selected: 100_000,
        capped: true,
        ..preview()
    };
    let html = written(OperationsPage::Preview(Box::new(PreviewPage::new(capped))));
    says(
        &text(&html),
        &[
            "At least 100,000 jobs",
            "than the 100,000 that one operation can process",
        ],
    );
    let none = Preview {
        selected: 0,
        by_name: vec![],
        by_queue: vec![],
        samples: vec![],
        skipped: vec![],
        ..preview()
    };
    let html = written(OperationsPage::Preview(Box::new(PreviewPage::new(none))));
    says(&text(&html), &["No job matches.", "Back to the list"]);
    assert!(!html.contains("operations/start"));
}

#[test]
fn the_totals_of_an_operation_add_up_on_its_page() {
    let html = written(OperationsPage::One(Box::new(one(operation()))));
    let told = text(&html);
    says(
        &told,
        &[
            "25,900 done + 40 already + 30 changed + 20 gone + 7 failed + 3 unconfirmed + 15,212 remaining = 41,212 selected",
            "26,000 of 41,212 jobs 63 %",
            "1,250 jobs a second, about 12 s left",
            "ana &lt;on call&gt;",
            "the provider is back",
            "7 A worker holds it.",
            "at most 1,500 jobs a second; canary: the first 10 are watched for up to 1 m",
        ],
    );
    says(
        &html,
        &[
            "action=\"/admin/queues/operations/01-op/pause\"",
            "operations/01-op/cancel\"",
        ],
    );
    assert!(!html.contains("/again") && !html.contains("/resume"));
}

#[test]
fn a_paused_operation_can_go_on_and_an_ended_one_can_be_taken_up_again() {
    let paused = Operation {
        state: OperationState::Paused,
        ..operation()
    };
    let html = written(OperationsPage::One(Box::new(one(paused))));
    assert!(html.contains("/resume\"") && !html.contains("/pause\""));
    let stopped = Operation {
        state: OperationState::Stopped,
        note: "8 of 10 retried jobs failed again.".into(),
        ended: Some(AT),
        ..operation()
    };
    let html = written(OperationsPage::One(Box::new(one(stopped))));
    says(
        &text(&html),
        &[
            "It stopped automatically.",
            "8 of 10 retried jobs failed again.",
            "15,212 not processed",
            "Again for the rest… 15,222 jobs not done.",
        ],
    );
    assert!(!html.contains("/cancel\""));
    let whole = Operation {
        state: OperationState::Done,
        totals: Totals {
            selected: 5,
            done: 3,
            already: 1,
            gone: 1,
            ..Totals::default()
        },
        ..operation()
    };
    let html = written(OperationsPage::One(Box::new(one(whole))));
    assert!(!html.contains("/again"), "nothing is left");
}

#[test]
fn results_are_told_one_by_one_and_by_page() {
    let page = OperationPage {
        results: Ok(vec![
            ItemResult {
                queue: queue("bull:emails"),
                id: "a/b".into(),
                result: Some("failed".into()),
                reason: Some("A worker holds it.".into()),
            },
            ItemResult {
                queue: queue("bull:emails"),
                id: "2".into(),
                result: None,
                reason: None,
            },
        ]),
        of: 350,
        result: Some("failed".into()),
        offset: 100,
        ..one(operation())
    };
    let html = written(OperationsPage::One(Box::new(page)));
    says(
        &text(&html),
        &["101–102 of 350", "a/b failed A worker holds it.", "2 not yet"],
    );
    says(
        &html,
        &[
            "offset=0&amp;result=failed",
            "offset=200&amp;result=failed",
            "?result=failed\" aria-current=\"page\"",
        ],
    );
}

#[test]
fn operations_under_way_come_before_those_that_ended() {
    let ended = Operation {
        id: "02-op".into(),
        state: OperationState::Done,
        ..operation()
    };
    let html = written(OperationsPage::All(vec![ended, operation()]));
    let told = text(&html);
    says(&told, &["1 in progress, 1 ended"]);
    assert!(html.find("01-op") < html.find("02-op"), "{told}");
    assert_eq!(OperationsPage::All(vec![operation()]).every(), 500);
    let html = written(OperationsPage::All(vec![]));
    says(&text(&html), &["No operations yet."]);
    assert_eq!(OperationsPage::All(vec![]).every(), 5_000);
}

#[test]
fn a_filter_that_cannot_be_read_stays_in_its_field_with_the_reason() {
    let page = NewPage {
        wanted: Wanted::Remove(false),
        filter: "color:\"red\"".into(),
        trouble: Some("color: is not known.".into()),
        cancels: false,
        redrives: false,
        archive_first: None,
    };
    let html = written(OperationsPage::New(page));
    says(
        &html,
        &[
            "color: is not known.",
            "value=\"color:&quot;red&quot;\"",
            "aria-invalid=\"true\"",
            "value=\"remove\" checked",
        ],
    );
}

#[test]
fn a_pattern_is_only_the_text_itself() {
    assert_eq!(preview::literal("emails"), "emails");
    assert_eq!(preview::literal("a.b|c-[d]/e"), "a\\.b\\|c-\\[d\\]\\/e");
}
