//! Organizations by name: the platform knows them by id, people by name.
//!
//! Invariant: a name stands for an organization only where no other can be meant; anything else is told as a fault
//! and never guessed. Whoever is bound to one organization is told no other's name.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::door::Visit;
use super::parts::id;
use crate::app::{self, AppError};
use crate::domain::id::OrganizationId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::organization::OrganizationFilter;
use crate::domain::page::{Order, PageQuery, PageSize};
use crate::http::extract::Query;

/// What the organizations of a page are called, as far as they are known.
pub(super) struct Names {
    known: BTreeMap<OrganizationId, String>,
    /// Only operators have a page for each.
    linked: bool,
}

impl Names {
    pub(super) async fn of(
        visit: &Visit,
        ids: impl IntoIterator<Item = Option<OrganizationId>>,
    ) -> Result<Self, AppError> {
        let mut ids: Vec<_> = ids.into_iter().flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(Self {
            known: app::organizations::names(&visit.app, &visit.caller, &ids).await?,
            linked: visit.caller.bound_to.is_none(),
        })
    }

    /// In a list, where there is room for one of both.
    pub(super) fn short(&self, organization: Option<OrganizationId>) -> Markup {
        html! {
            @match organization.map(|organization| (organization, self.known.get(&organization))) {
                None => span.soft { "–" },
                Some((organization, None)) => code { (organization) },
                Some((organization, Some(name))) if self.linked => {
                    a title=(organization) href={ "/portal/settings/organizations/" (organization) } { (name) }
                },
                Some((organization, Some(name))) => span title=(organization) { (name) },
            }
        }
    }

    /// Among facts: the name, and the id to be copied.
    pub(super) fn whole(&self, organization: OrganizationId) -> Markup {
        html! {
            @if self.known.contains_key(&organization) { (self.short(Some(organization))) " " }
            (id(organization))
        }
    }
}

/// The organization that somebody means: by its id, by their own id for it, or by its name.
pub(super) async fn meant(
    visit: &Visit,
    field: &str,
    text: &str,
) -> Result<Result<OrganizationId, Invalid>, AppError> {
    if let Ok(organization) = text.parse() {
        return Ok(Ok(organization));
    }
    let found = app::organizations::meant(&visit.app, &visit.caller, text).await?;
    Ok(match found.as_slice() {
        [(organization, _)] => Ok(*organization),
        [] => {
            let message = "No organization has this name or id.";
            Err(Invalid::new(field, "invalid_organization_id", message))
        }
        several => {
            let several = several.iter().map(|(id, name)| format!("{name} ({id})"));
            let message = format!(
                "More than one organization may be meant; take the id of one: {}.",
                several.collect::<Vec<_>>().join(", ")
            );
            Err(Invalid::new(field, "invalid_organization_id", message))
        }
    })
}

/// The organization that a list is narrowed to.
pub(super) async fn filter(
    visit: &Visit,
    query: &Query,
    faults: &mut Faults,
) -> Result<Option<OrganizationId>, AppError> {
    match query.filled(FIELD) {
        Some(text) => Ok(faults.take(meant(visit, FIELD, text).await?)),
        None => Ok(None),
    }
}

/// The name of the field that narrows a list.
pub(super) const FIELD: &str = "organization";
/// The id of [`choices`].
pub(super) const CHOICES: &str = "organizations";

/// What fields for an organization offer: the newest ones by name.
pub(super) async fn choices(visit: &Visit) -> Result<Markup, AppError> {
    if visit.caller.bound_to.is_some() {
        return Ok(html! {});
    }
    let newest = PageQuery {
        size: PageSize::OF_A_TABLE,
        order: Order::Descending,
        cursor: None,
    };
    let filter = OrganizationFilter::default();
    let page = app::organizations::list(&visit.app, &visit.caller, &filter, &newest).await?;
    Ok(html! {
        datalist id=(CHOICES) { @for organization in &page.items { option value=(organization.name) {} } }
    })
}
