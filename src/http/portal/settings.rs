//! Settings: who has keys, which organizations there are. For operators.

use maud::{Markup, html};

use super::door::{Shown, Visit};
use super::endpoints::first_page;
use super::parts::{Tone, badge, empty, id, when};
use super::view::{Part, page};
use crate::app;
use crate::domain::access::{ApiKey, Permission};
use crate::domain::organization::{Organization, OrganizationFilter};

pub(super) async fn show(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let environment = visit.caller.environment;
    let mut keys = app::api_keys::list(&visit.app).await?;
    keys.retain(|key| key.environment == environment);
    let filter = OrganizationFilter::default();
    let organizations =
        app::organizations::list(&visit.app, &visit.caller, &filter, &first_page()).await?;
    let now = visit.app.clock().now();
    let content = html! {
        h1 { "Settings" }
        dl.facts {
            dt { "Environment" } dd { (id(environment)) }
            dt { "Server" } dd { code { (visit.app.settings().public_url) } " " span.soft { "Tidings " (env!("CARGO_PKG_VERSION")) } }
            dt { "Session" } dd { (visit.session.grant.name) " " span.soft { "ends " (when(visit.session.expires_at, now)) } }
        }
        section {
            h2 { "API keys" }
            (keys_table(&keys, now))
            p.help { code { "tidings keys create" } " makes one, " code { "tidings keys revoke" } " ends one, and every session that came from it." }
        }
        section {
            h2 { "Organizations" }
            @if organizations.items.is_empty() {
                (empty("No organizations", &html! { p { "Your customers' spaces: " code { "POST /organizations" } } }))
            } @else { (organizations_table(&organizations.items, now)) }
            p.help { code { "POST /portal_links" } " lets an organization's people in, to see what is theirs." }
        }
        p.help { "The settings in effect and where each comes from: " code { "tidings config print" } }
    };
    page(&visit, Part::Settings, "Settings", &content)
}

fn keys_table(keys: &[ApiKey], now: chrono::DateTime<chrono::Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="API keys" { table {
            thead { tr { th { "Name" } th { "Key" } th { "May" } th { "State" } th.wide { "Created" } } }
            tbody { @for key in keys { tr {
                td { (key.name) }
                td { code { (key.hint) } }
                td { @for permission in &key.permissions { code.tag { (permission) } " " } }
                td { @if key.revoked_at.is_some() { (badge(Tone::Plain, "revoked")) } @else { (badge(Tone::Good, "valid")) } }
                td.wide { (when(key.created_at, now)) }
            } } }
        } }
    }
}

fn organizations_table(
    organizations: &[Organization],
    now: chrono::DateTime<chrono::Utc>,
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Organizations" { table {
            thead { tr { th { "Name" } th { "Id" } th.wide { "External id" } th.wide { "Created" } } }
            tbody { @for organization in organizations { tr {
                td { a.name href={ "/portal/audit?trail=" (organization.id) } { (organization.name) } }
                td { (id(organization.id)) }
                td.wide { (organization.external_id.as_deref().unwrap_or("–")) }
                td.wide { (when(organization.created_at, now)) }
            } } }
        } }
    }
}
