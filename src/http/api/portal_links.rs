//! Links into the portal on the wire.
//!
//! Invariant: a link's `url` is in the answer that makes it and nowhere else.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{Answer, json};
use crate::app::portal::{MadeLink, NewLink};
use crate::app::{self, App};
use crate::domain::id::{OrganizationId, PortalLinkId};
use crate::domain::invalid::Invalid;
use crate::domain::limits::NAME_CHARS_MAX;
use crate::domain::portal::{LINK_SECONDS_DEFAULT, LINK_SECONDS_MAX, MemberRole, Visitor};
use crate::domain::time;
use crate::http::extract::{Admin, Authorized, Body, Member, Reader};

/// A link to make.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"organization_id": "org_…", "role": "manager"}))]
pub(in crate::http::api) struct CreatePortalLink<'a> {
    /// Whose people the link is for; they see what is this organization's.
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    organization_id: Member<'a, String>,
    /// `viewer` (the default) looks; `manager` looks after endpoints and their secrets too.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    role: Member<'a, String>,
    /// What the visitor is called, in the audit log.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 512)]
    name: Member<'a, String>,
    /// How long the link opens, up to seven days; a quarter of an hour when absent.
    #[serde(borrow, default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 604800)]
    expires_in_seconds: Member<'a, u64>,
}

impl CreatePortalLink<'_> {
    fn parse(&self) -> Result<NewLink, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let organization = reader
            .required("organization_id", &self.organization_id)
            .and_then(|text| organization(&mut reader, &text));
        let role = reader.optional("role", &self.role);
        let role = role.map_or(Some(MemberRole::Viewer), |word| {
            let role = MemberRole::parse(&word);
            if role.is_none() {
                let message = "role must be viewer or manager.";
                reader.push(Invalid::new("role", "invalid_role", message));
            }
            role
        });
        let name = reader.optional("name", &self.name);
        let name = name.unwrap_or_else(|| "visitor by link".to_owned());
        if name.chars().count() > NAME_CHARS_MAX {
            let message = format!("name must be at most {NAME_CHARS_MAX} characters.");
            reader.push(Invalid::new("name", "too_long", message));
        }
        let seconds = reader.optional("expires_in_seconds", &self.expires_in_seconds);
        let seconds = seconds.unwrap_or(LINK_SECONDS_DEFAULT);
        if !(1..=LINK_SECONDS_MAX).contains(&seconds) {
            let message = format!("expires_in_seconds must be 1 to {LINK_SECONDS_MAX}.");
            reader.push(Invalid::new("expires_in_seconds", "out_of_range", message));
        }
        let (Some(organization), Some(role)) = (organization, role) else {
            return Err(reader.into_faults());
        };
        reader.check()?;
        Ok(NewLink {
            visitor: Visitor::Member { organization, role },
            name,
            good_for: Duration::from_secs(seconds),
        })
    }
}

fn organization(reader: &mut Reader<'_>, text: &str) -> Option<OrganizationId> {
    reader.take(text.parse().map_err(|fault| {
        let message = format!("organization_id {fault}.");
        Invalid::new("organization_id", "invalid_organization_id", message)
    }))
}

/// A link into the portal.
#[derive(Serialize, ToSchema)]
#[schema(as = PortalLink)]
pub(in crate::http::api) struct PortalLinkBody {
    /// Always `portal_link`.
    #[schema(value_type = String, example = "portal_link")]
    object: &'static str,
    #[schema(value_type = String)]
    id: PortalLinkId,
    /// Opens the portal once. Whoever has it comes in: pass it on as you would a password.
    url: String,
    #[schema(value_type = Option<String>, required)]
    organization_id: Option<OrganizationId>,
    #[schema(value_type = String, example = "viewer")]
    role: &'static str,
    name: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<MadeLink> for PortalLinkBody {
    fn from(made: MadeLink) -> Self {
        let MadeLink { link, url } = made;
        Self {
            object: "portal_link",
            id: link.id,
            url,
            organization_id: link.grant.visitor.organization(),
            role: link.grant.visitor.role(),
            name: link.grant.name,
            expires_at: time::to_text(link.expires_at),
            created_at: time::to_text(link.created_at),
        }
    }
}

/// Create a link into the portal
///
/// Lets one of an organization's people in, once, to see that organization's events, endpoints, deliveries and audit
/// log. The same request again under one `Idempotency-Key` gives the same link with a new `url`; the one before opens
/// nothing any more.
#[utoipa::path(
    post, path = "/portal_links", tag = "Portal",
    request_body = CreatePortalLink,
    responses((status = 201, body = PortalLinkBody)),
)]
pub(super) async fn create_portal_link(
    app: Data<App>,
    caller: Authorized<Admin>,
    body: Body,
) -> Answer {
    let new = body.parse::<CreatePortalLink<'_>>()?.parse()?;
    let made = app::portal::create_link(&app, &caller, new, body.key).await?;
    json(StatusCode::CREATED, &PortalLinkBody::from(made))
}
