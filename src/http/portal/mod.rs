//! The portal: pages for operators and for their organizations' people, made on the server.
//!
//! Invariant: a page calls the same verbs as the API does, with a caller that the session is bound to; every page
//! works without scripts; nothing is fetched from another host. Every form carries its session's proof. Pages are
//! for people and no operations of the API.

mod assets;
mod audit;
mod audit_entry;
mod charts;
mod cookies;
mod deliveries;
mod door;
mod endpoint_forms;
mod endpoints;
mod events;
mod json_view;
mod overview;
mod parts;
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
}

/// Pages that only show.
fn configure_reading(config: &mut ServiceConfig) {
    for (path, route) in [
        ("/portal/assets/{name}", web::to(assets::show)),
        ("/portal", page(overview::show)),
        ("/portal/events", page(events::list)),
        ("/portal/events/{id}", page(events::show)),
        ("/portal/events/{id}/why", page(why::show)),
        ("/portal/deliveries", page(deliveries::list)),
        ("/portal/deliveries/{id}", page(deliveries::show)),
        // Before the pattern that would take the word for an id.
        ("/portal/replays/new", page(replay_forms::show_new)),
        ("/portal/replays/{id}", page(replays::show)),
        ("/portal/audit", page(audit::list)),
        ("/portal/audit/entries/{id}", page(audit_entry::show)),
        ("/portal/settings", page(settings::show)),
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
        (
            "/portal/audit/exports",
            page(audit::exports),
            action(audit::create_export),
        ),
    ] {
        let resource = refusing(path, "GET, HEAD, POST").route(reading(shown));
        config.service(resource.route(done.guard(guard::Post())));
    }
    for (path, done) in [
        ("/portal/sign-out", action(sign_in::sign_out)),
        ("/portal/deliveries/{id}/replay", action(deliveries::replay)),
        ("/portal/replays/{id}/cancel", action(replays::cancel)),
        (
            "/portal/audit/checkpoints",
            action(audit::create_checkpoint),
        ),
    ] {
        config.service(refusing(path, "POST").route(done.guard(guard::Post())));
    }
}

fn reading(route: Route) -> Route {
    route.guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A path that refuses every other method.
fn refusing(path: &str, allowed: &str) -> Resource {
    web::resource(path).default_service(refuse_method(allowed.to_owned()))
}
