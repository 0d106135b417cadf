//! What was seen of a store over the last hour: a sample of each of its reports, the last report
//! whole, and how long the `PING` of its connection's supervisor took.
//!
//! The collector hands over the answer to the `INFO` it sends anyway, and what it asks for every few minutes because it
//! decides how well the store is; a page that asks for the same hands it over too, so that both judge by the same facts.
//! Nothing is sent from here. The `PING` goes over the connection that all reads share, so it is what the board's own
//! reads feel: the network, the server, and the clients that keep the server busy.

use crate::model::vitals::postgres::facts::Health;
use crate::model::vitals::{Answered, Judged, Ping, Report, Series, Settings, Watched};
use crate::model::{Millis, now};
use crate::server::adapter::redis::ask::{self, Forbidden};
use crate::server::adapter::redis::{reply, report};
use crate::server::collect::source::Source;
use crate::server::verdict::{self, Concern};
use redis::{RedisResult, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long samples are kept.
pub const KEEP: Millis = 3_600_000;

/// Samples kept at most: a report every five seconds, with some to spare.
const SAMPLES_MAX: usize = 800;

/// How long a round trip counts.
const PING_KEEP: Millis = 60_000;

/// Time to watch before growth is worth a number.
const SETTLE: Millis = 60_000;

/// Growth below this, in bytes per hour, is no direction: buffers come and go.
const STILL: f64 = 1_000_000.0;

/// One report, reduced to what is drawn and measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Millis,
    /// Memory in use, in bytes.
    pub used: Option<u64>,
    /// Connections.
    pub clients: Option<u64>,
    /// Commands per second since the sample before; by the server's own measure for the first.
    pub per_second: Option<f64>,
    /// The longest round trip since the sample before, in microseconds.
    pub ping_us: Option<u32>,
    commands: Option<u64>,
    hits: Option<u64>,
    misses: Option<u64>,
    evicted: Option<u64>,
    expired: Option<u64>,
}

