//! The page itself: HTML without a script, small, and every text from outside as text.

use super::words;
use crate::model::Millis;
use crate::model::format::{escape, plain_span};
use crate::model::status::{PublicComponent, PublicHistory, PublicStatus, State, Trend};
use crate::server::database::days::KEPT;
use std::fmt::Write as _;

/// Seconds after which the page renews itself.
const RENEWED: u32 = 30;

/// Days that are listed one by one in words: the worst of them are what a reader asks for.
const TOLD: usize = 5;

/// With more components only the bars tell of days.
const MANY: usize = 10;

/// Makes it: below the board at `base`, or on a listener of its own, where addresses are relative and any prefix in front
/// of them does.
#[must_use]
pub(super) fn render(status: &PublicStatus, base: Option<&str>, renews: bool) -> String {
    let at = base.map_or_else(|| "status".to_owned(), |base| format!("{base}/status"));
    let name = escape(&status.name);
    let mut out = String::with_capacity(16 * 1024);
    let (refresh, other, offer) = match renews {
        true => (
            format!("<meta http-equiv=\"refresh\" content=\"{RENEWED}\">"),
            "?renew=off",
            "Stop refreshing it",
        ),
        false => (String::new(), "", "Refresh it automatically"),
    };
    let since = match status.headline.starts_with(status.state.word()) {
        true => format!("Since {}", moment(&status.since)),
        false => format!("{} since {}", status.state.word(), moment(&status.since)),
    };
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{refresh}\
         <meta name=\"robots\" content=\"noindex\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{word} – {name}</title><link rel=\"icon\" href=\"data:,\">\
         <link rel=\"stylesheet\" href=\"{at}/status.css\"></head><body><main>\
         <h1>{name}</h1><section class=\"whole {class}\" aria-label=\"Right now\"><p class=\"headline\">{mark}<strong>{headline}</strong></p>\
         <p>{since}</p></section>",
        word = status.state.word(),
        class = status.state.as_str(),
        mark = mark(status.state),
        headline = escape(&status.headline),
    );
    let mut group = None;
    for component in &status.components {
        if group != Some(&component.group) {
            let _ = match &component.group {
                Some(name) => write!(out, "<h2>{}</h2>", escape(name)),
                None if group.is_none() => write!(out, "<h2 class=\"unseen\">Components</h2>"),
                None => write!(out, "<h2>Others</h2>"),
            };
            group = Some(&component.group);
        }
        one(&mut out, component, status.components.len() <= MANY);
    }
    let _ = write!(out, "<footer><p>{}</p>", updated(status));
    if status
        .components
        .iter()
        .any(|component| !component.history.days.is_empty())
    {
        let _ = write!(
            out,
            "<p>Each bar is a day (UTC): the share of its minutes in which the work that had waited longest was within the promise. \
             Minutes without data are not counted. <span class=\"key\"><i class=\"full\"></i>always \
             <i class=\"most\"></i>95 % and more <i class=\"less\"></i>less <i class=\"none\"></i>no data</span></p>"
        );
    }
    let renewing = match renews {
        true => format!("This page refreshes every {RENEWED} s."),
        false => "This page does not refresh itself.".to_owned(),
    };
    let here = match base {
        Some(_) => format!("{at}{other}"),
        None => format!("./{other}"),
    };
    let _ = write!(
        out,
        "<p>{renewing} <a href=\"{here}\">{offer}</a> · <a href=\"{at}.json\">The same as JSON</a></p></footer></main></body></html>"
    );
    out
}

/// A state's mark, for those who see it; the word is always beside it.
fn mark(state: State) -> String {
    format!("<span class=\"mark\" aria-hidden=\"true\">{}</span>", state.mark())
}

/// A moment of ISO 8601 as people read it: `2026-11-21 05:41 UTC`.
fn short(iso: &str) -> String {
    let (date, time) = (iso.get(..10).unwrap_or_default(), iso.get(11..16).unwrap_or_default());
    format!("{date} {time} UTC")
}

/// The same for programs too.
fn moment(iso: &str) -> String {
    format!("<time datetime=\"{}\">{}</time>", escape(iso), short(iso))
}

fn updated(status: &PublicStatus) -> String {
    let Some(at) = &status.updated_at else {
        return "No data received yet.".into();
    };
    let clock = format!(
        "<time datetime=\"{}\">{} {} UTC</time>",
        escape(at),
        at.get(..10).unwrap_or_default(),
        at.get(11..19).unwrap_or_default()
    );
    match status.age_s {
        Some(age) => {
            let age = plain_span(Millis::try_from(age).unwrap_or(0).saturating_mul(1_000));
            format!("Last updated {clock}; the data was {age} old when this page was made.")
        }
        None => format!("No data received since {clock}."),
    }
}

