//! The parts of an entry: who, on what, from where; those that stay and those that can be forgotten.
//!
//! Invariant: ids and types stay for ever and are committed to in the clear; names, metadata and context are
//! personal and are committed to behind salts. Each part has one JSON text, which is what is hashed.

use std::fmt::Write as _;

/// What stays of an actor or a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: Box<str>,
    /// `type` on the wire.
    pub kind: Box<str>,
}

/// What can be forgotten of an actor or a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Personal {
    pub name: Option<Box<str>>,
    pub metadata: Option<Metadata>,
}

/// Where an action came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub location: Box<str>,
    pub user_agent: Option<Box<str>>,
}

/// A JSON object in compact form, members in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(Box<str>);

/// All that a redaction removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalParts {
    pub actor: Personal,
    /// In step with the entry's targets.
    pub targets: Vec<Personal>,
    pub context: Context,
    pub metadata: Option<Metadata>,
}

impl Metadata {
    /// Shape: `text` is a JSON object in compact form.
    pub(super) fn from_compact(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Personal {
    /// The text that is committed to; null where a part is absent.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(r#"{"name":"#);
        match &self.name {
            Some(name) => push_string(&mut text, name),
            None => text.push_str("null"),
        }
        text.push_str(r#","metadata":"#);
        text.push_str(metadata_text(self.metadata.as_ref()));
        text.push('}');
        text
    }

    /// Writes the members that are there, each after a comma.
    pub(super) fn push_members(&self, text: &mut String) {
        if let Some(name) = &self.name {
            text.push_str(r#","name":"#);
            push_string(text, name);
        }
        push_metadata(text, self.metadata.as_ref());
    }
}

impl Context {
    /// The context object, as it is shown and committed to.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(r#"{"location":"#);
        push_string(&mut text, &self.location);
        if let Some(user_agent) = &self.user_agent {
            text.push_str(r#","user_agent":"#);
            push_string(&mut text, user_agent);
        }
        text.push('}');
        text
    }
}

impl PersonalParts {
    /// The texts that are committed to, in the order of the salts: actor, targets, context, metadata.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts = vec![self.actor.text()];
        texts.extend(self.targets.iter().map(Personal::text));
        texts.push(self.context.text());
        texts.push(metadata_text(self.metadata.as_ref()).to_owned());
        texts
    }
}

/// Writes `,"metadata":{…}` when there is some.
pub(super) fn push_metadata(text: &mut String, metadata: Option<&Metadata>) {
    if let Some(metadata) = metadata {
        let _infallible = write!(text, r#","metadata":{}"#, metadata.as_str());
    }
}

fn metadata_text(metadata: Option<&Metadata>) -> &str {
    metadata.map_or("null", Metadata::as_str)
}

/// Writes a JSON string as `JSON.stringify` does.
pub(super) fn push_string(text: &mut String, value: &str) {
    // serde_json escapes exactly what JSON.stringify does, in the same spelling.
    text.push_str(&serde_json::Value::from(value).to_string());
}
