//! Throughput as a drawing: an SVG made on the server, so that it is there without JavaScript. The
//! figures of a store are drawn by [`series`].
//!
//! plotters knows only fixed colours; a page has two themes. So it draws in sentinel colours that no
//! design would use, and each is replaced by a class that the style sheet colours.

pub mod series;

use super::adapter::Kept;
use super::throughput::{SLICE, Slice};
use crate::model::Millis;
use crate::model::format;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// The drawing's own units; the page scales it. Beside the facts on a desk it is little narrower than this: letters keep
/// their shape.
const SIZE: (u32, u32) = (640, 90);

/// Slices per point: one minute.
const PER_POINT: usize = 6;

/// Points: one hour.
const POINTS: usize = 60;

/// The same, as the axis counts them.
const MINUTES: f64 = 60.0;

/// Each sentinel with the class that takes its place.
const SENTINELS: [(RGBColor, &str, &str); 7] = [
    (RGBColor(1, 0, 0), "#010000", "chart-in"),
    (RGBColor(2, 0, 0), "#020000", "chart-out"),
    (RGBColor(3, 0, 0), "#030000", "chart-failed"),
    (RGBColor(4, 0, 0), "#040000", "chart-grid"),
    (RGBColor(5, 0, 0), "#050000", "chart-text"),
    (RGBColor(6, 0, 0), "#060000", "chart-line"),
    (RGBColor(7, 0, 0), "#070000", "chart-limit"),
];

const fn sentinel(i: usize) -> RGBColor {
    SENTINELS[i].0
}

/// How many minutes of the hour before `newest` end with one that was not watched whole, and when that one ended.
#[must_use]
pub fn unwatched(slices: &[Option<Slice>], newest: Millis) -> (usize, Millis) {
    let points = per_minute(slices);
    let watched = points.iter().rev().take_while(|point| point.is_some()).count();
    let end = newest - Millis::try_from(watched).unwrap_or(0) * SLICE * PER_POINT as Millis;
    (POINTS - watched, end)
}

/// Draws jobs added, finished and failed per minute over the last hour.
///
/// `slices` are oldest first, the newest is still filling. Where one is not known, Drover did not watch:
/// there `kept`, oldest first and ending with the last such minute, says how many jobs that are still kept
/// completed and failed; how many were added then is not known and not drawn.
#[must_use]
pub fn throughput(slices: &[Option<Slice>], kept: &[Kept]) -> String {
    let mut points = per_minute(slices);
    let watched = points.iter().rev().take_while(|point| point.is_some()).count();
    for (point, kept) in points.iter_mut().rev().skip(watched).zip(kept.iter().rev()) {
        point.get_or_insert(Minute {
            added: None,
            completed: kept.completed,
            failed: kept.failed,
        });
    }
    let mut svg = String::new();
    // Drawing into a string fails only for impossible sizes; a page without a chart is a page.
    if draw(&mut svg, &points).is_err() {
        return String::new();
    }
    dress(&svg, SIZE, &describe(&points))
}

/// One minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Minute {
    /// Not known where it was not watched.
    added: Option<u32>,
    /// Not known where it was not watched and retention has removed what there was.
    completed: Option<u32>,
    failed: u32,
}

impl Minute {
    /// Completed and failed together.
    fn finished(self) -> Option<u32> {
        Some(self.completed? + self.failed)
    }
}

/// A minute, or `None` where nothing is known.
type Point = Option<Minute>;

fn per_minute(slices: &[Option<Slice>]) -> Vec<Point> {
    // The slice that is still filling would look like a drop.
    let complete = slices.len().saturating_sub(1);
    let mut points = vec![None; POINTS];
    for (point, slices) in points.iter_mut().rev().zip(slices[..complete].rchunks_exact(PER_POINT)) {
        let known: Option<Vec<Slice>> = slices.iter().copied().collect();
        *point = known.map(|slices| {
            let sum = |of: fn(&Slice) -> u32| slices.iter().map(of).sum();
            Minute {
                added: Some(sum(|slice| slice.added)),
                completed: Some(sum(|slice| slice.completed)),
                failed: sum(|slice| slice.failed),
            }
        });
    }
    points
}

/// The space around a drawing, and how much is written there.
struct Frame {
    margin_right: u32,
    below: u32,
    beside: u32,
    letters: u32,
    times: usize,
}

/// A drawing that things can be put on.
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Frame {
    /// Draws the axes: the last hour from left to right, and from 0 to `top` upwards.
    fn draw<'a>(
        &self,
        area: &DrawingArea<SVGBackend<'a>, Shift>,
        top: f64,
        value: &dyn Fn(&f64) -> String,
    ) -> Result<Chart<'a>, Box<dyn std::error::Error + 'a>> {
        let mut chart = ChartBuilder::on(area)
            .margin_right(self.margin_right)
            .margin_top(6)
            .x_label_area_size(self.below)
            .y_label_area_size(self.beside)
            .build_cartesian_2d(-MINUTES..0.0, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(sentinel(3))
            .axis_style(sentinel(3))
            .label_style(("sans-serif", self.letters).into_font().color(&sentinel(4)))
            .x_labels(self.times)
            .y_labels(3)
            .x_label_formatter(&|x| {
                if *x > -0.5 {
                    "now".into()
                } else {
                    format!("{:.0} min", -x)
                }
            })
            .y_label_formatter(value)
            .draw()?;
        Ok(chart)
    }
}

