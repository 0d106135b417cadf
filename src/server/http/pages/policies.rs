//! Policies of the archive: their page, and what its two buttons do.

use super::{PageRequest, see_other};
use crate::model::archive::{ArchiveView, PoliciesView};
use crate::model::error::Problem;
use crate::model::page::Body;
use crate::server::http::extract::{Path, Query};
use crate::server::http::state::App;
use crate::ui::operation_path;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

/// Where the page is.
const HERE: &str = "/archive/policies";

/// The query parameters after a button.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    asked: Option<String>,
}

/// All policies.
pub async fn all(req: PageRequest, Query(told): Query<Told>) -> Response {
    let service = req.app.service();
    let standings = req.view().policy_standings().await;
    let view = PoliciesView {
        policies: standings.map_err(|refusal| refusal.to_string()),
        refused: service.policy_refusal(&req.caller.who),
        keep: service.archive_retention(),
        asked: told.asked.filter(|id| service.policies().get(id).is_some()),
    };
    let body = Body::Archive(ArchiveView::Policies(Box::new(view)));
    req.show(req.app.board().position(), body)
}

/// Runs one now, or shows what that would do.
pub async fn act(req: PageRequest, Path((id, word)): Path<(String, String)>) -> Response {
    let links = vec![("The policies".into(), HERE.into())];
    let service = req.service();
    match word.as_str() {
        "run" => match service.run_policy(&req.caller.who, &id, "").await {
            Ok(Some(operation)) => req.lead(&operation_path(&operation)),
            Ok(None) => req.lead(&format!("{HERE}?asked={}", crate::model::address::encode_segment(&id))),
            Err(refusal) => req.cannot(Problem::from(&refusal), links),
        },
        "dry-run" => match service.preview_policy(&req.caller.who, &id).await {
            Ok(preview) => req.preview(crate::model::operation::page::PreviewPage::new(preview)),
            Err(refusal) => req.cannot(Problem::from(&refusal), links),
        },
        _ => req.lead(HERE),
    }
}

/// The redirect for a GET of a button's address.
pub async fn to_all(State(app): State<App>) -> Response {
    see_other(&app.config().base_path.href(HERE))
}
