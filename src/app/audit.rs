//! Stub.
use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::audit::*;
use crate::domain::id::*;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
pub async fn record(
    _: &App,
    _: &Caller,
    _: OrganizationId,
    _: NewAuditEntry,
    _: Option<IdempotencyKey>,
) -> Result<AuditLogEventId, AppError> {
    Err(AppError::Overloaded)
}
pub async fn record_batch(
    _: &App,
    _: &Caller,
    _: Vec<(OrganizationId, NewAuditEntry)>,
    _: Option<IdempotencyKey>,
) -> Result<Vec<AuditLogEventId>, AppError> {
    Err(AppError::Overloaded)
}
pub async fn list(
    _: &App,
    _: &Caller,
    _: &AuditFilter,
    _: &PageQuery<AuditLogEventId>,
) -> Result<Page<AuditRecord>, AppError> {
    Err(AppError::Overloaded)
}
pub async fn find(_: &App, _: &Caller, _: AuditLogEventId) -> Result<AuditRecord, AppError> {
    Err(AppError::Overloaded)
}
