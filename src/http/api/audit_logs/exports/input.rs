//! What callers send to have an export made, and how it is read.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::trail;
use crate::domain::audit_export::{ExportFormat, ExportRange, NewExport};
use crate::domain::event::EventPattern;
use crate::domain::invalid::Invalid;
use crate::domain::limits::EXPORT_FILTER_VALUES_MAX;
use crate::domain::time;
use crate::http::extract::{Member, Reader};
use crate::http::problem::{Code, Problem};

/// An export to make. Filters combine by "and", the values of one by "or".
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"organization_id": "org_01KDWX4V00000000000000TEST",
    "range_start": "2026-01-01T00:00:00.000Z", "range_end": "2026-02-01T00:00:00.000Z", "actions": ["user.*"]}))]
pub(in crate::http::api) struct CreateExport<'a> {
    /// An organization's id, or `environment` for the environment's own audit log.
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    organization_id: Member<'a, String>,
    /// Occurred at this time or later; in `ndjson`, recorded. Only `ndjson` may go without a range.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    range_start: Member<'a, String>,
    /// Occurred at this time or earlier; in `ndjson`, recorded.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    range_end: Member<'a, String>,
    /// Actions, and patterns such as `user.*`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    actions: Member<'a, Vec<String>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    actor_names: Member<'a, Vec<String>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    actor_ids: Member<'a, Vec<String>>,
    /// Types of targets.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    targets: Member<'a, Vec<String>>,
    /// Use `actor_names`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 200, deprecated)]
    actors: Member<'a, Vec<String>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<FormatWord>, default = "csv")]
    format: Member<'a, String>,
}

/// The words for how an export is written.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `format` to OpenAPI")]
pub(in crate::http::api) enum FormatWord {
    Csv,
    Ndjson,
}

impl CreateExport<'_> {
    /// Errors: 422 for the shape, then 400 for a range that ends before it starts, then 404 for what is no
    /// organization's id.
    pub(super) fn parse(&self) -> Result<NewExport, Problem> {
        let mut reader = Reader::new("");
        let organization = trail::in_body(&mut reader, &self.organization_id);
        let names = values(&mut reader, "actions", &self.actions);
        let parsed = names.iter().enumerate();
        let actions = parsed
            .filter_map(|(index, name)| {
                reader.take(EventPattern::parse(&format!("actions[{index}]"), name))
            })
            .collect();
        let mut actor_names = values(&mut reader, "actor_names", &self.actor_names);
        actor_names.extend(values(&mut reader, "actors", &self.actors));
        let actor_ids = values(&mut reader, "actor_ids", &self.actor_ids);
        let target_types = values(&mut reader, "targets", &self.targets);
        let format = reader
            .optional("format", &self.format)
            .and_then(|word| format(&mut reader, &word));
        let format = format.unwrap_or_default();
        let range = self.range(&mut reader, format);
        let (Some(organization), Some(range)) = (organization, range) else {
            return Err(reader.into_faults().into());
        };
        reader.check()?;
        if range.is_some_and(|range| range.start > range.end) {
            return Err(Problem::of(Code::InvalidAuditLogExportRangeDate));
        }
        Ok(NewExport {
            organization: trail::parse(&organization)?.organization(),
            range,
            actions,
            actor_names,
            actor_ids,
            target_types,
            format,
        })
    }

    /// `None` after a fault; `Some(None)` for the whole log, which only a format with proofs gives.
    fn range(&self, reader: &mut Reader<'_>, format: ExportFormat) -> Option<Option<ExportRange>> {
        let is_left_out = self.range_start.is_absent() && self.range_end.is_absent();
        if format == ExportFormat::Ndjson && is_left_out {
            return Some(None);
        }
        let start = moment(reader, "range_start", &self.range_start);
        let end = moment(reader, "range_end", &self.range_end);
        Some(Some(ExportRange {
            start: start?,
            end: end?,
        }))
    }
}

