//! Schemas of audit actions: which actions have one, every version of each, and the form that adds one.
//!
//! Invariant: for operators; a version never changes, so the form makes a new one and says so. A schema is shown as it
//! was sent, indented.

use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::endpoints::{first_page, listing};
use super::json_view::{ROOM, indented, json};
use super::parts::{Tone, badge, empty, notice, pager_of, when};
use super::view::{Part, page, page_with, proof};
use crate::app::audit_schemas::{StoredAction, StoredSchema};
use crate::app::{self, AppError, Noun};
use crate::domain::access::Permission;
use crate::domain::event::EventType;
use crate::domain::invalid::Invalid;
use crate::domain::page::{Order, PageQuery};
use crate::domain::schema::AuditSchema;
use crate::http::extract::{Extract, PathAction, Query};
use crate::http::problem::Problem;

/// What the form begins with.
const SAMPLE: &str = r#"{"targets":[{"type":"invoice"}],"metadata":{"type":"object","properties":{"reason":{"type":"string"}}}}"#;

/// Where the list of actions goes on.
struct After(EventType);

impl FromStr for After {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        EventType::parse("after", text).map(Self)
    }
}

pub(super) async fn list(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let by_name = PageQuery {
        order: Order::Ascending,
        ..listing::<After>(&visit.query)?
    };
    let by_name = by_name.map(|after| after.0.to_string());
    let actions = app::audit_schemas::actions(&visit.app, &visit.caller, &by_name).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/audit" { "Audit log" } }
        div.head { h1 { "Schemas" } a.button href="/portal/audit/schemas/new" { "Add a schema" } }
        @if actions.items.is_empty() { (none_yet()) }
        @else { (table(&actions.items, now)) }
        (pager_of(&actions, &visit.query, ["← Before", "After →"], |action| action.name.to_string()))
    };
    page(&visit, Part::Audit, "Schemas", &content)
}

fn none_yet() -> Markup {
    empty(
        "No schemas yet",
        &html! {
            p { "A schema says what entries of an action look like: which targets they have, and what their metadata holds. An entry that does not fit is refused." }
            p { "Actions without one take any entry, unless " code { "audit.require_schema" } " is set." }
        },
    )
}

fn table(actions: &[StoredAction], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "Action" } th { "Targets" } th.num { "Versions" } th.wide { "First" } th.wide { "Newest" } } }
            tbody { @for action in actions { tr {
                td { a.name href={ "/portal/audit/actions/" (action.name) } { (action.name) } }
                td { @for kind in action.latest.schema.target_types() { code.tag { (kind) } " " } }
                td.num { (action.latest.version) }
                td.wide { (when(action.created_at, now)) }
                td.wide { (when(action.latest.created_at, now)) }
            } } }
        } }
    }
}

pub(super) async fn show(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let PathAction(text) = PathAction::extract(&visit.request, &mut Payload::None).await?;
    let Ok(action) = EventType::parse("action", &text) else {
        return Err(Problem::not_found(Noun::AuditLogAction, &text));
    };
    let listing = listing::<i32>(&visit.query)?;
    let versions = app::audit_schemas::list(&visit.app, &visit.caller, &action, &listing).await?;
    let now = visit.app.clock().now();
    let newest = versions.items.first().filter(|_| !versions.more_before);
    let room = ROOM / versions.items.len().max(1);
    let content = html! {
        p.crumbs { a href="/portal/audit/schemas" { "Schemas" } }
        div.head {
            h1 { (action) }
            a.button.quiet href={ "/portal/audit/schemas/new?action=" (action) } { "Add a version" }
        }
        (notice(&visit.query, &[("created", "Saved. Entries that name this version have to fit it.")]))
        p.help {
            "An entry follows the version that it names in " code { "version" } ", and version 1 where it names none."
        }
        @for stored in &versions.items {
            section {
                h2 {
                    "Version " (stored.version) " "
                    @if newest.is_some_and(|newest| newest.version == stored.version) { (badge(Tone::Good, "newest")) }
                }
                (version(&action, stored, room, now))
            }
        }
        (pager_of(&versions, &visit.query, ["← Newer", "Older →"], |stored| stored.version.to_string()))
    };
    page(&visit, Part::Audit, action.as_str(), &content)
}

