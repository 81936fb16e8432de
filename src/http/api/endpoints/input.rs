//! What callers send about webhook endpoints, and how it is read.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::endpoints::Sample;
use crate::domain::endpoint::{DisabledReason, EndpointChange, EndpointState, NewEndpoint};
use crate::domain::event::{EventLimits, EventParts, EventPattern, NewEvent};
use crate::domain::invalid::Invalid;
use crate::domain::limits::{
    EVENT_PATTERNS_MAX, NAME_CHARS_MAX, ROTATION_OVERLAP_SECONDS_DEFAULT,
    ROTATION_OVERLAP_SECONDS_MAX, URL_CHARS_MAX,
};
use crate::domain::retry::RetrySchedule;
use crate::domain::signature::SigningSecret;
use crate::http::extract::{Member, Reader};

/// An endpoint to create.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"endpoint_url": "https://example.com/webhooks", "events": ["invoice.*"]}))]
pub(in crate::http::api) struct CreateEndpoint<'a> {
    /// Where events are POSTed to.
    #[serde(borrow, default)]
    #[schema(value_type = String, required, max_length = 2048)]
    endpoint_url: Member<'a, String>,
    /// Event types, and patterns such as `invoice.*`; an empty list means all.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, required, max_items = 200)]
    events: Member<'a, Vec<String>>,
    /// Binds the endpoint to one organization's events.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    organization_id: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 512)]
    description: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<StatusWord>)]
    status: Member<'a, String>,
    /// `whsec_` and the base64 of 24 to 32 bytes; drawn when absent.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    secret: Member<'a, String>,
    /// Waits between the attempts, up to 20 of 1 s to 7 days; null: the platform's schedule.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<u64>>, max_items = 20)]
    retry_delays_seconds: Member<'a, Vec<u64>>,
}

impl CreateEndpoint<'_> {
    pub(super) fn parse(&self) -> Result<NewEndpoint, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let url = reader.required("endpoint_url", &self.endpoint_url);
        let url = url.and_then(|url| bounded(&mut reader, "endpoint_url", url, URL_CHARS_MAX));
        let names = reader.required("events", &self.events).unwrap_or_default();
        let patterns = patterns(&mut reader, &names);
        let organization = reader
            .optional("organization_id", &self.organization_id)
            .and_then(|text| {
                reader.take(text.parse().map_err(|fault| {
                    Invalid::new(
                        "organization_id",
                        "invalid_organization_id",
                        format!("organization_id {fault}."),
                    )
                }))
            });
        let description = reader.optional("description", &self.description);
        let description =
            description.and_then(|text| bounded(&mut reader, "description", text, NAME_CHARS_MAX));
        let state = reader
            .optional("status", &self.status)
            .and_then(|word| state(&mut reader, &word));
        let secret = reader
            .optional("secret", &self.secret)
            .and_then(|text| secret(&mut reader, &text));
        let delays = reader.optional("retry_delays_seconds", &self.retry_delays_seconds);
        let schedule = delays.and_then(|delays| schedule(&mut reader, delays));
        let Some(url) = url else {
            return Err(reader.into_faults());
        };
        reader.check()?;
        Ok(NewEndpoint {
            url,
            patterns,
            organization,
            description: description.unwrap_or_default(),
            state: state.unwrap_or(EndpointState::Enabled),
            schedule,
            secret,
        })
    }
}

/// What is to change; members that are absent stay as they are.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"status": "disabled"}))]
pub(in crate::http::api) struct UpdateEndpoint<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, max_length = 2048)]
    endpoint_url: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, max_items = 200)]
    events: Member<'a, Vec<String>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 512)]
    description: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = StatusWord)]
    status: Member<'a, String>,
    /// Null: back to the platform's schedule.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<u64>>, max_items = 20)]
    retry_delays_seconds: Member<'a, Vec<u64>>,
}

impl UpdateEndpoint<'_> {
    pub(super) fn parse(&self) -> Result<EndpointChange, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let url = reader.optional("endpoint_url", &self.endpoint_url);
        let url = url.and_then(|url| bounded(&mut reader, "endpoint_url", url, URL_CHARS_MAX));
        let names = reader.optional("events", &self.events);
        let patterns = names.map(|names| patterns(&mut reader, &names));
        let description = reader
            .change("description", &self.description)
            .map(Option::unwrap_or_default);
        let description =
            description.and_then(|text| bounded(&mut reader, "description", text, NAME_CHARS_MAX));
        let state = reader
            .optional("status", &self.status)
            .and_then(|word| state(&mut reader, &word));
        let schedule = reader
            .change("retry_delays_seconds", &self.retry_delays_seconds)
            .map(|delays| delays.and_then(|delays| schedule(&mut reader, delays)));
        reader.check()?;
        Ok(EndpointChange {
            url,
            patterns,
            description,
            state,
            schedule,
        })
    }
}

