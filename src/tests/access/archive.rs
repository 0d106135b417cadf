//! The archive for users who see some queues, and for searches by users who may not see hidden values (S-5, S-20).

use super::*;
use crate::support::LATER;
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use serde_json::Value;
use std::collections::HashSet;

/// Rows of the archive: of six in a row one is of `bull:billing`, one of `bull:billing-eu` and four of `bull:mail`. The data of
/// all hold a password, the errors of some a token.
const ROWS: &str = "INSERT INTO drover.archive (finished_on, id, store, system, queue, job_id, name, state, attempts, error, \
     data, size, record, sha256) SELECT 1700000000000 + n, decode(md5(n::text), 'hex'), 'redis', 'bullmq', \
     CASE n % 6 WHEN 0 THEN 'bull:billing' WHEN 3 THEN 'bull:billing-eu' ELSE 'bull:mail' END, n::text, 'send', 'failed', 1, \
     CASE WHEN n % 3 = 0 THEN 'token=zebra42 not taken' ELSE 'the mail server is down' END, \
     '{\"password\":\"zebra42\",\"note\":\"parcel ' || n || '\"}', 100, '\\x00', sha256(n::text::bytea) \
     FROM generate_series(1, 3000) n";

struct Board {
    _redis: Redis,
    postgres: Postgres,
    drover: Drover,
}

