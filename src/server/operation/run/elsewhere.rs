//! An operation that several replicas see: this replica runs it while it holds the lease, and otherwise shows it as its
//! owner reports it.

use super::super::journal::{Home, Log, Meta, Past};
use super::super::shared::Held;
use super::{Run, Wanted};
use crate::model::operation::{Operation, OperationState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

impl Run {
    /// One that another replica runs, or ran.
    #[must_use]
    pub fn shown(meta: Meta, told: Operation, home: Home) -> Self {
        let run = Self::new(meta, vec![], Past::default(), home, None);
        run.show(told);
        run
    }

    fn elsewhere(&self) -> MutexGuard<'_, Option<Operation>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another replica runs it, or ran it last.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere().is_some()
    }

    pub(super) fn told_elsewhere(&self) -> Option<Operation> {
        self.elsewhere().clone()
    }

    /// From now on shows it as another replica reports it.
    pub fn show(&self, told: Operation) {
        *self.elsewhere() = Some(told);
    }

    /// The state it is in.
    pub fn state(&self) -> OperationState {
        let elsewhere = self.elsewhere().as_ref().map(|told| told.state);
        elsewhere.unwrap_or_else(|| self.progress().standing.state)
    }

    /// Whether all replicas see it.
    pub const fn is_shared(&self) -> bool {
        matches!(self.home, Home::Shared(_))
    }

    /// The lease, while this process holds it.
    pub fn held(&self) -> Option<&Arc<Held>> {
        match &self.log {
            Some(Log::Shared(held)) if !held.is_lost() => Some(held),
            _ => None,
        }
    }

    /// Returns once it is certain that no other replica runs it, and never if one does; the result is whether that took
    /// time.
    pub(super) async fn ours(&self) -> bool {
        let Some(Log::Shared(held)) = &self.log else {
            return false;
        };
        let late = held.is_late();
        if late {
            let why = "Waiting: the Postgres that stores its progress does not answer.".to_owned();
            self.stand(OperationState::Running, why).await;
            held.renewed(|| self.told()).await;
        }
        late
    }

    /// Notes the number of control requests so far; returns whether it has grown.
    pub fn note_requests(&self, asked: i64) -> bool {
        self.asked.fetch_max(asked, Ordering::Relaxed) < asked
    }

    /// Begins with the last control request.
    pub fn begin_with(&self, wanted: &str, asked: i64) {
        self.note_requests(asked);
        self.wanted.send_replace(match wanted {
            "pause" => Wanted::Pause,
            "cancel" => Wanted::Cancel,
            _ => Wanted::Work,
        });
    }
}
