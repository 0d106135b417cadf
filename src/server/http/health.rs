//! How Drover itself is doing. None of these asks a store: a dead Redis must not restart the board
//! that shows that it is dead.

use crate::server::database::file;
use crate::server::http::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The process can serve, is not stopping, and all of its own tasks run.
pub async fn ready(State(app): State<App>) -> Response {
    if app.stop().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let down = app.tasks().down();
    if down.is_empty() {
        // It serves all the same.
        return match app.data().file_trouble() {
            None => "ready\n".into_response(),
            Some(_) => format!(
                "ready\n{} is not in use: charts and sessions begin anew at a restart. The log has the reason.\n",
                file::NAME
            )
            .into_response(),
        };
    }
    // Needs no permission, so it names the task only, not the store or the reason.
    let text = format!(
        "a task of Drover failed and is being restarted: {}. The log has the reason.\n",
        down.join(", ")
    );
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
