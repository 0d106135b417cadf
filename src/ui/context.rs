//! What every component may need.

use crate::base_path::BasePath;
use crate::model::store::StoreSummary;
use leptos::prelude::*;

/// The page that a component is in.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The board's base path.
    pub base: BasePath,
}

/// The base path of the page.
pub fn base() -> BasePath {
    use_context::<Frame>().map(|frame| frame.base).unwrap_or_default()
}

/// What the browser learns by itself about a page that only the server renders, while the server cannot.
#[derive(Clone, Copy, Debug)]
pub struct JobBanners {
    /// The store of the job, while it does not answer.
    pub silent: RwSignal<Option<StoreSummary>>,
    /// The job was removed.
    pub removed: RwSignal<bool>,
}
