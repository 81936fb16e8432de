//! The body of a request: read whole within bounds, kept as it came, and read as JSON without copying.
//!
//! Invariant: at most the configured bytes and sixty seconds are spent on a body. The bytes are kept because an
//! idempotency key is bound to them. Compressed bodies are refused, not unpacked.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::argument::Extract;
use super::member::object;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::invalid::Invalid;
use crate::http::problem::{Code, Problem};

/// How long a whole body may take. Less than the 75 s after which a stalled request must be gone.
pub(super) const BODY_READ_MAX: Duration = Duration::from_secs(60);

/// How large a body may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BodyLimits {
    pub(in crate::http) bytes_max: usize,
}

/// A whole body, and the caller's name for the request if it has one.
pub(in crate::http) struct Body {
    bytes: Bytes,
    /// Of a POST alone: the other verbs are idempotent as they are.
    pub(in crate::http) key: Option<IdempotencyKey>,
}

impl Extract for Body {
    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        check_media_type(request.headers())?;
        let bytes_max = request
            .app_data::<BodyLimits>()
            .map_or(0, |limits| limits.bytes_max);
        if content_length(request.headers()).is_some_and(|length| length > bytes_max) {
            return Err(too_large(bytes_max));
        }
        let bytes = tokio::time::timeout(BODY_READ_MAX, read(payload, bytes_max))
            .await
            .unwrap_or_else(|_elapsed| Err(Problem::of(Code::RequestTimeout)))?;
        let key = idempotency_key(request, &bytes)?;
        Ok(Self { bytes, key })
    }
}

impl Body {
    /// Reads the body as a JSON object.
    ///
    /// Errors: `malformed_json` for what is no JSON, `invalid_request_parameters` for another shape.
    pub(in crate::http) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        if self.bytes.is_empty() {
            return Err(Problem::new(
                Code::MalformedJson,
                "A JSON body is required.",
            ));
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|fault| {
            Problem::new(
                Code::MalformedJson,
                format!("The request body is not valid UTF-8: {fault}."),
            )
        })?;
        // A struct would be read from an array too, member by member.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(not_an_object(text));
        }
        serde_json::from_str(text).map_err(|_fault| wrong_shape::<T>(text))
    }

    /// The same, where a body may be left out.
    pub(in crate::http) fn parse_or_default<'a, T: Deserialize<'a> + Default>(
        &'a self,
    ) -> Result<T, Problem> {
        if self.bytes.is_empty() {
            Ok(T::default())
        } else {
            self.parse()
        }
    }
}

fn malformed(text: &str) -> Option<Problem> {
    let fault = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(Problem::new(
        Code::MalformedJson,
        format!("The request body is not valid JSON: {fault}."),
    ))
}

fn not_an_object(text: &str) -> Problem {
    malformed(text).unwrap_or_else(|| {
        vec![Invalid::new(
            "body",
            "invalid_type",
            "The body must be a JSON object.",
        )]
        .into()
    })
}

/// Finds out what is wrong with a body that could not be read; slow, and only for them.
fn wrong_shape<'a, T: Deserialize<'a>>(text: &'a str) -> Problem {
    if let Some(problem) = malformed(text) {
        return problem;
    }
    match serde_json::from_str::<&RawValue>(text).map(|raw| object::<T>("", raw)) {
        Ok(Err(fault)) => vec![fault].into(),
        Ok(Ok(_)) | Err(_) => Problem::of(Code::MalformedJson),
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        Code::PayloadTooLarge,
        format!("The request body is larger than {bytes_max} bytes."),
    )
}

pub(super) async fn read(payload: &mut Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let Some(first) = payload.next().await else {
        return Ok(Bytes::new());
    };
    let first = chunk(first, bytes_max)?;
    let Some(second) = payload.next().await else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(first.as_ref());
    whole.extend_from_slice(&chunk(second, bytes_max - whole.len())?);
    while let Some(next) = payload.next().await {
        whole.extend_from_slice(&chunk(next, bytes_max - whole.len())?);
    }
    Ok(whole.freeze())
}

/// A chunk that fits into `room`.
fn chunk(chunk: Result<Bytes, PayloadError>, room: usize) -> Result<Bytes, Problem> {
    let chunk = chunk.map_err(|fault| {
        Problem::new(
            Code::MalformedRequest,
            format!("The request body could not be read: {fault}."),
        )
    })?;
    if chunk.len() > room {
        Err(Problem::of(Code::PayloadTooLarge))
    } else {
        Ok(chunk)
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a body that says it is no JSON. SDKs send a content type without a body: that is none of our concern.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || content_length(headers).is_some_and(|length| length > 0);
    let refused = Err(Problem::of(Code::UnsupportedMediaType));
    if !has_body {
        return Ok(());
    }
    for encoding in headers.get_all(CONTENT_ENCODING) {
        if !encoding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"identity")
        {
            return refused;
        }
    }
    match headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().map(is_json))
    {
        None | Some(Ok(true)) => Ok(()),
        Some(Ok(false) | Err(_)) => refused,
    }
}

