//! Audit logs: the list with its filters, checkpoints, and exports.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::door::{Shown, Visit, redirect};
use super::endpoints::{first_page, listing};
use super::naming::{self, CHOICES, Names};
use super::parts::{Tone, badge, empty, id, notice, number, pager, when};
use super::view::{Part, page, proof};
use crate::app::{self, AppError};
use crate::domain::access::Permission;
use crate::domain::audit::{AuditFilter, AuditRecord, Trail};
use crate::domain::audit_export::{Export, ExportFormat, ExportState, NewExport};
use crate::domain::checkpoint::StoredCheckpoint;
use crate::domain::event::EventPattern;
use crate::domain::invalid::Faults;
use crate::domain::time;
use crate::http::extract::Query;
use crate::http::problem::Problem;

/// Whose trail a visitor means: their own, or what they name; the environment's where they name none.
pub(super) async fn trail(visit: &Visit, query: &Query) -> Result<Trail, Problem> {
    if let Some(organization) = visit.caller.bound_to {
        return Ok(Trail::Organization(organization));
    }
    let Some(text) = query.filled("trail") else {
        return Ok(Trail::Environment);
    };
    if let Ok(trail) = text.parse() {
        return Ok(trail);
    }
    match naming::meant(visit, "trail", text).await? {
        Ok(organization) => Ok(Trail::Organization(organization)),
        Err(fault) => Err(vec![fault].into()),
    }
}

/// The field that says whose log is meant.
pub(super) fn trail_filter(visit: &Visit) -> Markup {
    let value = visit.query.one("trail").unwrap_or_default();
    html! {
        label { "Log of" input name="trail" value=(value) list=(CHOICES) placeholder="environment, or an organization" autocomplete="off" spellcheck="false"; }
    }
}

pub(super) async fn list(visit: Visit) -> Shown {
    let mut faults = Faults::default();
    let names = visit
        .query
        .filled("action")
        .unwrap_or_default()
        .split([',', ' ']);
    let names = names.filter(|name| !name.is_empty());
    let actions = names
        .filter_map(|name| faults.take(EventPattern::parse("action", name)))
        .collect();
    let told = faults.check().err().unwrap_or_default();
    let actor = visit.query.filled("actor").map(str::to_owned);
    let filter = AuditFilter {
        actions,
        actor_ids: actor.into_iter().collect(),
        search: visit.query.filled("search").map(str::to_owned),
        ..AuditFilter::default()
    };
    let trail = trail(&visit, &visit.query).await?;
    let listing = listing(&visit.query)?;
    let entries =
        app::audit::list(&visit.app, &visit.caller, Some(trail), filter, &listing).await?;
    let checkpoint = latest(&visit, trail).await?;
    let names = Names::of(&visit, [trail.organization()]).await?;
    let choices = naming::choices(&visit).await?;
    let now = visit.app.clock().now();
    let content = html! {
        div.head { h1 { "Audit log" } (around(&visit, trail)) }
        (notice(&visit.query, &[("signed", "The log was signed as it is now.")]))
        (filters(&visit)) (choices)
        @for fault in &told { p.fault role="alert" { (fault.message) } }
        (signed(&visit, (trail, &names), checkpoint.as_ref(), now))
        @if entries.items.is_empty() {
            (empty("No entries", &html! { p { "Entries are recorded with " code { "POST /audit_logs/events" } "; what is done to the platform itself is in the environment's own log." } }))
        } @else { (table(&entries.items, now)) }
        (pager(&entries, &visit.query, |entry| entry.id.to_string()))
    };
    page(&visit, Part::Audit, "Audit log", &content)
}

/// The last checkpoint of a log, if there is one.
pub(super) async fn latest(
    visit: &Visit,
    trail: Trail,
) -> Result<Option<StoredCheckpoint>, AppError> {
    match app::audit_checkpoints::latest(&visit.app, &visit.caller, trail).await {
        Ok(latest) => Ok(Some(latest)),
        Err(AppError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn filters(visit: &Visit) -> Markup {
    let value = |name| visit.query.one(name).unwrap_or_default();
    html! {
        form.filters method="get" role="search" aria-label="Filter entries" {
            @if visit.caller.bound_to.is_none() { (trail_filter(visit)) }
            label { "Search" input type="search" name="search" value=(value("search")) placeholder="words in names and metadata"; }
            label { "Action" input name="action" value=(value("action")) placeholder="user.*" spellcheck="false"; }
            label { "Actor id" input name="actor" value=(value("actor")) spellcheck="false"; }
            button type="submit" { "Filter" }
        }
    }
}

/// The pages beside the log. What is the environment's is for operators.
fn around(visit: &Visit, trail: Trail) -> Markup {
    html! {
        p.around {
            a href={ "/portal/audit/checkpoints?trail=" (trail) } { "Checkpoints" }
            @if visit.caller.may(Permission::Admin) {
                a href="/portal/audit/schemas" { "Schemas" }
                a href="/portal/audit/exports" { "Exports" }
            }
        }
    }
}

/// Whose log it is, and how much of it is signed.
pub(super) fn signed(
    visit: &Visit,
    (trail, names): (Trail, &Names),
    checkpoint: Option<&StoredCheckpoint>,
    now: DateTime<Utc>,
) -> Markup {
    html! {
        @if visit.caller.bound_to.is_none() {
            p {
                "Log of "
                @match trail.organization() {
                    Some(organization) => (names.whole(organization)),
                    None => "the environment: what is done to the platform itself",
                }
            }
        }
        div.line {
            @match checkpoint {
                Some(checkpoint) => p { (badge(Tone::Good, "signed")) " " (number(checkpoint.size)) " entries, " (when(checkpoint.created_at, now)) },
                None => p { (badge(Tone::Plain, "not signed yet")) " The platform signs a log some minutes after its entries." },
            }
            @if visit.caller.may(Permission::Admin) {
                form method="post" action="/portal/audit/checkpoints" {
                    (proof(visit))
                    input type="hidden" name="trail" value=(trail);
                    button.quiet type="submit" { "Sign now" }
                }
            }
        }
    }
}

fn table(entries: &[AuditRecord], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "Action" } th { "Actor" } th { "Targets" } th.wide { "From" } th { "Occurred" } } }
            tbody { @for entry in entries {
                @let object: Value = serde_json::from_str(&entry.object_json).unwrap_or_default();
                tr {
                    td { a.name href={ "/portal/audit/entries/" (entry.id) } { (text(&object, "/action")) } }
                    td { (party(object.get("actor"))) }
                    td { @for target in targets(&object).take(3) { span.inline { (party(Some(target))) } } }
                    td.wide { (text(&object, "/context/location")) }
                    td { @if let Some(at) = time::from_text(text(&object, "/occurred_at")) { (when(at, now)) } }
                }
            } }
        } }
    }
}

