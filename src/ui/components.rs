//! What several pages need.

use super::live::{Age, LinkState, Live};
use crate::model::Millis;
use crate::model::format;
use crate::model::job::{Progress, REDACTED};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::{Level, Verdict};
use leptos::prelude::*;

/// The class of a level. Full names: the style sheet is generated from the names in the sources.
pub const fn level_class(level: Level) -> &'static str {
    match level {
        Level::Bad => "mark bad",
        Level::Watch => "mark watch",
        Level::Unknown => "mark unknown",
        Level::Paused => "mark paused",
        Level::Ok => "mark ok",
    }
}

/// The class of a state.
pub const fn state_class(state: JobState) -> &'static str {
    match state {
        JobState::Waiting => "state waiting",
        JobState::Prioritized => "state prioritized",
        JobState::Active => "state active",
        JobState::Delayed => "state delayed",
        JobState::WaitingChildren => "state parents",
        JobState::Completed => "state completed",
        JobState::Failed => "state failed",
        JobState::Cancelled => "state cancelled",
    }
}

/// A mark of its own shape for each state: distinguishable without colour.
pub const fn state_mark(state: JobState) -> &'static str {
    match state {
        JobState::Waiting => "○",
        JobState::Prioritized => "▲",
        JobState::Active => "▶",
        JobState::Delayed => "◷",
        JobState::WaitingChildren => "◇",
        JobState::Completed => "✓",
        JobState::Failed => "✕",
        JobState::Cancelled => "⊘",
    }
}

/// A level as mark and word.
#[component]
pub fn LevelMark(#[prop(into)] level: Signal<Level>) -> impl IntoView {
    view! { <span class=move || level_class(level.get())>{move || level.get().word()}</span> }
}

/// A state as mark and word.
#[component]
pub fn StateMark(#[prop(into)] state: Signal<JobState>) -> impl IntoView {
    view! {
        <span class=move || state_class(state.get())>
            <i aria-hidden="true">{move || state_mark(state.get())}</i>
            {move || state.get().label()}
        </span>
    }
    .into_any()
}

/// A moment as its age, with the date on hover.
#[component]
pub fn Ago(#[prop(into)] at: Signal<Option<Millis>>) -> impl IntoView {
    let live = expect_context::<Live>();
    view! {
        <time
            datetime=move || at.get().map(format::iso).unwrap_or_default()
            title=move || at.get().map(|at| live.both_moments(at)).unwrap_or_default()
            data-ago=""
        >
            {move || match at.get() {
                Some(at) => format::ago(live.its_clock(), at),
                None => format::UNKNOWN.to_owned(),
            }}
        </time>
    }
    .into_any()
}

/// A moment that lies ahead: "in 3 m", or by how much it is overdue.
#[component]
pub fn Due(#[prop(into)] at: Signal<Option<Millis>>) -> impl IntoView {
    let live = expect_context::<Live>();
    view! {
        <time
            datetime=move || at.get().map(format::iso).unwrap_or_default()
            title=move || at.get().map(|at| live.both_moments(at)).unwrap_or_default()
            class:overdue=move || at.get().is_some_and(|at| live.its_clock().saturating_sub(at) > 10_000)
            data-due=""
        >
            {move || at.get().map_or_else(|| format::UNKNOWN.to_owned(), |at| format::due(live.its_clock(), at))}
        </time>
    }
    .into_any()
}

/// The progress that a job reports: a bar for a number, text for anything else.
#[component]
pub fn ProgressView(#[prop(into)] progress: Signal<Option<Progress>>) -> impl IntoView {
    move || match progress.get() {
        None => ().into_any(),
        Some(Progress::Percent(n)) if (0.0..=100.0).contains(&n) => {
            let text = percent(n);
            view! {
                <span class="progress">
                    <progress max="100" value=n.to_string() aria-label="progress"></progress>
                    <b>{text}" %"</b>
                </span>
            }
            .into_any()
        }
        Some(Progress::Percent(n)) => view! { <span class="progress"><b>{n.to_string()}</b></span> }.into_any(),
        Some(Progress::Text(text)) => {
            let text = format::visible(&text);
            view! { <code class="progress-text" title=text.clone()>{text.clone()}</code> }.into_any()
        }
    }
}

fn percent(n: f64) -> String {
    if (n - n.round()).abs() < 0.05 {
        format!("{n:.0}")
    } else {
        format!("{n:.1}")
    }
}

