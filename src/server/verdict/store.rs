//! What is the matter with a store.

use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::Level;
use crate::model::vitals::postgres::HealthPart;
use crate::model::vitals::{About, Judged};

/// A part of a store that needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// How bad.
    pub level: Level,
    rule: &'static str,
    text: String,
}

impl Concern {
    /// A part of a Redis, if anything is the matter with it.
    #[must_use]
    pub fn of_redis(judged: &Judged) -> Option<Self> {
        let rule = match judged.about {
            About::Memory => "R1",
            About::Eviction => "R3",
            About::Persistence => "R4",
            About::Replication => "R5",
            About::Clients => "R6",
            About::Latency => "R7",
            About::Fragmentation => "R8",
        };
        Self::new(judged.level, rule, judged.about.label(), &judged.text)
    }

    /// The same of a Postgres.
    #[must_use]
    pub fn of_postgres(part: &HealthPart) -> Option<Self> {
        Self::new(part.level, "R9", part.part.label(), &part.text)
    }

    fn new(level: Level, rule: &'static str, part: &str, text: &str) -> Option<Self> {
        matches!(level, Level::Bad | Level::Watch).then(|| Self {
            level,
            rule,
            text: format!("{part}: {text}"),
        })
    }
}

/// Judges a store by whether it answers, what is the matter with it, and its parts, of which the worst comes first. This
/// is its verdict on every page.
#[must_use]
pub fn of_store(store: &StoreSummary, parts: &[Concern]) -> (Level, &'static str, String) {
    if store.reach != Reach::Live {
        let cause = store
            .cause
            .clone()
            .unwrap_or_else(|| format!("{} is {}.", store.address, store.reach.word()));
        let level = if store.reach == Reach::Connecting {
            Level::Unknown
        } else {
            Level::Bad
        };
        return (level, "U1", cause);
    }
    let condition = store.conditions.first();
    let condition = condition.map(|worst| (worst.kind.level(), "R2", worst.sentence.clone()));
    let part = parts.first().map(|worst| (worst.level, worst.rule, worst.text.clone()));
    match (condition, part) {
        (Some(condition), Some(part)) if part.0 < condition.0 => part,
        (Some(worst), _) | (None, Some(worst)) => worst,
        (None, None) => (Level::Ok, "", String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_as_bad_as_the_worst_that_is_known_of_it() {
        let mut store = StoreSummary::example("s");
        assert_eq!(of_store(&store, &[]).0, Level::Ok);
        let concern = |level, about| {
            let text = "Why.".into();
            Concern::of_redis(&Judged { about, level, text })
        };
        assert_eq!(concern(Level::Ok, About::Memory), None);
        assert_eq!(concern(Level::Unknown, About::Memory), None);
        let parts = [concern(Level::Watch, About::Persistence).unwrap()];
        let told = (Level::Watch, "R4", "Persistence: Why.".to_owned());
        assert_eq!(of_store(&store, &parts), told);
        store.reach = Reach::Gone;
        assert_eq!(of_store(&store, &parts).1, "U1", "what it said before is no news");
    }
}
