//! Signed links: what whoever holds one may have without a key.
//!
//! Invariant: the link is checked before a handler sees what it stands for. One that was not signed here is 403,
//! whatever it names; a good one that has expired is 410.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::Data;

use super::argument::{Extract, Open};
use super::path::PathId;
use super::query::Query;
use crate::app::App;
use crate::app::audit_exports::{self, ExportFile, ExportLink, LinkAnswer};
use crate::domain::id::AuditLogExportId;
use crate::http::problem::{Code, Problem};

/// The file of an export, by its link.
pub(in crate::http) struct SignedExport(pub(in crate::http) ExportFile);

impl Open for SignedExport {}

impl Extract for SignedExport {
    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        let app = Data::<App>::extract(request, payload).await?;
        let refused = || Problem::new(Code::Forbidden, "The link is not valid.");
        let id = PathId::<AuditLogExportId>::extract(request, payload).await;
        let PathId(id) = id.map_err(|_not_found| refused())?;
        let query = Query::extract(request, payload).await;
        let query = query.map_err(|_faults| refused())?;
        let (Some(environment), Some(expires), Some(signature)) = (
            query.one("environment"),
            query.one("expires"),
            query.one("signature"),
        ) else {
            return Err(refused());
        };
        let link = ExportLink {
            environment,
            id,
            expires,
            signature,
        };
        match audit_exports::open(&app, &link).await? {
            LinkAnswer::File(file) => Ok(Self(file)),
            LinkAnswer::Refused => Err(refused()),
            LinkAnswer::Expired => Err(Problem::of(Code::LinkExpired)),
        }
    }
}
