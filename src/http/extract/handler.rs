//! Handlers: which signatures they may have.
//!
//! Invariant: arguments are taken one after another, so a wrong key is answered before anything about the body
//! is, and no body is read for a stranger. A handler that takes anything a caller sent must name a permission
//! first, or it does not compile.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::Data;

use super::argument::{Extract, Open};
use super::authorized::{Authorized, Required};
use crate::app::App;
use crate::domain::access::Permission;
use crate::http::problem::Problem;

/// All arguments of one handler.
pub(in crate::http) trait Arguments: Sized {
    /// What a caller must hold; `None`: anyone may call.
    const PERMISSION: Option<Permission>;

    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem>;
}

/// A handler that needs nothing.
impl Arguments for () {
    const PERMISSION: Option<Permission> = None;

    async fn extract(_: &HttpRequest, _: &mut Payload) -> Result<Self, Problem> {
        Ok(())
    }
}

/// A handler that is open to all.
impl<A: Open> Arguments for (A,) {
    const PERMISSION: Option<Permission> = None;

    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        Ok((A::extract(request, payload).await?,))
    }
}

macro_rules! guarded {
    ($($argument:ident)*) => {
        /// A handler that names the permission it wants before anything that the caller sent.
        impl<P: Required, $($argument: Extract),*> Arguments for (Data<App>, Authorized<P>, $($argument,)*) {
            const PERMISSION: Option<Permission> = Some(P::PERMISSION);

            async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
                Ok((
                    Data::extract(request, payload).await?,
                    Authorized::extract(request, payload).await?,
                    $($argument::extract(request, payload).await?,)*
                ))
            }
        }
    };
}

guarded! {}
guarded! { A }
guarded! { A B }
