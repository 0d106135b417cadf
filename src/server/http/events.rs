//! `GET {base}/events`: the stream of changes.
//!
//! `topics` is a comma-separated list (see [`Topic`]); `after`, or the `Last-Event-ID` header of a
//! browser that reconnects, is where to go on. A topic may carry a place of its own, `topic@position`:
//! one stream may serve several pages, each made at its own moment. `pace`, in milliseconds, is the shortest time between two
//! sendings: what changes meanwhile is sent together. Each stream holds a position and nothing else; a
//! frame is made once and shared by all who get it. A slow reader is not sent what it has no room
//! for: when it has room again it gets what it missed, or a snapshot.

use super::caller::{Caller, Recheck, peer_of};
use super::encoding::{self, accepts};
use super::problem::refuse;
use crate::model::event::{BadTopic, Bye, HEARTBEAT_MS, Heartbeat, RENEWAL_MS, Refused, Topic};
use crate::model::now;
use crate::model::permission::Verb;
use crate::server::auth::who::{Via, Who};
use crate::server::collect::board::{Position, Subscription};
use crate::server::http::extract::Query;
use crate::server::http::state::{App, StreamPlace};
use crate::server::service::Refusal;
use crate::server::wire::{Gzip, Part};
use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

mod narrow;

/// See [`HEARTBEAT_MS`].
const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS as u64);

/// How often a stream checks that its session or token lasts, beside each change that it is notified of.
const RECHECK: Duration = Duration::from_secs(5);

/// Seconds that a stream lasts if a proxy named its reader, random for each: then the browser opens it again through the proxy,
/// which can refuse.
const VOUCHED: std::ops::Range<u64> = 45..55;

/// The longest pace.
const PACE_MAX_MS: u64 = 60_000;

/// Topics on one stream.
const TOPICS_MAX: usize = 32;

/// After a stop, clients come back spread over this many milliseconds.
const RETURN_WITHIN_MS: u32 = 5_000;

/// The query parameters.
#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    topics: Option<String>,
    after: Option<String>,
    pace: Option<String>,
}

/// Opens a stream.
pub async fn stream(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let names = query.topics.as_deref().unwrap_or("overview");
    let topics: Result<Vec<(Topic, Option<Position>)>, _> = names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| {
            // An `@` within a topic is escaped. A place that is none is answered with a snapshot.
            let (topic, at) = name.split_once('@').unwrap_or((name, ""));
            Ok((topic.parse()?, at.parse().ok()))
        })
        .collect();
    let topics = match topics {
        Ok(topics) if (1..=TOPICS_MAX).contains(&topics.len()) => topics,
        Ok(_) => return bad_topics(format!("Name 1 to {TOPICS_MAX} topics.")),
        Err::<_, BadTopic>(error) => return bad_topics(format!("One of {names:?} is {error}.")),
    };
    // A topic about an unknown store is refused. If it is one of several, the others are followed all
    // the same: they may belong to other tabs of the browser.
    let mut ready = VecDeque::from([Arc::new(Part::new("retry: 3000\n\n")), heartbeat()]);
    let mut followed = Vec::with_capacity(topics.len());
    let mut last_refusal = None;
    for (topic, at) in topics {
        match may_follow(&app, &caller.who, &topic) {
            Err(refusal) => {
                let (topic, detail) = (topic.to_string(), refusal.to_string());
                ready.push_back(frame("refused", &Refused { topic, detail }));
                last_refusal = Some(refusal);
            }
            Ok(()) => followed.push((topic, at)),
        }
    }
    if let Some(refusal) = last_refusal.filter(|_| followed.is_empty()) {
        return refusal.into_response();
    }
    let Some(place) = app.open_stream() else {
        let mut response = refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-streams",
            "Too many streams",
            "All event streams are in use (max_streams). The page still works; reload it to see changes.",
        )
        .into_response();
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("15"));
        // A connection kept for the next request would take the very place that is missing.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    // A browser that reconnects by itself repeats the first address and adds the header: the header
    // is newer.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.and_then(|text| text.parse::<Position>().ok());
    let query_after = query.after.and_then(|text| text.parse::<Position>().ok());
    let followed = followed
        .into_iter()
        .map(|(topic, at)| (topic, last.or(at).or(query_after)));
    let packed = accepts(&headers, "gzip");
    let follower = Follower {
        subscription: app.board().subscribe_each(followed),
        ready,
        heartbeat: Instant::now() + HEARTBEAT,
        stop: app.stop().clone(),
        narrowed: (!narrow::is_needless(&caller.who)).then(|| caller.who.clone()),
        ends: matches!(caller.who.via, Via::Proxy)
            .then(|| Instant::now() + Duration::from_secs(rand::random_range(VOUCHED))),
        standing: Recheck::of(app.auth(), &caller.who, &headers, peer_of(&extensions)),
        recheck: Instant::now() + RECHECK,
        app,
        ended: false,
        pace: query
            .pace
            .and_then(|pace| pace.parse().ok())
            .map_or(0, |pace: u64| pace.min(PACE_MAX_MS)),
        next: Instant::now(),
        gzip: packed.then(Gzip::default),
        _place: place,
    };
    let frames = futures::stream::unfold(follower, |mut follower| async move {
        let bytes = match (follower.next().await, &mut follower.gzip) {
            (Some(part), None) => part.plain().clone(),
            (Some(part), Some(gzip)) => gzip.add(&part),
            (None, _) => follower.gzip.take()?.end(),
        };
        Some((Ok::<_, Infallible>(bytes), follower))
    });
    let mut response = Body::from_stream(frames).into_response();
    encoding::mark(response.headers_mut(), packed);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        // Tells nginx not to hold frames back, whatever its configuration.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a caller may follow a topic.