/// How a secret is to be replaced.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_seconds": 86400}))]
pub(in crate::http::api) struct RotateSecret<'a> {
    /// `whsec_` and the base64 of 24 to 32 bytes; drawn when absent.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    secret: Member<'a, String>,
    /// For how long the previous secret stays valid; a day when absent.
    #[serde(borrow, default)]
    #[schema(value_type = Option<u64>, maximum = 604800)]
    overlap_seconds: Member<'a, u64>,
}

impl RotateSecret<'_> {
    /// The new secret, and how long the previous one stays valid.
    pub(super) fn parse(&self) -> Result<(Option<SigningSecret>, Duration), Vec<Invalid>> {
        let mut reader = Reader::new("");
        let secret = reader
            .optional("secret", &self.secret)
            .and_then(|text| secret(&mut reader, &text));
        let seconds = reader.optional("overlap_seconds", &self.overlap_seconds);
        let seconds = seconds.unwrap_or(ROTATION_OVERLAP_SECONDS_DEFAULT);
        if seconds > ROTATION_OVERLAP_SECONDS_MAX {
            let message =
                format!("overlap_seconds must be at most {ROTATION_OVERLAP_SECONDS_MAX}.");
            reader.push(Invalid::new("overlap_seconds", "out_of_range", message));
        }
        reader.check()?;
        Ok((secret, Duration::from_secs(seconds)))
    }
}

/// A sample event; what is absent is made up.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event": "invoice.paid", "data": {"id": "inv_test"}}))]
pub(in crate::http::api) struct SampleEvent<'a> {
    /// `webhook_endpoint.test` when absent.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    event: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    data: Member<'a, Map<String, Value>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    context: Member<'a, Map<String, Value>>,
}

/// The type of a sample event that names none.
const SAMPLE_TYPE: &str = "webhook_endpoint.test";

impl SampleEvent<'_> {
    /// `None` when everything is left to the platform.
    pub(super) fn parse(&self, limits: EventLimits) -> Result<Option<Sample>, Vec<Invalid>> {
        let (data, context) = (self.data.present(), self.context.present());
        if self.event.present().is_none() && data.is_none() && context.is_none() {
            return Ok(None);
        }
        let mut reader = Reader::new("");
        let event = reader.optional("event", &self.event);
        let parts = EventParts {
            event: event.as_deref().unwrap_or(SAMPLE_TYPE),
            data: data.map_or("{}", RawValue::get),
            context: context.map(RawValue::get),
            organization_id: None,
        };
        match NewEvent::parse("", &parts, limits) {
            Ok(event) => {
                let has_data = data.is_some();
                reader.check().map(|()| Some(Sample { event, has_data }))
            }
            Err(faults) => {
                reader.extend(faults);
                Err(reader.into_faults())
            }
        }
    }
}

fn bounded(reader: &mut Reader<'_>, name: &str, text: String, chars_max: usize) -> Option<String> {
    if text.chars().count() <= chars_max {
        return Some(text);
    }
    reader.push(Invalid::new(
        name,
        "too_long",
        format!("{name} must be at most {chars_max} characters."),
    ));
    None
}

fn patterns(reader: &mut Reader<'_>, names: &[String]) -> Vec<EventPattern> {
    if names.len() > EVENT_PATTERNS_MAX {
        let message = format!("events must hold at most {EVENT_PATTERNS_MAX} types and patterns.");
        reader.push(Invalid::new("events", "too_many", message));
        return Vec::new();
    }
    let parsed = names
        .iter()
        .enumerate()
        .map(|(index, name)| EventPattern::parse(&format!("events[{index}]"), name));
    parsed.filter_map(|pattern| reader.take(pattern)).collect()
}

fn state(reader: &mut Reader<'_>, word: &str) -> Option<EndpointState> {
    match word {
        "enabled" => Some(EndpointState::Enabled),
        "disabled" => Some(EndpointState::Disabled(DisabledReason::ByHand)),
        _ => {
            reader.push(Invalid::new(
                "status",
                "invalid_status",
                "status must be enabled or disabled.",
            ));
            None
        }
    }
}

fn secret(reader: &mut Reader<'_>, text: &str) -> Option<SigningSecret> {
    reader.take(
        text.parse()
            .map_err(|fault| Invalid::new("secret", "invalid_secret", format!("{fault}."))),
    )
}

fn schedule(reader: &mut Reader<'_>, seconds: Vec<u64>) -> Option<RetrySchedule> {
    let delays = seconds.into_iter().map(Duration::from_secs).collect();
    reader.take(RetrySchedule::new(delays).map_err(|fault| {
        Invalid::new(
            "retry_delays_seconds",
            "invalid_schedule",
            format!("retry_delays_seconds: {fault}."),
        )
    }))
}

/// The words for whether an endpoint is sent to.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `status` to OpenAPI")]
pub(super) enum StatusWord {
    Enabled,
    Disabled,
}

#[cfg(test)]
mod tests;