fn one(out: &mut String, component: &PublicComponent, few: bool) {
    let _ = write!(
        out,
        "<article class=\"{class}\"><header><h3>{name}</h3><p class=\"state\">{mark}{word}</p></header>",
        class = component.state.as_str(),
        name = escape(&component.name),
        mark = mark(component.state),
        word = component.state.word(),
    );
    if let Some(text) = &component.description {
        let _ = write!(out, "<p class=\"about\">{}</p>", escape(text));
    }
    let _ = write!(out, "<p>{}", escape(&component.sentence));
    // That nothing changes is worth a word only where something is wrong.
    let calm = matches!(component.state, State::Operational | State::UnderMaintenance);
    if let Some(trend) = component.trend.filter(|trend| *trend != Trend::Steady || !calm) {
        let _ = write!(out, " The backlog is <b>{}</b>", trend.word());
        if let Some(range) = component.back_to_normal {
            let _ = write!(out, ", back to normal in about {}", words::range(range));
        }
        out.push('.');
    }
    out.push_str("</p>");
    if component.state != State::Operational {
        let _ = write!(out, "<p class=\"since\">Since {}.</p>", short(&component.since));
    }
    bars(out, &component.history, few);
    out.push_str("</article>");
}

/// How a day looks.
const fn class(share: f64) -> usize {
    match share {
        100.0.. => 0,
        95.0.. => 1,
        _ => 2,
    }
}

const CLASSES: [&str; 3] = ["full", "most", "less"];

/// A bar for each day: a dashed line for each run of days that look the same, so that 90 of them take a few bytes.
fn bars(out: &mut String, history: &PublicHistory, few: bool) {
    let Some(share) = history.within_promise else {
        return;
    };
    let Some(last) = history.days.last().and_then(|day| number(&day.date)) else {
        return;
    };
    let kept = i64::from(KEPT);
    // Each with where its pen is.
    let mut paths = [const { (String::new(), 0) }; 3];
    // The run that is under way: how it looks, where it began, where it ends.
    let mut run: Option<(usize, i64, i64)> = None;
    let mut draw = |run: Option<(usize, i64, i64)>| {
        if let Some((class, from, to)) = run {
            let (path, pen) = &mut paths[class];
            let _ = match path.is_empty() {
                true => write!(path, "M{from} 5"),
                false => write!(path, "m{} 0", from - *pen),
            };
            let _ = write!(path, "h{}", to + 1 - from);
            *pen = to + 1;
        }
    };
    for day in &history.days {
        let Some(place) = number(&day.date)
            .map(|day| kept - 1 - (last - day))
            .filter(|at| *at >= 0)
        else {
            continue;
        };
        let class = class(day.within_promise);
        run = match run {
            Some((same, from, to)) if same == class && to + 1 == place => Some((class, from, place)),
            done => {
                draw(done);
                Some((class, place, place))
            }
        };
    }
    draw(run);
    let days = history.days.len();
    let over = match (history.kept, days) {
        (true, 1) => "on 1 day".to_owned(),
        (true, days) => format!("over {days} days"),
        (false, _) => "since this page was started".to_owned(),
    };
    let _ = write!(
        out,
        // What they say is said below in words.
        "<svg class=\"bars\" viewBox=\"0 0 90 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"none\" d=\"M0 5H90\"/>"
    );
    for (class, (path, _)) in CLASSES
        .into_iter()
        .zip(&paths)
        .filter(|(_, (path, _))| !path.is_empty())
    {
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    let _ = write!(
        out,
        "</svg><p class=\"share\"><span>90 days ago</span><b>{share} % within the promise {over}</b><span>today</span></p>"
    );
    let mut below: Vec<_> = history.days.iter().filter(|day| day.within_promise < 100.0).collect();
    if few && !below.is_empty() {
        below.sort_by(|a, b| {
            a.within_promise
                .total_cmp(&b.within_promise)
                .then_with(|| b.date.cmp(&a.date))
        });
        let worst = below.iter().take(TOLD);
        let days = worst.map(|day| format!("<li>{}: {} %</li>", escape(&day.date), day.within_promise));
        let _ = write!(
            out,
            "<details><summary>Days below 100 %</summary><ul>{}</ul></details>",
            days.collect::<String>()
        );
    }
}

/// The number of a day that is written as `2026-11-21`.
fn number(date: &str) -> Option<i64> {
    let date: chrono::NaiveDate = date.parse().ok()?;
    Some(date.signed_duration_since(chrono::NaiveDate::default()).num_days())
}