/// A member's text; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn targets(object: &Value) -> impl Iterator<Item = &Value> {
    let targets = object.get("targets").and_then(Value::as_array);
    targets.into_iter().flatten()
}

/// An actor or a target.
pub(super) fn party(object: Option<&Value>) -> Markup {
    let object = object.unwrap_or(&Value::Null);
    let (name, kind, id) = (
        text(object, "/name"),
        text(object, "/type"),
        text(object, "/id"),
    );
    html! {
        @if name.is_empty() { code title=(kind) { (id) } }
        @else { span title={ (kind) " " (id) } { (name) } }
        " " span.soft { (kind) }
    }
}

/// Signs a log as it is now.
pub(super) async fn create_checkpoint(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let trail = trail(&visit, &visit.form).await?;
    app::audit_checkpoints::create(&visit.app, &visit.caller, trail, None).await?;
    Ok(redirect(&format!(
        "/portal/audit?trail={trail}&done=signed"
    )))
}

pub(super) async fn exports(visit: Visit) -> Shown {
    // The list is the environment's; a member has the log itself.
    visit.require(Permission::Admin)?;
    let exports = app::audit_exports::list(&visit.app, &visit.caller, &first_page()).await?;
    let owners = exports.items.iter().map(|export| export.organization);
    let names = Names::of(&visit, owners).await?;
    let choices = naming::choices(&visit).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/audit" { "Audit log" } }
        h1 { "Exports" }
        (notice(&visit.query, &[("asked", "The export is being written. Its link appears here.")]))
        form.filters method="post" action="/portal/audit/exports" {
            (proof(&visit))
            (trail_filter(&visit)) (choices)
            label { "Format"
                select name="format" {
                    option value="ndjson" { "NDJSON with proofs" }
                    option value="csv" { "CSV" }
                }
            }
            button type="submit" { "Export" }
        }
        div #live data-live="2000" {
            @if exports.items.is_empty() {
                (empty("No exports", &html! { p { "An NDJSON export can be checked without this server: " code { "tidings audit verify" } } }))
            } @else { (exports_table(&exports.items, &names, now)) }
        }
    };
    page(&visit, Part::Audit, "Exports", &content)
}

fn exports_table(exports: &[Export], names: &Names, now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Exports" { table {
            thead { tr { th.wide { "Export" } th { "Log of" } th { "State" } th.num.wide { "Entries" } th.wide { "Asked for" } th { "File" } } }
            tbody { @for export in exports { tr {
                td.wide { (id(export.id)) }
                td { @match export.organization { Some(_) => (names.short(export.organization)), None => "environment" } }
                td { (export_badge(export.state)) }
                td.num.wide {
                    (number(export.entries))
                    @if let (Some(total), ExportState::Pending) = (export.total, export.state) { " of " (number(total)) }
                }
                td.wide { (when(export.created_at, now)) }
                td { @if let Some(url) = download(export) { a href=(url) download { "Download " (export.format.as_str()) } } }
            } } }
        } }
    }
}

/// Where the file is, on this very server, so that the page does not depend on the public name.
fn download(export: &Export) -> Option<&str> {
    let url = export.url.as_deref()?;
    url.find("/audit_logs/").and_then(|at| url.get(at..))
}

fn export_badge(state: ExportState) -> Markup {
    let tone = match state {
        ExportState::Pending => Tone::Waiting,
        ExportState::Ready => Tone::Good,
        ExportState::Failed => Tone::Bad,
        ExportState::Expired => Tone::Plain,
    };
    badge(tone, state.as_str())
}

/// Asks for an export of a whole log.
pub(super) async fn create_export(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let trail = trail(&visit, &visit.form).await?;
    let format = visit
        .form
        .one("format")
        .and_then(ExportFormat::parse)
        .unwrap_or_default();
    let range = (format == ExportFormat::Csv).then(|| crate::domain::audit_export::ExportRange {
        start: DateTime::UNIX_EPOCH,
        end: visit.app.clock().now(),
    });
    let new = NewExport {
        organization: trail.organization(),
        range,
        actions: Vec::new(),
        actor_names: Vec::new(),
        actor_ids: Vec::new(),
        target_types: Vec::new(),
        format,
    };
    app::audit_exports::create(&visit.app, &visit.caller, new, None).await?;
    Ok(redirect("/portal/audit/exports?done=asked"))
}