fn version(action: &EventType, stored: &StoredSchema, room: usize, now: DateTime<Utc>) -> Markup {
    let whole = format!("/portal/audit/actions/{action}/{}", stored.version);
    html! {
        dl.facts {
            dt { "Added" } dd { (when(stored.created_at, now)) }
            dt { "Targets" } dd { @for kind in stored.schema.target_types() { code.tag { (kind) } " " } }
        }
        (json(&stored.schema.definition(), room, &whole))
    }
}

/// What stands in the fields.
struct Fields {
    action: String,
    schema: String,
}

pub(super) async fn show_new(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let action = visit.query.filled("action").unwrap_or_default();
    let newest = match EventType::parse("action", action) {
        Ok(action) => newest(&visit, &action).await?,
        Err(_) => None,
    };
    let definition = newest.map(|stored| stored.schema.definition());
    let fields = Fields {
        action: action.to_owned(),
        schema: indented(definition.as_deref().unwrap_or(SAMPLE)),
    };
    page(
        &visit,
        Part::Audit,
        "Add a schema",
        &form(&visit, &fields, &[]),
    )
}

/// What a new version is likely to begin with.
async fn newest(visit: &Visit, action: &EventType) -> Result<Option<StoredSchema>, AppError> {
    let versions = app::audit_schemas::list(&visit.app, &visit.caller, action, &first_page()).await;
    match versions {
        Ok(versions) => Ok(versions.items.into_iter().next()),
        Err(AppError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn form(visit: &Visit, fields: &Fields, faults: &[String]) -> Markup {
    html! {
        p.crumbs { a href="/portal/audit/schemas" { "Schemas" } }
        h1 { "Add a schema" }
        form.tall method="post" action="/portal/audit/schemas" {
            (proof(visit))
            @if !faults.is_empty() { ul.fault role="alert" { @for fault in faults { li { (fault) } } } }
            label { "Action"
                input name="action" value=(fields.action) required placeholder="invoice.refunded" autocomplete="off" spellcheck="false";
            }
            label { "Schema"
                textarea name="schema" rows="18" required spellcheck="false" aria-describedby="schema-help" { (fields.schema) }
            }
            p #schema-help .help {
                code { "targets" } " are the types that must be among an entry's; " code { "metadata" } " of the entry, of the "
                code { "actor" } " and of each target is a JSON Schema. A version is never changed: this makes the next one, unless the newest says the same."
            }
            div.actions { button type="submit" { "Add the schema" } a.button.quiet href="/portal/audit/schemas" { "Cancel" } }
        }
    }
}

/// Adds a version of an action's schema.
pub(super) async fn create(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let fields = fields_of(&visit.form);
    match read(&fields) {
        Ok((action, schema)) => {
            app::audit_schemas::create(&visit.app, &visit.caller, &action, schema, None).await?;
            Ok(redirect(&format!(
                "/portal/audit/actions/{action}?done=created"
            )))
        }
        Err(faults) => {
            let messages = faults.into_iter().map(|fault| fault.message.into_owned());
            let messages: Vec<_> = messages.collect();
            let content = form(&visit, &fields, &messages);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            page_with(status, &visit, Part::Audit, "Add a schema", &content)
        }
    }
}

fn fields_of(form: &Query) -> Fields {
    Fields {
        action: form.one("action").unwrap_or_default().trim().to_owned(),
        schema: form.one("schema").unwrap_or_default().to_owned(),
    }
}

fn read(fields: &Fields) -> Result<(EventType, AuditSchema), Vec<Invalid>> {
    let action = EventType::parse("action", &fields.action);
    match (action, AuditSchema::from_definition(&fields.schema)) {
        (Ok(action), Ok(schema)) => Ok((action, schema)),
        (action, schema) => {
            let faults = action.err().into_iter();
            Err(faults.chain(schema.err().into_iter().flatten()).collect())
        }
    }
}
