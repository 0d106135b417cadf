//! One figure of a store over the last hour, as a line over an area.
//!
//! Where nothing was measured for longer than [`GAP`] the line is broken: silence is not a straight
//! line. A limit is drawn where it is near enough to matter.

use super::{Frame, MINUTES, SENTINELS, dress, sentinel};
use crate::model::Millis;
use crate::model::format;
use crate::model::vitals::Series;
use plotters::prelude::*;

/// The drawing's own units; the page scales it.
const SIZE: (u32, u32) = (350, 100);

const FRAME: Frame = Frame {
    margin_right: 10,
    below: 20,
    beside: 56,
    letters: 13,
    times: 4,
};

/// Three reports that did not come.
const GAP: Millis = 15_000;

/// A limit is drawn if it is at most this many times the highest value.
const NEAR: f64 = 2.0;

/// Draws values with their times, oldest first; the right edge is `now`.
#[must_use]
pub fn draw(series: Series, points: &[(Millis, f64)], limit: Option<f64>, now: Millis) -> String {
    let mut svg = String::new();
    // Drawing into a string fails only for impossible sizes; a page without a chart is a page.
    if paint(&mut svg, series, points, limit, now).is_err() {
        return String::new();
    }
    dress(&svg, SIZE, &describe(series, points, now))
}

/// A value with its unit, short.
#[must_use]
pub fn value(series: Series, value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and far below 2^63"
    )]
    let whole = value.max(0.0).round() as u64;
    match series {
        Series::Memory => format::bytes(whole),
        Series::Commands | Series::Clients => format::count(whole),
        Series::Latency if value < 10.0 => format!("{value:.1} ms"),
        Series::Latency => format!("{} ms", format::count(whole)),
    }
}

/// Runs of points without a gap between them, as minutes before `now`.
fn runs(points: &[(Millis, f64)], now: Millis) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut before = Millis::MIN;
    for (at, value) in points {
        #[expect(clippy::cast_precision_loss, reason = "within an hour")]
        let minutes = (at - now) as f64 / 60_000.0;
        if minutes < -MINUTES {
            continue;
        }
        if at.saturating_sub(before) > GAP || runs.is_empty() {
            runs.push(vec![]);
        }
        if let Some(run) = runs.last_mut() {
            run.push((minutes.min(0.0), *value));
        }
        before = *at;
    }
    runs
}

fn paint<'a>(
    svg: &'a mut String,
    series: Series,
    points: &[(Millis, f64)],
    limit: Option<f64>,
    now: Millis,
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let runs = runs(points, now);
    let highest = runs.iter().flatten().map(|point| point.1).fold(0.0, f64::max);
    let limit = limit.filter(|limit| *limit <= highest * NEAR);
    let least = match series {
        Series::Latency => 1.0,
        Series::Memory => 1_000_000.0,
        Series::Commands | Series::Clients => 10.0,
    };
    let top = (highest.max(limit.unwrap_or(0.0)) * 1.15).max(least);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = FRAME.draw(&area, top, &|y| value(series, *y))?;
    for run in runs {
        chart.draw_series(AreaSeries::new(run.clone(), 0.0, sentinel(1)))?;
        chart.draw_series(LineSeries::new(run, sentinel(5).stroke_width(2)))?;
    }
    if let Some(limit) = limit {
        chart.draw_series(LineSeries::new(
            [(-MINUTES, limit), (0.0, limit)],
            sentinel(6).stroke_width(2),
        ))?;
    }
    area.present()?;
    drop(chart);
    drop(area);
    Ok(())
}

/// What the drawing says, for those who cannot see it.
fn describe(series: Series, points: &[(Millis, f64)], now: Millis) -> String {
    let known: Vec<f64> = points
        .iter()
        .filter(|(at, _)| now - at <= 3_600_000)
        .map(|(_, value)| *value)
        .collect();
    let Some(last) = known.last() else {
        return format!("{}: nothing was measured within the last hour.", series.title());
    };
    let (low, high) = known
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), n| (low.min(*n), high.max(*n)));
    let minutes = points
        .first()
        .map_or(0, |(at, _)| (now - at).clamp(0, 3_600_000) / 60_000);
    format!(
        "{} over the last {minutes} min: {} now, between {} and {}.",
        series.title(),
        value(series, *last),
        value(series, low),
        value(series, high)
    )
}

/// Every sentinel this drawing may use has a class.
const _: () = assert!(SENTINELS.len() > 6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_classes_for_colours_and_says_what_it_shows() {
        let points: Vec<(Millis, f64)> = (0..120_i32)
            .map(|i| (Millis::from(i) * 5_000, 50e6 + 1e4 * f64::from(i)))
            .collect();
        let svg = draw(Series::Memory, &points, Some(60e6), 600_000);
        assert!(
            svg.contains("Memory used over the last 10 min: 51 MB now, between 50 MB and 51 MB."),
            "{svg}"
        );
        for class in ["chart-line stroke", "chart-out fill", "chart-limit stroke"] {
            assert!(svg.contains(class), "{class}: {svg}");
        }
        assert!(!svg.contains("#0") && !svg.contains("style="), "{svg}");
        let far = draw(Series::Memory, &points, Some(1e9), 600_000);
        assert!(!far.contains("chart-limit"), "a limit far away would flatten the line");
    }

    #[test]
    fn silence_breaks_the_line() {
        let points = [(0, 1.0), (5_000, 1.0), (60_000, 1.0), (65_000, 1.0)];
        assert_eq!(runs(&points, 65_000).len(), 2);
        assert_eq!(runs(&points, 10_000_000).len(), 0, "an hour ago is not drawn");
        assert!(draw(Series::Latency, &[], None, 0).contains("nothing was measured"));
    }
}
