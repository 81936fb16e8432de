//! Query strings: decoded strictly, and read as pages and filters.
//!
//! Invariant: what is not valid percent-encoded UTF-8 is refused, never guessed at; unknown parameters are
//! ignored, because SDKs send more than we know. An empty cursor means none: a first poll has nothing to send.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use chrono::{DateTime, Utc};

use super::argument::Extract;
use crate::app::AppError;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::page::{Cursor, Order, PageQuery, PageSize};
use crate::domain::time;
use crate::http::problem::Problem;

/// The parameters of a request, decoded, in the order they came.
pub(in crate::http) struct Query(Vec<(String, String)>);

impl Extract for Query {
    async fn extract(request: &HttpRequest, _: &mut Payload) -> Result<Self, Problem> {
        Ok(Self::parse(request.query_string())?)
    }
}

impl Query {
    /// Errors: one for each parameter that is not valid percent-encoded UTF-8.
    pub(in crate::http) fn parse(text: &str) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::default();
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode_form(name), decode_form(value)) {
                (Some(name), Some(value)) if !has_nul(&name, &value) => pairs.push((name, value)),
                (name, _) => {
                    let field = name.unwrap_or_else(|| "query".to_owned());
                    let message =
                        format!("{field} is not valid percent-encoded UTF-8, or has a NUL.");
                    faults.push(Invalid::new(field, "invalid_encoding", message));
                }
            }
        }
        faults.check()?;
        Ok(Self(pairs))
    }

    #[cfg(test)]
    pub(in crate::http) fn of(text: &str) -> Self {
        Self::parse(text).expect("a good query")
    }

    /// Every parameter with its value.
    pub(in crate::http) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The last value of a parameter.
    pub(in crate::http) fn one(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
    }

    /// The last value of a parameter, unless it is empty.
    pub(in crate::http) fn filled(&self, name: &str) -> Option<&str> {
        self.one(name).filter(|value| !value.is_empty())
    }

    /// The items of a list in any of its four encodings: `a=x,y`, `a=x&a=y`, `a[0]=x&a[1]=y`, `a[]=x&a[]=y`.
    ///
    /// Shape: `None` when the parameter is absent; empty items are left out.
    pub(in crate::http) fn list(&self, name: &str) -> Option<Vec<&str>> {
        let mut values = self
            .0
            .iter()
            .filter(|(sent, _)| is_item_of(sent, name))
            .map(|(_, value)| value)
            .peekable();
        values.peek()?;
        Some(
            values
                .flat_map(|value| value.split(','))
                .filter(|item| !item.is_empty())
                .collect(),
        )
    }

    /// An id that narrows a list.
    pub(in crate::http) fn id<Id: FromStr>(&self, name: &str, faults: &mut Faults) -> Option<Id> {
        let text = self.filled(name)?;
        faults.take(text.parse().map_err(|_fault| {
            Invalid::new(
                name,
                "invalid_id",
                format!("{name} is not an id of the right kind."),
            )
        }))
    }

    /// A time that narrows a list.
    pub(in crate::http) fn time(&self, name: &str, faults: &mut Faults) -> Option<DateTime<Utc>> {
        let text = self.filled(name)?;
        faults.take(time::from_text(text).ok_or_else(|| {
            let message = format!("{name} must be a time such as 2026-01-31T23:59:59.999Z.");
            Invalid::new(name, "invalid_time", message)
        }))
    }

    /// The page that a list call asks for.
    ///
    /// Errors: a cursor that is no id of the list's kind, at once; the rest goes to `faults`.
    pub(in crate::http) fn listing<Id: FromStr>(
        &self,
        faults: &mut Faults,
    ) -> Result<Listing<Id>, Problem> {
        let size = faults
            .take(PageSize::parse(self.one("limit")))
            .unwrap_or_default();
        let (order, reversed) = match self.filled("order") {
            None | Some("desc") => (Order::Descending, false),
            Some("asc") => (Order::Ascending, false),
            Some("normal") => (Order::Descending, true),
            Some(_) => {
                faults.push(Invalid::new(
                    "order",
                    "invalid_order",
                    "order must be asc, desc or normal.",
                ));
                (Order::Descending, false)
            }
        };
        let cursor = match (self.cursor("after")?, self.cursor("before")?) {
            (Some(_), Some(_)) => {
                faults.push(Invalid::new(
                    "before",
                    "mutually_exclusive",
                    "after and before exclude each other.",
                ));
                None
            }
            (Some(id), None) => Some(if reversed {
                Cursor::Before(id)
            } else {
                Cursor::After(id)
            }),
            (None, Some(id)) => Some(if reversed {
                Cursor::After(id)
            } else {
                Cursor::Before(id)
            }),
            (None, None) => None,
        };
        Ok(Listing {
            page: PageQuery {
                size,
                order,
                cursor,
            },
            reversed,
        })
    }

    /// An id to go on from.
    pub(in crate::http) fn cursor<Id: FromStr>(&self, name: &str) -> Result<Option<Id>, Problem> {
        let Some(text) = self.filled(name) else {
            return Ok(None);
        };
        let unknown = |_fault| {
            AppError::CursorUnknown {
                cursor: text.to_owned(),
            }
            .into()
        };
        text.parse().map(Some).map_err(unknown)
    }
}

