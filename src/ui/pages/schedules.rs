//! What runs when: what does not run as it should comes first, then what runs next.

use super::act;
use super::fleet::{address, crumbs, filter_box, store_trouble};
use crate::base_path::{BasePath, schedule_act_path};
use crate::model::Millis;
use crate::model::form::Offer;
use crate::model::format;
use crate::model::job::cut;
use crate::model::queue::QueueRef;
use crate::model::schedule::{Iteration, LastRun, MoreSchedules, Schedule, ScheduleKind, SchedulesPage, Timetable};
use crate::model::state::JobState;
use crate::model::verdict::Level;
use crate::model::worker::FleetFilter;
use crate::ui::app::base;
use crate::ui::components::{Due, StateMark, level_class};
use crate::ui::live::Live;
use leptos::prelude::*;

/// Characters of an id or a pattern in a row; the whole is one hover away.
const SHOWN: usize = 60;

/// Which schedule: the queue and its id there.
type Key = (QueueRef, String);

/// A schedule's lines, which change in place.
#[derive(Clone)]
struct Line {
    key: Key,
    offer: Offer,
    schedule: RwSignal<Schedule>,
}

/// What is on the page.
#[derive(Clone, Copy)]
struct Board {
    lines: RwSignal<Vec<Line>>,
    stores: RwSignal<Vec<Timetable>>,
    /// What there is beyond the lines.
    rest: RwSignal<Rest>,
}

/// What there is beyond the lines.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rest {
    total: u64,
    read: u64,
    unlisted: u64,
    more: Vec<MoreSchedules>,
}

impl Rest {
    fn of(page: &SchedulesPage) -> Self {
        Self {
            total: page.total,
            read: page.read,
            unlisted: page.unlisted,
            more: page.more.clone(),
        }
    }
}

#[component]
pub fn SchedulesView(page: SchedulesPage, offers: Vec<(QueueRef, Offer)>) -> impl IntoView {
    let base = base();
    let filter = page.filter.clone();
    let board = Board {
        rest: RwSignal::new(Rest::of(&page)),
        lines: RwSignal::new(
            page.schedules
                .into_iter()
                .map(|schedule| line(schedule, &offers))
                .collect(),
        ),
        stores: RwSignal::new(page.stores),
    };
    let filtered = !filter.is_empty();
    let mut refused: Vec<String> = offers.iter().flat_map(|(_, offer)| offer.refused.clone()).collect();
    refused.sort();
    refused.dedup();
    let last = offers
        .iter()
        .filter_map(|(_, offer)| offer.last.as_ref())
        .max_by_key(|entry| entry.at);
    let said = view! {
        {last.map(|entry| act::result(entry, None))}
        {refused.into_iter().map(|why| view! { <p class="not-now">{why}</p> }).collect_view()}
    };
    view! {
        {crumbs(&base, "Schedules", &filter)}
        <header class="head">
            <h1>"Schedules"</h1>
            <p class="sums">{move || board.sums()}</p>
        </header>
        {move || {
            board
                .stores
                .get()
                .into_iter()
                .map(|s| store_trouble(&s.store, s.reach, s.trouble.as_deref(), "schedules"))
                .collect_view()
        }}
        <div class="fleet-bar">
            {filter_box(&base, "/schedules", &filter, "Schedule, job name or queue")}
        </div>
        {said}
        {move || {
            board.lines.with(Vec::is_empty).then(|| view! { <p class="empty">{nothing(filtered)}</p> })
        }}
        <div class="scroll">
            <table class="fleet schedules" id="fleet" class:none=move || board.lines.with(Vec::is_empty)>
                <caption class="sr-only">"Schedules, those in trouble first, then by next run"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Verdict"</th>
                        <th scope="col">"Schedule"</th>
                        <th scope="col">"Queue"</th>
                        <th scope="col">"Runs"</th>
                        <th scope="col">"Next run"</th>
                        <th scope="col">"Last run"</th>
                        <th scope="col" class="n" title="Jobs made so far, the next one included">"Made"</th>
                        <th scope="col">"Template"</th>
                        <th scope="col">"Actions"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || board.lines.get() key=|line| line.key.clone() let:line>
                        <Rows line/>
                    </For>
                </tbody>
            </table>
        </div>
        <More rest=board.rest/>
    }
    .into_any()
}

