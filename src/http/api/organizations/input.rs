//! What callers send about organizations, and how it is read.
//!
//! Invariant: faults of the metadata alone are the contract's 400 `invalid_metadata`; beside other faults they
//! are told with them, so that nobody has to ask twice.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::invalid::Invalid;
use crate::domain::limits::{
    EXTERNAL_ID_CHARS_MAX, METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX, METADATA_VALUE_CHARS_MAX,
    NAME_CHARS_MAX, ORGANIZATION_DOMAINS_MAX,
};
use crate::domain::organization::{
    DomainState, MetadataChange, NewDomain, NewOrganization, OrganizationChange,
};
use crate::http::extract::{Member, Reader, object};
use crate::http::problem::{Code, Problem};

/// An organization to create.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"name": "Acme", "external_id": "customer-42", "domain_data": [{"domain": "acme.example", "state": "verified"}]}))]
pub(in crate::http::api) struct CreateOrganization<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required, min_length = 1, max_length = 512)]
    name: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<DomainData>>, max_items = 100)]
    domain_data: Member<'a, Vec<&'a RawValue>>,
    /// Names alone; use `domain_data`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, deprecated)]
    domains: Member<'a, Vec<&'a RawValue>>,
    /// Up to 50 members: keys of up to 40 characters, text of up to 600.
    #[serde(borrow, default)]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    metadata: Member<'a, BTreeMap<String, Option<String>>>,
    /// Your own id for the organization: up to 128 printable ASCII characters.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    external_id: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    stripe_customer_id: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<bool>)]
    allow_profiles_outside_organization: Member<'a, bool>,
}

impl CreateOrganization<'_> {
    pub(super) fn parse(&self) -> Result<NewOrganization, Problem> {
        let mut reader = Reader::new("");
        let name = reader
            .required("name", &self.name)
            .and_then(|text| name(&mut reader, text));
        let domains = domains(&mut reader, &self.domain_data, &self.domains).unwrap_or_default();
        let external_id = reader.optional("external_id", &self.external_id);
        let external_id = external_id.and_then(|text| external_id_of(&mut reader, text));
        let stripe = reader.optional("stripe_customer_id", &self.stripe_customer_id);
        let stripe_customer_id =
            stripe.and_then(|text| bounded(&mut reader, "stripe_customer_id", text));
        let allow = reader.optional(
            "allow_profiles_outside_organization",
            &self.allow_profiles_outside_organization,
        );
        let metadata = check(reader, metadata(&self.metadata))?;
        Ok(NewOrganization {
            // Without a name there was a fault.
            name: name.unwrap_or_default(),
            external_id,
            stripe_customer_id,
            allow_profiles_outside_organization: allow.unwrap_or_default(),
            domains,
            metadata: metadata
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect(),
        })
    }
}

/// What is to change; members that are absent stay as they are.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"name": "Acme Corporation"}))]
pub(in crate::http::api) struct UpdateOrganization<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, min_length = 1, max_length = 512)]
    name: Member<'a, String>,
    /// Replaces all domains.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<DomainData>>, max_items = 100)]
    domain_data: Member<'a, Vec<&'a RawValue>>,
    /// Names alone; use `domain_data`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, deprecated)]
    domains: Member<'a, Vec<&'a RawValue>>,
    /// Members are set, and removed where they are null; all others stay. `{}` and null remove all.
    #[serde(borrow, default)]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    metadata: Member<'a, BTreeMap<String, Option<String>>>,
    /// Null clears it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    external_id: Member<'a, String>,
    /// Null clears it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    stripe_customer_id: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<bool>)]
    allow_profiles_outside_organization: Member<'a, bool>,
}

impl UpdateOrganization<'_> {
    pub(super) fn parse(&self) -> Result<OrganizationChange, Problem> {
        let mut reader = Reader::new("");
        let name = reader
            .optional("name", &self.name)
            .and_then(|text| name(&mut reader, text));
        let domains = domains(&mut reader, &self.domain_data, &self.domains);
        let external_id = reader.change("external_id", &self.external_id);
        let external_id =
            external_id.map(|text| text.and_then(|text| external_id_of(&mut reader, text)));
        let stripe = reader.change("stripe_customer_id", &self.stripe_customer_id);
        let stripe_customer_id = stripe
            .map(|text| text.and_then(|text| bounded(&mut reader, "stripe_customer_id", text)));
        let allow_profiles_outside_organization = reader.optional(
            "allow_profiles_outside_organization",
            &self.allow_profiles_outside_organization,
        );
        let metadata = check(reader, metadata(&self.metadata))?;
        Ok(OrganizationChange {
            name,
            external_id,
            stripe_customer_id,
            allow_profiles_outside_organization,
            domains,
            metadata: metadata.map(|sent| match sent.is_empty() {
                true => MetadataChange::Clear,
                false => MetadataChange::Merge(sent),
            }),
        })
    }
}

/// A domain name, and whether the organization has shown that it is its own.
#[derive(Deserialize, Default, ToSchema)]
pub(in crate::http::api) struct DomainData<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required, max_length = 253, example = "acme.example")]
    domain: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = DomainStateWord, required, inline)]
    state: Member<'a, String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `state` to OpenAPI")]
pub(in crate::http::api) enum DomainStateWord {
    Pending,
    Verified,
}

