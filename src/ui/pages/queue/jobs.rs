//! The list of a queue page, kept up to date.
//!
//! Rows never jump. A row on the page changes in place, and one that has left the list stays where it is, dimmed. Rows
//! after all others are added at once. Every other change waits behind one button that says how many are new and gone,
//! until the reader presses it, or has been inactive for [`IDLE_MS`] (a screen on a wall), or the page was empty to
//! begin with.

use super::Asked;
use crate::base_path::{BasePath, queue_path};
use crate::model::event::{Frame, JobChange};
use crate::model::job::JobRow;
use crate::model::page::{JobPageRows, Order, PAGE_SIZE};
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::ui::live;
use leptos::prelude::*;

/// The list is read again at most this often.
const REREAD_MS: i32 = 1_000;

/// After this long without input, no reader is in the middle of reading a row.
const IDLE_MS: f64 = 10_000.0;

/// A job's line, which changes in place.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: String,
    pub row: RwSignal<JobRow>,
}

/// What has happened to the list since it was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Jobs that would be on the page and are not.
    pub new: usize,
    /// Jobs on the page that have left the list.
    pub gone: usize,
    /// Something happened, and finding out what would cost a search.
    pub stirred: bool,
}

impl News {
    /// The button's text; `None` if there is nothing to show.
    pub fn text(self) -> Option<String> {
        match self {
            Self {
                new: 0,
                gone: 0,
                stirred: false,
            } => None,
            Self {
                new: 0,
                gone: 0,
                stirred: true,
            } => Some("The list has changed · Search again".into()),
            Self { new, gone: 0, .. } => Some(format!("{new} new · Refresh")),
            Self { new: 0, gone, .. } => Some(format!("{gone} removed · Refresh")),
            Self { new, gone, .. } => Some(format!("{new} new, {gone} removed · Refresh")),
        }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    pub key: StoredValue<QueueRef>,
    pub base: StoredValue<BasePath>,
    pub state: JobState,
    pub order: Order,
    /// Only jobs whose name or id contains this.
    pub text: StoredValue<Option<String>>,
    /// The address from which the list is read again.
    pub url: StoredValue<String>,
    /// Whether the page reads the list again by itself: the first page without a search.
    pub follows: bool,
    pub first_page: bool,
    pub lines: RwSignal<Vec<Line>>,
    pub page: RwSignal<Result<JobPageRows, String>>,
    pub news: RwSignal<News>,
    /// The current list, where showing it would move rows.
    pub waiting: StoredValue<Option<JobPageRows>>,
    pub rereading: StoredValue<bool>,
}

/// The lines of a page.
pub fn lines_of(page: &Result<JobPageRows, String>) -> Vec<Line> {
    page.iter().flat_map(|page| &page.rows).map(new_line).collect()
}

fn new_line(row: &JobRow) -> Line {
    Line {
        id: row.id.clone(),
        row: RwSignal::new(row.clone()),
    }
}

impl Jobs {
    /// The address of this queue's page with a query.
    pub fn href(self, query: &str) -> String {
        let path = self.key.with_value(queue_path);
        self.base.with_value(|base| base.href(&format!("{path}?{query}")))
    }

    /// The query of an address with this state, this search, an order and a cursor.
    pub fn query(self, order: Order, cursor: Option<&str>) -> String {
        self.text.with_value(|text| {
            let asked = Asked {
                state: self.state,
                order,
                limit: PAGE_SIZE,
                text: text.as_deref(),
            };
            asked.query(cursor)
        })
    }

    /// Applies the changes of jobs in a frame.
    pub fn take(self, frame: &Frame, snapshot: bool) {
        let mut touched = frame.more_jobs > 0;
        for change in &frame.jobs {
            let shown = self
                .lines
                .with_untracked(|lines| lines.iter().find(|line| line.id == change.id).map(|line| line.row));
            match shown {
                Some(row) => {
                    apply(row, change);
                    touched |= change.removed || change.state.is_some_and(|state| state != self.state);
                }
                None => touched |= self.belongs(change),
            }
        }
        if self.follows && (touched || snapshot) {
            self.reread_soon();
        } else if touched && self.first_page {
            self.news.update(|news| news.stirred = true);
        }
    }