fn line(schedule: Schedule, offers: &[(QueueRef, Offer)]) -> Line {
    let offer = offers.iter().find(|(queue, _)| *queue == schedule.queue);
    Line {
        offer: offer.map(|(_, offer)| offer.clone()).unwrap_or_default(),
        key: (schedule.queue.clone(), schedule.id.clone()),
        schedule: RwSignal::new(schedule),
    }
}

const fn nothing(filtered: bool) -> &'static str {
    if filtered {
        "No schedule matches. Clear the filter to see all."
    } else {
        "No queue has a schedule. Job schedulers and repeatable jobs appear here within 15 seconds of being saved."
    }
}

impl Board {
    fn sums(self) -> String {
        let total = self.rest.with(|rest| rest.total);
        let (shown, bad) = self.lines.with(|lines| {
            let bad = |line: &&Line| {
                line.schedule
                    .with(|s| matches!(s.verdict.level, Level::Bad | Level::Watch))
            };
            (lines.len() as u64, lines.iter().filter(bad).count())
        });
        let of = if shown == total {
            String::new()
        } else {
            format!(" of {}", format::count(total))
        };
        let plural = if total == 1 { "" } else { "s" };
        let trouble = match bad {
            0 => String::new(),
            1 => ", one needs somebody".to_owned(),
            n => format!(", {n} need somebody"),
        };
        format!("{}{of} schedule{plural}{trouble}", format::count(shown))
    }
}

/// A schedule, and under it what is the matter.
#[component]
fn Rows(line: Line) -> impl IntoView {
    let base = base();
    let schedule = line.schedule;
    let first = schedule.get_untracked();
    let queue = line.key.0.clone();
    let act = actions(&base, &line);
    let (id, kind) = (format::visible(&first.id), first.kind.label());
    let whole = format!("{kind} {id}");
    // A repeatable's id is all its options in a row: the name of its jobs says more. A scheduler's job name
    // is news only where it is not the id.
    let (shown, named) = match (first.kind, first.name.as_deref().map(format::visible)) {
        (ScheduleKind::Repeatable, Some(name)) => (name, None),
        (_, name) => {
            let named = name.filter(|name| *name != id).map(|name| cut(&name, SHOWN));
            (id, named)
        }
    };
    let words = move || schedule.with(|s| format::visible(&s.words));
    let pattern = move || {
        schedule.with(|s| {
            let pattern = s
                .pattern
                .as_deref()
                .map(|pattern| format!("{} ", format::visible(pattern)));
            pattern.unwrap_or_default() + kind
        })
    };
    let reason = move || schedule.with(|s| s.verdict.reason.clone());
    let jobs = (base.clone(), queue.clone());
    let past = jobs.clone();
    let row = format!("{} {}", line.key.0, line.key.1);
    let why = format!("{row} why");
    view! {
        <tr class="crew" data-id=row class:loud=move || schedule.with(|s| s.verdict.level == Level::Bad)>
            <td class="v">
                <span class=move || level_class(schedule.with(|s| s.verdict.level))>
                    {move || schedule.with(|s| s.verdict.level.word())}
                </span>
            </td>
            <th scope="row" class="name" title=whole>{cut(&shown, SHOWN)}" "<small>{named}</small></th>
            <td class="of" data-l="queue">
                <a href=base.queue(&queue) data-row="">{format::visible(&first.queue_name)}</a>" "<small>{queue.store.clone()}</small>
            </td>
            <td class="when" title=pattern>{words}" "<small>{move || schedule.with(ends)}</small></td>
            <td class="next" data-l="next">
                {move || schedule.with(|s| next(s, &jobs.0, &jobs.1))}
            </td>
            <td class="last" data-l="last">
                {move || schedule.with(|s| last(&s.last, &past.0, &past.1))}
            </td>
            <td class="n" data-l="made">{move || schedule.with(made)}</td>
            <td class="template">
                {move || schedule.with(template)}
            </td>
            <td class="can">{act}</td>
        </tr>
        {move || {
            let reason = reason();
            (!reason.is_empty())
                .then(|| {
                    let loud = schedule.with(|s| matches!(s.verdict.level, Level::Bad | Level::Watch));
                    view! { <tr class="why" data-id=why.clone()><td></td><td colspan="8" class:sentence=loud>{reason}</td></tr> }
                })
        }}
    }
    .into_any()
}

/// What can be done to it; why nothing can is said once, above the table.
fn actions(base: &BasePath, line: &Line) -> AnyView {
    let (queue, id) = &line.key;
    let mut offer = line.offer.clone();
    offer.refused.clear();
    act::buttons(&offer, &base.href(&schedule_act_path(queue, id)), id)
}

