//! How long an organization's audit log is kept, on the wire.
//!
//! Invariant: a period comes as a word or, from older SDKs, in days, never as both.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::envelope::{Answer, json};
use crate::app::{self, App};
use crate::domain::audit_retention::{RETENTION_DAYS_MAX, RetentionPeriod};
use crate::domain::id::OrganizationId;
use crate::domain::invalid::Invalid;
use crate::http::extract::{Admin, AuditRead, Authorized, Body, Member, PathId, Reader};

/// How long entries are to be kept: one of the two.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"retention_period": "1_YEAR"}))]
pub(in crate::http::api) struct UpdateRetention<'a> {
    /// `1_MONTH` to `11_MONTHS` (of 30 days), `1_YEAR` to `10_YEARS` (of 365 days).
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    retention_period: Member<'a, String>,
    /// Use `retention_period`: 30 to 330 by steps of 30, or 365 to 3650 by steps of 365.
    #[serde(borrow, default)]
    #[schema(value_type = Option<u32>, deprecated)]
    retention_period_in_days: Member<'a, u32>,
}

impl UpdateRetention<'_> {
    fn parse(&self) -> Result<RetentionPeriod, Vec<Invalid>> {
        const FIELDS: [&str; 2] = ["retention_period", "retention_period_in_days"];
        let mut reader = Reader::new("");
        let word = reader.optional(FIELDS[0], &self.retention_period);
        let days = reader.optional(FIELDS[1], &self.retention_period_in_days);
        let (field, period) = match (word, days) {
            (Some(_), Some(_)) => {
                let message = "retention_period and retention_period_in_days exclude each other.";
                reader.push(Invalid::new(FIELDS[1], "mutually_exclusive", message));
                return Err(reader.into_faults());
            }
            (Some(word), None) => (FIELDS[0], RetentionPeriod::from_word(&word)),
            (None, Some(days)) => (FIELDS[1], RetentionPeriod::from_days(days)),
            (None, None) => {
                reader.check()?;
                let message = "retention_period is required.";
                return Err(vec![Invalid::new(FIELDS[0], "required", message)]);
            }
        };
        reader.check()?;
        period.ok_or_else(|| {
            let message = format!("{field} must be 1 to 11 months, or 1 to 10 years.");
            vec![Invalid::new(field, "invalid_retention_period", message)]
        })
    }
}

/// How long entries are kept.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogsRetention)]
pub(in crate::http::api) struct RetentionBody {
    /// Null: for ever.
    #[schema(required, example = 365)]
    retention_period_in_days: Option<u32>,
}

/// How an organization's audit log is set up.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogConfiguration)]
pub(in crate::http::api) struct ConfigurationBody {
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// 3650, the longest that SDKs know, also where entries are kept for ever.
    #[schema(example = 365)]
    retention_period_in_days: u32,
    /// Always `active`.
    #[schema(value_type = String, example = "active")]
    state: &'static str,
}

/// Get an organization's audit log retention
#[utoipa::path(
    get, path = "/organizations/{id}/audit_logs_retention", tag = "Audit logs",
    params(("id" = String, Path, description = "The organization's id.")),
    responses((status = 200, body = RetentionBody)),
)]
pub(in crate::http::api) async fn get_audit_logs_retention(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<OrganizationId>,
) -> Answer {
    let days = app::audit_retention::get(&app, &caller, id).await?;
    let body = RetentionBody {
        retention_period_in_days: days,
    };
    json(StatusCode::OK, &body)
}

/// Change an organization's audit log retention
///
/// What is older is deleted, but for its hashes: proofs of the rest still verify.
#[utoipa::path(
    put, path = "/organizations/{id}/audit_logs_retention", tag = "Audit logs",
    params(("id" = String, Path, description = "The organization's id.")),
    request_body = UpdateRetention,
    responses((status = 200, body = RetentionBody)),
)]
pub(in crate::http::api) async fn update_audit_logs_retention(
    app: Data<App>,
    caller: Authorized<Admin>,
    PathId(id): PathId<OrganizationId>,
    body: Body,
) -> Answer {
    let period = body.parse::<UpdateRetention<'_>>()?.parse()?;
    let days = app::audit_retention::set(&app, &caller, id, period.days()).await?;
    let body = RetentionBody {
        retention_period_in_days: Some(days),
    };
    json(StatusCode::OK, &body)
}

/// Get an organization's audit log configuration
#[utoipa::path(
    get, path = "/organizations/{id}/audit_log_configuration", tag = "Audit logs",
    params(("id" = String, Path, description = "The organization's id.")),
    responses((status = 200, body = ConfigurationBody)),
)]
pub(in crate::http::api) async fn get_audit_log_configuration(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<OrganizationId>,
) -> Answer {
    let configuration = app::audit_retention::configuration(&app, &caller, id).await?;
    let body = ConfigurationBody {
        organization_id: configuration.organization,
        // An SDK of the contract fails on null here.
        retention_period_in_days: configuration.retention_days.unwrap_or(RETENTION_DAYS_MAX),
        state: "active",
    };
    json(StatusCode::OK, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<u32, (String, &'static str)> {
        let update: UpdateRetention<'_> = serde_json::from_str(text).expect("an object");
        update.parse().map(RetentionPeriod::days).map_err(|faults| {
            assert_eq!(faults.len(), 1);
            (faults[0].field.clone(), faults[0].code)
        })
    }

    #[test]
    fn a_period_is_a_word_or_days() {
        assert_eq!(parse(r#"{"retention_period":"2_MONTHS"}"#), Ok(60));
        assert_eq!(
            parse(r#"{"retention_period_in_days":365,"retention_period":null}"#),
            Ok(365)
        );
    }

    #[test]
    fn neither_both_and_anything_else_are_faults() {
        let field = |name: &str, code| Err((name.to_owned(), code));

        assert_eq!(parse("{}"), field("retention_period", "required"));
        assert_eq!(
            parse(r#"{"retention_period":"1_YEAR","retention_period_in_days":365}"#),
            field("retention_period_in_days", "mutually_exclusive")
        );
        assert_eq!(
            parse(r#"{"retention_period_in_days":7}"#),
            field("retention_period_in_days", "invalid_retention_period")
        );
        assert_eq!(
            parse(r#"{"retention_period":"FOREVER"}"#),
            field("retention_period", "invalid_retention_period")
        );
        assert_eq!(
            parse(r#"{"retention_period_in_days":"30"}"#),
            field("retention_period_in_days", "invalid_type")
        );
    }
}
