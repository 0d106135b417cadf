//! Clients of the event stream that measure how old the received changes are.
//!
//! They read bytes and search them; parsing every frame as JSON would take processor time from the measured server.

use crate::Outcome;
use crate::http::Stream;
use crate::load::Sent;
use crate::measure::Samples;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// What watchers have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Ages of counts, as followers of the overview saw them.
    pub(crate) overview: Samples,
    /// Ages of counts, as followers of one queue saw them.
    pub(crate) counts: Samples,
    /// Ages of progress, as followers of one queue saw it.
    pub(crate) progress: Samples,
    /// Frames and bytes received by all.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// Open streams.
#[derive(Debug)]
pub(crate) struct Watchers {
    tasks: Vec<JoinHandle<Seen>>,
    /// Changes sent before this do not count: the streams were still being opened.
    from: Arc<AtomicU64>,
    /// Set when the watchers are to end.
    stop: Arc<AtomicBool>,
}

/// One watcher's task: which queue, and its place in [`Sent`].
struct Watcher {
    overview: bool,
    queue: usize,
    needle: String,
    sent: Arc<Sent>,
    last: u64,
    seen: Seen,
}

impl Watchers {
    /// Opens this many streams on the overview and on single queues, spread over `queues`.
    pub(crate) async fn open(
        port: u16,
        overview: usize,
        single: usize,
        queues: &[String],
        sent: &Arc<Sent>,
    ) -> Outcome<Self> {
        let (from, stop) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for n in 0..overview + single {
            let queue = n % queues.len();
            let topic = if n < overview {
                "overview".to_owned()
            } else {
                format!("queue:redis/{}", queues[queue])
            };
            let stream = Stream::open(port, &topic).await?;
            let watcher = Watcher {
                overview: n < overview,
                queue,
                needle: format!("\"id\":\"{}\",\"counts\":{{", queues[queue]),
                sent: sent.clone(),
                last: 0,
                seen: Seen::default(),
            };
            tasks.push(tokio::spawn(watcher.watch(stream, from.clone(), stop.clone())));
        }
        Ok(Self { tasks, from, stop })
    }

    /// Starts counting.
    pub(crate) fn begin(&self) {
        self.from.store(crate::measure::micros(), Ordering::Relaxed);
    }

    /// Ends the streams and returns the samples.
    pub(crate) async fn finish(self) -> Outcome<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for task in self.tasks {
            let seen = task.await?;
            all.overview.merge(seen.overview);
            all.counts.merge(seen.counts);
            all.progress.merge(seen.progress);
            all.frames += seen.frames;
            all.bytes += seen.bytes;
        }
        Ok(all)
    }
}

impl Watcher {
    async fn watch(mut self, mut stream: Stream, from: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Seen {
        let reading = stream.read(|event, at| self.see(event, at, from.load(Ordering::Relaxed)));
        let ended = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            _ = reading => {}
            () = ended => {}
        }
        self.seen
    }

    fn see(&mut self, event: &str, at: u64, from: u64) {
        if !event.contains("event: delta") {
            return;
        }
        if at >= from {
            self.seen.frames += 1;
            self.seen.bytes += event.len() as u64;
        }
        if let Some(completed) = completed(event, &self.needle) {
            let first = if self.last == 0 { completed } else { self.last + 1 };
            for number in first..=completed {
                if let Some(sent) = self.sent.at(self.queue, number).filter(|sent| *sent >= from) {
                    let samples = if self.overview {
                        &mut self.seen.overview
                    } else {
                        &mut self.seen.counts
                    };
                    samples.add(at.saturating_sub(sent));
                }
            }
            self.last = self.last.max(completed);
        }
        if !self.overview {
            for (place, found) in event.match_indices("\"percent\":") {
                if let Some(sent) = number(&event[place + found.len()..]).filter(|sent| *sent >= from) {
                    self.seen.progress.add(at.saturating_sub(sent));
                }
            }
        }
    }
}

/// The number of completed jobs in a frame for the queue that `needle` names.
fn completed(event: &str, needle: &str) -> Option<u64> {
    let counts = &event[event.find(needle)? + needle.len()..];
    let counts = &counts[..counts.find('}')?];
    let name = "\"completed\":";
    number(&counts[counts.find(name)? + name.len()..])
}

fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}