fn may_follow(app: &App, who: &Who, topic: &Topic) -> Result<(), Refusal> {
    let view = app.view(who);
    match topic {
        Topic::Overview | Topic::Trouble => Ok(()),
        Topic::Store(store) => view.store(store).map(|_| ()),
        Topic::Queue(queue) | Topic::Job(queue, _) => {
            view.store(&queue.store)?;
            app.service().may(who, Verb::View, Some(queue))
        }
        // An operation that does not exist yet may be followed by callers who see everything.
        Topic::Operation(_) if who.sees_all() => Ok(()),
        Topic::Operation(id) => view.operation(id).map(|_| ()),
    }
}

fn bad_topics(detail: String) -> Response {
    refuse(StatusCode::BAD_REQUEST, "bad-topics", "Bad topics", detail).into_response()
}

struct Follower {
    subscription: Subscription,
    /// Taken from the board and not yet asked for by the socket: at most one batch.
    ready: VecDeque<Arc<Part>>,
    heartbeat: Instant,
    stop: CancellationToken,
    /// The reader, if they do not see everything.
    narrowed: Option<Who>,
    /// Whether the caller who opened the stream may still read it (S-7).
    standing: Recheck,
    recheck: Instant,
    /// When the proxy has to name the reader again.
    ends: Option<Instant>,
    app: App,
    ended: bool,
    /// Milliseconds between two sendings, and when the next may be.
    pace: u64,
    next: Instant,
    /// Where the reader accepts it: the stream as it is sent.
    gzip: Option<Gzip>,
    _place: StreamPlace,
}

impl Follower {
    /// The next frame, when there is one; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Arc<Part>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                self.heartbeat = Instant::now() + HEARTBEAT;
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            if self.ends.is_some_and(|ends| ends <= Instant::now()) {
                self.ended = true;
                self.ready.push_back(frame("bye", &Bye { retry_ms: RENEWAL_MS }));
                continue;
            }
            if self.recheck <= Instant::now() {
                self.recheck = Instant::now() + RECHECK;
                if !self.standing.holds(self.app.auth()).await {
                    self.ended = true;
                    self.ready.push_back(frame("auth_expired", &serde_json::json!({})));
                    continue;
                }
            }
            let paced = self.next > Instant::now();
            let new = if paced { vec![] } else { self.subscription.take() };
            if !new.is_empty() {
                self.next = Instant::now() + Duration::from_millis(self.pace);
            }
            match &self.narrowed {
                None => self.ready.extend(new),
                Some(who) => self
                    .ready
                    .extend(new.into_iter().filter_map(|event| narrow::narrow(event, who))),
            }
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.ended = true;
                    self.ready.push_back(frame("bye", &Bye { retry_ms: rand::random_range(500..RETURN_WITHIN_MS) }));
                }
                () = self.subscription.changed(), if !paced => {}
                () = sleep_until(self.next), if paced => {}
                () = self.standing.changed() => self.recheck = Instant::now(),
                () = sleep_until(self.ends.map_or(self.recheck, |ends| ends.min(self.recheck))) => {}
                () = sleep_until(self.heartbeat) => self.ready.push_back(heartbeat()),
            }
        }
    }
}

fn heartbeat() -> Arc<Part> {
    frame("heartbeat", &Heartbeat { now: now() })
}

fn frame(event: &str, data: &impl serde::Serialize) -> Arc<Part> {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".into());
    Arc::new(Part::new(format!("event: {event}\ndata: {json}\n\n")))
}