/// Whether the page is live, in words.
#[component]
pub fn LinkBadge() -> impl IntoView {
    let live = expect_context::<Live>();
    let class = move || match (live.link.get(), live.age()) {
        (LinkState::Resting, _) => "link resting",
        (LinkState::Reconnecting { .. }, _) | (_, Age::Since(_) | Age::NotRead) => "link lost",
        (LinkState::Static, _) => "link static",
        (LinkState::Connecting, _) => "link connecting",
        (LinkState::Live, _) => "link live",
        (LinkState::Turns, _) => "link turns",
    };
    // The badge says whether changes arrive only where new ones can arrive.
    let text = move || match (live.link.get(), live.age()) {
        (LinkState::Resting, _) => "paused while hidden".to_owned(),
        (link, Age::Since(at)) => {
            let way = match link {
                LinkState::Reconnecting { .. } => "reconnecting, ",
                _ => "",
            };
            let age = format::span(live.now.get() - at);
            format!("{way}stale since {} ({age})", live.clock(at))
        }
        (LinkState::Reconnecting { .. }, _) => "reconnecting".to_owned(),
        (_, Age::NotRead) => "nothing read yet".to_owned(),
        (LinkState::Static, _) => format!("as of {}", live.clock(live.made)),
        (LinkState::Connecting, _) => "connecting".to_owned(),
        (LinkState::Live, _) => "live".to_owned(),
        (LinkState::Turns, _) => "every few seconds: many tabs are open".to_owned(),
    };
    let other_clock = move || match (live.link.get(), live.age()) {
        (LinkState::Resting, _) => String::new(),
        (_, Age::Since(at)) => live.other_moment(at),
        (LinkState::Static, Age::Fresh) => live.other_moment(live.made),
        _ => String::new(),
    };
    view! { <span class=class role="status" id="link" title=other_clock>{text}</span> }
}

/// One line that says what is wrong.
#[component]
pub fn VerdictLine(#[prop(into)] verdict: Signal<Verdict>) -> impl IntoView {
    let live = expect_context::<Live>();
    view! {
        <p class="verdict">
            <LevelMark level=Signal::derive(move || verdict.with(|v| v.level))/>
            <span>
                {move || verdict.with(|v| match v.reason.as_str() {
                    "" => "No problems detected.".to_owned(),
                    reason => reason.to_owned(),
                })}
            </span>
            <small>
                {move || verdict.with(|v| {
                    match v.level {
                        Level::Ok => String::new(),
                        // The sentence may hold a duration of its own.
                        Level::Bad | Level::Watch => format!("detected {} ago", format::span(live.now.get() - v.since)),
                        _ => format!("for {}", format::span(live.now.get() - v.since)),
                    }
                })}
            </small>
        </p>
    }
    .into_any()
}

/// What is wrong with a store: that it does not answer, or its conditions although it does. Each with its cause, since
/// when, and its effect on actions.
#[component]
pub fn StoreBanner(#[prop(into)] store: Signal<StoreSummary>) -> impl IntoView {
    view! {
        <SilenceBanner store/>
        <Conditions store/>
    }
    .into_any()
}

#[component]
pub fn SilenceBanner(#[prop(into)] store: Signal<StoreSummary>) -> impl IntoView {
    let live = expect_context::<Live>();
    move || {
        store.with(|store| {
            (store.reach != Reach::Live).then(|| {
                let cause = store.cause.clone().unwrap_or_else(|| "Connecting for the first time.".into());
                let (id, word, since) = (store.id.clone(), store.reach.word(), store.since);
                let effect = store.reach.effect();
                let truth = match store.as_of {
                    Some(at) => view! {
                        {move || format!("The page shows data from {} (", live.clock(at))}
                        {move || format::span(live.now.get() - at)}
                        " ago). "
                        {store.reach.patience()}
                    }
                    .into_any(),
                    None => "Nothing has been read from it yet. Drover keeps trying.".into_any(),
                };
                view! {
                    <div class="banner" role="alert">
                        <strong>{format!("{id} has been {word} ")}{move || format!("for {}", format::span(live.now.get() - since))}</strong>
                        <p>{cause}" "{truth}</p>
                        <p class="effect">{effect}</p>
                    </div>
                }
                .into_any()
            })
        })
    }
}

