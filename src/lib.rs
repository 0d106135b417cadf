//! Drover: one board for job queues and the stores they live in.
//!
//! One crate, three audiences: code for the server (`ssr`), for the browser (`hydrate`,
//! WebAssembly), and code both share. Reading order:
//!
//! 1. [`model`]: the words (store, queue, job, state, verdict) as plain types
//! 2. [`base_path`]: where the board lives, and the only place that joins URLs
//! 3. `server::adapter`: what Drover needs from a queue library; then `adapter::bullmq`
//! 4. `server::collect`: one collector per store, the board, and the streams of its changes
//! 5. `server::service` and `server::http`: what Drover answers, and every route on one screen
//! 6. [`ui`]: the pages, rendered by the server and enlivened in the browser
//! 7. by subject: `server::verdict`, `server::auth`, `server::redact`, `server::audit`, `server::operation`,
//!    `server::archive`, `server::status`
//!
//! `docs/architecture.md` follows one change and one action through these, file by file.
//!
//! Data goes one way: store → adapter → collector → board → page and stream. Dependencies point one way too: `model`
//! depends on no other module, `ui` never names the server, adapters never name each other, HTTP or Leptos, and only
//! `server::boot` knows every concrete type. `src/tests/layers.rs` enforces this.

// A page is one nested type; the compiler follows it to the end.
#![recursion_limit = "512"]

pub mod base_path;
pub mod model;
#[cfg(feature = "ssr")]
pub mod server;
pub mod ui;

/// Hydrates the page that the server rendered.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    ui::hydrate();
}
