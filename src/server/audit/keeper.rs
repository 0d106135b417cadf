//! Where a line of the audit log goes: to the table in Postgres, or, while that cannot take it, to the replica's own
//! file.
//!
//! One task adds lines, so that they keep their order. Lines that are only in the file are carried over as soon as
//! Postgres takes lines again; until all of them are, new lines go to the file too, behind them. So no line is lost or
//! added twice, and an action is only refused when neither can be written. Another task reads what other replicas
//! added.

use super::Unwritten;
use super::index::{ENTRIES, Index};
use super::journal::Journal;
use super::ledger::Added;
use super::record::Record;
use super::spool::Spool;
use crate::server::adapter::Trouble;
use crate::server::archive::Archive;
use crate::server::tasks::Tasks;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// Lines that are added together at most.
const GROUP: usize = 256;

/// How often the task checks whether there are lines to carry over.
const LOOK: Duration = Duration::from_millis(500);

/// How often the lines of other replicas are read.
const FOLLOW: Duration = Duration::from_millis(300);

/// Lines that are read at a time.
const PAGE: i64 = 2_000;

/// How often this replica writes its heartbeat.
const SIGN: Duration = Duration::from_secs(5);

/// How often the end of the chain is written to the log, where a user who changes the table cannot change it.
const TELL: Duration = Duration::from_secs(3_600);

/// How long [`Keeper::append`] waits for a line: for Postgres and then for the file.
const PATIENCE: Duration = Duration::from_secs(13);

/// A line on its way.
struct Line {
    record: Record,
    flush: bool,
    done: oneshot::Sender<Result<(), Unwritten>>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Keeper {
    archive: Arc<Archive>,
    /// This process, in the shared audit log.
    replica: String,
    lines: mpsc::UnboundedSender<Line>,
    /// Whether lines in the file are still to be carried over.
    behind: Arc<Mutex<bool>>,
}

impl Keeper {
    pub(super) fn start(
        archive: Arc<Archive>,
        journal: Arc<Journal>,
        index: Arc<Mutex<Index>>,
        spool: Spool,
        tasks: &Tasks,
    ) -> Self {
        let (lines, inbox) = mpsc::unbounded_channel();
        let behind = Arc::new(Mutex::new(true));
        let replica = format!("{:016x}", rand::random::<u64>());
        let writer = Writer {
            archive: archive.clone(),
            journal,
            spool,
            behind: behind.clone(),
        };
        let writing = Arc::new(tokio::sync::Mutex::new((writer, inbox)));
        // Ends when all senders are dropped, so that lines under way at the stop of the server are still written.
        tasks.see_through_alone("audit writer", move || {
            let writing = writing.clone();
            async move {
                let (writer, inbox) = &mut *writing.lock().await;
                // After a failure, lines that were under way may be in the file alone.
                writer.set_behind(true);
                writer.run(inbox).await;
            }
        });
        let (of, me) = (archive.clone(), replica.clone());
        tasks.keep("audit reader", move || {
            let reader = Reader {
                archive: of.clone(),
                replica: me.clone(),
                index: index.clone(),
                last: None,
                signed: None,
                told: None,
            };
            reader.run()
        });
        Self {
            archive,
            replica,
            lines,
            behind,
        }
    }

    pub(super) fn replica(&self) -> &str {
        &self.replica
    }