const FRAME: Frame = Frame {
    margin_right: 8,
    below: 22,
    beside: 48,
    letters: 12,
    times: 7,
};

fn draw<'a>(svg: &'a mut String, points: &[Point]) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let highest = points
        .iter()
        .flatten()
        .map(|p| p.added.unwrap_or(0).max(p.finished().unwrap_or(p.failed)))
        .max()
        .unwrap_or(0);
    let top = (f64::from(highest) * 1.1).max(5.0);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = FRAME.draw(&area, top, &|y| format::rate(*y))?;
    #[expect(clippy::cast_precision_loss, reason = "sixty points")]
    let at = |i: usize| i as f64 + 1.0 - MINUTES;
    let known = || {
        points
            .iter()
            .enumerate()
            .filter_map(|(i, point)| point.map(|p| (at(i), p)))
    };
    chart.draw_series(AreaSeries::new(
        known().filter_map(|(x, p)| Some((x, f64::from(p.finished()?)))),
        0.0,
        sentinel(1),
    ))?;
    chart.draw_series(
        known()
            .filter(|(_, p)| p.failed > 0)
            .map(|(x, p)| Rectangle::new([(x - 0.4, 0.0), (x + 0.4, f64::from(p.failed))], sentinel(2).filled())),
    )?;
    chart.draw_series(LineSeries::new(
        known().filter_map(|(x, p)| Some((x, f64::from(p.added?)))),
        sentinel(0).stroke_width(2),
    ))?;
    area.present()?;
    drop(chart);
    drop(area);
    Ok(())
}

/// The content of the drawing in words, for readers who cannot see it.
fn describe(points: &[Point]) -> String {
    let sum = |part: fn(&Minute) -> u32| format::count(points.iter().flatten().map(|p| u64::from(part(p))).sum());
    format!(
        "Jobs per minute over the last {} minutes: {} added, {} completed, {} failed.",
        points.iter().flatten().count(),
        sum(|p| p.added.unwrap_or(0)),
        sum(|p| p.completed.unwrap_or(0)),
        sum(|p| p.failed),
    )
}

/// Replaces colours by classes and makes the drawing scale and speak.
fn dress(svg: &str, (width, height): (u32, u32), description: &str) -> String {
    let mut out = svg.to_owned();
    for (_, hex, class) in SENTINELS {
        out = out.replace(&format!("fill=\"{hex}\""), &format!("class=\"{class} fill\""));
        out = out.replace(&format!("stroke=\"{hex}\""), &format!("class=\"{class} stroke\""));
    }
    // An element has one fill and one stroke at most in a sentinel colour; the other is "none".
    out.replacen(
        &format!("<svg width=\"{width}\" height=\"{height}\""),
        &format!("<svg role=\"img\" aria-label=\"{description}\" class=\"chart\" preserveAspectRatio=\"none\""),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_classes_for_colours_and_says_what_it_shows() {
        let busy = Slice {
            added: 3,
            completed: 2,
            failed: 1,
        };
        let svg = throughput(&[Some(busy); 31], &[]);
        assert!(svg.contains("5 minutes: 90 added, 60 completed, 30 failed."), "{svg}");
        for (_, hex, class) in &SENTINELS[..5] {
            assert!(!svg.contains(hex), "{hex} is left in the drawing");
            assert!(svg.contains(class), "{class} is not drawn");
        }
        assert!(
            !svg.contains("style="),
            "a style attribute would break the content security policy"
        );
    }

    /// Thirteen slices of which nothing happened in the last nine, and the others are not known.
    fn begun() -> Vec<Option<Slice>> {
        [[None; 4].as_slice(), &[Some(Slice::default()); 9]].concat()
    }

    #[test]
    fn what_was_not_watched_whole_is_blank_not_zero() {
        let points = per_minute(&begun());
        assert_eq!(points.iter().flatten().count(), 1);
        assert_eq!(points.last().unwrap().unwrap().added, Some(0));
        assert!(throughput(&[Some(Slice::default())], &[]).contains("last 0 minutes"));
    }

    #[test]
    fn minutes_that_nobody_watched_come_from_the_jobs_still_kept() {
        let (minutes, end) = unwatched(&begun(), 130_000);
        assert_eq!((minutes, end), (59, 70_000));
        let kept = [(None, 1), (Some(7), 2)].map(|(completed, failed)| Kept { completed, failed });
        let svg = throughput(&begun(), &kept);
        assert!(svg.contains("last 3 minutes: 0 added, 7 completed, 3 failed."), "{svg}");
    }

    #[test]
    fn a_gap_between_minutes_that_were_watched_stays_a_gap() {
        let busy = Some(Slice {
            added: 1,
            completed: 1,
            failed: 0,
        });
        let mut slices = vec![busy; 31];
        slices[15] = None;
        let points = per_minute(&slices);
        assert_eq!(points[POINTS - 5..].iter().filter(|point| point.is_none()).count(), 1);
        assert_eq!(unwatched(&slices, 310_000), (POINTS - 2, 190_000));
        // What is kept of it fills it, and nothing that is known.
        let kept = [Kept {
            completed: Some(50),
            failed: 0,
        }; 3];
        let svg = throughput(&slices, &kept);
        assert!(svg.contains("24 added, 74 completed"), "{svg}");
    }
}
