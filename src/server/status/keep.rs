//! The minutes behind the bars: read from Drover's own data once it can be used, added to as they pass, and now and then read
//! again for what other replicas saw. Nothing waits for it; while it cannot be used, the minutes are in memory.

use super::Status;
use crate::server::adapter::Trouble;
use crate::server::database::OwnData;
use crate::server::database::days::{KEPT, day_of};
use crate::server::database::status_days::Row;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often to look for minutes to write.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// How soon reading is tried again, before the first reading.
const FIRST_READ_AGAIN: Duration = Duration::from_millis(500);

/// How often the last two days are read again, and what is too old is removed.
const AGAIN: Duration = Duration::from_secs(300);
const FORGET: Duration = Duration::from_secs(3_600);

pub(super) async fn keep(status: Arc<Status>, data: OwnData) {
    let mut keeper = Keeper {
        ids: status.settings.components.iter().map(|one| one.id.clone()).collect(),
        status,
        data,
        read: None,
        forgot: None,
    };
    let mut told = false;
    loop {
        match keeper.turn().await {
            Ok(()) => told = false,
            // Before it answers for the first time there is nothing to tell.
            Err(trouble) if !told && keeper.data.ready().is_ok() => {
                tracing::warn!("the status page's history is in memory only for now: {trouble}");
                told = true;
            }
            Err(_) => {}
        }
        sleep(if keeper.read.is_some() {
            WRITE_EVERY
        } else {
            FIRST_READ_AGAIN
        })
        .await;
    }
}

struct Keeper {
    ids: Vec<String>,
    status: Arc<Status>,
    data: OwnData,
    read: Option<Instant>,
    forgot: Option<Instant>,
}

impl Keeper {
    async fn turn(&mut self) -> Result<(), Trouble> {
        let today = day_of(crate::model::now());
        let first = self.read.is_none();
        if self.read.is_none_or(|at| at.elapsed() >= AGAIN) {
            let from = if first { today - KEPT + 1 } else { today - 1 };
            let rows = self.data.days(&self.ids, from).await?;
            let mut days = self.status.days();
            for (component, number, day) in rows {
                if let Some(i) = self.ids.iter().position(|id| *id == component) {
                    days[i].merge(number, &day);
                }
            }
            self.read = Some(Instant::now());
            self.status.recalled.store(true, Ordering::Release);
        }
        self.write().await?;
        if self.forgot.is_none_or(|at| at.elapsed() >= FORGET) {
            self.data.forget_days(today - KEPT + 1).await?;
            self.forgot = Some(Instant::now());
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), Trouble> {
        let mut rows: Vec<(usize, Row)> = Vec::new();
        for (i, days) in self.status.days().iter_mut().enumerate() {
            let unwritten = days.take_unwritten().into_iter();
            rows.extend(unwritten.map(|(number, day)| (i, (self.ids[i].clone(), number, day))));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let (places, rows): (Vec<usize>, Vec<Row>) = rows.into_iter().unzip();
        let done = self.data.note_days(&rows).await;
        if done.is_err() {
            let mut days = self.status.days();
            for (i, (_, number, _)) in places.into_iter().zip(rows) {
                days[i].not_written(number);
            }
        }
        done
    }
}