impl Sample {
    /// What a drawing shows of it.
    #[must_use]
    pub fn value(&self, series: Series) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a drawing needs no more precision")]
        let float = |n: Option<u64>| n.map(|n| n as f64);
        match series {
            Series::Memory => float(self.used),
            Series::Commands => self.per_second,
            Series::Clients => float(self.clients),
            Series::Latency => self.ping_us.map(|us| f64::from(us) / 1000.0),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Vitals {
    inner: Mutex<Inner>,
    /// What the server's access rules forbid to ask.
    forbidden: Forbidden,
}

#[derive(Debug, Default)]
struct Inner {
    samples: VecDeque<Sample>,
    /// Samples before this one are of an earlier life of the process: its counters began again.
    born: Millis,
    report: Option<Report>,
    /// Why there is no report, while the server refuses to give one.
    refused: Option<Answered<Report>>,
    pings: VecDeque<(Millis, u32)>,
    longest: Option<u32>,
    /// Of a Redis: its settings, as they were asked for last.
    settings: Option<Answered<Settings>>,
    /// Of a Postgres: what it said when it was examined last.
    health: Option<Arc<Health>>,
}

impl Vitals {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server's access rules forbid to ask.
    #[must_use]
    pub const fn forbidden(&self) -> &Forbidden {
        &self.forbidden
    }

    /// Takes in a Redis' settings.
    pub fn note_settings(&self, settings: Answered<Settings>) {
        self.inner().settings = Some(settings);
    }

    /// Takes in what a Postgres said when it was examined.
    pub fn note_health(&self, health: Arc<Health>) {
        self.inner().health = Some(health);
    }

    /// What to think of each part of a Redis.
    #[must_use]
    pub fn judgements(&self, at: Millis) -> Vec<Judged> {
        let Answered::Known(report) = self.report() else {
            return vec![];
        };
        let settings = self.inner().settings.clone();
        let settings = settings.unwrap_or_else(|| Answered::Failed("not asked yet".into()));
        verdict::vitals::judge(&report, &self.watched(at), &settings, at)
    }

    /// What is the matter with the parts of the store, the worst first.
    #[must_use]
    pub fn concerns(&self, at: Millis) -> Vec<Concern> {
        let health = self.inner().health.clone();
        let mut concerns: Vec<Concern> = match health {
            Some(health) => verdict::postgres::judge(&health)
                .iter()
                .filter_map(Concern::of_postgres)
                .collect(),
            None => self.judgements(at).iter().filter_map(Concern::of_redis).collect(),
        };
        concerns.sort_by_key(|concern| concern.level);
        concerns
    }

    /// Takes in the answer to `INFO`.
    pub fn hear(&self, replies: &[RedisResult<Value>]) {
        match replies.first() {
            Some(Ok(value)) => {
                if let Some(text) = reply::text(value) {
                    let _ = self.note(report::parse(&text, now()));
                }
            }
            Some(Err(error)) => self.inner().refused = Some(ask::refusal(error, "+info")),
            None => {}
        }
    }

    /// Takes in a report. Gives how many commands a second there were since the one before.
    pub fn note(&self, report: Report) -> Option<f64> {
        let mut inner = self.inner();
        let at = report.at;
        let before = inner.samples.back().copied();
        let restarted = inner.report.as_ref().is_some_and(|known| {
            known.run_id != report.run_id || known.uptime_s.zip(report.uptime_s).is_some_and(|(old, new)| new < old)
        });
        if restarted || before.is_none() {
            inner.born = at;
        }
        let traffic = &report.traffic;
        let since_before = before.filter(|_| !restarted).and_then(|before| {
            let commands = traffic.commands?.checked_sub(before.commands?)?;
            (at > before.at).then(|| per_second(commands, at - before.at))
        });
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more precision")]
        let sample = Sample {
            at,
            used: report.memory.used,
            clients: report.clients.connected,
            per_second: since_before.or_else(|| traffic.per_second.map(|n| n as f64)),
            ping_us: inner.longest.take(),
            commands: traffic.commands,
            hits: traffic.hits,
            misses: traffic.misses,
            evicted: traffic.evicted,
            expired: traffic.expired,
        };
        inner.samples.push_back(sample);
        while inner.samples.len() > SAMPLES_MAX || inner.samples.front().is_some_and(|s| at - s.at > KEEP) {
            inner.samples.pop_front();
        }
        inner.report = Some(report);
        inner.refused = None;
        sample.per_second
    }

    /// Takes in a round trip.
    pub fn note_ping(&self, at: Millis, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let mut inner = self.inner();
        inner.longest = inner.longest.max(Some(us));
        inner.pings.push_back((at, us));
        while inner.pings.front().is_some_and(|(then, _)| at - then > PING_KEEP) {
            inner.pings.pop_front();
        }
    }

    /// The last report there was, or why there is none.
    #[must_use]
    pub fn report(&self) -> Answered<Report> {
        let inner = self.inner();
        match (&inner.refused, &inner.report) {
            (Some(refused), _) => refused.clone(),
            (None, Some(report)) => Answered::Known(report.clone()),
            (None, None) => Answered::Failed("nothing has been read from it yet".into()),
        }
    }

    /// The samples of the last hour, oldest first.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.inner().samples.iter().copied().collect()
    }

    /// What all samples say together.
    #[must_use]
    pub fn watched(&self, at: Millis) -> Watched {
        let inner = self.inner();
        let life: Vec<&Sample> = inner.samples.iter().filter(|s| s.at >= inner.born).collect();
        let mut watched = Watched {
            ping: ping(&inner.pings, at),
            ..Watched::default()
        };
        let (Some(first), Some(last)) = (life.first(), life.last()) else {
            return watched;
        };
        let grown = |of: fn(&Sample) -> Option<u64>| of(last)?.checked_sub(of(first)?);
        watched.span_ms = last.at - first.at;
        watched.commands_per_second = last.per_second;
        watched.evicted = grown(|s| s.evicted);
        watched.expired = grown(|s| s.expired);
        if let Some((hits, misses)) = grown(|s| s.hits).zip(grown(|s| s.misses)) {
            watched.lookups = hits + misses;
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more precision")]
            let rate = hits as f64 / watched.lookups as f64;
            watched.hit_rate = (watched.lookups > 0).then_some(rate);
        }
        if watched.span_ms >= SETTLE
            && let Some(slope) = slope(&life)
        {
            let per_hour = slope * 3_600_000.0;
            #[expect(clippy::cast_possible_truncation, reason = "bytes per hour fit")]
            {
                watched.growth_per_hour = Some(per_hour as i64);
            }
            let report = inner.report.as_ref();
            let left = report.and_then(|r| r.memory.max?.checked_sub(r.memory.used?));
            if let Some(left) = left.filter(|_| per_hour > STILL) {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    reason = "an estimate of time"
                )]
                {
                    watched.full_in_ms = Some((left as f64 / slope) as Millis);
                }
            }
        }
        watched
    }

    /// Takes in each `PING` of the connection's supervisor for as long as it is polled.
    pub async fn note_pings(self: Arc<Self>, source: Source) {
        let mut pings = source.rhythm().pings();
        while pings.changed().await.is_ok() {
            let took = *pings.borrow_and_update();
            self.note_ping(now(), took);
        }
    }
}

fn per_second(n: u64, ms: Millis) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more precision")]
    let rate = n as f64 * 1000.0 / ms as f64;
    rate
}

