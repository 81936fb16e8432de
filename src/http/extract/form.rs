//! Forms that a page of ours was sent with.
//!
//! Invariant: at most 64 KiB of `application/x-www-form-urlencoded`; anything else is refused unread.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;

use super::argument::Extract;
use super::body::{BODY_READ_MAX, read};
use super::query::Query;
use crate::http::problem::{Code, Problem};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// The fields of a form, in the order they came.
pub(in crate::http) struct Form(pub(in crate::http) Query);

impl Extract for Form {
    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next());
        if media_type.map(str::trim) != Some("application/x-www-form-urlencoded") {
            let message = "A page's form is application/x-www-form-urlencoded.";
            return Err(Problem::new(Code::UnsupportedMediaType, message));
        }
        let bytes = tokio::time::timeout(BODY_READ_MAX, read(payload, FORM_BYTES_MAX))
            .await
            .unwrap_or_else(|_elapsed| Err(Problem::of(Code::RequestTimeout)))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_fault| Problem::new(Code::MalformedJson, "The form is not UTF-8."))?;
        Ok(Self(Query::parse(text)?))
    }
}
