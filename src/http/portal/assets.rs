//! What pages fetch: one stylesheet and one script, compiled in.
//!
//! Invariant: an asset's name holds a hash of its bytes, so what is cached for a year is never out of date.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A file that is compiled in.
struct Asset {
    name: String,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(ending: &str, content_type: &'static str, text: &'static str) -> Self {
        let hash = hex::encode(Sha256::digest(text));
        let hash: String = hash.chars().take(16).collect();
        Self {
            name: format!("portal-{hash}.{ending}"),
            content_type,
            text,
        }
    }

    fn path(&self) -> String {
        format!("/portal/assets/{}", self.name)
    }
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", include_str!("portal.css")));
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "js",
        "text/javascript; charset=utf-8",
        include_str!("portal.js"),
    )
});

/// Where the stylesheet is.
pub(super) fn style() -> String {
    STYLE.path()
}

/// Where the script is.
pub(super) fn script() -> String {
    SCRIPT.path()
}

pub(super) async fn show(request: HttpRequest) -> HttpResponse {
    let name = request.match_info().get("name").unwrap_or_default();
    let assets = [&*STYLE, &*SCRIPT];
    let Some(asset) = assets.into_iter().find(|asset| asset.name == name) else {
        return HttpResponse::NotFound().finish();
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(Bytes::from_static(asset.text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_reach_for_nothing_outside_and_evaluate_nothing() {
        for asset in [&*STYLE, &*SCRIPT] {
            for forbidden in [
                "http://",
                "https://",
                "@import",
                "eval(",
                "innerHTML",
                "Function(",
            ] {
                assert!(
                    !asset.text.contains(forbidden),
                    "{}: {forbidden}",
                    asset.name
                );
            }
        }
    }
}