/// The straight line that fits memory best, in bytes per millisecond.
fn slope(samples: &[&Sample]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a slope needs no more precision")]
    let points: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|s| Some(((s.at - samples[0].at) as f64, s.used? as f64)))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "at most 800 points")]
    let n = points.len() as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|p| p.0).sum::<f64>() / n,
        points.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let (mut over, mut under) = (0.0, 0.0);
    for (x, y) in points {
        over += (x - mean_x) * (y - mean_y);
        under += (x - mean_x).powi(2);
    }
    (under > 0.0).then(|| over / under)
}

fn ping(pings: &VecDeque<(Millis, u32)>, at: Millis) -> Option<Ping> {
    let mut times: Vec<u32> = pings
        .iter()
        .filter(|(then, _)| at - then <= PING_KEEP)
        .map(|(_, us)| *us)
        .collect();
    times.sort_unstable();
    Some(Ping {
        median_us: *times.get(times.len() / 2)?,
        max_us: *times.last()?,
        count: u32::try_from(times.len()).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(at: Millis, used: u64, run: &str) -> Report {
        let mut report = Report {
            at,
            run_id: Some(run.into()),
            ..Report::default()
        };
        report.memory.used = Some(used);
        report.memory.max = Some(100_000_000);
        report.traffic.commands = Some(u64::try_from(at).unwrap() / 10);
        report.traffic.hits = Some(u64::try_from(at).unwrap() / 1000 * 3);
        report.traffic.misses = Some(u64::try_from(at).unwrap() / 1000);
        report
    }

    #[test]
    fn growth_and_the_time_to_full_come_from_what_was_watched() {
        let vitals = Vitals::default();
        for i in 0..=24 {
            vitals.note(report(i * 5_000, 50_000_000 + u64::try_from(i).unwrap() * 50_000, "a"));
        }
        let watched = vitals.watched(120_000);
        assert_eq!(watched.span_ms, 120_000);
        // 10 kB a second: 36 MB an hour; 48.8 MB are left.
        assert!(
            (watched.growth_per_hour.unwrap() - 36_000_000).abs() < 1_000,
            "{watched:?}"
        );
        assert!((watched.full_in_ms.unwrap() - 4_880_000).abs() < 1_000, "{watched:?}");
        assert_eq!(watched.hit_rate, Some(0.75));
        assert_eq!(watched.commands_per_second, Some(100.0));
    }

    #[test]
    fn a_memory_that_stays_where_it_is_is_never_full() {
        let vitals = Vitals::default();
        for i in 0..=24 {
            vitals.note(report(i * 5_000, 50_000_000 + u64::try_from(i % 2).unwrap() * 900, "a"));
        }
        assert_eq!(vitals.watched(120_000).full_in_ms, None);
    }

    #[test]
    fn nothing_is_said_about_growth_before_a_minute_has_passed() {
        let vitals = Vitals::default();
        assert_eq!(vitals.watched(0), Watched::default());
        for i in 0..=11 {
            vitals.note(report(i * 5_000, u64::try_from(i).unwrap() * 1_000_000, "a"));
        }
        assert_eq!(vitals.watched(55_000).growth_per_hour, None);
    }

    #[test]
    fn a_restart_begins_all_counters_anew_and_keeps_what_is_drawn() {
        let vitals = Vitals::default();
        vitals.note(report(100_000, 1, "a"));
        vitals.note(report(105_000, 1, "a"));
        let mut young = report(110_000, 1, "b");
        young.traffic.commands = Some(3);
        young.traffic.per_second = Some(2);
        vitals.note(young);
        let watched = vitals.watched(110_000);
        assert_eq!(watched.span_ms, 0);
        assert_eq!(watched.hit_rate, None);
        assert_eq!(watched.commands_per_second, Some(2.0), "by the server's own measure");
        assert_eq!(vitals.samples().len(), 3);
    }

    #[test]
    fn the_hour_never_grows() {
        let vitals = Vitals::default();
        for i in 0..3_000 {
            vitals.note(report(i * 5_000, 1, "a"));
        }
        let samples = vitals.samples();
        assert!(samples.len() <= 721, "{}", samples.len());
        assert_eq!(samples.last().unwrap().at - samples[0].at, KEEP);
    }

    #[test]
    fn round_trips_count_for_a_minute() {
        let vitals = Vitals::default();
        for (at, us) in [(0, 900_000), (30_000, 100), (60_000, 300), (61_000, 200)] {
            vitals.note_ping(at, Duration::from_micros(us));
        }
        let ping = vitals.watched(61_000).ping.unwrap();
        assert_eq!((ping.median_us, ping.max_us, ping.count), (200, 300, 3));
        assert_eq!(vitals.watched(200_000).ping, None, "a silent store has no latency");
        vitals.note(report(62_000, 1, "a"));
        assert_eq!(
            vitals.samples()[0].value(Series::Latency),
            Some(900.0),
            "the chart keeps the worst"
        );
    }
}
