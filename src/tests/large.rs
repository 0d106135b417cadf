//! A board of more queues than one page shows: read in parts, and filtered, sorted and added up as a whole.

use crate::access::{behind_proxy, get_as, grant, proxied};
use crate::support::app::Drover;
use crate::support::client::Stream;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use drover::model::address::encode_segment;
use serde_json::Value;
use std::collections::BTreeSet;

/// More than one answer of the API has.
const QUEUES: usize = 1_500;

/// Queues of tenants as BullMQ 6 creates them; one has a backlog.
const TENANTS: &str = "for n = 0, tonumber(ARGV[1]) - 1 do
    redis.call('HSET', string.format('bull:tenant/%04d:meta', n), 'opts.maxLenEvents', 10000, 'version', 'bullmq:6.7.0')
end
for n = 1, 7 do redis.call('LPUSH', 'bull:tenant/1234:wait', n) end";

/// The queues that a page lists, in its order.
fn listed(html: &str) -> Vec<String> {
    let rows = html.split("<th scope=\"row\"").skip(1);
    let title = |row: &str| {
        let (_, rest) = row.split_once("data-row=\"\" title=\"bull:").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    rows.map(title).collect()
}

/// The list of the API, as a user reads it.
async fn list(drover: &Drover, user: &str, query: &str) -> Value {
    let answer = get_as(drover, user, &format!("/api/v1/queues{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// The overview.
async fn overview(drover: &Drover, query: &str) -> String {
    get_as(drover, "ada", &format!("/{query}")).await.body
}

/// Each of them, and none twice.
fn assert_whole(names: &[String]) {
    let once: BTreeSet<&String> = names.iter().collect();
    assert_eq!((names.len(), once.len()), (QUEUES, QUEUES));
}

async fn the_list_has_each_queue_once(drover: &Drover) {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let part = list(drover, "ada", &format!("?cursor={cursor}")).await;
        assert_eq!(part["total"], QUEUES);
        let items = part["items"].as_array().unwrap();
        assert!(items.len() <= 1_000);
        seen.extend(items.iter().map(|queue| queue["id"].as_str().unwrap().to_owned()));
        match part["next"].as_str() {
            Some(next) => cursor = encode_segment(next),
            None => break,
        }
    }
    assert_whole(&seen);
    let longest = list(drover, "ada", "?sort=backlog&state=waiting&limit=1").await;
    assert_eq!(longest["items"][0]["name"], "tenant/1234");
    assert_eq!(longest["next"], Value::Null);
    assert_eq!(get_as(drover, "ada", "/api/v1/queues?cursor=none").await.status, 400);
}

async fn the_overview_has_each_queue_once(drover: &Drover) {
    let mut shown = Vec::new();
    for n in 1..=8 {
        let html = overview(drover, &format!("?sort=name&page={n}")).await;
        assert!(html.len() < 400_000, "page {n} has {} bytes", html.len());
        assert!(html.contains(&format!("page {n} of 8")), "page {n}");
        assert!(html.contains("of all 1,500 queues"), "page {n}");
        shown.extend(listed(&html));
    }
    assert_whole(&shown);
    let first = overview(drover, "").await;
    assert!(first.contains("Rows 1 to 200 of 1,500") && first.contains("page=2\""));
    assert!(
        first.contains("{\"fresh\":\"trouble\"}"),
        "a browser fetches the page again"
    );
    assert!(first.contains("<b>7</b>"), "the sums are those of all");
    // Filter and order reach what is on another page.
    assert_eq!(listed(&overview(drover, "?sort=backlog").await)[0], "tenant/1234");
    assert_eq!(listed(&overview(drover, "?q=tenant/1234").await), ["tenant/1234"]);
    let nothing = overview(drover, "?q=no-such-queue").await;
    assert!(nothing.contains("No queue matches this filter."));
    assert!(nothing.len() < 40_000, "{} bytes", nothing.len());
}

#[tokio::test]
async fn a_large_board_is_read_in_parts_and_summed_as_a_whole() {
    let redis = Redis::start();
    redis.run::<()>(&["EVAL", TENANTS, "0", &QUEUES.to_string()]);
    let few = [
        "redis/bull:tenant/0700",
        "redis/bull:tenant/0701",
        "redis/bull:tenant/1234",
    ];
    let grants = [grant("ada", "viewer", &["*"]), grant("guest", "viewer", &few)].concat();
    let drover = behind_proxy(&redis.url(), &grants).await;
    eventually("all queues on the board, and counted", SOON, || async {
        let waiting = list(&drover, "ada", "?state=waiting").await;
        let all = list(&drover, "ada", "").await;
        (waiting["total"] == 1 && all["total"] == QUEUES).then_some(())
    })
    .await;
    the_list_has_each_queue_once(&drover).await;
    the_overview_has_each_queue_once(&drover).await;
    let topics = "/admin/queues/events?topics=trouble";
    let mut stream = Stream::open(drover.port, topics, &proxied("ada")).await;
    let snapshot = stream.next().await.unwrap();
    assert!(snapshot.data.to_string().len() < 200_000);

    // A user who sees three of them has a small board.
    let three = list(&drover, "guest", "").await;
    assert_eq!((&three["total"], &three["next"]), (&3.into(), &Value::Null));
    let html = get_as(&drover, "guest", "/?sort=name").await.body;
    assert_eq!(listed(&html), ["tenant/0700", "tenant/0701", "tenant/1234"]);
    assert!(html.contains("\"overview\":") && !html.contains("further pages"));
}
