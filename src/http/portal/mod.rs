//! The portal: pages for operators and for their organizations' people, made on the server.
//!
//! Invariant: a page calls the same verbs as the API does, with a caller that the session is bound to; every page
//! works without scripts; nothing is fetched from another host. Every form carries its session's proof. Pages are
//! for people and no operations of the API.

mod api_keys;
mod assets;
mod audit;
mod audit_checkpoints;
mod audit_entry;
mod audit_schemas;
mod charts;
mod configuration;
mod cookies;
mod deliveries;
mod door;
mod endpoint_forms;
mod endpoints;
mod events;
mod json_view;
mod naming;
mod organizations;
mod overview;
mod parts;
mod raw;
mod replay_forms;
mod replays;
mod settings;
mod sign_in;
mod view;
mod why;

use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route, guard};

use super::middleware::refuse_method;
use door::{action, open_action, open_page, page};

/// Registers every page.
pub(super) fn configure(config: &mut ServiceConfig) {
    configure_reading(config);
    configure_forms(config);
    configure_operators_forms(config);
    configure_buttons(config);
}

/// Pages that only show.
fn configure_reading(config: &mut ServiceConfig) {
    for (path, route) in [
        ("/portal/assets/{name}", web::to(assets::show)),
        ("/portal", page(overview::show)),
        ("/portal/events", page(events::list)),
        ("/portal/events/{id}", page(events::show)),
        ("/portal/events/{id}/why", page(why::show)),
        ("/portal/events/{id}/body", page(raw::event)),
        ("/portal/deliveries", page(deliveries::list)),
        ("/portal/deliveries/{id}", page(deliveries::show)),
        (
            "/portal/deliveries/{id}/answers/{number}",
            page(raw::answer),
        ),
        // Before the pattern that would take the word for an id.
        ("/portal/replays/new", page(replay_forms::show_new)),
        ("/portal/replays/{id}", page(replays::show)),
        ("/portal/audit", page(audit::list)),
        ("/portal/audit/entries/{id}", page(audit_entry::show)),
        ("/portal/audit/entries/{id}/body", page(raw::entry)),
        ("/portal/audit/actions/{action}", page(audit_schemas::show)),
        (
            "/portal/audit/actions/{action}/{version}",
            page(raw::schema),
        ),
        // Before the pattern that would take the word for an id.
        ("/portal/audit/schemas/new", page(audit_schemas::show_new)),
        ("/portal/settings", page(settings::show)),
        ("/portal/settings/configuration", page(configuration::show)),
        ("/portal/settings/keys/new", page(api_keys::show_new)),
        ("/portal/settings/organizations", page(organizations::list)),
        (
            "/portal/settings/organizations/{id}",
            page(organizations::show),
        ),
    ] {
        config.service(refusing(path, "GET, HEAD").route(reading(route)));
    }
}

/// Pages with a form, and what the forms do.
fn configure_forms(config: &mut ServiceConfig) {
    for (path, shown, done) in [
        (
            "/portal/sign-in",
            open_page(sign_in::show),
            open_action(sign_in::sign_in),
        ),
        (
            "/portal/link/{pass}",
            open_page(sign_in::show_link),
            open_action(sign_in::redeem),
        ),
        (
            "/portal/endpoints",
            page(endpoints::list),
            action(endpoint_forms::create),
        ),
        // Before the pattern that would take the word for an id.
        (
            "/portal/endpoints/new",
            page(endpoint_forms::show_new),
            action(endpoint_forms::create),
        ),
        (
            "/portal/endpoints/{id}",
            page(endpoints::show),
            action(endpoints::act),
        ),
        (
            "/portal/endpoints/{id}/edit",
            page(endpoint_forms::show_edit),
            action(endpoint_forms::update),
        ),
        (
            "/portal/replays",
            page(replays::list),
            action(replay_forms::create),
        ),
    ] {
        config.service(both(path, shown, done));
    }
}

/// The same for what belongs to the environment.
fn configure_operators_forms(config: &mut ServiceConfig) {
    for (path, shown, done) in [
        (
            "/portal/audit/exports",
            page(audit::exports),
            action(audit::create_export),
        ),
        (
            "/portal/audit/checkpoints",
            page(audit_checkpoints::list),
            action(audit::create_checkpoint),
        ),
        (
            "/portal/audit/schemas",
            page(audit_schemas::list),
            action(audit_schemas::create),
        ),
        (
            "/portal/settings/keys",
            page(api_keys::list),
            action(api_keys::create),
        ),
    ] {
        config.service(both(path, shown, done));
    }
}

/// Buttons without a page of their own.
fn configure_buttons(config: &mut ServiceConfig) {
    for (path, done) in [
        ("/portal/sign-out", action(sign_in::sign_out)),
        ("/portal/deliveries/{id}/replay", action(deliveries::replay)),
        ("/portal/replays/{id}/cancel", action(replays::cancel)),
        (
            "/portal/settings/keys/{id}/revoke",
            action(api_keys::revoke),
        ),
        (
            "/portal/settings/organizations/{id}/retention",
            action(organizations::set_retention),
        ),
    ] {
        config.service(refusing(path, "POST").route(done.guard(guard::Post())));
    }
}

/// A path with a page and what its form does.
fn both(path: &str, shown: Route, done: Route) -> Resource {
    let resource = refusing(path, "GET, HEAD, POST").route(reading(shown));
    resource.route(done.guard(guard::Post()))
}

fn reading(route: Route) -> Route {
    route.guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A path that refuses every other method.
fn refusing(path: &str, allowed: &str) -> Resource {
    web::resource(path).default_service(refuse_method(allowed.to_owned()))
}
