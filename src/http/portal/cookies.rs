//! Cookies: the one that carries a session, and the one that stands beside a form before there is a session.
//!
//! Invariant: no script can read them, no other site's form brings them along, and behind https they travel no other
//! way. They hold a pass, never a key.

use std::time::Duration;

use actix_web::http::header::{COOKIE, HeaderMap};

/// A cookie of the portal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cookie {
    Session,
    /// Beside the forms that are open to all.
    Form,
}

impl Cookie {
    /// The prefix makes a browser refuse the cookie from anything that is not https.
    const fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Secure-tidings_portal",
            (Self::Session, false) => "tidings_portal",
            (Self::Form, true) => "__Secure-tidings_form",
            (Self::Form, false) => "tidings_form",
        }
    }

    /// `Lax` for the session, so that a link in a mail finds its reader signed in; no `GET` changes anything.
    const fn same_site(self) -> &'static str {
        match self {
            Self::Session => "Lax",
            Self::Form => "Strict",
        }
    }

    /// The value of this cookie; `None` when there is none, or two.
    pub(super) fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let name = self.name(secure);
        let values = headers
            .get_all(COOKIE)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(sent, _)| *sent == name)
            .map(|(_, value)| value);
        let mut values = values;
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The value of `Set-Cookie`; a duration of zero takes the cookie away.
    pub(super) fn set(self, value: &str, secure: bool, lasts: Duration) -> String {
        let (name, same_site) = (self.name(secure), self.same_site());
        let seconds = lasts.as_secs();
        let secure = if secure { "; Secure" } else { "" };
        format!(
            "{name}={value}; Path=/portal; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
        )
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_two_are_none() {
        let headers = |text| HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(text))]);
        let read = |text| {
            Cookie::Session
                .read(&headers(text), false)
                .map(str::to_owned)
        };

        assert_eq!(read("a=b; tidings_portal=x").as_deref(), Some("x"));
        assert_eq!(read("xtidings_portal=x; tidings_portalx=y"), None);
        assert_eq!(read("tidings_portal=x; tidings_portal=y"), None);
        assert_eq!(
            Cookie::Session.read(&headers("tidings_portal=x"), true),
            None
        );
    }

    #[test]
    fn no_script_and_no_other_site_gets_at_the_session() {
        let set = Cookie::Session.set("v", true, Duration::from_secs(60));

        for attribute in [
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Path=/portal",
            "Max-Age=60",
        ] {
            assert!(set.contains(attribute), "{attribute}");
        }
        assert!(
            !Cookie::Session
                .set("v", false, Duration::ZERO)
                .contains("Secure")
        );
    }
}