/// `application/json` or `*/*+json`, parameters aside.
fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let subtype = essence.split_once('/').map(|(_, subtype)| subtype);
    essence == "application/json"
        || subtype.is_some_and(|subtype| subtype.len() > 5 && subtype.ends_with("+json"))
}

fn idempotency_key(request: &HttpRequest, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
    if request.method() != Method::POST {
        return Ok(None);
    }
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Text that is not ASCII, and a second key, are refused like a key that is not printable.
    let key = if values.next().is_some() {
        ""
    } else {
        value.to_str().unwrap_or_default()
    };
    IdempotencyKey::parse(request.method().as_str(), request.path(), key, body)
        .map(Some)
        .map_err(|fault| vec![fault].into())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::extract::Member;

    #[derive(Deserialize, Default)]
    #[serde(deny_unknown_fields)]
    struct Sample<'a> {
        #[serde(borrow, default)]
        name: Member<'a, String>,
    }

    fn body(text: &[u8]) -> Body {
        Body {
            bytes: Bytes::copy_from_slice(text),
            key: None,
        }
    }

    fn code(text: &[u8]) -> Option<Code> {
        body(text)
            .parse::<Sample<'_>>()
            .err()
            .map(|problem| problem.code())
    }

    fn media(headers: &[(&'static str, &'static str)]) -> Result<(), Code> {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        check_media_type(&map).map_err(|problem| problem.code())
    }

    #[test]
    fn only_json_is_taken_and_a_type_without_a_body_does_not_matter() {
        let length = ("content-length", "2");
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/cloudevents+json",
        ] {
            assert_eq!(media(&[length, ("content-type", good)]), Ok(()), "{good}");
        }
        assert_eq!(media(&[length]), Ok(()));
        assert_eq!(media(&[("content-type", "text/plain")]), Ok(()));
        assert_eq!(
            media(&[("content-length", "0"), ("content-type", "text/plain")]),
            Ok(())
        );
        for bad in [
            "text/plain",
            "application/jsonp",
            "",
            "json",
            "+json",
            "application/+json",
            "application/x-www-form-urlencoded",
        ] {
            assert_eq!(
                media(&[length, ("content-type", bad)]),
                Err(Code::UnsupportedMediaType),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_compressed_body_is_refused() {
        let chunked = ("transfer-encoding", "chunked");

        assert_eq!(media(&[chunked, ("content-encoding", "identity")]), Ok(()));
        assert_eq!(
            media(&[chunked, ("content-encoding", "gzip")]),
            Err(Code::UnsupportedMediaType)
        );
    }

    #[test]
    fn what_is_no_json_is_malformed_and_another_shape_is_invalid() {
        assert_eq!(
            body(br#" {"name": "x"} "#)
                .parse::<Sample<'_>>()
                .expect("good")
                .name
                .text(),
            Some("\"x\"")
        );
        for bad in [
            b"" as &[u8],
            b"{",
            b"{\"name\":}",
            b"\xff\xfe",
            b"{\"name\":\"\xff\"}",
            b"{} {}",
            b"[1, 2",
            b"\xef\xbb\xbf{}",
        ] {
            assert_eq!(code(bad), Some(Code::MalformedJson), "{bad:?}");
        }
        for bad in [
            b"[]" as &[u8],
            b"null",
            b"1",
            br#"["x"]"#,
            br#"{"nam": 1}"#,
            br#"{"name": 1, "name": 2}"#,
        ] {
            assert_eq!(code(bad), Some(Code::InvalidRequestParameters), "{bad:?}");
        }
    }

    #[test]
    fn a_key_that_no_header_should_carry_is_refused() {
        let parse = |request: TestRequest| idempotency_key(&request.to_http_request(), b"{}");
        let post = || TestRequest::post().uri("/events");
        let name = "idempotency-key";

        assert!(matches!(parse(post()), Ok(None)));
        assert!(
            matches!(parse(post().insert_header((name, "k"))), Ok(Some(key)) if key.scope == "POST /events")
        );
        assert!(matches!(
            parse(TestRequest::put().insert_header((name, "k"))),
            Ok(None)
        ));
        assert!(parse(post().insert_header((name, ""))).is_err());
        assert!(parse(post().append_header((name, "a")).append_header((name, "b"))).is_err());
        assert!(parse(post().insert_header((name, "ü"))).is_err());
    }
}
