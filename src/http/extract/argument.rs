//! Arguments: one thing that a handler asks for, taken from the request.
//!
//! Invariant: only types of this room are arguments. The framework's own extractors, which answer in plain
//! text, do not compile in a handler.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::Data;

use crate::app::App;
use crate::http::problem::Problem;

/// Something that a request holds.
pub(in crate::http) trait Extract: Sized {
    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem>;
}

/// Something that a handler may have though nobody has said who is calling: nothing that a caller sent, what a link
/// of the platform's own signing stands for, or what anybody may know.
pub(in crate::http) trait Open: Extract {}

impl Open for Data<App> {}

impl Extract for Data<App> {
    async fn extract(request: &HttpRequest, _: &mut Payload) -> Result<Self, Problem> {
        request
            .app_data::<Self>()
            .cloned()
            .ok_or_else(|| Problem::internal("the server was built without its App"))
    }
}
