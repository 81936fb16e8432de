//! Examples: one `curl` for each operation, ready to be copied.
//!
//! Invariant: every line works as it stands once `TIDINGS_URL` and `TIDINGS_API_KEY` are set and the ids in
//! capitals are replaced.

use serde_json::Value;

use super::schema::{resolve, text};

/// The command for an operation.
pub(super) fn curl(document: &Value, method: &str, path: &str, operation: &Value) -> String {
    let mut lines = Vec::new();
    let url = format!(
        "\"$TIDINGS_URL{}\"",
        path.replace("{id}", id_of(path))
            .replace("{external_id}", "customer-42")
            .replace("{action}", "user.signed_in")
            .replace("{name}", "invoice.paid")
    );
    lines.push(if method == "GET" {
        format!("curl {url}")
    } else {
        format!("curl -X {method} {url}")
    });
    if operation.get("security").is_some() {
        lines.push("-H \"Authorization: Bearer $TIDINGS_API_KEY\"".to_owned());
    }
    if let Some(body) = body(document, operation) {
        lines.push("-H 'Content-Type: application/json'".to_owned());
        lines.push(format!("-d '{body}'"));
    }
    lines.join(" \\\n  ")
}

/// The id that stands in a path's example.
fn id_of(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("audit_logs") if path.contains("/exports/") => "EXPORT_ID",
        Some("audit_logs") => "AUDIT_LOG_EVENT_ID",
        Some("events") => "EVENT_ID",
        Some("webhook_endpoints") => "ENDPOINT_ID",
        Some("deliveries") => "DELIVERY_ID",
        Some("organizations") => "ORGANIZATION_ID",
        Some(_) | None => "ID",
    }
}

fn body(document: &Value, operation: &Value) -> Option<String> {
    let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
    let example = resolve(document, schema).get("example")?;
    Some(example.to_string().replace('\'', "'\\''"))
}

/// The status and the schema of an operation's success.
pub(super) fn success(operation: &Value) -> Option<(&str, &Value)> {
    let responses = operation.get("responses")?.as_object()?;
    let (status, response) = responses
        .iter()
        .find(|(status, _)| status.starts_with('2'))?;
    Some((status, response))
}

/// Every refusal: status and codes.
pub(super) fn refusals(operation: &Value) -> Vec<(&str, Vec<&str>)> {
    let responses = operation.get("responses").and_then(Value::as_object);
    let refused = responses
        .into_iter()
        .flatten()
        .filter(|(_, response)| response.get("x-codes").is_some());
    refused
        .map(|(status, response)| {
            (
                status.as_str(),
                super::schema::strings(response.get("x-codes")),
            )
        })
        .collect()
}

/// The name of what a response holds.
pub(super) fn content(response: &Value) -> Option<&Value> {
    response
        .pointer("/content/application~1json/schema")
        .filter(|schema| !text(schema, "$ref").is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_example_can_be_pasted_into_a_shell() {
        let document = json!({});
        let schema = json!({ "example": { "note": "it's" } });
        let operation = json!({
            "security": [], "requestBody": { "content": { "application/json": { "schema": schema } } },
        });

        assert_eq!(
            curl(&document, "POST", "/events", &operation),
            "curl -X POST \"$TIDINGS_URL/events\" \\\n  -H \"Authorization: Bearer $TIDINGS_API_KEY\" \\\n  \
             -H 'Content-Type: application/json' \\\n  -d '{\"note\":\"it'\\''s\"}'"
        );
        assert_eq!(
            curl(&document, "GET", "/events/{id}", &json!({})),
            "curl \"$TIDINGS_URL/events/EVENT_ID\""
        );
    }
}
