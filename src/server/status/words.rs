//! Numbers rounded until they tell a reader what to expect, and no more; and the sentences made of them.

use super::judge::Together;
use crate::model::Millis;
use crate::model::format::plain_span as span;
use crate::model::status::{NO_DATA, PublicComponent, Range, State};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// The only lengths of time that the page uses.
const STEPS: [Millis; 27] = [
    SECOND,
    2 * SECOND,
    3 * SECOND,
    5 * SECOND,
    8 * SECOND,
    10 * SECOND,
    15 * SECOND,
    20 * SECOND,
    30 * SECOND,
    45 * SECOND,
    MINUTE,
    2 * MINUTE,
    3 * MINUTE,
    5 * MINUTE,
    8 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    45 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    5 * HOUR,
    8 * HOUR,
    12 * HOUR,
    24 * HOUR,
];

/// The next longer length that the page uses; what is longer than a day is given in whole days.
#[must_use]
pub fn up(ms: Millis) -> Millis {
    let day = 24 * HOUR;
    let step = STEPS.into_iter().find(|step| *step >= ms);
    step.unwrap_or_else(|| ms.saturating_add(day - 1) / day * day)
}

/// The next shorter one.
#[must_use]
pub fn down(ms: Millis) -> Millis {
    let step = STEPS.into_iter().rev().find(|step| *step <= ms);
    step.unwrap_or(SECOND)
}

/// A range as people say it: `4–10 min`.
#[must_use]
pub fn range(range: Range) -> String {
    let ms = |s: u64| Millis::try_from(s).unwrap_or(0).saturating_mul(SECOND);
    let (from, to) = (span(ms(range.from_s)), span(ms(range.to_s)));
    if from == to {
        return to;
    }
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((n, unit)), Some((_, same))) if unit == same => format!("{n}–{to}"),
        _ => format!("{from} to {to}"),
    }
}

/// What the queues of a component mean for new work, in a sentence.
#[must_use]
pub fn sentence(together: &Together, promise: Millis) -> String {
    if !together.is_known() {
        return match together.has_trouble() {
            true => "Part of it is not getting through; there is no recent data for the rest.".into(),
            false => NO_DATA.into(),
        };
    }
    let promise = format!("(promise {})", span(promise));
    if together.is_held() {
        return format!("Paused by an operator: new work waits until it is resumed {promise}.");
    }
    let mut text = match (together.backlog(), together.wait()) {
        (Some(0), _) if together.is_unserved() => format!("Nothing is waiting {promise}."),
        (Some(0), _) => format!("Nothing is waiting: new work starts right away {promise}."),
        (_, wait) => match (together.starts_within(), wait) {
            (Some(within), _) => format!("New work starts within about {} {promise}.", span(up(within))),
            (None, Some(wait)) => format!(
                "The oldest waiting work has waited for about {} {promise}.",
                span(up(wait))
            ),
            _ => format!("The current waiting time is not known {promise}."),
        },
    };
    if together.is_partly_held() {
        text.push_str(" Part of it is paused by an operator.");
    }
    text
}

/// The whole in a sentence.
#[must_use]
pub fn headline(state: State, components: &[PublicComponent]) -> &'static str {
    let all = components.iter().all(|component| component.state == state);
    match state {
        State::Operational => "All systems operational",
        State::DegradedPerformance => "Some work is late or failing",
        State::MajorOutage if all => "Work is not getting through",
        State::PartialOutage | State::MajorOutage => "Some work is not getting through",
        State::UnderMaintenance if all => "Paused by an operator",
        State::UnderMaintenance => "Some work is paused by an operator",
        State::Unknown if all => "No recent data",
        State::Unknown => "No recent data for some components",
    }
}

/// The worst of all states, and since when one has been in it.
#[must_use]
pub fn worst(components: &[PublicComponent]) -> (State, String) {
    let worst = components
        .iter()
        .map(|component| component.state)
        .max_by_key(|state| state.weight());
    let state = worst.unwrap_or(State::Unknown);
    let of_it = components.iter().filter(|component| component.state == state);
    // What is well has been so since the last component became so; what is not, since the first did.
    let since = of_it.map(|component| component.since.clone());
    let since = if state == State::Operational {
        since.max()
    } else {
        since.min()
    };
    (state, since.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_rounded_to_what_people_can_use() {
        for (ms, told) in [
            (0, "1 s"),
            (6_100, "8 s"),
            (61_000, "2 min"),
            (7_300_000, "3 h"),
            (86_400_001, "2 d"),
        ] {
            assert_eq!(span(up(ms)), told);
        }
        assert_eq!(span(down(59_000)), "45 s");
        assert_eq!(span(down(10)), "1 s");
        assert_eq!(span(90_000), "90 s");
        assert_eq!(range(Range { from_s: 180, to_s: 600 }), "3–10 min");
        assert_eq!(range(Range { from_s: 45, to_s: 120 }), "45 s to 2 min");
        assert_eq!(range(Range { from_s: 60, to_s: 60 }), "1 min");
    }
}
