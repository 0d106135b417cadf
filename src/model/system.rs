//! The queue systems, and the generations in which they lay out their queues.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The library a queue belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// BullMQ on Redis.
    BullMq,
    /// Bull, its predecessor.
    Bull,
    /// pg-boss on Postgres.
    PgBoss,
    /// Celery on Redis.
    Celery,
    /// arq on Redis.
    Arq,
    /// Lists in Redis that an application works through by itself.
    Lists,
    /// BullMQ Pro on Redis: recognised, not supported.
    #[serde(rename = "bullmq_pro")]
    BullMqPro,
    /// Bee-Queue on Redis: recognised, not supported.
    #[serde(rename = "bee_queue")]
    BeeQueue,
    /// RQ on Redis: recognised, not supported.
    Rq,
    /// Resque on Redis: recognised, not supported.
    Resque,
    /// Sidekiq on Redis: recognised, not supported.
    Sidekiq,
    /// Kue on Redis: recognised, not supported.
    Kue,
    /// A library that this version does not know.
    Unknown,
}

impl System {
    /// The name people use.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BullMq => "BullMQ",
            Self::Bull => "Bull",
            Self::PgBoss => "pg-boss",
            Self::Celery => "Celery",
            Self::Arq => "arq",
            Self::Lists => "Redis lists",
            Self::BullMqPro => "BullMQ Pro",
            Self::BeeQueue => "Bee-Queue",
            Self::Rq => "RQ",
            Self::Resque => "Resque",
            Self::Sidekiq => "Sidekiq",
            Self::Kue => "Kue",
            Self::Unknown => "unknown library",
        }
    }

    /// Whether Drover reads and changes its queues. It only recognises the others.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        match self {
            Self::BullMq | Self::Bull | Self::PgBoss | Self::Celery | Self::Arq | Self::Lists => true,
            Self::BullMqPro | Self::BeeQueue | Self::Rq | Self::Resque | Self::Sidekiq | Self::Kue | Self::Unknown => {
                false
            }
        }
    }

    /// Its word in the API and in the archive.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BullMq => "bullmq",
            Self::Bull => "bull",
            Self::PgBoss => "pgboss",
            Self::Celery => "celery",
            Self::Arq => "arq",
            Self::Lists => "lists",
            Self::BullMqPro => "bullmq_pro",
            Self::BeeQueue => "bee_queue",
            Self::Rq => "rq",
            Self::Resque => "resque",
            Self::Sidekiq => "sidekiq",
            Self::Kue => "kue",
            Self::Unknown => "unknown",
        }
    }
}

/// The systems whose queues Drover reads and changes.
pub const SUPPORTED: [System; 6] = [
    System::BullMq,
    System::Bull,
    System::PgBoss,
    System::Celery,
    System::Arq,
    System::Lists,
];

/// The system with this word, whatever its case; `None` for one that is not supported.
#[must_use]
pub fn called(word: &str) -> Option<System> {
    SUPPORTED
        .into_iter()
        .find(|system| system.word().eq_ignore_ascii_case(word))
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Which generation laid out a queue, and the evidence. Only the system's adapter knows the generations; its
/// capabilities explain their words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Family {
    /// The generation, such as `bullmq5`.
    pub layout: Cow<'static, str>,
    /// The evidence that decided it, such as `version`.
    pub evidence: Cow<'static, str>,
}
