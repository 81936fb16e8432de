//! The page itself: groups of operations, each with its example, its fields and its refusals.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::example::{content, curl, refusals, success};
use super::schema::{Field, fields, kind, strings, text};

/// Methods in the order in which a path's operations are shown.
const METHODS: [&str; 5] = ["post", "get", "put", "patch", "delete"];

/// One operation and where it stands.
struct Entry<'a> {
    method: String,
    path: &'a str,
    operation: &'a Value,
}

impl Entry<'_> {
    fn id(&self) -> &str {
        text(self.operation, "operationId")
    }

    fn summary(&self) -> &str {
        text(self.operation, "summary")
    }
}

/// Operations under their tags, in the order of the document.
fn groups(document: &Value) -> Vec<(String, Vec<Entry<'_>>)> {
    let mut groups: Vec<(String, Vec<Entry<'_>>)> = Vec::new();
    for (path, item) in document
        .get("paths")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let tag = strings(operation.get("tags"))
                .first()
                .copied()
                .unwrap_or("Other");
            let entry = Entry {
                method: method.to_uppercase(),
                path,
                operation,
            };
            match groups.iter_mut().find(|(name, _)| name == tag) {
                Some((_, entries)) => entries.push(entry),
                None => groups.push((tag.to_owned(), vec![entry])),
            }
        }
    }
    groups.sort_by_key(|(tag, _)| rank(tag));
    groups
}

/// The order in which a newcomer meets things.
fn rank(tag: &str) -> usize {
    [
        "Events",
        "Event types",
        "Webhook endpoints",
        "Deliveries",
        "Audit logs",
        "Organizations",
        "Portal",
    ]
    .iter()
    .position(|&known| known == tag)
    .unwrap_or(9)
}

/// Makes the whole page.
pub(super) fn render(document: &Value) -> String {
    let groups = groups(document);
    let version = document
        .pointer("/info/version")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Tidings API" }
                link rel="stylesheet" href="/docs/style.css";
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                nav aria-label="Operations" { (contents(&groups)) }
                main id="content" {
                    (introduction(version))
                    @for (tag, entries) in &groups {
                        section aria-labelledby=(anchor(tag)) {
                            h2 id=(anchor(tag)) { (tag) }
                            @for entry in entries { (operation(document, entry)) }
                        }
                    }
                    (objects(document))
                    footer { "Made from " a href="/openapi.json" { "/openapi.json" } ", which your tools can read." }
                }
            }
        }
    };
    page.into_string()
}

fn anchor(tag: &str) -> String {
    tag.to_lowercase().replace(' ', "-")
}

