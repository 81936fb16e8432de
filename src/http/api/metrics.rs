//! Gauges for Prometheus.
//!
//! Invariant: each answer has a registry of its own, so several platforms in one process do not mix, and a gauge that
//! was not read now is not there.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::app::App;
use crate::app::gauges::{self, Gauges};
use crate::http::extract::{Admin, Authorized};
use crate::http::problem::Problem;

/// Source: OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Gauges of this server and its database, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "Health",
    responses((
        status = 200, body = String, content_type = "application/openmetrics-text",
        description = "The text format of OpenMetrics 1.0, which Prometheus reads.",
    )),
)]
pub(super) async fn get_metrics(
    app: Data<App>,
    _caller: Authorized<Admin>,
) -> Result<HttpResponse, Problem> {
    let gauges = gauges::read(&app).await?;
    let text = rendered(&gauges).map_err(|_full| Problem::internal("gauges were not rendered"))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, OPEN_METRICS))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}

fn rendered(gauges: &Gauges) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("tidings");
    let mut show = |name: &str, help: &str, value: i64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    show(
        "database_snapshot_held_seconds",
        "How long the oldest transaction has kept vacuum from removing rows",
        gauges.strain.snapshot_held_s,
    );
    show(
        "outbox_dead_rows",
        "Rows of the outbox that vacuum has not removed yet",
        gauges.strain.outbox_dead_rows,
    );
    if let Some(ahead) = gauges.partitions_ahead {
        show(
            "partitions_ahead_seconds",
            "For how long from now there are partitions",
            ahead.num_seconds(),
        );
    }
    show(
        "recorder_waiting_events",
        "Events that wait to be recorded by this server",
        count(gauges.waiting.events),
    );
    show(
        "recorder_waiting_bytes",
        "Bytes of the events that wait to be recorded by this server",
        count(gauges.waiting.bytes),
    );
    show(
        "dispatcher_held_claims",
        "Deliveries that this server has claimed and not settled yet",
        count(gauges.claims_held),
    );
    show(
        "dispatcher_up",
        "1 while this server sends deliveries",
        i64::from(gauges.is_dispatching),
    );
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
