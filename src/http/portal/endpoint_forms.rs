//! The form of an endpoint: to create one, and to change one.
//!
//! Invariant: what was typed stays in the form when it is refused, with everything that is wrong told at once.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::naming::{self, CHOICES};
use super::view::{Part, page, page_with, proof};
use crate::app;
use crate::app::AppError;
use crate::domain::access::Permission;
use crate::domain::endpoint::{Endpoint, EndpointChange, EndpointState, NewEndpoint};
use crate::domain::event::EventPattern;
use crate::domain::id::{EndpointId, OrganizationId};
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::{EVENT_PATTERNS_MAX, NAME_CHARS_MAX, URL_CHARS_MAX};
use crate::http::extract::{Extract, PathId, Query};
use crate::http::problem::Problem;

/// What stands in the fields.
#[derive(Default)]
struct Fields {
    url: String,
    patterns: String,
    description: String,
    organization: String,
}

/// What the fields say.
struct Filled {
    url: String,
    patterns: Vec<EventPattern>,
    description: String,
}

impl Fields {
    fn of_form(form: &Query) -> Self {
        let text = |name| form.one(name).unwrap_or_default().trim().to_owned();
        Self {
            url: text("url"),
            patterns: text("patterns"),
            description: text("description"),
            organization: text("organization"),
        }
    }

    fn of_endpoint(endpoint: &Endpoint) -> Self {
        let patterns = endpoint.patterns.iter().map(ToString::to_string);
        Self {
            url: endpoint.url.clone(),
            patterns: patterns.collect::<Vec<_>>().join("\n"),
            description: endpoint.description.clone(),
            organization: String::new(),
        }
    }

    fn read(&self, mut faults: Faults) -> Result<Filled, Vec<Invalid>> {
        for (field, name, text, max) in [
            ("url", "The URL", &self.url, URL_CHARS_MAX),
            (
                "description",
                "The description",
                &self.description,
                NAME_CHARS_MAX,
            ),
        ] {
            if text.chars().count() > max {
                let message = format!("{name} must be at most {max} characters.");
                faults.push(Invalid::new(field, "too_long", message));
            }
        }
        let names = self.patterns.split([',', ' ', '\n', '\r', '\t']);
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        if names.len() > EVENT_PATTERNS_MAX {
            let message = format!("An endpoint has at most {EVENT_PATTERNS_MAX} patterns.");
            faults.push(Invalid::new("patterns", "too_many", message));
        }
        let patterns = names.into_iter().take(EVENT_PATTERNS_MAX);
        let patterns = patterns.filter_map(|name| {
            faults.take(EventPattern::parse("patterns", name).map_err(|_fault| {
                let message = format!("{name} is no event type and no pattern such as invoice.*");
                Invalid::new("patterns", "invalid_event_type", message)
            }))
        });
        let patterns = patterns.collect();
        faults.check()?;
        Ok(Filled {
            url: self.url.clone(),
            patterns,
            description: self.description.clone(),
        })
    }
}

/// What a refused form says; a failure of the platform itself is not the form's.
fn told(error: AppError) -> Result<Vec<String>, AppError> {
    if let AppError::Invalid(faults) = error {
        let messages = faults.into_iter().map(|fault| fault.message.into_owned());
        return Ok(messages.collect());
    }
    let is_ours = matches!(
        error,
        AppError::InvalidUrl { .. } | AppError::Exists { .. } | AppError::LimitReached { .. }
    );
    match is_ours {
        true => Ok(vec![error.to_string()]),
        false => Err(error),
    }
}

pub(super) async fn show_new(visit: Visit) -> Shown {
    visit.require(Permission::EndpointsWrite)?;
    let content = new_form(&visit, &Fields::default(), &[]).await?;
    page(&visit, Part::Endpoints, "Add an endpoint", &content)
}

async fn new_form(visit: &Visit, fields: &Fields, faults: &[String]) -> Result<Markup, AppError> {
    let organization = visit.caller.bound_to.is_none().then_some(fields);
    let choices = naming::choices(visit).await?;
    Ok(html! {
        p.crumbs { a href="/portal/endpoints" { "Endpoints" } }
        h1 { "Add an endpoint" }
        form.tall method="post" action="/portal/endpoints" {
            (inputs(visit, fields, faults))
            @if let Some(fields) = organization {
                label { "Organization " span.soft { "(optional)" }
                    input name="organization" value=(fields.organization) list=(CHOICES) placeholder="name or org_…" autocomplete="off" spellcheck="false" aria-describedby="organization-help";
                }
                (choices)
                p #organization-help .help { "Bound to an organization, it gets that organization's events only." }
            }
            div.actions { button type="submit" { "Add the endpoint" } a.button.quiet href="/portal/endpoints" { "Cancel" } }
        }
    })
}

