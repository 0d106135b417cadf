//! The sign-in form, and the line that says who is signed in. Only the server renders them.

use crate::base_path::BasePath;
use crate::model::format::visible;
use leptos::prelude::*;

/// What the form shows.
#[derive(Clone, Debug, Default)]
pub struct SignIn {
    /// The page to continue to, inside the board.
    pub next: String,
    /// The name, as the user typed it.
    pub name: String,
    /// What is wrong.
    pub trouble: Option<String>,
}

/// How a user signs out.
#[derive(Clone, Debug)]
pub enum WayOut {
    /// With a button here.
    Here,
    /// At the proxy.
    Url(String),
    /// The configuration does not say where.
    Nowhere,
}

/// The form.
pub fn view(base: &BasePath, form: SignIn) -> impl IntoView + use<> {
    let trouble = form
        .trouble
        .map(|why| view! { <p class="trouble" role="alert" id="trouble">{why}</p> });
    let described = trouble.is_some().then_some("trouble");
    let known = !form.name.is_empty();
    view! {
        <main class="sign-in" id="main">
            <h1>"Sign in to Drover"</h1>
            {trouble}
            <form method="post" action=base.href("/sign-in")>
                <input type="hidden" name="next" value=form.next/>
                <label for="name">"Name"</label>
                <input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required value=form.name
                    autofocus=!known aria-describedby=described/>
                <label for="password">"Password"</label>
                <input id="password" name="password" type="password" autocomplete="current-password" required autofocus=known
                    aria-describedby=described/>
                <button class="primary">"Sign in"</button>
            </form>
            <p class="dim">"No account? Ask your administrator to run "<code>"drover user add"</code>"."</p>
        </main>
    }
}

/// The line.
pub fn account(base: &BasePath, name: &str, role: &str, way_out: &WayOut) -> impl IntoView + use<> {
    let out = match way_out {
        WayOut::Here => view! {
            <form method="post" action=base.href("/sign-out")><button>"Sign out"</button></form>
        }
        .into_any(),
        WayOut::Url(url) => view! { <a href=url.clone()>"Sign out"</a> }.into_any(),
        WayOut::Nowhere => ().into_any(),
    };
    view! {
        <aside class="account" aria-label="Account">
            <span>"Signed in as "<strong>{visible(name)}</strong>" · "{role.to_owned()}</span>
            {out}
        </aside>
    }
}
