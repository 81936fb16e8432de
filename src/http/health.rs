//! Health: whether the process lives, and whether it can do its work.
//!
//! Invariant: `/livez` touches nothing, so a database that is away does not get the process killed; `/readyz`
//! names what is missing, in words that a stranger may read. Both are open to all.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::app::App;
use crate::app::health::{Check, ready};

#[derive(Serialize, ToSchema)]
pub(super) struct Liveness {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// Whether requests can be served, and if not, what is missing.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ok` or `unavailable`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    checks: Checks,
}

/// `ok`, or what is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Checks {
    #[schema(value_type = String, example = "ok")]
    database: &'static str,
    #[schema(value_type = String, example = "ok")]
    migrations: &'static str,
    #[schema(value_type = String, example = "ok")]
    dispatcher: &'static str,
}

/// Is the process alive?
#[utoipa::path(get, path = "/livez", tag = "Health", responses((status = 200, body = Liveness)))]
pub(super) async fn get_liveness() -> Result<HttpResponse, Problem> {
    Ok(answer(StatusCode::OK, &Liveness { status: "ok" }))
}

/// Can it serve?
#[utoipa::path(
    get, path = "/readyz", tag = "Health",
    responses(
        (status = 200, body = Readiness),
        (status = 503, body = Readiness, description = "Something is missing; `checks` says what."),
    ),
)]
pub(super) async fn get_readiness(app: Data<App>) -> Result<HttpResponse, Problem> {
    let readiness = ready(&app).await;
    let checks = [
        readiness.database,
        readiness.migrations,
        readiness.dispatcher,
    ];
    let well = checks.iter().all(|check| matches!(check, Check::Ok));
    let [database, migrations, dispatcher] = checks.each_ref().map(word);
    let (code, status) = if well {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    Ok(answer(
        code,
        &Readiness {
            status,
            checks: Checks {
                database,
                migrations,
                dispatcher,
            },
        },
    ))
}

fn word(check: &Check) -> &'static str {
    match check {
        Check::Ok => "ok",
        Check::Failed(reason) => reason,
    }
}

fn answer<T: Serialize>(status: StatusCode, body: &T) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}
