//! Data, result and error: whole, in part, or by size alone, with links to the rest.

use super::Shown;
use crate::model::format;
use crate::model::job::{Form, Payload};
use crate::ui::components::{pretty_json, with_rules};
use leptos::prelude::*;

/// The largest value that can be downloaded: the same limit as the server's.
const DOWNLOAD_MAX: u64 = 64 * 1024 * 1024;

/// A value under its heading. `json` is whether the library stores JSON there.
pub fn section(title: &'static str, field: &'static str, payload: Payload, shown: Shown, json: bool) -> AnyView {
    let id = format!("v-{field}");
    let labelled = id.clone();
    let cut = payload.text.is_some() && payload.form != Form::Binary && payload.shown < payload.size;
    let size = format::bytes(payload.size);
    let href = shown.place.with_value(|place| place.field(field));
    let what = match (payload.form, payload.size) {
        (_, 0) => String::new(),
        (Form::Binary, n) => format!("binary, {} bytes; the first {} as hex", format::count(n), payload.shown),
        (Form::Text, _) if cut => format!("first {} of {size}", kib(payload.shown)),
        (Form::Text, _) if json && payload.text.is_some() => format!("{size}, not JSON: as it is stored"),
        _ => size.clone(),
    };
    let link = match payload.size {
        0 => None,
        _ if shown.job.with_untracked(|job| job.withheld) => None,
        n if n > DOWNLOAD_MAX => Some(view! { <small>"too large to download"</small> }.into_any()),
        _ => {
            let text = if cut || payload.text.is_none() {
                format!("Download all {size}")
            } else {
                "Download".into()
            };
            Some(view! { <a href=href download="">{text}</a> }.into_any())
        }
    };
    let body = match payload.text {
        None if payload.size == 0 => view! { <p class="empty">"None."</p> }.into_any(),
        None => {
            let why = payload.note.unwrap_or_else(|| "too large to be shown".into());
            view! { <p class="empty">{format!("{size} long: {why}.")}</p> }.into_any()
        }
        Some(text) if text.is_empty() => view! { <p class="empty">"Empty."</p> }.into_any(),
        Some(text) => {
            let text = if payload.form == Form::Json && json {
                pretty_json(&text)
            } else {
                text
            };
            let class = match (payload.form, field) {
                (Form::Binary, _) => "hex",
                (_, "failedReason") => "error",
                _ => "json",
            };
            let text = shown
                .job
                .with_untracked(|job| with_rules(&format::visible(&text), job.hidden_by.get(field)));
            view! { <pre class=class tabindex="0">{text}</pre> }.into_any()
        }
    };
    view! {
        <section class="span value" aria-labelledby=labelled>
            <div class="value-head"><h2 id=id>{title}</h2><small>{what}</small>{link}</div>
            {body}
        </section>
    }
    .into_any()
}

/// Values are cut at a power of two.
fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}
