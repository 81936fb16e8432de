//! The documentation page: the OpenAPI document, made readable, and the front door at `/`.
//!
//! Invariant: one page made on the server once, without scripts and without anything from another host; the
//! content security policy allows its own stylesheet and nothing else. What is not in the OpenAPI document is
//! not on the page.

mod example;
mod page;
mod schema;

use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard};
use bytes::Bytes;
use serde_json::json;

use super::api::openapi;
use super::middleware::refuse_method;

const STYLE: &str = include_str!("style.css");
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Registers the pages; they are for people, so they are not operations of the API.
pub(super) fn configure(config: &mut ServiceConfig) {
    let get = || guard::Any(guard::Get()).or(guard::Head());
    let pages = [
        ("/", web::route().guard(get()).to(front_door)),
        ("/docs", web::route().guard(get()).to(show_page)),
        ("/docs/style.css", web::route().guard(get()).to(show_style)),
    ];
    for (path, route) in pages {
        let refused = refuse_method("GET, HEAD".to_owned());
        config.service(web::resource(path).route(route).default_service(refused));
    }
}

/// Leads people to the portal, which asks strangers who they are and tells them of the documentation, and tells
/// programs where everything is.
async fn front_door(request: HttpRequest) -> HttpResponse {
    if wants_html(request.headers()) {
        return HttpResponse::Found()
            .insert_header((LOCATION, "/portal"))
            .insert_header((CACHE_CONTROL, "no-cache"))
            .finish();
    }
    HttpResponse::Ok().json(json!({
        "name": "tidings",
        "version": env!("CARGO_PKG_VERSION"),
        "links": { "portal": "/portal", "documentation": "/docs", "openapi": "/openapi.json", "readiness": "/readyz" },
    }))
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

async fn show_page() -> HttpResponse {
    static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
        page::render(&serde_json::to_value(openapi::document()).unwrap_or_default()).into()
    });
    asset("text/html; charset=utf-8", PAGE.clone())
}

async fn show_style() -> HttpResponse {
    asset(
        "text/css; charset=utf-8",
        Bytes::from_static(STYLE.as_bytes()),
    )
}

fn asset(content_type: &'static str, body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(body)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::http::api::routes::routes;

    fn html() -> String {
        page::render(&serde_json::to_value(openapi::document()).expect("JSON"))
    }

    #[test]
    fn the_page_shows_every_operation() {
        let html = html();
        for route in routes() {
            assert!(
                html.contains(&format!(r#"id="{}""#, route.operation_id)),
                "{}",
                route.operation_id
            );
        }
    }

    #[test]
    fn the_page_needs_no_script_no_inline_style_and_no_other_host() {
        let html = html();
        for forbidden in [
            "<script",
            "style=\"",
            "src=\"",
            "href=\"http",
            "@import",
            "url(",
        ] {
            assert!(!html.contains(forbidden), "{forbidden}");
            assert!(!STYLE.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn a_browser_is_led_to_a_page_and_a_program_is_told_the_links() {
        let accept = |value| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]);

        assert!(wants_html(&accept(
            "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
        )));
        assert!(!wants_html(&accept("*/*")));
        assert!(!wants_html(&HeaderMap::new()));
    }
}
