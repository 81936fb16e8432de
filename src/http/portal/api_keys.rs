//! API keys: the list with what each may do, the form that makes one, and the button that ends one. For operators.
//!
//! Invariant: a key's text is on one page once, the answer to the form that made it. Nobody ends a key of another
//! environment.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::endpoints::listing;
use super::parts::{Tone, badge, id, notice, pager, when};
use super::view::{Part, page, page_with, proof};
use crate::app;
use crate::domain::access::{ApiKey, ApiKeyText, Permission};
use crate::domain::audit::Actor;
use crate::domain::id::ApiKeyId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::NAME_CHARS_MAX;
use crate::http::extract::{Extract, PathId, Query};

/// What a permission permits, for people.
const fn words(permission: Permission) -> &'static str {
    match permission {
        Permission::EventsWrite => "publish events",
        Permission::EventsRead => "read the feed, deliveries and their attempts",
        Permission::EndpointsWrite => "create, change, test and delete endpoints, replay",
        Permission::EndpointsRead => "read endpoints and their health",
        Permission::SecretsRead => "read signing secrets",
        Permission::AuditWrite => "record audit log entries, add schemas",
        Permission::AuditRead => "read audit logs, their proofs and exports",
        Permission::Admin => "everything, organizations and this portal included",
    }
}

pub(super) async fn list(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let listing = listing(&visit.query)?;
    let keys = app::api_keys::page(&visit.app, &visit.caller, &listing).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/settings" { "Settings" } }
        div.head { h1 { "API keys" } a.button href="/portal/settings/keys/new" { "Create a key" } }
        (notice(&visit.query, &[("revoked", "The key is revoked. It stops working within a second, and so does every session that came from it.")]))
        (table(&visit, &keys.items, now))
        (pager(&keys, &visit.query, |key| key.id.to_string()))
    };
    page(&visit, Part::Settings, "API keys", &content)
}

/// A table of keys, each with its button.
pub(super) fn table(visit: &Visit, keys: &[ApiKey], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="API keys" { table {
            thead { tr { th { "Name" } th.wide { "Key" } th.wide { "May" } th { "State" } th.wide { "Created" } th { "Action" } } }
            tbody { @for key in keys { tr {
                td.text { span.name { (key.name) } }
                td.wide { code { (key.hint) } }
                td.wide { @for permission in &key.permissions { code.tag { (permission) } " " } }
                td { @match key.revoked_at {
                    Some(at) => { (badge(Tone::Plain, "revoked")) " " span.soft { (when(at, now)) } },
                    None => (badge(Tone::Good, "valid")),
                } }
                td.wide { (when(key.created_at, now)) }
                td { @if key.revoked_at.is_none() { (revoking(visit, key)) } }
            } } }
        } }
    }
}

/// The button that ends a key, behind what it means.
fn revoking(visit: &Visit, key: &ApiKey) -> Markup {
    let is_own = visit.session.grant.api_key == Some(key.id);
    html! {
        details.danger {
            summary aria-label={ "Revoke " (key.name) } { "Revoke" }
            p {
                "Whatever uses it is refused within a second. This cannot be undone."
                @if is_own { " " strong { "You are in with this key, and will be out." } }
            }
            form method="post" action={ "/portal/settings/keys/" (key.id) "/revoke" } {
                (proof(visit))
                button.quiet type="submit" { "Revoke this key" }
            }
        }
    }
}

/// What stands in the fields.
#[derive(Default)]
struct Fields {
    name: String,
    permissions: Vec<Permission>,
}

impl Fields {
    fn read(form: &Query) -> (Self, Vec<Invalid>) {
        let mut faults = Faults::default();
        let sent = form.list("may").unwrap_or_default();
        let permissions: Vec<_> = Permission::ALL
            .into_iter()
            .filter(|permission| sent.contains(&permission.as_str()))
            .collect();
        if permissions.is_empty() {
            let message = "A key needs at least one permission.";
            faults.push(Invalid::new("may", "required", message));
        }
        let name = form.one("name").unwrap_or_default().trim().to_owned();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            let message = format!("The name must be 1 to {NAME_CHARS_MAX} characters.");
            faults.push(Invalid::new("name", "invalid_length", message));
        }
        let told = faults.check().err().unwrap_or_default();
        (Self { name, permissions }, told)
    }
}

pub(super) async fn show_new(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let content = form(&visit, &Fields::default(), &[]);
    page(&visit, Part::Settings, "Create a key", &content)
}

fn form(visit: &Visit, fields: &Fields, faults: &[Invalid]) -> Markup {
    html! {
        p.crumbs { a href="/portal/settings/keys" { "API keys" } }
        h1 { "Create a key" }
        form.tall method="post" action="/portal/settings/keys" {
            (proof(visit))
            @if !faults.is_empty() { ul.fault role="alert" { @for fault in faults { li { (fault.message) } } } }
            label { "Name"
                input name="name" value=(fields.name) required maxlength=(NAME_CHARS_MAX) placeholder="billing service" autocomplete="off" aria-describedby="name-help";
            }
            p #name-help .help { "By which you will know it again: here, and in the environment's audit log." }
            fieldset {
                legend { "May" }
                @for permission in Permission::ALL {
                    label.check {
                        input type="checkbox" name="may" value=(permission) checked[fields.permissions.contains(&permission)];
                        span { code { (permission) } " " span.soft { (words(permission)) } }
                    }
                }
            }
            div.actions { button type="submit" { "Create the key" } a.button.quiet href="/portal/settings/keys" { "Cancel" } }
        }
    }
}

/// Makes a key and shows its text, once.
pub(super) async fn create(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let (fields, faults) = Fields::read(&visit.form);
    if !faults.is_empty() {
        let content = form(&visit, &fields, &faults);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return page_with(status, &visit, Part::Settings, "Create a key", &content);
    }
    let (environment, actor) = (visit.caller.environment, Actor::from(&visit.caller));
    let Fields { name, permissions } = fields;
    let made = app::api_keys::create(&visit.app, environment, &name, permissions, &actor).await?;
    page(&visit, Part::Settings, "A new key", &made_view(&made))
}

fn made_view((key, text): &(ApiKey, ApiKeyText)) -> Markup {
    html! {
        p.crumbs { a href="/portal/settings/keys" { "API keys" } }
        h1 { "A new key" }
        p.notice role="status" { "Copy it now. It is not kept, and no page shows it again." }
        p.verdict { (id(text.expose())) }
        dl.facts {
            dt { "Name" } dd { (key.name) }
            dt { "Id" } dd { (id(key.id)) }
            dt { "May" } dd { @for permission in &key.permissions { code.tag { (permission) } " " } }
        }
        p { a.button href="/portal/settings/keys" { "I have copied it" } }
    }
}

/// Ends a key.
pub(super) async fn revoke(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let PathId(key) = PathId::<ApiKeyId>::extract(&visit.request, &mut Payload::None).await?;
    app::api_keys::revoke_own(&visit.app, &visit.caller, key).await?;
    Ok(redirect("/portal/settings/keys?done=revoked"))
}
