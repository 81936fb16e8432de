//! What anybody may know: the public keys that audit logs are checked with.
//!
//! Invariant: nothing here is a secret, and asking changes nothing. What is no environment's id is answered like
//! an environment that does not exist.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::Data;

use super::argument::{Extract, Open};
use super::path::PathEnvironment;
use crate::app::{App, Noun, audit_keys};
use crate::domain::checkpoint::ListedKey;
use crate::domain::id::EnvironmentId;
use crate::http::problem::Problem;

/// The keys that sign an environment's checkpoints, and did.
pub(in crate::http) struct PublicKeys {
    pub(in crate::http) environment: EnvironmentId,
    pub(in crate::http) keys: Vec<ListedKey>,
}

impl Open for PublicKeys {}

impl Extract for PublicKeys {
    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        let app = Data::<App>::extract(request, payload).await?;
        let PathEnvironment(text) = PathEnvironment::extract(request, payload).await?;
        let environment = text
            .parse()
            .map_err(|_fault| Problem::not_found(Noun::Environment, &text))?;
        let keys = audit_keys::list(&app, environment).await?;
        Ok(Self { environment, keys })
    }
}
