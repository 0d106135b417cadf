//! Automatic archiving: each policy with its results, a run of one now, and what a run would do.
//!
//! Runs begin in [`runner`]; here a caller asks for one and gets its answer.

use self::runner::Policies;
use super::act::NotActed;
use super::archive::unavailable;
use super::operations::Asked;
use super::{Answer, Refusal, Service};
use crate::model::action::JobAction;
use crate::model::action::catalogue::ActionKind;
use crate::model::format;
use crate::model::operation::Preview;
use crate::model::policy::{Policy, PolicyRun, PolicyStanding, PolicyState};
use crate::server::auth::who::Who;
use crate::server::database::policy_runs::Turn;
use crate::server::{archive::Archive, cron};

pub mod runner;

/// Runs that are shown of each policy.
const RUNS: i64 = 10;

impl Service {
    /// What was configured.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    fn policy(&self, id: &str) -> Answer<&Policy> {
        self.policies.get(id).ok_or_else(|| Refusal::NoPolicy(id.to_owned()))
    }

    /// Every policy with its results so far.
    pub(super) async fn policy_standings(&self) -> Answer<Vec<PolicyStanding>> {
        let mut all = vec![];
        for policy in self.policies.all() {
            let archive = self.archived()?;
            all.push(self.standing(archive, policy).await?);
        }
        Ok(all)
    }

    async fn standing(&self, archive: &Archive, policy: &Policy) -> Answer<PolicyStanding> {
        // Right after a start it is not known yet.
        let _ = archive.shared().soon().await;
        let turn = archive.shared().turn(&policy.id).await.map_err(unavailable)?;
        let mut runs = archive.shared().runs(&policy.id, RUNS).await.map_err(unavailable)?;
        for run in &mut runs {
            run.here = run.operation.as_ref().is_some_and(|id| self.operation(id).is_ok());
        }
        let (state, why) = self.state(policy, turn.as_ref(), runs.first());
        let now = turn.as_ref().map_or_else(crate::model::now, |turn| turn.now);
        let (freed_jobs, freed_bytes) = turn.map_or((0, 0), |turn| turn.freed);
        let pattern = cron::words(None, Some(&policy.every.pattern), None);
        Ok(PolicyStanding {
            id: policy.id.clone(),
            sentence: policy.sentence(),
            filter: policy.filter(),
            when: format!("{pattern}, {}", policy.every.zone),
            state,
            why,
            next: runner::next(policy, now).filter(|_| !self.is_read_only()),
            freed_jobs,
            freed_bytes,
            runs,
        })
    }

    fn state(&self, policy: &Policy, turn: Option<&Turn>, last: Option<&PolicyRun>) -> (PolicyState, String) {
        let state = match (turn, last) {
            (Some(turn), _) if turn.held => PolicyState::Running,
            (Some(turn), _) if turn.expired => PolicyState::Due,
            (Some(turn), _) if runner::due(policy, turn.begun, turn.now).is_some() => PolicyState::Due,
            (_, Some(last)) if last.outcome.as_deref() == Some("failed") => PolicyState::Failed,
            _ => PolicyState::Ok,
        };
        let why = match (state, last) {
            _ if self.is_read_only() => "This Drover is read-only and begins no run.".into(),
            (PolicyState::Ok, None) => "It has not run yet.".into(),
            (PolicyState::Failed | PolicyState::Ok, Some(last)) => last.note.clone(),
            _ => String::new(),
        };
        (state, why)
    }

    /// Why a caller may not have policies run; `None` if they may.
    #[must_use]
    pub fn policy_refusal(&self, who: &Who) -> Option<String> {
        self.may_archive(who).err().map(|refusal| refusal.to_string())
    }

    /// Whether a caller may archive at all; whether in these queues is checked when they are known.
    fn may_archive(&self, who: &Who) -> Answer<()> {
        for verb in ActionKind::Archive.row().needs {
            let permission = crate::server::auth::who::Permission {
                verb: *verb,
                queue: None,
            };
            self.actions.may(who, permission)?;
        }
        Ok(())
    }

    /// What a run of a policy would do now.
    pub async fn preview_policy(&self, who: &Who, id: &str) -> Answer<Preview> {
        let policy = self.policy(id)?;
        self.may_archive(who)?;
        let asked = Asked {
            action: JobAction::Archive,
            filter: policy.filter(),
            jobs: vec![],
        };
        self.preview(who, asked).await
    }

    /// Has a run of a policy begin: the id of its operation, or `None` where there is nothing to archive.
    pub async fn run_policy(&self, who: &Who, id: &str, reason: &str) -> Answer<Option<String>> {
        // A caller who may not archive what the policy selects may not have the policy archive it either.
        self.preview_policy(who, id).await?;
        self.archived()?;
        let reason = reason.trim();
        let asked = format!("Run now, asked for by {} ({})", who.name, format::visible(&who.address));
        let reason = if reason.is_empty() {
            format!("{asked}.")
        } else {
            format!("{asked}: {reason}")
        };
        if reason.chars().count() > super::act::REASON_MAX {
            return Err(NotActed::Wrong("reason is too long.".into()).into());
        }
        let begun = self.policies.run(id, reason).await;
        begun.map_err(|why| NotActed::NotNow(why).into())
    }
}
