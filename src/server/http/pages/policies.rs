//! Policies of the archive: their page, and what its two buttons do.

use super::super::caller::Caller;
use super::operations::Desk;
use super::{see_other, show};
use crate::model::archive::{ArchiveView, PoliciesView};
use crate::model::page::Body;
use crate::server::http::security::Sheet;
use crate::server::state::App;
use crate::ui::operation_path;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

/// Where the page is.
const HERE: &str = "/archive/policies";

/// What may stand behind `?` after a button.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    asked: Option<String>,
}

/// All policies.
pub async fn all(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    headers: HeaderMap,
    Query(told): Query<Told>,
) -> Response {
    let service = app.service();
    let standings = app.view(&caller.who).policy_standings().await;
    let view = PoliciesView {
        policies: standings.map_err(|refusal| refusal.problem().detail),
        refused: service.policy_refusal(&caller.who),
        keep: service.archive_retention(),
        asked: told.asked.filter(|id| service.policies().get(id).is_some()),
    };
    let body = Body::Archive(ArchiveView::Policies(Box::new(view)));
    show(&app, &sheet, &headers, app.board().position(), body)
}

/// Runs one now, or shows what that would do.
pub async fn act(
    State(app): State<App>,
    desk: Desk,
    caller: Caller,
    Path((id, word)): Path<(String, String)>,
) -> Response {
    let links = vec![("The policies".into(), HERE.into())];
    let service = app.service();
    let lead = |path: &str| see_other(&app.config().base_path.href(path));
    match word.as_str() {
        "run" => match service.run_policy(&caller.who, &id, "").await {
            Ok(Some(operation)) => lead(&operation_path(&operation)),
            Ok(None) => lead(&format!("{HERE}?asked={}", crate::model::event::encode_segment(&id))),
            Err(refusal) => desk.refused(refusal.problem(), links),
        },
        "dry-run" => match service.preview_policy(&caller.who, &id).await {
            Ok(preview) => desk.preview(crate::model::operation::page::PreviewPage::new(preview)),
            Err(refusal) => desk.refused(refusal.problem(), links),
        },
        _ => lead(HERE),
    }
}

/// For whoever asks for the address of a button.
pub async fn to_all(State(app): State<App>) -> Response {
    see_other(&app.config().base_path.href(HERE))
}
