//! The description of the API, as every program can ask for it.
//!
//! Handed in by the server as text, because the description is made from the list that this handler is in.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use bytes::Bytes;

use super::envelope::{Answer, stored};
use crate::http::extract::{Extract, Open};
use crate::http::problem::Problem;

/// The OpenAPI document as JSON text.
#[derive(Clone)]
pub(in crate::http) struct Description(pub(in crate::http) Bytes);

impl Extract for Description {
    async fn extract(request: &HttpRequest, _: &mut Payload) -> Result<Self, Problem> {
        let description = request.app_data::<Self>().cloned();
        description.ok_or_else(|| Problem::internal("the server was built without its description"))
    }
}

impl Open for Description {}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "Health",
    responses((status = 200, body = Object, description = "An OpenAPI 3.1 document.")),
)]
pub(super) async fn get_openapi(Description(text): Description) -> Answer {
    Ok(stored(StatusCode::OK, text))
}
