//! Which trail a request is about: the argument `organization_id`, wherever a trail is named.
//!
//! Invariant: an organization's id, or `environment` for the environment's own trail. One that is absent is 422;
//! what is neither is answered as an id that names nothing, like everywhere in audit logs. Whether the
//! organization exists is the app's to say.

use crate::app::Noun;
use crate::domain::audit::Trail;
use crate::domain::invalid::{Faults, Invalid};
use crate::http::extract::{Member, Query, Reader};
use crate::http::problem::Problem;

const NAME: &str = "organization_id";

/// The argument in a query; its absence goes to `faults`. To be parsed once nothing else is at fault.
pub(super) fn in_query<'q>(query: &'q Query, faults: &mut Faults) -> Option<&'q str> {
    let sent = query.filled(NAME);
    if sent.is_none() {
        faults.push(Invalid::new(
            NAME,
            "required",
            format!("{NAME} is required."),
        ));
    }
    sent
}

/// The argument in a body; its absence goes to `reader`. To be parsed once nothing else is at fault.
pub(super) fn in_body(reader: &mut Reader<'_>, member: &Member<'_, String>) -> Option<String> {
    reader.required(NAME, member)
}

/// Errors: 404 for what names no trail.
pub(super) fn parse(text: &str) -> Result<Trail, Problem> {
    text.parse()
        .map_err(|_fault| Problem::not_found(Noun::Organization, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::OrganizationId;
    use crate::http::problem::Code;

    #[test]
    fn a_trail_is_named_by_an_id_or_a_word() {
        let id = OrganizationId::at(1, 1);
        let named = Trail::Organization(id);

        assert_eq!(parse(&id.to_string()).expect("an id"), named);
        assert_eq!(parse("environment").expect("the word"), Trail::Environment);
        let code = parse("org_1").map_err(|problem| problem.code());
        assert_eq!(code, Err(Code::EntityNotFound));
    }

    #[test]
    fn an_absent_trail_is_a_fault_of_the_request() {
        let mut faults = Faults::default();
        let mut reader = Reader::new("");

        assert_eq!(in_query(&Query::of("organization_id="), &mut faults), None);
        assert_eq!(in_body(&mut reader, &Member::default()), None);

        for found in [faults.check().expect_err("one"), reader.into_faults()] {
            let told = found.iter().map(|fault| (fault.field.as_str(), fault.code));
            assert_eq!(told.collect::<Vec<_>>(), [(NAME, "required")]);
        }
    }
}
