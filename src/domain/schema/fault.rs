//! What does not fit a schema, with pointers to both sides.

use jsonschema::ValidationError;

/// Characters of a path or a message that are told.
const TEXT_CHARS_MAX: usize = 500;

/// One place of an instance that does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// A JSON pointer into what was checked: `/targets/0/metadata/cost`.
    pub instance_path: String,
    /// A JSON pointer into the schema, as a fragment: `#/properties/cost/type`.
    pub schema_path: String,
    /// The keyword that was not met, such as `type`.
    pub keyword: String,
    /// The same for people; says nothing of the value itself.
    pub message: String,
}

impl SchemaFault {
    pub(super) fn new(
        instance_path: &str,
        schema_path: &str,
        keyword: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            instance_path: shortened(instance_path.to_owned()),
            schema_path: shortened(format!("#{schema_path}")),
            keyword: keyword.to_owned(),
            message: shortened(message.into()),
        }
    }

    pub(super) fn of(error: &ValidationError<'_>) -> Self {
        Self::new(
            error.instance_path().as_str(),
            error.schema_path().as_str(),
            error.kind().keyword(),
            error.masked_with("the value").to_string(),
        )
    }

    /// The same fault, seen from where the instance and its schema stand in something larger.
    pub fn within(mut self, instance: &str, schema: &str) -> Self {
        self.instance_path = shortened(format!("{instance}{}", self.instance_path));
        let place = self.schema_path.trim_start_matches('#');
        self.schema_path = shortened(format!("#{schema}{place}"));
        self
    }
}

/// Cuts what a caller could make as long as a whole body.
fn shortened(mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(cut);
        text.push('…');
    }
    text
}
