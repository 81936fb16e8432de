//! What a caller is told, and what not.

use std::collections::HashSet;

use actix_web::body::MessageBody as _;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::*;
use crate::domain::schema::JsonSchema;

fn answer(problem: Problem) -> (HttpResponse<()>, Value) {
    let (response, body) = problem
        .respond(&TestRequest::default().to_http_request())
        .into_parts();
    let body = body.try_into_bytes().expect("a whole body");
    (response, serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn the_body_has_errors_and_an_entity_only_where_they_apply() {
    let (response, body) = answer(Problem::of(Code::Unauthorized));
    assert_eq!(
        body,
        json!({ "message": "Unauthorized", "code": "unauthorized" })
    );
    assert_eq!(
        response.headers().get("content-type").expect("a type"),
        "application/json"
    );

    let (_, body) = answer(Problem::not_found(Noun::Organization, "bogus-id"));
    assert_eq!(
        body,
        json!({ "message": "Organization not found: 'bogus-id'.", "code": "entity_not_found", "entity_id": "bogus-id" })
    );

    let (response, body) =
        answer(vec![Invalid::new("data", "required", "data is required.")].into());
    assert_eq!(response.status(), 422);
    assert_eq!(
        body,
        json!({
            "message": "Validation failed", "code": "invalid_request_parameters",
            "errors": [{ "field": "data", "code": "required", "message": "data is required." }],
        })
    );
}

#[test]
fn a_refusal_for_now_says_when_to_come_back() {
    for code in [Code::Overloaded, Code::Unavailable] {
        let (response, _) = answer(Problem::of(code));
        assert_eq!(
            response.headers().get(RETRY_AFTER).expect("Retry-After"),
            "1"
        );
    }
    let (response, _) = answer(Problem::of(Code::Internal));
    assert!(response.headers().get(RETRY_AFTER).is_none());
}

#[test]
fn an_internal_error_shows_the_request_id_and_not_its_cause() {
    let id = RequestId::at(1, 1);
    let request = TestRequest::default().to_http_request();
    request.extensions_mut().insert(id);

    let body = Problem::internal("relation events is on fire")
        .respond(&request)
        .into_body();

    let body = String::from_utf8(body.try_into_bytes().expect("a body").to_vec()).expect("UTF-8");
    assert!(
        body.contains(&id.to_string()) && !body.contains("fire"),
        "{body}"
    );
}

#[test]
fn every_code_has_its_own_word_and_an_error_status() {
    let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();

    assert_eq!(words.len(), Code::ALL.len());
    assert!(
        Code::ALL
            .iter()
            .all(|code| code.status().as_u16() >= 400 && !code.answer().1.is_empty())
    );
    assert!(Code::ALL.is_sorted_by_key(|code| code.status()));
}

#[test]
fn a_misfit_is_told_as_the_contract_has_it() {
    let schema = JsonSchema::parse("schema", r#"{"properties":{"cost":{"type":"number"}}}"#)
        .expect("a schema");
    let faults = schema.validate(&json!({ "cost": "a lot" }));
    let faults: Vec<_> = faults
        .into_iter()
        .map(|fault| fault.within("/metadata", "/metadata"))
        .collect();

    let (response, body) = answer(AppError::AuditInvalid(faults.clone()).into());
    assert_eq!(response.status(), 400);
    assert_eq!(
        body,
        json!({
            "message": "Invalid Audit Log event.", "code": "invalid_audit_log_event",
            "errors": [{
                "instancePath": "/metadata/cost", "schemaPath": "#/metadata/properties/cost/type", "keyword": "type",
                "message": "the value is not of type \"number\"", "code": "invalid_audit_log",
            }],
        })
    );
    let (response, body) = answer(AppError::EventInvalid(faults).into());
    assert_eq!(response.status(), 422);
    assert_eq!(body["errors"][0]["code"], "invalid_event_data");
}

#[test]
fn a_broken_limit_has_a_field_and_a_pointer() {
    let fault = Invalid::new("event.targets[0].id", "invalid_length", "too long.");

    let (response, body) = answer(Problem::invalid_audit_log_event(vec![fault]));

    assert_eq!(response.status(), 400);
    assert_eq!(
        body["errors"],
        json!([{ "field": "event.targets[0].id", "code": "invalid_length", "message": "too long.", "instancePath": "/targets/0/id" }])
    );
}
