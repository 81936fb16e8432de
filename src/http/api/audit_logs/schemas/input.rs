//! What callers send to say what entries look like, and how it is read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::invalid::Invalid;
use crate::domain::schema::{AuditSchema, AuditSchemaParts, TargetSchemaParts};
use crate::http::extract::{Member, Reader, object};

/// What entries of an action must look like.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"targets": [{"type": "invoice", "metadata": {"type": "object", "properties": {"cost": {"type": "number"}}}}],
    "metadata": {"type": "object", "properties": {"transaction": {"type": "string"}}}}))]
pub(in crate::http::api) struct CreateAuditSchema<'a> {
    /// Types that must be among an entry's targets; others may be there too.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<TargetSchemaInput>, required, min_items = 1, max_items = 50)]
    targets: Member<'a, Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<ActorSchemaInput>)]
    actor: Member<'a, Map<String, Value>>,
    /// A JSON Schema (draft 2020-12, or 7) of the entry's metadata. References stay inside it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    metadata: Member<'a, Map<String, Value>>,
}

/// What targets of one type look like.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = AuditLogTargetSchemaInput)]
pub(in crate::http::api) struct TargetSchemaInput<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required, example = "invoice")]
    r#type: Member<'a, String>,
    /// A JSON Schema of the target's metadata.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    metadata: Member<'a, Map<String, Value>>,
}

/// What actors look like.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = AuditLogActorSchemaInput)]
pub(in crate::http::api) struct ActorSchemaInput<'a> {
    /// A JSON Schema of the actor's metadata.
    #[serde(borrow, default)]
    #[schema(value_type = Object, required)]
    metadata: Member<'a, Map<String, Value>>,
}

impl<'a> CreateAuditSchema<'a> {
    pub(super) fn parse(&self) -> Result<AuditSchema, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let targets = reader.required("targets", &self.targets);
        let has_targets = targets.is_some();
        let targets = targets.unwrap_or_default().into_iter().enumerate();
        let mut parts = AuditSchemaParts {
            targets: targets
                .map(|(index, raw)| target(&mut reader, index, raw))
                .collect(),
            actor: self.actor(&mut reader),
            metadata: self.metadata.present().map(RawValue::get),
        };
        if !has_targets {
            // Told already; stands in, so that the rest is looked at too.
            parts.targets.push(stand_in(0));
        }
        match AuditSchema::parse(&parts) {
            Ok(schema) => reader.check().map(|()| schema),
            Err(faults) => {
                reader.extend(faults);
                Err(reader.into_faults())
            }
        }
    }

    fn actor(&self, reader: &mut Reader<'_>) -> Option<&'a str> {
        let raw = self.actor.present()?;
        let actor = reader.take(object::<ActorSchemaInput<'_>>("actor", raw))?;
        if actor.metadata.present().is_none() {
            let message = "actor.metadata is required.";
            reader.push(Invalid::new("actor.metadata", "required", message));
        }
        actor.metadata.present().map(RawValue::get)
    }
}

fn target<'a>(reader: &mut Reader<'_>, index: usize, raw: &'a RawValue) -> TargetSchemaParts<'a> {
    let field = format!("targets[{index}]");
    let Some(sent) = reader.take(object::<TargetSchemaInput<'_>>(&field, raw)) else {
        return stand_in(index);
    };
    let path = format!("{field}.");
    let mut nested = Reader::new(&path);
    let kind = nested.required("type", &sent.r#type);
    reader.extend(nested.into_faults());
    TargetSchemaParts {
        kind: kind.map_or_else(|| stand_in(index).kind, Cow::Owned),
        metadata: sent.metadata.present().map(RawValue::get),
    }
}

/// A target whose type nobody else has.
fn stand_in(index: usize) -> TargetSchemaParts<'static> {
    TargetSchemaParts {
        kind: format!("absent {index}").into(),
        metadata: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AuditSchema, Vec<(String, &'static str)>> {
        let sent: CreateAuditSchema<'_> = serde_json::from_str(text).expect("an object");
        let told = |faults: Vec<Invalid>| {
            faults
                .into_iter()
                .map(|fault| (fault.field, fault.code))
                .collect()
        };
        sent.parse().map_err(told)
    }

    #[test]
    fn what_the_sdks_send_is_read() {
        let node = r#"{"targets":[{"type":"user"}],"actor":{"metadata":{"type":"object","properties":{}}}}"#;
        let python =
            r#"{"targets":[{"type":"user","metadata":null}],"metadata":{"required":["a"]}}"#;

        assert_eq!(parse(node).expect("good").definition(), node);
        assert_eq!(
            parse(python).expect("good").definition(),
            r#"{"targets":[{"type":"user"}],"metadata":{"required":["a"]}}"#
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let field = |name: &str, code| (name.to_owned(), code);

        assert_eq!(
            parse(r#"{"actor":{},"metadata":[]}"#),
            Err(vec![
                field("targets", "required"),
                field("actor.metadata", "required"),
                field("metadata", "invalid_schema"),
            ])
        );
        assert_eq!(
            parse(r#"{"targets":[1,{},{"type":"a","metadata":{"type":1}}]}"#),
            Err(vec![
                field("targets[0]", "invalid_type"),
                field("targets[1].type", "required"),
                field("targets[2].metadata", "invalid_schema"),
            ])
        );
        assert_eq!(
            parse(r#"{"targets":[]}"#),
            Err(vec![field("targets", "invalid_length")])
        );
    }
}
