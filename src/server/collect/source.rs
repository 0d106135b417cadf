//! Where a collector reads: the connection to its store, whatever kind of store it is.

use super::conditions::postgres as postgres_conditions;
use super::conditions::{Conditions, Own};
use crate::model::Millis;
use crate::model::condition::Condition;
use crate::model::vitals::sentinel::SentinelReport;
use crate::server::adapter::Trouble;
use crate::server::adapter::postgres::database::Database;
use crate::server::adapter::redis::link::Link;
use crate::server::adapter::rhythm::Rhythm;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Clone, Debug)]
pub enum Source {
    /// A Redis.
    Redis(Arc<Link>),
    /// A Postgres.
    Postgres(Arc<Database>),
}

impl Source {
    /// The word for it in the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Where it is, without a password.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Redis(link) => link.label(),
            Self::Postgres(database) => database.address().to_owned(),
        }
    }

    /// Keeps the connection alive until `stop`.
    pub async fn supervise(self, stop: CancellationToken) {
        match self {
            Self::Redis(link) => link.supervise(stop).await,
            Self::Postgres(database) => database.supervise(stop).await,
        }
    }

    /// Commands or statements sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        match self {
            Self::Redis(link) => link.commands_sent(),
            Self::Postgres(database) => database.statements_sent(),
        }
    }

    pub(super) fn health(&self) -> watch::Receiver<Result<(), Trouble>> {
        match self {
            Self::Redis(link) => link.health(),
            Self::Postgres(database) => database.health(),
        }
    }

    /// Why what Sentinels said may be out of date.
    pub(super) fn sentinels_doubt(&self) -> Option<String> {
        match self {
            Self::Redis(link) => link.sentinels_doubt(),
            Self::Postgres(_) => None,
        }
    }

    /// What Sentinels say; `None` where there are none.
    #[must_use]
    pub fn sentinels(&self) -> Option<SentinelReport> {
        match self {
            Self::Redis(link) => link.sentinels(),
            Self::Postgres(_) => None,
        }
    }

    /// How often it is asked.
    pub(super) fn rhythm(&self) -> &Rhythm {
        match self {
            Self::Redis(link) => link.rhythm(),
            Self::Postgres(database) => database.rhythm(),
        }
    }

    /// Why nothing can be changed with the rights of our user; `None` while that is not known.
    pub(super) fn may_not_act(&self) -> Option<String> {
        match self {
            Self::Redis(link) => link.rights().refusal(link.user()),
            // The action itself reports which grant it lacks.
            Self::Postgres(_) => None,
        }
    }

    /// Notes that a caller asks for what our user may not do: it may have been permitted since.
    pub fn doubt_rights(&self) {
        if let Self::Redis(link) = self {
            link.rights().doubt();
        }
    }

    /// Whether something that was refused is to be tried again.
    pub(super) fn wants_another_try(&self) -> bool {
        match self {
            Self::Redis(link) => link.refusals().wants_another_try(),
            Self::Postgres(_) => false,
        }
    }

    /// Whether the store tells of changes by itself.
    pub(super) fn pushes(&self) -> bool {
        match self {
            Self::Redis(link) => link.refusals().unpushed.is_empty(),
            Self::Postgres(_) => true,
        }
    }

    /// Everything that is the matter although it answers, the worst first.
    pub(super) fn conditions(&self, known: &mut Conditions, at: Millis, own: &Own) -> Vec<Condition> {
        match self {
            Self::Redis(link) => {
                let refusals = link.refusals().clone();
                known.list(at, link.user(), &refusals, own)
            }
            Self::Postgres(database) => postgres_conditions::list(known, at, own, database.dropped()),
        }
    }
}
