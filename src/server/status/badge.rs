//! Badges: a small picture of one component's state, with the words in it as text and as a title, and the same as JSON
//! for shields.io. No font is fetched: the picture sets the width of its letters, in whatever font there is.

use crate::model::format::escape;
use crate::model::status::State;
use serde_json::{Value, json};

/// Letters of a label; more is cut off.
const LABEL: usize = 40;

/// The width of a letter, and the space beside words.
const LETTER: usize = 7;
const SPACE: usize = 12;

/// Words from a stranger as they go into a badge.
#[must_use]
pub(super) fn label(text: &str) -> String {
    // What turns or hides other letters is no letter.
    let plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}')
    };
    let kept: String = text.trim().chars().filter(plain).take(LABEL).collect();
    kept.trim().to_owned()
}

const fn message(state: State) -> &'static str {
    match state {
        State::Operational => "operational",
        State::DegradedPerformance => "degraded",
        State::PartialOutage => "partial outage",
        State::MajorOutage => "major outage",
        State::UnderMaintenance => "maintenance",
        State::Unknown => "no data",
    }
}

/// Dark enough for white letters.
const fn colour(state: State) -> &'static str {
    match state {
        State::Operational => "#1c6b3c",
        State::DegradedPerformance => "#8a5300",
        State::PartialOutage => "#a03c00",
        State::MajorOutage => "#b3261e",
        State::UnderMaintenance => "#6a3fa0",
        State::Unknown => "#5b6472",
    }
}

/// How wide words are drawn. Letters of many scripts are about twice as wide as ours.
fn width(text: &str) -> usize {
    let letters: usize = text.chars().map(|c| if u32::from(c) < 0x1100 { 1 } else { 2 }).sum();
    letters.max(1) * LETTER
}

/// The picture.
#[must_use]
pub(super) fn svg(name: &str, state: State) -> String {
    let name = label(name);
    let message = message(state);
    let (left, right) = (width(&name), width(message));
    let (at, all) = (left + SPACE, left + right + 2 * SPACE);
    let middle = SPACE / 2;
    let words = |x: usize, width: usize, text: &str| {
        format!("<text x=\"{x}\" y=\"14\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>")
    };
    let name = escape(&name);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" aria-label=\"{name}: {message}\">\
         <title>{name}: {message}</title>\
         <rect width=\"{all}\" height=\"20\" rx=\"3\" fill=\"#3b4048\"/>\
         <path d=\"M{at} 0H{edge}a3 3 0 0 1 3 3V17a3 3 0 0 1-3 3H{at}z\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\" aria-hidden=\"true\">{first}{second}</g></svg>",
        edge = all - 3,
        colour = colour(state),
        first = words(middle, left, &name),
        second = words(at + middle, right, message),
    )
}

/// What shields.io asks for at its `endpoint` badge.
#[must_use]
pub(super) fn shield(name: &str, state: State) -> Value {
    json!({
        "schemaVersion": 1,
        "label": label(name),
        "message": message(state),
        "color": colour(state),
        "isError": state == State::Unknown,
        "cacheSeconds": 30,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_operational_is_green_and_what_is_not_known_is_grey() {
        let of = |state| svg("Mail", state);
        for state in State::ALL {
            assert_eq!(of(state).contains("#1c6b3c"), state == State::Operational, "{state:?}");
            assert!(of(state).contains(&format!("<title>Mail: {}</title>", message(state))));
        }
        assert!(of(State::Unknown).contains("no data") && of(State::Unknown).contains("#5b6472"));
    }

    #[test]
    fn a_label_from_a_stranger_is_cut_and_stays_text() {
        let evil = "<script>alert(1)</script>\"' onload=x\u{202e}\0\n".repeat(9);
        let text = label(&evil);
        assert!(
            text.chars().count() <= LABEL && !text.contains(['\u{202e}', '\0', '\n']),
            "{text:?}"
        );
        let svg = svg(&evil, State::Operational);
        assert!(!svg.contains("<script") && !svg.contains("\"' onload"), "{svg}");
        assert!(svg.contains("&lt;script&gt;"), "{svg}");
    }
}
