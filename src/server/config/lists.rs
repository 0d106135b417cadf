//! `[[store.list]]`: which lists of a Redis are queues of an application without a library.

use super::{Reader, file};
use crate::model::{Millis, span};
use crate::server::adapter::lists::profile::{BodyPath, End, Format, Profile};
use std::collections::HashSet;
use std::fmt::Write as _;

/// The longest name and the longest key.
const TEXT_MAX: usize = 500;

/// An item is not taken for stuck sooner, nor later.
const STUCK_MIN: Millis = 1_000;
const STUCK_MAX: Millis = 31 * 86_400_000;

/// Reads the profiles of a store; one with a problem is left out.
pub(super) fn read(r: &mut Reader<'_>, at: &str, raw: Vec<file::List>) -> Vec<Profile> {
    let (mut profiles, mut keys) = (vec![], HashSet::new());
    for (i, raw) in raw.into_iter().enumerate() {
        let label = raw.name.as_ref().or(raw.waiting.as_ref()).cloned();
        let at = format!(
            "{at}: [[store.list]] {} ({})",
            i + 1,
            label.as_deref().unwrap_or("no name")
        );
        let mut problems = vec![];
        let profile = profile(raw, &mut problems);
        for key in profile.keys() {
            if !keys.insert(key.to_owned()) {
                problems.push(format!(
                    "the key {key:?} is given twice: each list belongs to one state of one queue"
                ));
            }
        }
        if problems.is_empty() {
            profiles.push(profile);
        }
        r.problems
            .extend(problems.into_iter().map(|why| format!("{at}: {why}")));
    }
    profiles
}

fn profile(raw: file::List, problems: &mut Vec<String>) -> Profile {
    let waiting = raw.waiting.unwrap_or_default();
    if waiting.is_empty() {
        problems.push("has no list to take from: write waiting = \"mail:waiting\"".into());
    }
    let format = choice(
        problems,
        "format",
        raw.format,
        [
            ("json", Format::Json),
            ("msgpack", Format::MessagePack),
            ("text", Format::Text),
        ],
    );
    let ends = [("right", End::Right), ("left", End::Left)];
    let take = choice(problems, "take", raw.take, ends);
    let grow = choice(problems, "grow", raw.grow, [ends[1], ends[0]]);
    let lifo = choice(problems, "order", raw.order, [("fifo", false), ("lifo", true)]);
    let mut path = |name: &str, text: Option<String>| {
        let text = text?;
        if format == Format::Text {
            problems.push(format!("{name}: a text has no fields: leave it out, or set format"));
        }
        BodyPath::parse(&text)
            .map_err(|why| problems.push(format!("{name}: {why}")))
            .ok()
    };
    let [id, title, error, time] = [
        path("id_path", raw.id_path),
        path("name_path", raw.name_path),
        path("error_path", raw.error_path),
        path("time_path", raw.time_path),
    ];
    let profile = Profile {
        name: raw
            .name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| waiting.clone()),
        waiting,
        processing: raw.processing,
        completed: raw.completed,
        failed: raw.failed,
        take,
        lifo,
        grow,
        format,
        id,
        title,
        error,
        time,
        stuck_after: raw.stuck_after.and_then(|text| stuck_after(problems, &text)),
        heartbeat: raw.heartbeat,
    };
    check(&profile, problems);
    profile
}

fn check(profile: &Profile, problems: &mut Vec<String>) {
    let beside = [
        ("processing", &profile.processing),
        ("completed", &profile.completed),
        ("failed", &profile.failed),
        ("heartbeat", &profile.heartbeat),
    ];
    for (name, key) in beside {
        if key.as_ref().is_some_and(String::is_empty) {
            problems.push(format!("{name}: it is empty: write a key, or leave it out"));
        }
    }
    let heartbeat = profile.heartbeat.as_deref();
    if profile
        .keys()
        .chain(heartbeat)
        .chain([&*profile.name])
        .any(|text| text.len() > TEXT_MAX)
    {
        problems.push(format!("a name or a key has more than {TEXT_MAX} bytes"));
    }
    if heartbeat.is_some_and(|heartbeat| profile.keys().any(|key| key == heartbeat)) {
        problems.push("heartbeat: it is the key of a list".into());
    }
    if profile.processing.is_none() && (heartbeat.is_some() || profile.stuck_after.is_some()) {
        problems.push("stuck_after and heartbeat are about items in processing: name that list".into());
    }
    if profile.held_by_item() && profile.id.is_none() {
        problems.push("heartbeat: it has {id} in it: set id_path".into());
    }
}

/// The value of a word; of the first where there is none.
fn choice<T: Copy, const N: usize>(
    problems: &mut Vec<String>,
    name: &str,
    text: Option<String>,
    all: [(&str, T); N],
) -> T {
    let Some(text) = text else { return all[0].1 };
    let known = all.iter().find(|(word, _)| *word == text);
    known.map_or_else(
        || {
            let words = all.map(|(word, _)| word);
            problems.push(format!("{name}: {text:?} is none of {}", words.join(", ")));
            all[0].1
        },
        |(_, value)| *value,
    )
}

fn stuck_after(problems: &mut Vec<String>, text: &str) -> Option<Millis> {
    let why = match span::parse(text).map(Millis::try_from) {
        Ok(Ok(ms)) if (STUCK_MIN..=STUCK_MAX).contains(&ms) => return Some(ms),
        Ok(_) => "from 1s to 31d".to_owned(),
        Err(why) => why,
    };
    problems.push(format!("stuck_after: {why}"));
    None
}

/// Writes a profile so that it can be read again.
pub(super) fn print(profile: &Profile, out: &mut String) {
    let end = |end: End| Some(if end == End::Left { "left" } else { "right" }.to_owned());
    let path = |path: &Option<BodyPath>| path.as_ref().map(ToString::to_string);
    let format = match profile.format {
        Format::Json => "json",
        Format::MessagePack => "msgpack",
        Format::Text => "text",
    };
    let settings = [
        ("waiting", Some(profile.waiting.clone())),
        ("name", Some(profile.name.clone())),
        ("processing", profile.processing.clone()),
        ("completed", profile.completed.clone()),
        ("failed", profile.failed.clone()),
        ("take", end(profile.take)),
        ("order", Some(if profile.lifo { "lifo" } else { "fifo" }.to_owned())),
        ("grow", end(profile.grow)),
        ("format", Some(format.to_owned())),
        ("id_path", path(&profile.id)),
        ("name_path", path(&profile.title)),
        ("error_path", path(&profile.error)),
        ("time_path", path(&profile.time)),
        (
            "stuck_after",
            profile.stuck_after.map(|ms| span::write(ms.unsigned_abs())),
        ),
        ("heartbeat", profile.heartbeat.clone()),
    ];
    let _ = writeln!(out, "\n[[store.list]]");
    for (name, value) in settings {
        if let Some(value) = value {
            let _ = writeln!(out, "{name} = {}", toml::Value::from(value));
        }
    }
}