fn inputs(visit: &Visit, fields: &Fields, faults: &[String]) -> Markup {
    html! {
        (proof(visit))
        @if !faults.is_empty() { ul.fault role="alert" { @for fault in faults { li { (fault) } } } }
        label { "URL"
            input type="url" name="url" value=(fields.url) required maxlength=(URL_CHARS_MAX)
                placeholder="https://example.com/webhooks" spellcheck="false" aria-describedby="url-help";
        }
        p #url-help .help { "Events are POSTed here, signed. Addresses in private networks are refused unless the server allows them." }
        label { "Event types " span.soft { "(optional)" }
            textarea name="patterns" rows="3" placeholder="invoice.*" spellcheck="false" aria-describedby="patterns-help" { (fields.patterns) }
        }
        p #patterns-help .help {
            "One a line. " code { "invoice.paid" } " is one type, " code { "invoice.*" }
            " all that begin with " code { "invoice." } "; empty means everything."
        }
        label { "Description " span.soft { "(optional)" }
            input name="description" value=(fields.description) maxlength=(NAME_CHARS_MAX);
        }
    }
}

/// Creates an endpoint.
pub(super) async fn create(visit: Visit) -> Shown {
    visit.require(Permission::EndpointsWrite)?;
    let fields = Fields::of_form(&visit.form);
    let mut faults = Faults::default();
    let organization = organization(&visit, &fields, &mut faults).await?;
    let made = match fields.read(faults) {
        Ok(filled) => {
            let new = NewEndpoint {
                url: filled.url,
                patterns: filled.patterns,
                organization,
                description: filled.description,
                state: EndpointState::Enabled,
                schedule: None,
                secret: None,
            };
            app::endpoints::create(&visit.app, &visit.caller, new, None).await
        }
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match made {
        Ok(endpoint) => Ok(redirect(&format!(
            "/portal/endpoints/{}?done=created",
            endpoint.id
        ))),
        Err(error) => {
            let content = new_form(&visit, &fields, &told(error)?).await?;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            page_with(status, &visit, Part::Endpoints, "Add an endpoint", &content)
        }
    }
}

/// The organization that the field means. A member's endpoints are their organization's, whatever stands there.
async fn organization(
    visit: &Visit,
    fields: &Fields,
    faults: &mut Faults,
) -> Result<Option<OrganizationId>, AppError> {
    if fields.organization.is_empty() || visit.caller.bound_to.is_some() {
        return Ok(None);
    }
    let meant = naming::meant(visit, "organization", &fields.organization).await?;
    Ok(faults.take(meant))
}

async fn found(visit: &Visit) -> Result<Endpoint, Problem> {
    visit.require(Permission::EndpointsWrite)?;
    let PathId(id) = PathId::<EndpointId>::extract(&visit.request, &mut Payload::None).await?;
    Ok(app::endpoints::find(&visit.app, &visit.caller, id).await?)
}

pub(super) async fn show_edit(visit: Visit) -> Shown {
    let endpoint = found(&visit).await?;
    let content = edit_form(&visit, endpoint.id, &Fields::of_endpoint(&endpoint), &[]);
    page(&visit, Part::Endpoints, "Edit the endpoint", &content)
}

fn edit_form(visit: &Visit, id: EndpointId, fields: &Fields, faults: &[String]) -> Markup {
    html! {
        p.crumbs { a href="/portal/endpoints" { "Endpoints" } }
        h1 { "Edit the endpoint" }
        form.tall method="post" action={ "/portal/endpoints/" (id) "/edit" } {
            (inputs(visit, fields, faults))
            div.actions { button type="submit" { "Save" } a.button.quiet href={ "/portal/endpoints/" (id) } { "Cancel" } }
        }
    }
}

/// Changes an endpoint.
pub(super) async fn update(visit: Visit) -> Shown {
    let endpoint = found(&visit).await?;
    let fields = Fields::of_form(&visit.form);
    let saved = match fields.read(Faults::default()) {
        Ok(filled) => {
            let change = EndpointChange {
                url: Some(filled.url),
                patterns: Some(filled.patterns),
                description: Some(filled.description),
                ..EndpointChange::default()
            };
            app::endpoints::update(&visit.app, &visit.caller, endpoint.id, change).await
        }
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match saved {
        Ok(endpoint) => Ok(redirect(&format!(
            "/portal/endpoints/{}?done=saved",
            endpoint.id
        ))),
        Err(error) => {
            let content = edit_form(&visit, endpoint.id, &fields, &told(error)?);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            page_with(
                status,
                &visit,
                Part::Endpoints,
                "Edit the endpoint",
                &content,
            )
        }
    }
}
