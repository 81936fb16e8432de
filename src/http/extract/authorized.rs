//! Who is calling, and whether they may: the bearer key of a request.
//!
//! Invariant: a handler that names [`Authorized`] runs only for a caller who holds the permission. A missing,
//! malformed, unknown or revoked key is 401, all alike; a key without the permission is 403; one that asks too often,
//! or an address that is wrong too often, is 429.

use std::marker::PhantomData;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};

use super::argument::Extract;
use super::sender::{guesses, origin};
use crate::app::{self, App};
use crate::domain::access::{Caller, Permission};
use crate::http::problem::{Code, Problem};
use crate::http::throttle::{Throttle, Verdict};

/// A permission as a type.
pub(in crate::http) trait Required {
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($name:ident),+) => {$(
        pub(in crate::http) enum $name {}

        impl Required for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )+};
}

permissions! { EventsWrite, EventsRead, EndpointsWrite, EndpointsRead, AuditWrite, AuditRead, Admin }

/// A caller who holds the permission `P`.
pub(in crate::http) struct Authorized<P> {
    caller: Caller,
    permission: PhantomData<P>,
}

impl<P> Deref for Authorized<P> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<P: Required> Extract for Authorized<P> {
    async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Problem> {
        let app = Data::<App>::extract(request, payload).await?;
        let Some(key) = bearer(request.headers()) else {
            return Err(Problem::of(Code::Unauthorized));
        };
        let Some(caller) = app::api_keys::authenticate(&app, key).await? else {
            return Err(Problem::of(match guesses(request) {
                true => Code::RateLimitExceeded,
                false => Code::Unauthorized,
            }));
        };
        let throttle = request.app_data::<Data<Throttle>>();
        let counted = throttle.zip(caller.api_key());
        match counted.and_then(|(throttle, key)| throttle.request(key)) {
            None => {}
            Some(Verdict::Within(standing)) => {
                request.extensions_mut().insert(standing);
            }
            Some(Verdict::Beyond(standing)) => {
                request.extensions_mut().insert(standing);
                return Err(Problem::of(Code::RateLimitExceeded));
            }
        }
        if !caller.may(P::PERMISSION) {
            return Err(Problem::forbidden(P::PERMISSION));
        }
        Ok(Self {
            caller: caller.at(origin(request)),
            permission: PhantomData,
        })
    }
}

/// The key of `Authorization: Bearer <key>`; the scheme in any case (Source: RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        // Two answers to "who are you" are none.
        return None;
    }
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(values: &[&'static [u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                AUTHORIZATION,
                HeaderValue::from_bytes(value).expect("a header value"),
            );
        }
        headers
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for value in [b"Bearer sk_1" as &[u8], b"bearer sk_1", b"BEARER   sk_1 "] {
            assert_eq!(bearer(&headers(&[value])), Some("sk_1"));
        }
    }

    #[test]
    fn what_is_no_bearer_key_is_no_key() {
        for value in [
            b"" as &[u8],
            b"Bearer",
            b"Bearer ",
            b"Basic sk_1",
            b"sk_1",
            b"Bearer\tsk_1",
            b"Bearer \xff",
        ] {
            assert_eq!(bearer(&headers(&[value])), None, "{value:?}");
        }
        assert_eq!(bearer(&headers(&[])), None);
        assert_eq!(bearer(&headers(&[b"Bearer sk_1", b"Bearer sk_2"])), None);
    }
}
