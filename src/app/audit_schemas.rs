//! Stub.
use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::event::EventType;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::domain::schema::AuditSchema;
use chrono::{DateTime, Utc};
#[derive(Debug, Clone)]
pub struct StoredSchema {
    pub version: i32,
    pub schema: AuditSchema,
    pub created_at: DateTime<Utc>,
}
#[derive(Debug, Clone)]
pub struct StoredAction {
    pub name: EventType,
    pub latest: StoredSchema,
    pub created_at: DateTime<Utc>,
}
pub async fn create(
    _: &App,
    _: &Caller,
    _: &EventType,
    _: AuditSchema,
    _: Option<IdempotencyKey>,
) -> Result<StoredSchema, AppError> {
    Err(AppError::Overloaded)
}
pub async fn list(
    _: &App,
    _: &Caller,
    _: &EventType,
    _: &PageQuery<i32>,
) -> Result<Page<StoredSchema>, AppError> {
    Err(AppError::Overloaded)
}
pub async fn actions(
    _: &App,
    _: &Caller,
    _: &PageQuery<String>,
) -> Result<Page<StoredAction>, AppError> {
    Err(AppError::Overloaded)
}
