//! Envelopes: how objects and lists are wrapped on the wire.
//!
//! Invariant: every list is `{"object":"list","data":[…],"list_metadata":{…}}`, and `list_metadata` is always an
//! object: an official SDK fails on null.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

use crate::domain::page::Page;
use crate::domain::time;
use crate::http::extract::Listing;
use crate::http::problem::Problem;

/// What every handler of the API gives.
pub(super) type Answer = Result<HttpResponse, Problem>;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    /// Always `list`.
    #[schema(value_type = String, example = "list")]
    object: &'static str,
    data: Vec<T>,
    list_metadata: ListMetadata,
}

/// Where the pages around this one begin.
#[derive(Serialize, ToSchema)]
pub(super) struct ListMetadata {
    /// Send it as `before` for the page before this one; null on the first page.
    #[schema(required)]
    before: Option<String>,
    /// Send it as `after` for the next page; null on the last page.
    #[schema(required)]
    after: Option<String>,
}

/// How every list but the events' is paged.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes `Query::listing` to OpenAPI")]
pub(super) struct ListParams {
    /// Objects on the page.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<u32>,
    /// The id that this page begins after.
    after: Option<String>,
    /// The id that this page ends before.
    before: Option<String>,
    /// `desc` is newest first; `normal` is the same with `after` and `before` exchanged.
    #[param(inline, value_type = Option<OrderWord>)]
    order: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase", default = "desc")]
#[expect(dead_code, reason = "describes `order` to OpenAPI")]
enum OrderWord {
    Desc,
    Asc,
    Normal,
}

impl<T> List<T> {
    /// All there is, on one page.
    pub(super) fn whole(data: Vec<T>) -> Self {
        Self {
            object: "list",
            data,
            list_metadata: ListMetadata {
                before: None,
                after: None,
            },
        }
    }

    /// The page that `listing` asked for, whose items are shown as `data`; `id` makes an item's cursor.
    pub(super) fn page<D, Id>(
        page: &Page<D>,
        listing: &Listing<Id>,
        id: impl Fn(&D) -> String,
        data: Vec<T>,
    ) -> Self {
        let first = page.items.first().filter(|_| page.more_before).map(&id);
        let last = page.items.last().filter(|_| page.more_after).map(&id);
        let (before, after) = if listing.reversed {
            (last, first)
        } else {
            (first, last)
        };
        Self {
            object: "list",
            data,
            list_metadata: ListMetadata { before, after },
        }
    }
}

/// Answers with an object.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    let body = serde_json::to_vec(body).map_err(Problem::internal)?;
    Ok(stored(status, body.into()))
}

/// Answers with JSON that is ready.
pub(super) fn stored(status: StatusCode, body: Bytes) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::json())
        .body(body)
}

/// A time on the wire.
pub(super) fn timestamp<S: Serializer>(
    at: &chrono::DateTime<chrono::Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time::to_text(*at))
}

/// A time on the wire, or null.
pub(super) fn timestamp_or_null<S: Serializer>(
    at: &Option<chrono::DateTime<chrono::Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(time::to_text).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::page::{Order, PageQuery, PageSize};

    fn shown([more_before, more_after]: [bool; 2], reversed: bool) -> serde_json::Value {
        let page = Page {
            items: vec![3, 2, 1],
            more_before,
            more_after,
        };
        let query = PageQuery {
            size: PageSize::default(),
            order: Order::Descending,
            cursor: None::<crate::domain::page::Cursor<u8>>,
        };
        let list = List::page(
            &page,
            &Listing {
                page: query,
                reversed,
            },
            ToString::to_string,
            page.items.clone(),
        );
        serde_json::to_value(list).expect("JSON")
    }

    #[test]
    fn a_list_names_the_cursors_of_its_neighbours_or_null() {
        assert_eq!(
            shown([false, true], false),
            json!({ "object": "list", "data": [3, 2, 1], "list_metadata": { "before": null, "after": "1" } })
        );
        assert_eq!(
            shown([true, false], false)["list_metadata"],
            json!({ "before": "3", "after": null })
        );
    }

    #[test]
    fn in_normal_order_the_cursors_are_exchanged() {
        assert_eq!(
            shown([true, true], true)["list_metadata"],
            json!({ "before": "1", "after": "3" })
        );
    }
}
