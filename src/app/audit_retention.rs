//! Stub.
use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::id::*;
#[derive(Debug, Clone)]
pub struct Configuration {
    pub organization: OrganizationId,
    pub retention_days: Option<u32>,
}
pub async fn get(_: &App, _: &Caller, _: OrganizationId) -> Result<Option<u32>, AppError> {
    Err(AppError::Overloaded)
}
pub async fn set(_: &App, _: &Caller, _: OrganizationId, _: u32) -> Result<u32, AppError> {
    Err(AppError::Overloaded)
}
pub async fn configuration(
    _: &App,
    _: &Caller,
    _: OrganizationId,
) -> Result<Configuration, AppError> {
    Err(AppError::Overloaded)
}