async fn board() -> Board {
    let (redis, postgres) = (Redis::start(), Postgres::start().await);
    let (redis_url, postgres_url) = (redis.url(), postgres.url());
    let env = [
        ("DROVER_REDIS_URL", redis_url.as_str()),
        ("DROVER_POSTGRES_URL", postgres_url.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
        ("DROVER_AUTH_MODE", "proxy"),
        ("DROVER_PROXY_SECRET", SECRET),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let grants = [
        grant("root", "admin", &["*"]),
        grant("ada", "operator", &["redis/bull:billing*"]),
        grant("mia", "viewer", &["redis/bull:billing"]),
        grant("eve", "viewer", &["*"]),
    ];
    let drover = Drover::with(&env, &grants.concat()).await;
    eventually("the archive", LATER, || async {
        (get_as(&drover, "root", "/api/v1/archive/jobs").await.status == 200).then_some(())
    })
    .await;
    postgres.run(ROWS).await;
    Board {
        _redis: redis,
        postgres,
        drover,
    }
}

impl Board {
    async fn page(&self, user: &str, query: &str) -> Value {
        let answer = get_as(&self.drover, user, &format!("/api/v1/archive/jobs?{query}")).await;
        assert_eq!(answer.status, 200, "{user} {query}: {}", answer.body);
        answer.json()
    }

    /// Every id over all pages, and every cursor that led from one to the next.
    async fn all(&self, user: &str, query: &str, limit: usize) -> (Vec<String>, Vec<String>) {
        let (mut ids, mut cursors, mut cursor) = (vec![], vec![], String::new());
        loop {
            let page = self.page(user, &format!("{query}&limit={limit}&cursor={cursor}")).await;
            let items = page["items"].as_array().unwrap();
            ids.extend(items.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => {
                    let full = items.len() == limit || page["partial"] == true;
                    assert!(full, "a page of {} with more to come: {page}", items.len());
                    next.clone_into(&mut cursor);
                    cursors.push(next.to_owned());
                }
                None => return (ids, cursors),
            }
        }
    }
}

// S-5: pages and cursors contain only queues that the user may see.
#[tokio::test]
async fn no_cursor_of_the_archive_is_that_of_a_row_that_is_not_shown() {
    let board = board().await;
    let shown: HashSet<String> = board.all("root", "queue=billing", 200).await.0.into_iter().collect();
    assert_eq!(shown.len(), 1_000);
    // The same queues in a store that she may not see.
    let elsewhere = ROWS
        .replace("'redis'", "'cellar'")
        .replace("1700000000000", "1600000000000");
    board.postgres.run(&elsewhere).await;
    for query in [
        "",
        "state=failed",
        "error=not+taken",
        "name=send",
        "text=parcel",
        "queue=redis%2Fbull:b*",
        "queue=billing",
    ] {
        let (ids, cursors) = board.all("ada", query, 150).await;
        let found: HashSet<String> = ids.iter().cloned().collect();
        assert_eq!((ids.len(), &found), (1_000, &shown), "{query}: each once");
        assert!(
            cursors.len() >= 6 && cursors.iter().all(|cursor| shown.contains(cursor)),
            "{query}: {cursors:?}"
        );
    }
    // Rows of other queues are not found, and no cursor names them.
    for query in [
        "error=mail+server&limit=1",
        "queue=mail&limit=1",
        "id=1&limit=1",
        "id=2",
    ] {
        let page = board.page("ada", query).await;
        assert_eq!(
            (&page["items"], &page["next"]),
            (&Value::Array(vec![]), &Value::Null),
            "{query}"
        );
    }
    let (exact, cursors) = board.all("ada", "queue=redis%2Fbull:billing", 150).await;
    assert!(exact.len() == 500 && cursors.iter().all(|cursor| shown.contains(cursor)));
    assert_eq!(
        board.all("mia", "", 150).await.0.len(),
        500,
        "the one queue of a name, and none that begins alike"
    );
    // A queue that she may not see is denied by name, as on every route.
    for path in ["/api/v1/archive/jobs", "/api/v1/archive/jobs.csv", "/archive"] {
        let answer = get_as(&board.drover, "ada", &format!("{path}?queue=redis%2Fbull:mail")).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }
}

// S-5: the list of queues follows the archive.
#[tokio::test]
async fn a_queue_that_is_new_in_the_archive_is_shown_to_those_who_may_see_it() {
    let board = board().await;
    assert_eq!(board.page("ada", "limit=1").await["items"].as_array().unwrap().len(), 1);
    board
        .postgres
        .run(
            &ROWS
                .replace("'bull:billing'", "'bull:billing-us'")
                .replace("1700000000000", "1600000000000"),
        )
        .await;
    eventually("the new queue", LATER, || async {
        let rows = board.all("ada", "", 200).await.0.len();
        (rows == 2_000).then_some(())
    })
    .await;
}

// S-5: an export without the permission is denied: an empty file would suggest that there is nothing.
#[tokio::test]
async fn an_export_without_the_permission_is_denied() {
    let board = board().await;
    for path in ["/api/v1/archive/jobs.ndjson", "/api/v1/archive/jobs.csv"] {
        for user in ["eve", "mia"] {
            let answer = get_as(&board.drover, user, path).await;
            assert_eq!(answer.status, 403, "{user} {path}: {}", answer.body);
            assert!(answer.body.contains("download lists as files"), "{}", answer.body);
        }
        let answer = get_as(&board.drover, "ada", path).await;
        let lines = answer.body.lines().filter(|line| line.contains("bull:")).count();
        assert_eq!((answer.status, lines), (200, 1_000), "{path}");
        assert!(!answer.body.contains("bull:mail"), "{path}");
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment; filename="), "{disposition}");
    }
    // A search covers the data of queues whose payloads the user may see.
    assert_eq!(board.all("ada", "text=parcel+30", 200).await.0.len(), 6);
    let answer = get_as(&board.drover, "eve", "/api/v1/archive/jobs?text=parcel").await;
    assert_eq!(answer.status, 403, "{}", answer.body);
}

// S-20: a search looks at the same rows whether a hidden value matches or not, and says how many.
#[tokio::test]
async fn a_search_of_the_archive_does_not_tell_what_is_hidden() {
    let board = board().await;
    for user in ["root", "ada"] {
        for limit in [1, 50] {
            for field in ["text", "error"] {
                let ask = async |guess: &str| board.page(user, &format!("{field}={guess}&limit={limit}")).await;
                let (right, wrong) = (ask("zebra4").await, ask("zebra5").await);
                assert_eq!(right, wrong, "{user} {field}");
                assert_eq!(right["items"], Value::Array(vec![]), "{user} {field}");
                let rows = if user == "root" { 3_000 } else { 1_000 };
                assert_eq!(right["searched"], rows, "{user} {field}");
            }
        }
        let found = board.page(user, "text=PARCEL+300%22&limit=1").await;
        assert_eq!(found["items"][0]["job"], "300", "{user}: what is shown is found");
    }
    // A page ends after so many rows, says so, and its cursor continues after the last of them.
    let more = ROWS
        .replace("1700000000000", "1800000000000")
        .replace("'send'", "'bulk'")
        .replace("generate_series(1, 3000)", "generate_series(3001, 24000)");
    board.postgres.run(&more).await;
    let search = "name=send&text=parcel+1717%22";
    let first = board.page("root", search).await;
    let searched = first["searched"].as_u64().unwrap();
    assert!(
        first["partial"] == true && (1_000..=20_000).contains(&searched),
        "{first}"
    );
    let (ids, cursors) = board.all("root", search, 50).await;
    assert!(ids.len() == 1 && !cursors.is_empty(), "{ids:?} {cursors:?}");
    let page = get_as(&board.drover, "root", &format!("/archive?{search}")).await.body;
    assert!(
        page.contains("The search stopped after looking at") && page.contains("Search further"),
        "{page}"
    );
}
