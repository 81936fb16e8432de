//! Stub.
use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::event::EventType;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::domain::schema::*;
use chrono::{DateTime, Utc};
#[derive(Debug, Clone)]
pub struct StoredEventType {
    pub definition: EventTypeDefinition,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}
pub async fn create(
    _: &App,
    _: &Caller,
    _: EventTypeDefinition,
    _: Option<IdempotencyKey>,
) -> Result<StoredEventType, AppError> {
    Err(AppError::Overloaded)
}
pub async fn find(_: &App, _: &Caller, _: &EventType) -> Result<StoredEventType, AppError> {
    Err(AppError::Overloaded)
}
pub async fn list(
    _: &App,
    _: &Caller,
    _: &PageQuery<String>,
) -> Result<Page<StoredEventType>, AppError> {
    Err(AppError::Overloaded)
}
pub async fn update(
    _: &App,
    _: &Caller,
    _: &EventType,
    _: EventTypeChange,
) -> Result<StoredEventType, AppError> {
    Err(AppError::Overloaded)
}
pub async fn delete(_: &App, _: &Caller, _: &EventType) -> Result<(), AppError> {
    Err(AppError::Overloaded)
}
