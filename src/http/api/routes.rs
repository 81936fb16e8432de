//! The one list of operations.
//!
//! Invariant: [`routes!`] names every handler once. Routing, the OpenAPI document and the documentation page are
//! made from that list: method and path come from the handler's own annotation, the permission from the type of
//! its `Authorized` argument. So none of them can know an operation that another does not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, guard};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::{Operation, PathItem};

use super::audit_logs::{
    checkpoints as audit_checkpoints, events as audit_events, exports as audit_exports,
    keys as audit_keys, proofs as audit_proofs, redactions as audit_redactions,
    retention as audit_retention, schemas as audit_schemas,
};
use super::{
    deliveries, description, endpoints, event_types, events, metrics, organizations, portal_links,
    replays, why,
};
use crate::domain::access::Permission;
use crate::http::extract::Arguments;
use crate::http::health;
use crate::http::middleware::{door, refuse_method};
use crate::http::problem::{Code, Fault, ProblemBody};

/// One operation of the API.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    /// With parameters in braces: `/events/{id}`.
    pub path: String,
    /// The handler's name.
    pub operation_id: &'static str,
    /// `None`: open to all, or to whoever holds a signed link.
    pub permission: Option<Permission>,
    /// The refusals that its shape does not imply; those are added by `openapi`.
    pub(super) codes: &'static [Code],
    mount: fn() -> actix_web::Route,
}

macro_rules! routes {
    ($($module:ident :: $handler:ident [$($code:ident)*];)+) => {
        /// What the handlers' annotations say.
        #[derive(OpenApi)]
        #[openapi(paths($($module::$handler),+), components(schemas(ProblemBody, Fault)))]
        pub(super) struct Annotations;

        fn build() -> Vec<Route> {
            let document = Annotations::openapi();
            vec![$({
                let (method, path) = place(&document, stringify!($handler));
                Route {
                    method,
                    path,
                    operation_id: stringify!($handler),
                    permission: permission_of(&$module::$handler),
                    codes: &[$(Code::$code),*],
                    mount: || door($module::$handler),
                }
            }),+]
        }
    };
}

routes! {
    events::create_event [EntityNotFound InvalidEventData];
    events::create_event_batch [EntityNotFound InvalidEventData];
    events::list_events [InvalidEventsRequest CursorExpired];
    events::get_event [];
    why::explain_event [];
    event_types::create_event_type [EntityExists];
    event_types::list_event_types [];
    event_types::get_event_type [];
    event_types::update_event_type [];
    event_types::delete_event_type [];
    endpoints::create_webhook_endpoint [DuplicateEndpoint InvalidUrl LimitReached EntityNotFound];
    endpoints::list_webhook_endpoints [];
    endpoints::get_webhook_endpoint [];
    endpoints::get_webhook_endpoint_health [];
    endpoints::update_webhook_endpoint [DuplicateEndpoint InvalidUrl];
    endpoints::replace_webhook_endpoint [DuplicateEndpoint InvalidUrl];
    endpoints::delete_webhook_endpoint [];
    endpoints::rotate_webhook_endpoint_secret [];
    endpoints::complete_webhook_endpoint_rotation [];
    endpoints::test_webhook_endpoint [EndpointDisabled];
    deliveries::list_deliveries [];
    deliveries::get_delivery [];
    deliveries::list_delivery_attempts [];
    deliveries::replay_delivery [EndpointDisabled];
    replays::create_replay [EndpointDisabled EntityNotFound LimitReached];
    replays::preview_replay [EntityNotFound];
    replays::list_replays [];
    replays::get_replay [];
    replays::cancel_replay [];
    organizations::create_organization [ExternalIdAlreadyUsed InvalidMetadata EntityExists];
    organizations::list_organizations [];
    organizations::get_organization_by_external_id [];
    organizations::get_organization [];
    organizations::update_organization [ExternalIdAlreadyUsed InvalidMetadata EntityExists];
    organizations::delete_organization [];
    audit_events::create_audit_log_event [EntityNotFound InvalidAuditLogEvent];
    audit_events::create_audit_log_event_batch [EntityNotFound InvalidAuditLogEvent];
    audit_events::list_audit_log_events [];
    audit_events::get_audit_log_event [];
    audit_schemas::list_audit_log_actions [];
    audit_schemas::create_audit_log_schema [];
    audit_schemas::list_audit_log_schemas [];
    audit_exports::create_audit_log_export [EntityNotFound InvalidAuditLogExportRangeDate InvalidDateRangeException LimitReached];
    audit_exports::list_audit_log_exports [];
    audit_exports::get_audit_log_export [];
    audit_exports::download_audit_log_export [Forbidden LinkExpired Unavailable];
    audit_checkpoints::create_audit_log_checkpoint [EntityNotFound AuditLogEmpty];
    audit_checkpoints::list_audit_log_checkpoints [EntityNotFound];
    audit_checkpoints::get_latest_audit_log_checkpoint [EntityNotFound];
    audit_checkpoints::get_audit_log_checkpoint [];
    audit_proofs::get_audit_log_inclusion_proof [NotCheckpointed];
    audit_proofs::get_audit_log_consistency_proof [EntityNotFound];
    audit_keys::list_audit_log_keys [Unavailable];
    audit_redactions::create_audit_log_redaction [EntityNotFound];
    audit_redactions::list_audit_log_redactions [];
    audit_redactions::get_audit_log_redaction [];
    audit_retention::get_audit_logs_retention [];
    audit_retention::update_audit_logs_retention [];
    audit_retention::get_audit_log_configuration [];
    portal_links::create_portal_link [EntityNotFound];
    health::get_liveness [];
    health::get_readiness [];
    metrics::get_metrics [];
    description::get_openapi [];
}

