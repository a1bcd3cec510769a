//! What the tables say, for programs that read the page's address: pages of trades and orders, sums, positions, log lines.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::db::{Asked, NoAnswer, Pages, Question};

/// The tables, if this page has any.
#[derive(Clone, Debug)]
pub(super) struct History(Option<Arc<Pages>>);

impl History {
    pub(super) fn new(path: Option<PathBuf>, cached_answers: usize) -> Self {
        Self(path.map(|path| Arc::new(Pages::new(path, cached_answers))))
    }

    fn answer(&self, question: Question, asked: &Asked) -> Response {
        let Some(pages) = &self.0 else {
            return (StatusCode::NOT_FOUND, "this page has no tables\n").into_response();
        };
        match pages.answer(question, asked) {
            Ok(answer) => Json(answer).into_response(),
            Err(NoAnswer::Asked(problem)) => {
                (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response()
            }
            Err(NoAnswer::Read(error)) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "the tables could not be read for the page");
                let text = "the tables could not be read: the log says why\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }
}

/// What the tables answer.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(history: History) -> Router<S> {
    let questions = [
        ("/api/trades", Question::Trades),
        ("/api/orders", Question::Orders),
        ("/api/logs", Question::Logs),
        ("/api/days", Question::Days),
        ("/api/strategies", Question::Strategies),
        ("/api/positions", Question::Positions),
    ];
    let add = |router: Router<History>, (path, question)| {
        router.route(
            path,
            get(async move |State(history): State<History>, Query(asked): Query<Asked>| {
                history.answer(question, &asked)
            }),
        )
    };
    questions.into_iter().fold(Router::new(), add).with_state(history)
}