fn ends(schedule: &Schedule) -> String {
    let mut parts = Vec::new();
    if let Some(start) = schedule.start {
        parts.push(format!("from {}", short(start)));
    }
    if let Some(end) = schedule.end {
        parts.push(format!("until {}", short(end)));
    }
    parts.join(", ")
}

/// A moment to the second.
fn short(at: Millis) -> String {
    let moment = format::moment(at);
    match moment.split_once('.') {
        Some((seconds, _)) => format!("{seconds} UTC"),
        None => moment,
    }
}

fn made(schedule: &Schedule) -> String {
    match (schedule.made, schedule.limit) {
        (made, Some(limit)) => format!("{} of {}", format::count_or_unknown(made), format::count(limit)),
        (made, None) => format::count_or_unknown(made),
    }
}

fn next(schedule: &Schedule, base: &BasePath, queue: &QueueRef) -> AnyView {
    let due = schedule.due;
    let Some(job) = &schedule.job else {
        return view! { <span class="dim">"none"</span> <small>{format!("planned for {}", short(due))}</small> }
            .into_any();
    };
    let href = base.job(queue, &job.id);
    match job.state {
        Some(state @ (JobState::Active | JobState::Completed | JobState::Failed)) => view! {
            <a href=href><StateMark state=state/></a>
            <small>{format!("planned for {}", short(due))}</small>
        }
        .into_any(),
        state => view! {
            <a href=href title=format!("The next job, {}", state.map_or("in no list that was looked at", |state| state.label()))>
                <Due at=Some(due)/>
            </a>
            <small>{short(due)}</small>
        }
        .into_any(),
    }
}

fn last(last: &LastRun, base: &BasePath, queue: &QueueRef) -> AnyView {
    let live = expect_context::<Live>();
    match last {
        LastRun::None => view! { <span class="dim">"none yet"</span> }.into_any(),
        LastRun::Kept(Iteration {
            id,
            at,
            state,
            begun,
            finished,
        }) => {
            let moment = finished.or(*begun).unwrap_or(*at);
            let href = base.job(queue, id);
            view! {
                <a href=href title=move || live.both_moments(moment)>
                    {match state {
                        Some(state) => view! { <StateMark state=*state/> }.into_any(),
                        None => view! { "not begun" }.into_any(),
                    }}
                </a>
                " "
                <small>{move || format!("{} ago", format::span(live.now.get() - moment))}</small>
            }
            .into_any()
        }
        LastRun::Removed { about } => {
            let about = *about;
            view! {
                <span class="dim" title="Retention removed the job after it finished. The time is when the next job was made: when that run began, unless the schedule was saved again since.">
                    {move || match about {
                        Some(at) => format!("about {} ago; not known: removed by retention", format::span(live.now.get() - at)),
                        None => "not known: removed by retention".to_owned(),
                    }}
                </span>
            }
            .into_any()
        }
    }
}

fn template(schedule: &Schedule) -> AnyView {
    match &schedule.data {
        None => view! { <span class="dim">"no data"</span> }.into_any(),
        Some(data) => match &data.text {
            Some(text) => {
                let text = format::visible(text);
                let title = text.clone();
                view! { <code title=title>{text}</code> }.into_any()
            }
            None => view! { <span class="dim">{format::bytes(data.size)}</span> }.into_any(),
        },
    }
}

/// What is not on the page.
#[component]
fn More(rest: RwSignal<Rest>) -> impl IntoView {
    let base = base();
    move || {
        rest.with(|rest| {
            let unlisted = (rest.unlisted > 0)
                .then(|| view! { <p class="note">{format!("{} more match; they run later. Filter to see them.", format::count(rest.unlisted))}</p> });
            let more = (!rest.more.is_empty()).then(|| {
                let queues = rest
                    .more
                    .iter()
                    .take(20)
                    .map(|more| {
                        let filter = FleetFilter { q: String::new(), queue: Some(more.queue.clone()) };
                        view! {
                            <li>
                                <a href=address(&base, "/schedules", &filter)>{format::visible(&more.name)}</a>
                                {format!(": {} more", format::count(more.unread))}
                            </li>
                        }
                    })
                    .collect_view();
                view! {
                    <div class="note">
                        <p>{format!("Of {} schedules the {} that run next were read. Not read:", format::count(rest.total), format::count(rest.read))}</p>
                        <ul>{queues}</ul>
                    </div>
                }
            });
            view! { {unlisted} {more} }.into_any()
        })
    }
}
