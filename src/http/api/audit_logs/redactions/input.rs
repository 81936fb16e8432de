//! What callers send to have entries redacted, and how it is read.
//!
//! Invariant: an unknown member is refused, unlike elsewhere in audit logs: a condition that was overlooked would
//! redact more than was meant, and nothing brings that back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::super::trail;
use crate::domain::audit::Identity;
use crate::domain::audit_redaction::{NewRedaction, RedactionFilter};
use crate::domain::id::AuditLogEventId;
use crate::domain::invalid::Invalid;
use crate::domain::limits::{REASON_CHARS_MAX, REDACTION_VALUES_MAX};
use crate::domain::time;
use crate::http::extract::{Member, Reader};
use crate::http::problem::Problem;

/// Entries to redact: those that meet every condition that is given, of which one must be `actor_ids`, `targets` or
/// `event_ids`. The values of one condition are alternatives.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"organization_id": "org_01KDWX4V00000000000000TEST", "actor_ids": ["user_7"],
    "reason": "request 4711"}))]
pub(in crate::http::api) struct CreateRedaction<'a> {
    /// Or `environment`, for the environment's own trail.
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    organization_id: Member<'a, String>,
    /// One of these did it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 200)]
    actor_ids: Member<'a, Vec<String>>,
    /// One of these it was done to.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<TargetSent>>, min_items = 1, max_items = 200)]
    targets: Member<'a, Vec<TargetSent>>,
    /// It is one of these audit log events.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 200)]
    event_ids: Member<'a, Vec<String>>,
    /// It occurred at this time or later.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    range_start: Member<'a, String>,
    /// It occurred at this time or earlier.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    range_end: Member<'a, String>,
    /// Kept with the redaction for as long as that, and not in the trail: name the request, not the person.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    reason: Member<'a, String>,
}

/// A target that an entry must have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http::api) struct TargetSent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

impl CreateRedaction<'_> {
    /// Errors: 422 for the shape, then 404 for what names no trail.
    pub(super) fn parse(&self) -> Result<NewRedaction, Problem> {
        let mut reader = Reader::new("");
        let sent = trail::in_body(&mut reader, &self.organization_id);
        let targets = values(&mut reader, "targets", &self.targets);
        let targets = targets.into_iter().map(|target| Identity {
            id: target.id.into(),
            kind: target.kind.into(),
        });
        let filter = RedactionFilter {
            actor_ids: values(&mut reader, "actor_ids", &self.actor_ids),
            targets: targets.collect(),
            event_ids: self.event_ids(&mut reader),
            from: moment(&mut reader, "range_start", &self.range_start),
            until: moment(&mut reader, "range_end", &self.range_end),
        };
        self.check(&mut reader, &filter);
        let reason = self.reason(&mut reader);
        let Some(sent) = sent else {
            return Err(reader.into_faults().into());
        };
        reader.check()?;
        Ok(NewRedaction {
            trail: trail::parse(&sent)?,
            filter,
            reason,
        })
    }

    fn event_ids(&self, reader: &mut Reader<'_>) -> Vec<AuditLogEventId> {
        let sent = values(reader, "event_ids", &self.event_ids);
        let mut ids = Vec::with_capacity(sent.len());
        for (number, text) in sent.iter().enumerate() {
            let parsed = text.parse::<AuditLogEventId>().map_err(|fault| {
                let field = format!("event_ids[{number}]");
                let message = format!("{field} {fault}.");
                Invalid::new(field, "invalid_id", message)
            });
            ids.extend(reader.take(parsed));
        }
        ids
    }

    /// What the conditions must be together.
    fn check(&self, reader: &mut Reader<'_>, filter: &RedactionFilter) {
        let absent = |member: Option<_>| member.is_none();
        if absent(self.actor_ids.present())
            && absent(self.targets.present())
            && absent(self.event_ids.present())
        {
            let message = "One of actor_ids, targets and event_ids is required.";
            reader.push(Invalid::new("actor_ids", "required", message));
        }
        if let (Some(from), Some(until)) = (filter.from, filter.until)
            && until < from
        {
            let message = "range_end must not be before range_start.";
            reader.push(Invalid::new("range_end", "invalid_range", message));
        }
    }

    fn reason(&self, reader: &mut Reader<'_>) -> Option<String> {
        let reason = reader.optional("reason", &self.reason)?;
        let length = reason.chars().count();
        if !(1..=REASON_CHARS_MAX).contains(&length) || reason.contains('\0') {
            let message =
                format!("reason must be 1 to {REASON_CHARS_MAX} characters, without U+0000.");
            reader.push(Invalid::new("reason", "invalid_length", message));
        }
        Some(reason)
    }
}