/// A page as it is asked for on the wire.
pub(in crate::http) struct Listing<Id> {
    pub(in crate::http) page: PageQuery<Id>,
    /// `order=normal`: newest first, with `after` and `before` exchanged.
    pub(in crate::http) reversed: bool,
}

/// Whether `sent` is `name`, `name[]` or `name[3]`.
fn is_item_of(sent: &str, name: &str) -> bool {
    let Some(rest) = sent.strip_prefix(name) else {
        return false;
    };
    let index = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    rest.is_empty() || index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Decodes a form's text: `+` is a space.
fn decode_form(text: &str) -> Option<String> {
    decode(text, b' ')
}

/// Decodes a path's text: `+` is itself.
pub(super) fn decode_path(text: &str) -> Option<String> {
    decode(text, b'+')
}

/// Errors: `None` for a `%` without two hexadecimal digits, and for bytes that are no UTF-8.
fn decode(text: &str, plus: u8) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' => plus,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Whether a value holds what no text in the database can; a cursor that does is refused as a cursor.
fn has_nul(name: &str, value: &str) -> bool {
    value.contains('\0') && !matches!(name, "after" | "before")
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::EndpointId;
    use crate::http::problem::Code;

    fn listing(text: &str) -> Listing<EndpointId> {
        Query::of(text)
            .listing(&mut Faults::default())
            .expect("good cursors")
    }

    #[test]
    fn a_list_arrives_in_four_encodings() {
        for text in [
            "events=a.b%2Cc",
            "events=a.b,c",
            "events=a.b&events=c",
            "events[0]=a.b&events[1]=c",
            "events%5B0%5D=a.b&events%5B1%5D=c",
            "events[]=a.b&events[]=c",
            "limit=3&events=a.b&x=y&events=c&eventsx=d&events[x]=e",
        ] {
            assert_eq!(
                Query::of(text).list("events"),
                Some(vec!["a.b", "c"]),
                "{text}"
            );
        }
    }

    #[test]
    fn an_empty_list_is_not_an_absent_one() {
        assert_eq!(Query::of("limit=1").list("events"), None);
        for text in [
            "events=",
            "events",
            "events[]=",
            "events=,",
            "events=&events=",
        ] {
            assert_eq!(Query::of(text).list("events"), Some(vec![]), "{text}");
        }
    }

    #[test]
    fn broken_encodings_are_faults() {
        for text in [
            "a=%", "a=%2", "a=%zz", "a=%ff", "%ff=a", "a=%C3", "a=%c3%28",
        ] {
            let faults = Query::parse(text).err().expect(text);
            assert_eq!(faults.len(), 1, "{text}");
            assert_eq!(faults[0].code, "invalid_encoding");
        }
        assert_eq!(Query::of("a=%C3%A9+b%2B").one("a"), Some("é b+"));
    }

    #[test]
    fn normal_is_newest_first_with_the_cursors_exchanged() {
        let id = EndpointId::at(1, 1);

        assert_eq!(listing("").page.order, Order::Descending);
        assert_eq!(
            listing(&format!("order=asc&after={id}")).page.cursor,
            Some(Cursor::After(id))
        );
        let normal = listing(&format!("order=normal&after={id}"));
        assert_eq!(
            (normal.page.order, normal.page.cursor),
            (Order::Descending, Some(Cursor::Before(id)))
        );
    }

    #[test]
    fn every_fault_of_a_page_is_told_and_a_bad_cursor_is_its_own() {
        let id = EndpointId::at(1, 1);
        let mut faults = Faults::default();

        let read = Query::of(&format!("limit=0&order=up&after={id}&before={id}"))
            .listing::<EndpointId>(&mut faults);

        assert!(read.is_ok());
        let fields: Vec<_> = faults
            .check()
            .expect_err("three")
            .into_iter()
            .map(|fault| fault.field)
            .collect();
        assert_eq!(fields, ["limit", "order", "before"]);
        for bad in ["after=1", "after=org_01", "before=%00"] {
            let problem = Query::of(bad)
                .listing::<EndpointId>(&mut Faults::default())
                .err()
                .expect(bad);
            assert_eq!(problem.code(), Code::InvalidCursor);
        }
        assert_eq!(listing("after=&before=").page.cursor, None);
    }

    proptest! {
        #[test]
        fn no_query_string_is_too_strange(text in "\\PC{0,60}") {
            if let Ok(query) = Query::parse(&text) {
                let _any = (query.list("events"), query.listing::<EndpointId>(&mut Faults::default()).is_ok());
            }
        }
    }
}
