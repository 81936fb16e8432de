//! Stub.
use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::audit_export::*;
use crate::domain::id::*;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
pub async fn create(
    _: &App,
    _: &Caller,
    _: NewExport,
    _: Option<IdempotencyKey>,
) -> Result<Export, AppError> {
    Err(AppError::Overloaded)
}
pub async fn find(_: &App, _: &Caller, _: AuditLogExportId) -> Result<Export, AppError> {
    Err(AppError::Overloaded)
}
pub async fn list(
    _: &App,
    _: &Caller,
    _: &PageQuery<AuditLogExportId>,
) -> Result<Page<Export>, AppError> {
    Err(AppError::Overloaded)
}
