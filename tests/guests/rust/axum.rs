//! A guest of several routes on axum, by wstd-axum, for WASI 0.2.

use axum::extract::Query;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Redirect};
use axum::routing::{any, get, post};
use axum::{Json, Router, body::Body};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[wstd_axum::http_server]
fn main() -> Router {
    Router::new()
        .route("/", get(async || "Hello from axum\n"))
        .route("/echo", post(async |body: Body| body))
        .route("/request", any(describe))
        .route("/query", get(async |Query(query): Query<BTreeMap<String, String>>| Json(query)))
        .route("/json", post(async |Json(value): Json<Value>| Json(json!({ "received": value }))))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/moved", get(async || Redirect::permanent("/request")))
        .route("/cookies", get(async || (AppendHeaders([(SET_COOKIE, "a=1"), (SET_COOKIE, "b=2")]), "Two\n")))
        .fallback(async || (StatusCode::NOT_FOUND, "There is nothing here.\n"))
}

/// What the guest sees of a request.
async fn describe(method: Method, uri: Uri, fields: HeaderMap) -> impl IntoResponse {
    format!("{method} {uri}\n{fields:#?}\n")
}