/// Every operation, in the order of the documentation.
pub fn routes() -> &'static [Route] {
    static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(build);
    &ROUTES
}

/// Method and path of a handler, from its annotation.
fn place(document: &Document, operation_id: &str) -> (Method, String) {
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            if operation.operation_id.as_deref() == Some(operation_id) {
                return (method, path.clone());
            }
        }
    }
    unreachable!("`routes!` makes annotations and routes from one list")
}

/// The operations of a path.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// What a handler's signature asks of its caller.
fn permission_of<F: actix_web::Handler<Args>, Args: Arguments>(_handler: &F) -> Option<Permission> {
    Args::PERMISSION
}

/// Registers every operation; a known path with another method is 405.
pub(in crate::http) fn configure(config: &mut ServiceConfig) {
    let mut paths: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
    for route in routes() {
        paths.entry(&route.path).or_default().push(route);
    }
    // Paths are tried in turn, and one with a parameter is a regular expression: those that have none come first.
    let (patterns, plain): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|(path, _)| path.contains('{'));
    for (path, routes) in plain.into_iter().chain(patterns) {
        config.service(resource(path, &routes));
    }
}

fn resource(path: &str, routes: &[&Route]) -> Resource {
    let mut resource = web::resource(path);
    for route in routes {
        let mounted = (route.mount)();
        resource = resource.route(if route.method == Method::GET {
            mounted.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            let method = route.method.clone();
            mounted.guard(guard::fn_guard(move |context| {
                context.head().method == method
            }))
        });
    }
    resource.default_service(refuse_method(allowed(routes)))
}

/// The value of `Allow`.
fn allowed(routes: &[&Route]) -> String {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn every_route_has_its_own_name_and_place() {
        let names: HashSet<_> = routes().iter().map(|route| route.operation_id).collect();
        let places: HashSet<_> = routes()
            .iter()
            .map(|route| (&route.method, &route.path))
            .collect();

        assert_eq!(names.len(), routes().len());
        assert_eq!(places.len(), routes().len());
    }

    #[test]
    fn only_health_the_description_public_keys_and_signed_links_are_open() {
        let open: BTreeSet<_> = routes()
            .iter()
            .filter(|route| route.permission.is_none())
            .map(|route| route.path.as_str())
            .collect();

        let known = [
            "/.well-known/tidings/audit-log-keys/{environment_id}",
            "/audit_logs/exports/{id}/download",
            "/livez",
            "/openapi.json",
            "/readyz",
        ];
        assert_eq!(open, BTreeSet::from(known));
    }

    #[test]
    fn each_noun_asks_for_its_own_permission() {
        for route in routes() {
            let reads = route.method == Method::GET;
            // An export reads, though it is asked for with a POST; an organization's trail is no part of it.
            let of_audit = route.path.contains("/audit_log");
            let wanted = match route.path.split('/').nth(1) {
                Some("audit_logs") if route.path.ends_with("/download") => None,
                Some("organizations" | "audit_logs") if of_audit && reads => {
                    Some(Permission::AuditRead)
                }
                Some("audit_logs") if route.path.ends_with("/exports") => {
                    Some(Permission::AuditRead)
                }
                // What is erased cannot be recorded again.
                Some("audit_logs") if route.path.ends_with("/redactions") => {
                    Some(Permission::Admin)
                }
                Some("audit_logs") => Some(Permission::AuditWrite),
                // It tells of an endpoint's state.
                Some("events") if route.path.ends_with("/why") => Some(Permission::EndpointsRead),
                Some("events" | "event_types") if reads => Some(Permission::EventsRead),
                Some("events" | "event_types") => Some(Permission::EventsWrite),
                Some("webhook_endpoints" | "deliveries" | "replays") if reads => {
                    Some(Permission::EndpointsRead)
                }
                Some("webhook_endpoints" | "deliveries" | "replays") => {
                    Some(Permission::EndpointsWrite)
                }
                Some("organizations" | "portal_links" | "metrics") => Some(Permission::Admin),
                Some(_) | None => None,
            };
            assert_eq!(route.permission, wanted, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn a_path_tells_all_its_methods() {
        let at =
            |path: &str| -> Vec<_> { routes().iter().filter(|route| route.path == path).collect() };

        assert_eq!(allowed(&at("/events")), "GET, HEAD, POST");
        assert_eq!(allowed(&at("/events/batch")), "POST");
        assert_eq!(
            allowed(&at("/webhook_endpoints/{id}")),
            "DELETE, GET, HEAD, PATCH, PUT"
        );
    }
}
