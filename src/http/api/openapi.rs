//! The OpenAPI document: what the handlers' annotations say, completed by what the platform does for all.
//!
//! Invariant: every operation names the permission it asks for, the headers it takes and every status it can
//! answer with, because those are derived from its shape and not written down a second time. Made once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::json;
use utoipa::OpenApi as _;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, InfoBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder, Server, Type,
};

use super::routes::{Annotations, Route, routes};
use crate::http::problem::Code;

const BEARER: &str = "api_key";
const DESCRIPTION: &str = "Events, webhooks and audit logs on one Postgres. \
    Every request carries an API key (`Authorization: Bearer sk_…`); every answer carries `X-Request-ID`.";

/// The whole document.
pub fn document() -> &'static OpenApi {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(build);
    &DOCUMENT
}

/// The same as text.
pub(in crate::http) fn text() -> Bytes {
    static TEXT: LazyLock<Bytes> =
        LazyLock::new(|| document().to_json().unwrap_or_default().into());
    TEXT.clone()
}

fn operation_mut<'a>(document: &'a mut OpenApi, route: &Route) -> Option<&'a mut Operation> {
    let item = document.paths.paths.get_mut(&route.path)?;
    match route.method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

fn build() -> OpenApi {
    let mut document = Annotations::openapi();
    document.info = InfoBuilder::new()
        .title("Tidings")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")))
        .build();
    document.servers = Some(vec![Server::new("/")]);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: `sk_…`."))
        .build();
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    for route in routes() {
        if let Some(operation) = operation_mut(&mut document, route) {
            complete(operation, route);
        }
    }
    document
}

/// Adds to an operation what its shape implies.
fn complete(operation: &mut Operation, route: &Route) {
    if let Some(permission) = route.permission {
        operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(
            BEARER,
            [],
        )]);
        let extension = Extensions::builder()
            .add("x-permission", json!(permission.as_str()))
            .build();
        operation
            .extensions
            .get_or_insert_default()
            .merge(extension);
    }
    if route.method == Method::POST {
        operation
            .parameters
            .get_or_insert_default()
            .push(idempotency_key());
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response
                .headers
                .insert("X-Request-ID".to_owned(), request_id());
            if response.description.is_empty() {
                "Done.".clone_into(&mut response.description);
            }
        }
    }
    let mut refusals: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in codes(operation, route) {
        refusals.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in refusals {
        operation
            .responses
            .responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| RefOr::T(refusal(status, &codes)));
    }
}

/// Every refusal that an operation can answer with.
fn codes(operation: &Operation, route: &Route) -> Vec<Code> {
    let mut codes = vec![Code::Internal];
    if route.permission.is_some() {
        codes.extend([Code::Unauthorized, Code::Forbidden, Code::Unavailable]);
        codes.push(Code::RateLimitExceeded);
    }
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let has = |place: &ParameterIn| {
        parameters
            .iter()
            .any(|parameter| parameter.parameter_in == *place)
    };
    if has(&ParameterIn::Path) {
        codes.push(Code::EntityNotFound);
    }
    if has(&ParameterIn::Query) {
        codes.extend([Code::InvalidRequestParameters, Code::InvalidCursor]);
    }
    if matches!(route.method, Method::POST | Method::PUT | Method::PATCH) {
        codes.extend([
            Code::MalformedRequest,
            Code::MalformedJson,
            Code::RequestTimeout,
            Code::PayloadTooLarge,
        ]);
        codes.extend([Code::UnsupportedMediaType, Code::InvalidRequestParameters]);
    }
    if route.method == Method::POST {
        codes.push(Code::IdempotencyKeyReused);
    }
    if route.method != Method::GET {
        codes.push(Code::Overloaded);
    }
    codes.extend(route.codes);
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn refusal(status: StatusCode, codes: &[Code]) -> Response {
    let words: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`", code.as_str()))
        .collect();
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let mut response = ResponseBuilder::new()
        .description(words.join(", "))
        .content("application/json", problem)
        .header("X-Request-ID", request_id());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let mut header = Header::new(ObjectBuilder::new().schema_type(Type::Integer).build());
        header.description = Some("Seconds to wait before the next try.".to_owned());
        response = response.header("Retry-After", header);
    }
    let words: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    response
        .extensions(Some(
            Extensions::builder().add("x-codes", json!(words)).build(),
        ))
        .build()
}

fn request_id() -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
    header.description =
        Some("The request's id. Quote it when you ask about the request.".to_owned());
    header
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Your name for this request, up to 255 characters. Sent again, it gets the first answer."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(255)).build()))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::http::api::routes::operations;

    fn as_json() -> Value {
        serde_json::to_value(document()).expect("JSON")
    }

    /// Every `$ref` of a value.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_document_and_the_route_table_hold_the_same_operations() {
        let documented: BTreeSet<_> = document()
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                operations(item).map(move |(method, operation)| {
                    (
                        method.to_string(),
                        path.clone(),
                        operation.operation_id.clone(),
                    )
                })
            })
            .collect();
        let routed: BTreeSet<_> = routes()
            .iter()
            .map(|route| {
                (
                    route.method.to_string(),
                    route.path.clone(),
                    Some(route.operation_id.to_owned()),
                )
            })
            .collect();

        assert_eq!(documented, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = as_json();
        let mut found = BTreeSet::new();
        references(&document, &mut found);

        assert!(found.contains("#/components/schemas/Problem"));
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_guarded_operation_says_so_and_can_refuse() {
        let document = as_json();
        for route in routes().iter().filter(|route| route.permission.is_some()) {
            let method = route.method.as_str().to_lowercase();
            let operation = &document["paths"][&route.path][&method];
            assert_eq!(
                operation["security"][0][BEARER],
                json!([]),
                "{}",
                route.operation_id
            );
            assert_eq!(
                operation["x-permission"],
                json!(route.permission.map(|wanted| wanted.as_str()))
            );
            for status in ["401", "403", "500", "503"] {
                let schema = &operation["responses"][status]["content"]["application/json"]["schema"]
                    ["$ref"];
                assert_eq!(
                    schema, "#/components/schemas/Problem",
                    "{} {status}",
                    route.operation_id
                );
            }
            assert!(operation["summary"].is_string(), "{}", route.operation_id);
        }
    }

    #[test]
    fn every_code_but_those_of_unknown_paths_belongs_to_an_operation() {
        let text = as_json().to_string();
        for code in Code::ALL {
            let of_no_route = matches!(
                code,
                Code::NotFound | Code::MethodNotAllowed | Code::HeadersTooLarge
            );
            assert_eq!(
                text.contains(&format!("`{}`", code.as_str())),
                !of_no_route,
                "{}",
                code.as_str()
            );
        }
    }

    #[test]
    fn the_document_is_openapi_3_1() {
        let document = as_json();

        assert!(
            document["openapi"]
                .as_str()
                .expect("a version")
                .starts_with("3.1")
        );
        assert_eq!(
            document["paths"]["/events"]["post"]["requestBody"]["required"],
            true
        );
        let event = &document["components"]["schemas"]["CreateEvent"];
        assert_eq!(event["required"], json!(["event", "data"]));
        assert_eq!(event["additionalProperties"], false);
    }
}
