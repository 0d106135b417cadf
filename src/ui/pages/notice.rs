//! A page that could not be shown, and where to go instead.

use crate::model::error::Notice;
use crate::ui::context::base;
use leptos::prelude::*;

#[component]
pub fn NoticeView(notice: Notice) -> impl IntoView {
    let base = base();
    let links = notice
        .links
        .into_iter()
        .map(|(label, path)| view! { <li><a class="button" href=base.href(&path) data-up="">{label}</a></li> })
        .collect_view();
    view! {
        <section class="notice">
            <p class="status">{notice.status}</p>
            <h1>{notice.title}</h1>
            <p>{notice.detail}</p>
            <ul class="actions">{links}</ul>
        </section>
    }
    .into_any()
}