fn contents(groups: &[(String, Vec<Entry<'_>>)]) -> Markup {
    html! {
        a.brand href="#content" { "Tidings" }
        @for (tag, entries) in groups {
            details open[tag == "Events"] {
                summary { (tag) }
                ul {
                    @for entry in entries {
                        li { a href={ "#" (entry.id()) } { (entry.summary()) } }
                    }
                }
            }
        }
        a.plain href="#objects" { "Objects" }
    }
}

fn introduction(version: &str) -> Markup {
    html! {
        header {
            p.version { "API " (version) }
            h1 { "Record events. Deliver them. Read them back." }
            p.lead {
                "An event that is answered with 201 is durable together with all its deliveries. "
                "Signed webhooks are retried until they arrive; " code { "GET /events" } " gives every event once, in one order."
            }
        }
        section.start aria-label="First steps" {
            p { "Set these two, and every example below can be pasted as it is." }
            pre { code { "export TIDINGS_URL=http://127.0.0.1:8080\nexport TIDINGS_API_KEY=sk_…" } }
            dl.notes {
                dt { "Keys" }
                dd { "Send " code { "Authorization: Bearer sk_…" } ". A missing or wrong key is 401; a key without the permission is 403." }
                dt { "Idempotency" }
                dd { "Give a POST an " code { "Idempotency-Key" } " and send it again without fear: it happens once, and the answer is the same." }
                dt { "Lists" }
                dd { code { "limit" } ", " code { "after" } " and " code { "before" } "; " code { "list_metadata.after" } " is null on the last page." }
                dt { "Errors" }
                dd { "Always " code { "{message, code, errors?}" } ". Match " code { "code" } "; " code { "errors" } " names everything that is wrong with the input." }
                dt { "Help" }
                dd { "Every answer has an " code { "X-Request-ID" } ". Quote it." }
            }
        }
    }
}

fn operation(document: &Value, entry: &Entry<'_>) -> Markup {
    let description = text(entry.operation, "description");
    let permission = text(entry.operation, "x-permission");
    let parameters = parameters(document, entry.operation);
    let body = entry
        .operation
        .pointer("/requestBody/content/application~1json/schema");
    html! {
        article id=(entry.id()) {
            h3 { a href={ "#" (entry.id()) } { (entry.summary()) } }
            p.place {
                span class={ "method " (entry.method.to_lowercase()) } { (entry.method) } " "
                code { (entry.path) }
                @if !permission.is_empty() { span.permission { (permission) } }
            }
            @for paragraph in description.split("\n\n").filter(|text| !text.is_empty()) { p { (prose(paragraph)) } }
            pre tabindex="0" aria-label="Example" { code { (curl(document, &entry.method, entry.path, entry.operation)) } }
            (table("Parameters", &parameters))
            @if let Some(schema) = body { (table("Body", &fields(document, schema))) }
            (answers(document, entry.operation))
        }
    }
}

fn parameters(document: &Value, operation: &Value) -> Vec<Field> {
    let all = operation.get("parameters").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .map(|parameter| Field {
            name: text(parameter, "name").to_owned(),
            kind: parameter
                .get("schema")
                .map_or_else(String::new, |schema| kind(document, schema)),
            required: parameter.get("required") == Some(&Value::Bool(true)),
            description: format!(
                "{} ({})",
                text(parameter, "description"),
                text(parameter, "in")
            ),
        })
        .collect()
}

fn table(title: &str, fields: &[Field]) -> Markup {
    html! {
        @if !fields.is_empty() {
            h4 { (title) }
            dl.fields {
                @for field in fields {
                    dt {
                        code { (field.name) }
                        " " span.kind { (field.kind) }
                        @if field.required { " " span.required { "required" } }
                    }
                    dd { (prose(&field.description)) }
                }
            }
        }
    }
}

fn answers(document: &Value, operation: &Value) -> Markup {
    html! {
        h4 { "Answers" }
        dl.answers {
            @if let Some((status, response)) = success(operation) {
                dt.good { (status) }
                dd {
                    @match content(response) {
                        Some(schema) => (object_link(&kind(document, schema))),
                        None => (prose(text(response, "description"))),
                    }
                }
            }
            @for (status, codes) in refusals(operation) {
                dt { (status) }
                dd { @for code in codes { code { (code) } " " } }
            }
        }
    }
}

/// A link to an object; a list leads to what it holds.
fn object_link(name: &str) -> Markup {
    let held = name.strip_prefix(LIST);
    html! {
        @if held.is_some() { "list of " }
        a href={ "#object-" (held.unwrap_or(name)) } { (held.unwrap_or(name)) }
    }
}

/// What the name of a page of objects begins with.
const LIST: &str = "List_";

/// Every object of the document with its members.
fn objects(document: &Value) -> Markup {
    let schemas = document
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    let shown = schemas
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.starts_with(LIST));
    html! {
        section aria-labelledby="objects" {
            h2 id="objects" { "Objects" }
            @for (name, schema) in shown {
                @let members = fields(document, schema);
                @if !members.is_empty() {
                    article.object id={ "object-" (name) } {
                        h3 { (name) }
                        p { (prose(text(schema, "description"))) }
                        (table("Members", &members))
                    }
                }
            }
        }
    }
}

/// Text in which `backticks` mark code.
fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_says_is_shown_and_never_interpreted() {
        assert_eq!(
            prose("see `a<b>` & <i>").into_string(),
            "see <code>a&lt;b&gt;</code> &amp; &lt;i&gt;"
        );
    }

    #[test]
    fn a_newcomer_meets_events_first() {
        let document = serde_json::to_value(crate::http::api::openapi::document()).expect("JSON");

        let tags: Vec<_> = groups(&document).into_iter().map(|(tag, _)| tag).collect();

        assert_eq!(
            tags,
            [
                "Events",
                "Event types",
                "Webhook endpoints",
                "Deliveries",
                "Audit logs",
                "Organizations",
                "Portal",
                "Health"
            ]
        );
    }
}
