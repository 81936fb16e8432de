//! Organizations: the list by name, and one with how long its audit log is kept. For operators.
//!
//! Invariant: entries are deleted only after somebody said that they may be: a shorter period is refused without.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::endpoints::listing;
use super::parts::{empty, id, notice, pager, when};
use super::view::{Part, page, page_with, proof};
use crate::app;
use crate::domain::access::Permission;
use crate::domain::audit_retention::RetentionPeriod;
use crate::domain::id::OrganizationId;
use crate::domain::organization::{Organization, OrganizationFilter};
use crate::http::extract::{Extract, PathId};
use crate::http::problem::{Code, Problem};

pub(super) async fn list(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let search = visit.query.filled("search");
    let filter = OrganizationFilter {
        search: search.map(str::to_owned),
        ..OrganizationFilter::default()
    };
    let listing = listing(&visit.query)?;
    let found = app::organizations::list(&visit.app, &visit.caller, &filter, &listing).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/settings" { "Settings" } }
        h1 { "Organizations" }
        form.filters method="get" role="search" aria-label="Search organizations" {
            label { "Name" input type="search" name="search" value=(search.unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            button type="submit" { "Search" }
        }
        @if found.items.is_empty() && search.is_some() {
            (empty("Nothing matches", &html! { p { a href="/portal/settings/organizations" { "Show all organizations" } } }))
        } @else { (table(&found.items, now)) }
        (pager(&found, &visit.query, |organization| organization.id.to_string()))
    };
    page(&visit, Part::Settings, "Organizations", &content)
}

/// A table of organizations.
pub(super) fn table(organizations: &[Organization], now: DateTime<Utc>) -> Markup {
    html! {
        @if organizations.is_empty() {
            (empty("No organizations", &html! { p { "Your customers' spaces: " code { "POST /organizations" } } }))
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Organizations" { table {
                thead { tr { th { "Name" } th { "Id" } th.wide { "External id" } th.wide { "Created" } } }
                tbody { @for organization in organizations { tr {
                    td.text { a.name href={ "/portal/settings/organizations/" (organization.id) } { (organization.name) } }
                    td { (id(organization.id)) }
                    td.wide.text { (organization.external_id.as_deref().unwrap_or("–")) }
                    td.wide { (when(organization.created_at, now)) }
                } } }
            } }
        }
    }
}

pub(super) async fn show(visit: Visit) -> Shown {
    show_with(&visit, StatusCode::OK, None).await
}

async fn show_with(visit: &Visit, status: StatusCode, fault: Option<&str>) -> Shown {
    let wanted = id_of(visit).await?;
    let organization = app::organizations::find(&visit.app, &visit.caller, wanted).await?;
    let kept = app::audit_retention::get(&visit.app, &visit.caller, wanted).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/settings/organizations" { "Organizations" } }
        div.head {
            h1 { (organization.name) }
            p.around {
                a href={ "/portal/events?organization=" (organization.id) } { "Events" }
                a href={ "/portal/audit?trail=" (organization.id) } { "Audit log" }
            }
        }
        (notice(&visit.query, &[("saved", "Saved. What is older is deleted within minutes.")]))
        (facts(&organization, now))
        section {
            h2 { "Audit log retention" }
            (retention(visit, wanted, kept, fault))
        }
    };
    page_with(status, visit, Part::Settings, &organization.name, &content)
}

async fn id_of(visit: &Visit) -> Result<OrganizationId, Problem> {
    visit.require(Permission::Admin)?;
    let PathId(id) = PathId::<OrganizationId>::extract(&visit.request, &mut Payload::None).await?;
    Ok(id)
}

fn facts(organization: &Organization, now: DateTime<Utc>) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd { (id(organization.id)) }
            @if let Some(own) = &organization.external_id { dt { "External id" } dd { (id(own)) } }
            @if !organization.domains.is_empty() {
                dt { "Domains" }
                dd { @for domain in &organization.domains { div { (domain.domain) " " span.soft { (domain.state.as_str()) } } } }
            }
            dt { "Created" } dd { (when(organization.created_at, now)) }
            dt { "Changed" } dd { (when(organization.updated_at, now)) }
        }
        @if !organization.metadata.is_empty() {
            section {
                h2 { "Metadata" }
                dl.headers { @for (name, value) in &organization.metadata { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn retention(
    visit: &Visit,
    organization: OrganizationId,
    kept: Option<u32>,
    fault: Option<&str>,
) -> Markup {
    let period = kept.and_then(RetentionPeriod::from_days);
    html! {
        p {
            @match (period, kept) {
                (Some(period), _) => { "Entries are kept for " strong { (period.words()) } "." },
                (None, Some(days)) => { "Entries are kept for " strong { (days) " days" } "." },
                (None, None) => { "Entries are kept " strong { "for ever" } "." },
            }
        }
        form.tall method="post" action={ "/portal/settings/organizations/" (organization) "/retention" } {
            (proof(visit))
            @if let Some(fault) = fault { ul.fault role="alert" { li { (fault) } } }
            label { "Keep entries for"
                select name="days" required aria-describedby="days-help" {
                    @if kept.is_none() { option value="" { "for ever" } }
                    @for one in RetentionPeriod::all() {
                        option value=(one.days()) selected[Some(one.days()) == kept] { (one.words()) }
                    }
                }
            }
            p #days-help .help { "What is older is deleted, but for its hashes: proofs of the rest still verify. The log says that it was." }
            label.check {
                input type="checkbox" name="sure" value="yes";
                span { "Delete what is older. " span.soft { "Needed to keep entries for a shorter time; it cannot be undone." } }
            }
            div.actions { button type="submit" { "Save" } }
        }
    }
}

/// Sets how long an organization's audit log is kept.
pub(super) async fn set_retention(visit: Visit) -> Shown {
    let organization = id_of(&visit).await?;
    let days = visit.form.one("days").and_then(|text| text.parse().ok());
    let Some(period) = days.and_then(RetentionPeriod::from_days) else {
        let message = "There is no such period.";
        return Err(Problem::new(Code::InvalidRequestParameters, message));
    };
    let kept = app::audit_retention::get(&visit.app, &visit.caller, organization).await?;
    let is_shorter = kept.is_none_or(|kept| period.days() < kept);
    if is_shorter && visit.form.one("sure") != Some("yes") {
        let fault = "That is shorter than now. Tick the box if what is older may be deleted.";
        return show_with(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(fault)).await;
    }
    app::audit_retention::set(&visit.app, &visit.caller, organization, period.days()).await?;
    Ok(redirect(&format!(
        "/portal/settings/organizations/{organization}?done=saved"
    )))
}