#[component]
fn Conditions(store: Signal<StoreSummary>) -> impl IntoView {
    let live = expect_context::<Live>();
    move || {
        store.with(|store| {
            (!store.conditions.is_empty()).then(|| {
                let lines = store
                    .conditions
                    .iter()
                    .cloned()
                    .map(|condition| {
                        let class = match condition.kind.level() {
                            Level::Bad => "condition bad",
                            _ => "condition watch",
                        };
                        let since = condition.since;
                        view! {
                            <li class=class>
                                <strong>{condition.kind.word()}</strong>
                                <span>{condition.sentence}" "<em>{condition.effect}</em></span>
                                <small>{move || format!("for {}", format::span(live.now.get() - since))}</small>
                            </li>
                        }
                        .into_any()
                    })
                    .collect_view();
                let label = format!("Problems of {}", store.id);
                view! { <ul class="conditions" aria-label=label>{lines}</ul> }.into_any()
            })
        })
    }
}

/// The number of values over a sparkline's whole width.
const SPARK: usize = 60;

/// A line over the last ten minutes, a value each ten seconds, which ends now; it has gaps where a value is not known.
/// Only its shape matters: the numbers are beside it.
pub fn spark_path(values: &[Option<u32>], width: f64, height: f64) -> String {
    use std::fmt::Write as _;
    let top = f64::from(values.iter().flatten().copied().max().unwrap_or(0).max(1));
    let place = |i: usize| f64::from(u32::try_from(i).unwrap_or(u32::MAX));
    let step = width / place(SPARK - 1);
    #[expect(clippy::cast_possible_truncation, reason = "within a line's width and height")]
    let pixel = |at: f64| at.round() as i32;
    let mut path = String::with_capacity(values.len() * 10);
    let mut drawing = false;
    for (i, value) in values.iter().rev().take(SPARK).enumerate().rev() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let x = pixel(width - step * place(i));
        let y = pixel(height - 1.0 - f64::from(*value) / top * (height - 2.0));
        let _ = write!(path, "{}{x} {y}", if drawing { 'L' } else { 'M' });
        // A single value would be a line without a length.
        if !drawing
            && i.checked_sub(1)
                .is_none_or(|next| values[values.len() - 1 - next].is_none())
        {
            path.push_str("h1");
        }
        drawing = true;
    }
    path
}

/// A text with the rule that hides it after each hidden value. Without a rule for each of them it is the text alone.
pub fn with_rules(text: &str, rules: Option<&Vec<String>>) -> AnyView {
    let parts: Vec<&str> = text.split(REDACTED).collect();
    let Some(rules) = rules.filter(|rules| rules.len() + 1 == parts.len()) else {
        return text.to_owned().into_any();
    };
    let hidden = rules.iter().map(|rule| {
        let title = format::visible(rule);
        Some(view! { <abbr class="redacted" title=title>{REDACTED}</abbr> })
    });
    let parts = parts.into_iter().map(str::to_owned);
    parts.zip(hidden.chain([None])).collect_view().into_any()
}

/// Indents JSON without changing a digit of it: numbers of any length, repeated keys and order stay. Text that is not
/// JSON is returned unchanged.
pub fn pretty_json(text: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = text.trim().chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(40)));
    };
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
                    chars.next();
                }
                if chars.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_without_changing_a_digit() {
        let text = r#"{"id":12345678901234567890123,"a":[1,{"b":"x\",{"}],"e":[],"o":{ },"n":1e2}"#;
        let pretty = pretty_json(text);
        assert!(pretty.contains("\"id\": 12345678901234567890123,\n"), "{pretty}");
        assert!(pretty.contains("\"e\": [],\n  \"o\": {},"), "{pretty}");
        assert!(pretty.contains("\"b\": \"x\\\",{\""), "{pretty}");
        assert!(pretty.contains("1e2"), "{pretty}");
        let squeezed: String = pretty.split_whitespace().collect();
        assert_eq!(squeezed, text.replace(' ', ""));
        assert_eq!(pretty_json("not json {"), "not json {");
    }

    #[test]
    fn a_line_ends_at_the_right_edge_and_stays_inside() {
        assert_eq!(spark_path(&[], 118.0, 20.0), "");
        let all = |values: &[u32]| values.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(spark_path(&all(&[0, 5, 10]), 118.0, 20.0), "M114 19L116 10L118 1");
        // Ten minutes from the left to the right, however many values are missing.
        assert!(spark_path(&all(&[1; 60]), 118.0, 20.0).starts_with("M0 1L2 1"));
        let gaps = [Some(10), Some(10), None, None, Some(0), None];
        assert_eq!(spark_path(&gaps, 118.0, 20.0), "M108 1L110 1M116 19h1");
    }
}