impl DomainData<'_> {
    fn parse(&self, path: &str) -> Result<NewDomain, Vec<Invalid>> {
        let mut reader = Reader::new(path);
        let domain = reader.required("domain", &self.domain);
        let domain =
            domain.and_then(|text| reader.take(domain_name(&format!("{path}domain"), &text)));
        let state = reader.required("state", &self.state).and_then(|word| {
            let field = format!("{path}state");
            let message = format!("{field} must be pending or verified.");
            reader.take(
                DomainState::parse(&word)
                    .ok_or_else(|| Invalid::new(field, "invalid_state", message)),
            )
        });
        match (domain, state) {
            (Some(domain), Some(state)) => Ok(NewDomain { domain, state }),
            _ => Err(reader.into_faults()),
        }
    }
}

/// The domains of `domain_data`, or of the older `domains`; `None` when neither is there.
fn domains<'a>(
    reader: &mut Reader<'_>,
    domain_data: &Member<'a, Vec<&'a RawValue>>,
    names: &Member<'a, Vec<&'a RawValue>>,
) -> Option<Vec<NewDomain>> {
    let (field, sent) = match reader.optional("domain_data", domain_data) {
        Some(sent) => ("domain_data", sent),
        None => ("domains", reader.optional("domains", names)?),
    };
    if sent.len() > ORGANIZATION_DOMAINS_MAX {
        let message = format!("{field} must hold at most {ORGANIZATION_DOMAINS_MAX} domains.");
        reader.push(Invalid::new(field, "too_many", message));
        return None;
    }
    let mut domains: Vec<NewDomain> = Vec::with_capacity(sent.len());
    for (index, raw) in sent.into_iter().enumerate() {
        match domain(&format!("{field}[{index}]"), raw) {
            Ok(new) if domains.iter().any(|known| known.domain == new.domain) => {}
            Ok(new) => domains.push(new),
            Err(faults) => reader.extend(faults),
        }
    }
    Some(domains)
}

/// A domain as an object, or as a name alone, which nobody has verified.
fn domain(path: &str, raw: &RawValue) -> Result<NewDomain, Vec<Invalid>> {
    if let Ok(name) = serde_json::from_str::<String>(raw.get()) {
        let domain = domain_name(path, &name).map_err(|fault| vec![fault])?;
        return Ok(NewDomain {
            domain,
            state: DomainState::Pending,
        });
    }
    let data: DomainData<'_> = object(path, raw).map_err(|fault| vec![fault])?;
    data.parse(&format!("{path}."))
}

/// A name of at least two labels (Source: RFC 1123, 2.1), in lower case.
fn domain_name(field: &str, text: &str) -> Result<String, Invalid> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.contains('.') && text.split('.').all(label) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Invalid::new(
        field,
        "invalid_domain",
        format!("{field} must be a domain name such as acme.example."),
    ))
}

fn name(reader: &mut Reader<'_>, text: String) -> Option<String> {
    if text.trim().is_empty() {
        reader.push(Invalid::new(
            "name",
            "name_string_required",
            "name must not be empty.",
        ));
        return None;
    }
    bounded(reader, "name", text)
}

fn bounded(reader: &mut Reader<'_>, field: &str, text: String) -> Option<String> {
    if text.chars().count() <= NAME_CHARS_MAX {
        return Some(text);
    }
    reader.push(Invalid::new(
        field,
        "too_long",
        format!("{field} must be at most {NAME_CHARS_MAX} characters."),
    ));
    None
}

fn external_id_of(reader: &mut Reader<'_>, text: String) -> Option<String> {
    let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if (1..=EXTERNAL_ID_CHARS_MAX).contains(&text.len()) && printable {
        return Some(text);
    }
    let message =
        format!("external_id must be 1 to {EXTERNAL_ID_CHARS_MAX} printable ASCII characters.");
    reader.push(Invalid::new("external_id", "invalid_external_id", message));
    None
}

/// Reads metadata: `None` when absent, empty when null.
fn metadata(
    member: &Member<'_, BTreeMap<String, Option<String>>>,
) -> Result<Option<BTreeMap<String, Option<String>>>, Vec<Invalid>> {
    let mut reader = Reader::new("");
    let sent = reader
        .change("metadata", member)
        .map(Option::unwrap_or_default);
    let members = sent.iter().flatten();
    if members.clone().count() > METADATA_KEYS_MAX {
        let message = format!("metadata must have at most {METADATA_KEYS_MAX} members.");
        reader.push(Invalid::new("metadata", "too_many", message));
    }
    for (key, value) in members.take(METADATA_KEYS_MAX) {
        if key.is_empty() || key.chars().count() > METADATA_KEY_CHARS_MAX {
            let message =
                format!("A key of metadata must be 1 to {METADATA_KEY_CHARS_MAX} characters.");
            reader.push(Invalid::new(
                format!("metadata.{key}"),
                "invalid_key",
                message,
            ));
        }
        if value
            .as_ref()
            .is_some_and(|value| value.chars().count() > METADATA_VALUE_CHARS_MAX)
        {
            let message =
                format!("metadata.{key} must be at most {METADATA_VALUE_CHARS_MAX} characters.");
            reader.push(Invalid::new(format!("metadata.{key}"), "too_long", message));
        }
    }
    reader.check().map(|()| sent)
}

/// Joins what the members and the metadata came to.
fn check<T>(mut reader: Reader<'_>, metadata: Result<T, Vec<Invalid>>) -> Result<T, Problem> {
    match metadata {
        Ok(metadata) => Ok(reader.check().map(|()| metadata)?),
        Err(faults) => {
            let alone = faults.len();
            reader.extend(faults);
            let all = reader.into_faults();
            let code = if all.len() == alone {
                Code::InvalidMetadata
            } else {
                Code::InvalidRequestParameters
            };
            Err(Problem::with_faults(code, all))
        }
    }
}

#[cfg(test)]
mod tests;