    /// Adds a line; when this returns, it is durable in one of the two.
    pub(super) async fn append(&self, record: Record, flush: bool) -> Result<(), Unwritten> {
        let (done, written) = oneshot::channel();
        let gone = || Unwritten::NoRecord("the audit log writer has stopped".into());
        self.lines.send(Line { record, flush, done }).map_err(|_| gone())?;
        match timeout(PATIENCE, written).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(Unwritten::NoRecord(format!(
                "neither Postgres nor the disk accepted a line within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    /// Where lines go now.
    ///
    /// # Errors
    ///
    /// Why they go to the file.
    pub(super) fn place(&self) -> Result<String, String> {
        match self.archive.shared().ready() {
            Ok(()) if !*self.behind.lock().unwrap_or_else(PoisonError::into_inner) => {
                Ok(format!("the table drover.audit at {}", self.archive.address()))
            }
            Ok(()) => Err("its entries are being copied to Postgres".into()),
            Err(trouble) => Err(trouble.cause),
        }
    }
}

struct Writer {
    archive: Arc<Archive>,
    journal: Arc<Journal>,
    spool: Spool,
    behind: Arc<Mutex<bool>>,
}

impl Writer {
    async fn run(&mut self, inbox: &mut mpsc::UnboundedReceiver<Line>) {
        let mut odd = 0;
        loop {
            let can = self.archive.shared().ready().is_ok();
            // Lines to carry over do not wait for new ones.
            let pause = if self.is_behind() && can { Duration::ZERO } else { LOOK };
            let mut lines = Vec::new();
            match timeout(pause, inbox.recv_many(&mut lines, GROUP)).await {
                Ok(0) => return,
                Ok(_) => self.take(lines).await,
                Err(_) => {}
            }
            if self.is_behind() && self.archive.shared().ready().is_ok() {
                match self.carry().await {
                    Ok(more) => odd += more,
                    Err(why) => {
                        tracing::warn!("the entries in the audit file are not copied to Postgres yet: {why}");
                        sleep(LOOK).await;
                    }
                }
                if odd > 0 && !self.is_behind() {
                    tracing::warn!("{odd} line(s) of the audit file are no records and stay in the file alone");
                    odd = 0;
                }
            }
        }
    }

    fn is_behind(&self) -> bool {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_behind(&self, behind: bool) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = behind;
    }

    async fn take(&self, lines: Vec<Line>) {
        let mut why = None;
        if !self.is_behind() {
            let records: Vec<Record> = lines.iter().map(|line| line.record.clone()).collect();
            match self.archive.record(&records, false).await {
                Ok(added) => {
                    for (line, added) in lines.into_iter().zip(added) {
                        let _ = line.done.send(match added {
                            Added::There => Ok(()),
                            Added::KeyTaken(same) => Err(Unwritten::KeyTaken(same)),
                        });
                    }
                    return;
                }
                Err(trouble) => {
                    tracing::warn!("the audit log continues in the file until Postgres accepts entries: {trouble}");
                    why = Some(trouble.cause);
                }
            }
        }
        // From the first of them on: also one that may be in Postgres already, which skips it.
        self.set_behind(true);
        let written = lines.iter().map(|line| self.journal.append(&line.record, line.flush));
        let written = futures::future::join_all(written).await;
        for (line, written) in lines.into_iter().zip(written) {
            let _ =
                line.done.send(written.map_err(|file| {
                    Unwritten::NoRecord(why.iter().fold(file, |file, why| format!("{file} And {why}")))
                }));
        }
    }

    /// Carries some lines over; returns how many could not be read.
    async fn carry(&mut self) -> Result<u64, String> {
        let spool = std::mem::replace(&mut self.spool, Spool::none());
        let read = move || (spool.next(), spool);
        let read = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| error.to_string())?;
        self.spool = read.1;
        let batch = read.0.map_err(|error| error.to_string())?;
        if batch.is_end() {
            self.set_behind(false);
            return Ok(0);
        }
        if !batch.records.is_empty() {
            let done = self.archive.record(&batch.records, true).await;
            done.map_err(|trouble| trouble.cause)?;
        }
        let odd = batch.odd;
        self.spool.carried(batch).map_err(|error| error.to_string())?;
        Ok(odd)
    }
}

/// Keeps the newest part in memory the same on all replicas.
struct Reader {
    archive: Arc<Archive>,
    replica: String,
    index: Arc<Mutex<Index>>,
    /// The last line that was read.
    last: Option<i64>,
    signed: Option<Instant>,
    told: Option<Instant>,
}

impl Reader {
    async fn run(mut self) {
        self.index().alive(HashSet::from([self.replica.clone()]));
        loop {
            if self.archive.shared().ready().is_ok()
                && let Err(trouble) = self.look().await
            {
                tracing::debug!(%trouble, "the audit entries of other replicas are not known");
            }
            sleep(FOLLOW).await;
        }
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        if self.signed.is_none_or(|at| at.elapsed() >= SIGN) {
            let mut alive = self.archive.alive(&self.replica).await?;
            alive.insert(self.replica.clone());
            self.index().alive(alive);
            self.signed = Some(Instant::now());
        }
        if self.told.is_none_or(|at| at.elapsed() >= TELL) {
            let (seq, hash) = self.archive.record_head().await?;
            tracing::info!(lines = seq, last = hash, "the audit log");
            self.told = Some(Instant::now());
        }
        let begin = match self.last {
            Some(last) => last,
            None => {
                let newest = i64::try_from(ENTRIES).unwrap_or(i64::MAX) * 2;
                self.archive.record_head().await?.0.saturating_sub(newest).max(0)
            }
        };
        self.last = Some(begin);
        loop {
            let lines = self.archive.recorded(self.last.unwrap_or(begin), PAGE).await?;
            let Some((last, _)) = lines.last() else { return Ok(()) };
            self.last = Some(*last);
            let records: Vec<Record> = lines
                .iter()
                .filter_map(|(_, line)| serde_json::from_str(line).ok())
                .collect();
            let mut index = self.index();
            for record in records {
                index.share(record);
            }
        }
    }
}
