//! What every component may need to know.

use crate::base_path::BasePath;
use crate::model::store::StoreSummary;
use leptos::prelude::*;

/// The page that a component is in.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where the board lives.
    pub base: BasePath,
}

/// The base path of the page.
pub fn base() -> BasePath {
    use_context::<Frame>().map(|frame| frame.base).unwrap_or_default()
}

/// What the browser knows by itself about a page that the server writes, when the server cannot.
#[derive(Clone, Copy, Debug)]
pub struct JobBanners {
    /// The store of the job, while it does not answer.
    pub silent: RwSignal<Option<StoreSummary>>,
    /// The job was removed.
    pub removed: RwSignal<bool>,
}