/// The values of a condition; one that is there has some.
fn values<T: DeserializeOwned>(
    reader: &mut Reader<'_>,
    name: &str,
    member: &Member<'_, Vec<T>>,
) -> Vec<T> {
    let Some(values) = reader.optional(name, member) else {
        return Vec::new();
    };
    if (1..=REDACTION_VALUES_MAX).contains(&values.len()) {
        return values;
    }
    let message = format!("{name} must hold 1 to {REDACTION_VALUES_MAX} values.");
    reader.push(Invalid::new(name, "invalid_length", message));
    Vec::new()
}

fn moment(
    reader: &mut Reader<'_>,
    name: &str,
    member: &Member<'_, String>,
) -> Option<DateTime<Utc>> {
    let text = reader.optional(name, member)?;
    let invalid = || {
        let message = format!("{name} must be a time such as 2026-01-31T23:59:59.999Z.");
        Invalid::new(name, "invalid_time", message)
    };
    reader.take(time::from_text(&text).ok_or_else(invalid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::Trail;
    use crate::http::problem::Code;

    fn parse(text: &str) -> Result<NewRedaction, Code> {
        let sent: CreateRedaction<'_> = serde_json::from_str(text).expect("an object");
        sent.parse().map_err(|problem| problem.code())
    }

    #[test]
    fn every_condition_is_read() {
        let id = AuditLogEventId::at(1, 1);
        let new = parse(&format!(
            r#"{{"organization_id":"environment","actor_ids":["a"],"targets":[{{"type":"t","id":"x:y"}}],
            "event_ids":["{id}"],"range_start":"2026-01-01","range_end":"2026-01-02","reason":"r"}}"#,
        ))
        .expect("good");

        assert_eq!(new.trail, Trail::Environment);
        assert_eq!(new.filter.actor_ids, ["a"]);
        assert_eq!(
            (&*new.filter.targets[0].kind, &*new.filter.targets[0].id),
            ("t", "x:y")
        );
        assert_eq!(new.filter.event_ids, [id]);
        assert!(new.filter.from < new.filter.until);
        assert_eq!(new.reason.as_deref(), Some("r"));
    }

    #[test]
    fn nothing_is_redacted_by_accident() {
        for rest in [
            r#""range_start":"2026-01-01""#,
            r#""actor_ids":null"#,
            r#""actor_ids":[]"#,
            r#""actor_ids":["a"],"targets":[]"#,
            r#""actor_ids":["a"],"range_end":"yesterday""#,
            r#""actor_ids":["a"],"range_start":"2026-01-02","range_end":"2026-01-01""#,
            r#""targets":[{"type":"t"}]"#,
            r#""targets":["t:x"]"#,
            r#""event_ids":["event_1"]"#,
            r#""actor_ids":["a"],"reason":"""#,
        ] {
            let text = format!(r#"{{"organization_id":"environment",{rest}}}"#);
            assert_eq!(parse(&text), Err(Code::InvalidRequestParameters), "{rest}");
        }
        let unknown = r#"{"organization_id":"environment","actor_ids":["a"],"actor_names":["A"]}"#;
        assert!(serde_json::from_str::<CreateRedaction<'_>>(unknown).is_err());
        let nobody = r#"{"organization_id":"org_1","actor_ids":["a"]}"#;
        assert_eq!(parse(nobody), Err(Code::EntityNotFound));
    }
}
