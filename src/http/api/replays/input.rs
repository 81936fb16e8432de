//! What callers send to have events replayed, and how it is read.
//!
//! Invariant: an unknown member is refused: a condition that was overlooked would send more than was meant.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::ScopeWord;
use crate::domain::invalid::Invalid;
use crate::domain::limits::{REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX};
use crate::domain::replay::{ReplayRequest, ReplayScope};
use crate::domain::time;
use crate::http::extract::{Member, Reader};

/// Which events to send, and to which endpoint.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"webhook_endpoint_id": "we_01KDWX4V00000000000000TEST", "scope": "failed",
    "range_start": "2026-01-31T09:00:00.000Z", "rate": 20}))]
pub(in crate::http::api) struct CreateReplay<'a> {
    /// It must be enabled, and may be new.
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    webhook_endpoint_id: Member<'a, String>,
    /// `missing` and `all` go by the patterns and the organization that the endpoint has now.
    #[serde(borrow, default)]
    #[schema(value_type = ScopeWord, inline, required)]
    scope: Member<'a, String>,
    /// Events published at this time or later.
    #[serde(borrow, default)]
    #[schema(value_type = String, format = DateTime, required)]
    range_start: Member<'a, String>,
    /// Events published at this time or earlier; absent, or in the future: until now.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    range_end: Member<'a, String>,
    /// Deliveries a second, at most.
    #[serde(borrow, default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    rate: Member<'a, u32>,
}

impl CreateReplay<'_> {
    /// Errors: everything that is wrong, at once.
    pub(super) fn parse(&self) -> Result<ReplayRequest, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let endpoint = reader.required("webhook_endpoint_id", &self.webhook_endpoint_id);
        let endpoint = endpoint.and_then(|text| {
            reader.take(text.parse().map_err(|fault| {
                let message = format!("webhook_endpoint_id {fault}.");
                Invalid::new("webhook_endpoint_id", "invalid_id", message)
            }))
        });
        let scope = reader.required("scope", &self.scope);
        let scope = scope.and_then(|word| {
            let known = ReplayScope::ALL.map(ReplayScope::as_str).join(", ");
            let message = format!("scope must be one of {known}.");
            reader.take(
                ReplayScope::parse(&word)
                    .ok_or_else(|| Invalid::new("scope", "invalid_scope", message)),
            )
        });
        let start = reader.required("range_start", &self.range_start);
        let start = moment(&mut reader, "range_start", start);
        let end = reader.optional("range_end", &self.range_end);
        let end = moment(&mut reader, "range_end", end);
        if start.zip(end).is_some_and(|(start, end)| end < start) {
            let message = "range_end must not be before range_start.";
            reader.push(Invalid::new("range_end", "invalid_range", message));
        }
        let rate = reader.optional("rate", &self.rate);
        let rate = rate.unwrap_or(REPLAY_RATE_DEFAULT);
        if !(1..=REPLAY_RATE_MAX).contains(&rate) {
            let message = format!("rate must be a whole number from 1 to {REPLAY_RATE_MAX}.");
            reader.push(Invalid::new("rate", "out_of_range", message));
        }
        let (Some(endpoint), Some(scope), Some(start)) = (endpoint, scope, start) else {
            return Err(reader.into_faults());
        };
        reader.check()?;
        Ok(ReplayRequest {
            endpoint,
            scope,
            start,
            end,
            rate,
        })
    }
}

fn moment(reader: &mut Reader<'_>, name: &str, text: Option<String>) -> Option<DateTime<Utc>> {
    let invalid = || {
        let message = format!("{name} must be a time such as 2026-01-31T23:59:59.999Z.");
        Invalid::new(name, "invalid_time", message)
    };
    reader.take(time::from_text(&text?).ok_or_else(invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ReplayRequest, Vec<(String, &'static str)>> {
        let sent: CreateReplay<'_> = serde_json::from_str(text).expect("an object");
        let told = |faults: Vec<Invalid>| {
            let told = faults.into_iter().map(|fault| (fault.field, fault.code));
            told.collect()
        };
        sent.parse().map_err(told)
    }

    #[test]
    fn what_is_not_said_is_until_now_at_the_usual_rate() {
        let request = parse(
            r#"{ "webhook_endpoint_id": "we_01KDWX4V00000000000000TEST", "scope": "missing",
                 "range_start": "2026-01-31T09:00:00Z" }"#,
        );

        let request = request.expect("a request");
        assert_eq!((request.end, request.rate), (None, REPLAY_RATE_DEFAULT));
        assert_eq!(request.scope, ReplayScope::Missing);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let faults = parse(
            r#"{ "webhook_endpoint_id": "event_1", "scope": "some", "range_start": "2026-02-01",
                 "range_end": "2026-01-01", "rate": 0 }"#,
        );

        let faults = faults.expect_err("faults");
        let told: Vec<_> = faults
            .iter()
            .map(|(field, code)| (field.as_str(), *code))
            .collect();
        assert_eq!(
            told,
            [
                ("webhook_endpoint_id", "invalid_id"),
                ("scope", "invalid_scope"),
                ("range_end", "invalid_range"),
                ("rate", "out_of_range"),
            ]
        );
        let absent = parse("{}").expect_err("faults");
        assert!(absent.iter().all(|(_, code)| *code == "required"));
        assert_eq!(absent.len(), 3);
    }

    #[test]
    fn an_unknown_member_is_refused() {
        let text = r#"{ "scope": "all", "until": "2026-01-01" }"#;

        assert!(serde_json::from_str::<CreateReplay<'_>>(text).is_err());
    }
}
