//! The page that the agent serves by itself. It holds nothing of anybody's: all that it shows it asks for with a token.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};

/// Nothing but our own files runs, and no other page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Its routes.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file = |media: &'static str, text: &'static str| get(move || async move { answer(media, text) });
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/assets/page.js", file("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/assets/page.css", file("text/css; charset=utf-8", include_str!("page/page.css")))
}

fn answer(media: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}
