//! Organizations on the wire, as the contract has them.
//!
//! Invariant: `domains` is always an array and `external_id` always present: SDKs fail without them. Deleting
//! answers 202 with the text `Accepted`, as the recorded service does. Unknown members are ignored.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Data;

use super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App};
use crate::domain::id::OrganizationId;
use crate::domain::invalid::Faults;
use crate::domain::organization::OrganizationFilter;
use crate::http::extract::{Admin, Authorized, Body, PathExternalId, PathId, Query};

mod answer;
mod input;

use answer::OrganizationBody;
use input::{CreateOrganization, UpdateOrganization};

/// Create an organization
#[utoipa::path(
    post, path = "/organizations", tag = "Organizations",
    request_body = CreateOrganization,
    responses((status = 201, body = OrganizationBody)),
)]
pub(super) async fn create_organization(
    app: Data<App>,
    caller: Authorized<Admin>,
    body: Body,
) -> Answer {
    let new = body.parse::<CreateOrganization<'_>>()?.parse()?;
    let organization = app::organizations::create(&app, &caller, new, body.key).await?;
    json(StatusCode::CREATED, &OrganizationBody::from(&organization))
}

/// List organizations
#[utoipa::path(get, path = "/organizations", tag = "Organizations", params(
    ListParams,
    ("domains" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Only organizations with one of these domains."),
    ("search" = Option<String>, Query, description = "Only organizations whose name holds this text, in any case."),
), responses((status = 200, body = List<OrganizationBody>)))]
pub(super) async fn list_organizations(
    app: Data<App>,
    caller: Authorized<Admin>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing(&mut faults)?;
    faults.check()?;
    let page = app::organizations::list(&app, &caller, &filter(&query), &listing.page).await?;
    let list = List::page(
        &page,
        &listing,
        |organization| organization.id.to_string(),
        page.items.iter().map(OrganizationBody::from).collect(),
    );
    json(StatusCode::OK, &list)
}

/// Get an organization
#[utoipa::path(
    get, path = "/organizations/{id}", tag = "Organizations",
    params(("id" = String, Path, description = "The organization's id.")),
    responses((status = 200, body = OrganizationBody)),
)]
pub(super) async fn get_organization(
    app: Data<App>,
    caller: Authorized<Admin>,
    PathId(id): PathId<OrganizationId>,
) -> Answer {
    let organization = app::organizations::find(&app, &caller, id).await?;
    json(StatusCode::OK, &OrganizationBody::from(&organization))
}

/// Get an organization by your own id
#[utoipa::path(
    get, path = "/organizations/external_id/{external_id}", tag = "Organizations",
    params(("external_id" = String, Path, description = "Your own id for the organization.")),
    responses((status = 200, body = OrganizationBody)),
)]
pub(super) async fn get_organization_by_external_id(
    app: Data<App>,
    caller: Authorized<Admin>,
    PathExternalId(external_id): PathExternalId,
) -> Answer {
    let organization = app::organizations::find_by_external_id(&app, &caller, &external_id).await?;
    json(StatusCode::OK, &OrganizationBody::from(&organization))
}

/// Change an organization
///
/// Members that are absent stay as they are.
#[utoipa::path(
    put, path = "/organizations/{id}", tag = "Organizations",
    params(("id" = String, Path, description = "The organization's id.")),
    request_body = UpdateOrganization,
    responses((status = 200, body = OrganizationBody)),
)]
pub(super) async fn update_organization(
    app: Data<App>,
    caller: Authorized<Admin>,
    PathId(id): PathId<OrganizationId>,
    body: Body,
) -> Answer {
    let change = body.parse::<UpdateOrganization<'_>>()?.parse()?;
    let organization = app::organizations::update(&app, &caller, id, change).await?;
    json(StatusCode::OK, &OrganizationBody::from(&organization))
}

/// Delete an organization
#[utoipa::path(
    delete, path = "/organizations/{id}", tag = "Organizations",
    params(("id" = String, Path, description = "The organization's id.")),
    responses(
        (status = 202, body = String, content_type = "text/plain", description = "The text `Accepted`."),
    ),
)]
pub(super) async fn delete_organization(
    app: Data<App>,
    caller: Authorized<Admin>,
    PathId(id): PathId<OrganizationId>,
) -> Answer {
    app::organizations::delete(&app, &caller, id).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(ContentType::plaintext())
        .body("Accepted"))
}

fn filter(query: &Query) -> OrganizationFilter {
    OrganizationFilter {
        domains: query
            .list("domains")
            .unwrap_or_default()
            .into_iter()
            .map(str::to_ascii_lowercase)
            .collect(),
        search: query.filled("search").map(str::to_owned),
    }
}