fn moment(
    reader: &mut Reader<'_>,
    name: &str,
    member: &Member<'_, String>,
) -> Option<DateTime<Utc>> {
    let text = reader.required(name, member)?;
    let invalid = || {
        let message = format!("{name} must be a time such as 2026-01-31T23:59:59.999Z.");
        Invalid::new(name, "invalid_time", message)
    };
    reader.take(time::from_text(&text).ok_or_else(invalid))
}

fn values(reader: &mut Reader<'_>, name: &str, member: &Member<'_, Vec<String>>) -> Vec<String> {
    let values = reader.optional(name, member).unwrap_or_default();
    if values.len() <= EXPORT_FILTER_VALUES_MAX {
        return values;
    }
    let message = format!("{name} must hold at most {EXPORT_FILTER_VALUES_MAX} values.");
    reader.push(Invalid::new(name, "too_many", message));
    Vec::new()
}

fn format(reader: &mut Reader<'_>, word: &str) -> Option<ExportFormat> {
    let invalid = || Invalid::new("format", "invalid_format", "format must be csv or ndjson.");
    reader.take(ExportFormat::parse(word).ok_or_else(invalid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::OrganizationId;

    fn parse(text: &str) -> Result<NewExport, Code> {
        let sent: CreateExport<'_> = serde_json::from_str(text).expect("an object");
        sent.parse().map_err(|problem| problem.code())
    }

    fn body(rest: &str) -> String {
        let id = OrganizationId::at(1, 1);
        format!(r#"{{"organization_id":"{id}","range_start":"2026-01-01",{rest}}}"#)
    }

    #[test]
    fn older_names_of_filters_are_read_too() {
        let new = parse(&body(
            r#""range_end":"2026-01-02T00:00:00+01:00","actors":["Jon"],"actor_names":["Ann"],"actions":["user.*"],"targets":["team"]"#,
        ))
        .expect("good");

        assert_eq!(new.actor_names, ["Ann", "Jon"]);
        assert_eq!(new.target_types, ["team"]);
        assert_eq!(new.actions.len(), 1);
        assert_eq!(new.format, ExportFormat::Csv);
        let range = new.range.expect("a range");
        assert_eq!(time::to_text(range.end), "2026-01-01T23:00:00.000Z");
    }

    #[test]
    fn an_export_with_proofs_may_be_of_the_whole_log_and_of_the_environment() {
        let whole = parse(r#"{"organization_id":"environment","format":"ndjson"}"#).expect("good");
        let part = parse(&body(r#""range_end":"2026-01-02","format":"ndjson""#)).expect("good");

        assert_eq!(whole.organization, None);
        assert_eq!(whole.format, ExportFormat::Ndjson);
        assert_eq!(whole.range, None);
        assert!(part.range.is_some());
        let half = body(r#""format":"ndjson""#);
        assert_eq!(parse(&half), Err(Code::InvalidRequestParameters));
    }

    #[test]
    fn each_kind_of_fault_has_its_own_code() {
        for shape in [
            r#""range_end":"yesterday""#,
            r#""range_end":"2026-01-02","format":"xml""#,
            r#""range_end":null,"format":"ndjson""#,
            r#""actions":[]"#,
            r#""range_end":"2026-01-02","actions":["a b"]"#,
            r#""range_end":"2026-01-02","actor_ids":"a""#,
            r#""range_end":null"#,
        ] {
            assert_eq!(
                parse(&body(shape)),
                Err(Code::InvalidRequestParameters),
                "{shape}"
            );
        }
        assert_eq!(
            parse(&body(r#""range_end":"2025-12-31""#)),
            Err(Code::InvalidAuditLogExportRangeDate)
        );
        let nobody =
            r#"{"organization_id":"org_1","range_start":"2026-01-01","range_end":"2026-01-01"}"#;
        assert_eq!(parse(nobody), Err(Code::EntityNotFound));
    }
}
