//! Failed jobs run again, with the bytes that they were added with.

use super::{Shop, says};
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

impl Shop {
    /// Waits until a job has failed; it as the API tells it.
    async fn failed(&self, id: &str) -> Value {
        self.job("mail", id, |job| job["row"]["state"] == "failed").await
    }

    async fn stop(&mut self, worker: &str) {
        self.oracle.ask("stopWorker", "mail", json!({"workerId": worker})).await;
        self.oracle.ask("gone", "mail", json!({"workerId": worker})).await;
    }
}

/// A failed job as it was shown.
fn as_shown(job: &Value) -> Value {
    let row = &job["row"];
    json!({"state": "failed", "attempts": row["attempts"], "finished_on": row["finished"]})
}

#[tokio::test]
async fn a_failed_job_runs_again_with_exactly_the_payload_that_it_was_added_with() {
    for serializer in ["pickle", "msgpack", "json"] {
        let mut shop = Shop::open(json!({"serializer": serializer, "max_tries": 2})).await;
        let data = json!({"tally": "ran", "again": 0, "text": "s é \n", "n": [1.5, -7, null, 1_u64 << 60]});
        let job = json!({
            "name": "job", "args": [data], "kwargs": {"key": {"s": false, "et": 1}}, "point": serializer == "pickle",
        });
        let added = shop.oracle.ask("add", "mail", job).await;
        let tried = added["jobId"].as_str().unwrap().to_owned();
        // An error that no worker can load again.
        let odd = shop.add("mail", "job", json!({"tally": "ran", "odd": "boom"})).await;
        let payloads = [&tried, &odd].map(|id| shop.bytes(&format!("arq:job:{id}")));
        shop.drover.knows("mail").await;
        shop.work("mail", "w").await;
        // It used all its tries up.
        let job = shop.failed(&tried).await;
        assert_eq!(job["row"]["attempts"], 3, "{job}");
        shop.failed(&odd).await;
        assert_eq!(shop.ran().len(), 3);
        shop.stop("w").await;
        let form = format!("/queues/redis/mail/jobs/{tried}/act?action=retry");
        let form = shop.drover.get(&form).await.body;
        assert!(form.contains("arguments that its result holds"), "{form}");
        let pickled = form.contains("is not shown as it is stored (A pickle, read without running it");
        assert_eq!(pickled, serializer == "pickle", "{form}");
        for (id, payload) in [&tried, &odd].into_iter().zip(payloads) {
            let job = shop.failed(id).await;
            let mut other = as_shown(&job);
            other["finished_on"] = json!(1);
            says(&shop.act(id, "retry", other).await, 412, "not the one that was shown");
            says(&shop.act(id, "retry", as_shown(&job)).await, 200, "done");
            let back = shop.bytes(&format!("arq:job:{id}"));
            if serializer == "json" {
                let [back, payload] = [back, payload].map(|json| serde_json::from_slice::<Value>(&json).unwrap());
                assert_eq!(back, payload);
            } else {
                assert_eq!(back, payload, "{serializer}");
            }
            assert_eq!(shop.status(id).await, "queued");
            says(
                &shop.act(id, "retry", as_shown(&job)).await,
                412,
                "it expired, or the job runs again",
            );
        }
        shop.work("mail", "v").await;
        // From the first try on, and it fails as before.
        eventually("all ran again", SOON, || async {
            (shop.ran().len() == 6).then_some(())
        })
        .await;
        assert_eq!(shop.failed(&tried).await["row"]["attempts"], 3);
        assert_eq!(shop.failed(&odd).await["row"]["attempts"], 1);
    }
}

#[tokio::test]
async fn what_cannot_be_run_again_is_refused_and_its_result_stays() {
    let mut shop = Shop::open(json!({})).await;
    let lost = shop.oracle.add("mail", "next", json!({}), json!({"expires": 1})).await;
    let good = shop.add("mail", "job", json!({"returns": 1})).await;
    let long = shop
        .add("mail", "job", json!({"fail": "no", "text": "x".repeat(70_000)}))
        .await;
    let bad = shop.add("mail", "job", json!({"fail": "no"})).await;
    eventually("the payload has expired", SOON, || async {
        (!shop.redis.run::<bool>(&["EXISTS", &format!("arq:job:{lost}")])).then_some(())
    })
    .await;
    shop.drover.knows("mail").await;
    shop.work("mail", "w").await;
    for id in [&lost, &long, &bad] {
        shop.failed(id).await;
    }
    shop.stop("w").await;
    for (id, why) in [
        (&lost, "has no arguments"),
        (&good, "Only a failed job"),
        (&long, "64 KiB or more"),
    ] {
        says(&shop.act(id, "retry", json!({})).await, 422, why);
        assert_eq!(shop.status(id).await, "complete");
    }
    // A job that was added with the same id since: the library refuses that itself while a result is there.
    for (queue, id) in [("mail", "arq:job:"), ("mail", "arq:in-progress:")] {
        let key = format!("{id}{bad}");
        shop.redis.run::<()>(&["SET", &key, "1"]);
        says(&shop.act(&bad, "retry", json!({})).await, 412, "waits or runs already");
        shop.redis.run::<()>(&["DEL", &key]);
        assert_eq!(shop.redis.run::<u64>(&["ZCARD", queue]), 0);
    }
    // An abort that nothing took is not one of the new run.
    shop.redis.run::<()>(&["ZADD", "arq:abort", "1", &bad]);
    let answers = tokio::join!(shop.act(&bad, "retry", json!({})), shop.act(&bad, "retry", json!({})));
    let mut statuses = [answers.0.status, answers.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1], 412);
    assert!(!shop.redis.run::<bool>(&["EXISTS", "arq:abort"]));
    assert_eq!(shop.redis.run::<Vec<String>>(&["ZRANGE", "mail", "0", "-1"]), [&*bad]);
}