    /// Whether a job that is not on the page may have entered this list.
    fn belongs(self, change: &JobChange) -> bool {
        match change.state {
            // The event for a prioritized job says "waiting" too.
            Some(JobState::Waiting) => matches!(self.state, JobState::Waiting | JobState::Prioritized),
            Some(state) => state == self.state,
            None => false,
        }
    }

    fn reread_soon(self) {
        if self.rereading.get_value() {
            return;
        }
        self.rereading.set_value(true);
        live::set_timeout(REREAD_MS, move || {
            live::fetch_json::<JobPageRows>(self.url.get_value(), move |page| {
                self.rereading.set_value(false);
                if let Some(page) = page {
                    live::on_beat(move || self.compare(page));
                }
            });
        });
    }

    /// Compares the current list with the page: shows it if no row moves, else counts what is new.
    fn compare(self, page: JobPageRows) {
        let shown: Vec<String> = self
            .lines
            .with_untracked(|lines| lines.iter().map(|line| line.id.clone()).collect());
        let now: Vec<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
        let only_appended = now.len() >= shown.len() && shown.iter().zip(&now).all(|(a, b)| a == b);
        if only_appended || reader_is_idle() {
            return self.show(page);
        }
        self.lines.with_untracked(|lines| {
            for line in lines {
                match page.rows.iter().find(|row| row.id == line.id) {
                    Some(row) => set_if_changed(line.row, row),
                    None => line.row.update(|row| {
                        if row.state == self.state && row.problem.is_none() {
                            row.problem = Some(format!("no longer {}", self.state.label()));
                        }
                    }),
                }
            }
        });
        self.news.set(News {
            new: now.iter().filter(|id| !shown.iter().any(|shown| shown == *id)).count(),
            gone: shown.iter().filter(|id| !now.contains(&id.as_str())).count(),
            stirred: false,
        });
        let already = self.waiting.with_value(Option::is_some);
        self.waiting.set_value(Some(page));
        if !already {
            self.settle_later();
        }
    }

    /// Shows the waiting list once the reader is inactive, also when nothing further happens.
    fn settle_later(self) {
        live::set_timeout(2 * REREAD_MS, move || {
            live::on_beat(move || {
                if self.waiting.with_value(Option::is_none) {
                    return;
                }
                if reader_is_idle() {
                    self.show_waiting();
                } else {
                    self.settle_later();
                }
            });
        });
    }

    /// Shows the waiting list; false if there is none.
    pub fn show_waiting(self) -> bool {
        let page = self.waiting.try_update_value(Option::take).flatten();
        let any = page.is_some();
        if let Some(page) = page {
            self.show(page);
        }
        any
    }

    fn show(self, page: JobPageRows) {
        self.lines.update(|lines| {
            *lines = page
                .rows
                .iter()
                .map(|row| match lines.iter().find(|line| line.id == row.id) {
                    Some(line) => {
                        set_if_changed(line.row, row);
                        line.clone()
                    }
                    None => new_line(row),
                })
                .collect();
        });
        self.page.set(Ok(page));
        self.waiting.set_value(None);
        self.news.set(News::default());
    }
}

fn reader_is_idle() -> bool {
    !live::pointer_inside("jobs") && live::idle_ms() > IDLE_MS
}

fn set_if_changed(signal: RwSignal<JobRow>, row: &JobRow) {
    if signal.with_untracked(|known| known != row) {
        signal.set(row.clone());
    }
}

fn apply(row: RwSignal<JobRow>, change: &JobChange) {
    row.update(|row| {
        if let Some(state) = change.state {
            row.state = state;
        }
        if change.progress.is_some() {
            row.progress.clone_from(&change.progress);
        }
        if change.error.is_some() {
            row.error.clone_from(&change.error);
        }
        if change.removed {
            row.problem = Some("removed".into());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::News;

    #[test]
    fn the_button_says_what_showing_would_do() {
        let news = |new, gone| {
            News {
                new,
                gone,
                stirred: false,
            }
            .text()
        };
        assert_eq!(news(0, 0), None);
        assert_eq!(news(12, 0).unwrap(), "12 new · Refresh");
        assert_eq!(news(1, 2).unwrap(), "1 new, 2 removed · Refresh");
        assert_eq!(news(0, 3).unwrap(), "3 removed · Refresh");
    }
}
