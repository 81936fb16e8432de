//! Cookies: the one that carries a session, and the one that stands beside a form before there is a session.
//!
//! Invariant: no script can read them, no other site's form brings them along, and behind https they travel no other
//! way. They hold a pass, never a key. Where frames of other sites are allowed, what a form of another site brings
//! along is refused by its proof and by what the browser says of its sender (`door`).

use std::time::Duration;

use actix_web::http::header::{COOKIE, HeaderMap};

/// A cookie of the portal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cookie {
    Session,
    /// Beside the forms that are open to all.
    Form,
}

/// How cookies travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carriage {
    /// Over http, as on the own machine.
    Plain,
    Secure,
    /// Over https, also in the frame of another site: with a jar of its own for each site that frames.
    Framed,
}

impl Cookie {
    /// The prefix makes a browser refuse the cookie from anything that is not https.
    const fn name(self, carriage: Carriage) -> &'static str {
        match (self, carriage) {
            (Self::Session, Carriage::Plain) => "tidings_portal",
            (Self::Session, Carriage::Secure | Carriage::Framed) => "__Secure-tidings_portal",
            (Self::Form, Carriage::Plain) => "tidings_form",
            (Self::Form, Carriage::Secure | Carriage::Framed) => "__Secure-tidings_form",
        }
    }

    /// `Lax` for the session, so that a link in a mail finds its reader signed in; no `GET` changes anything.
    const fn same_site(self, carriage: Carriage) -> &'static str {
        match (self, carriage) {
            (Self::Session, Carriage::Plain) => "SameSite=Lax",
            (Self::Form, Carriage::Plain) => "SameSite=Strict",
            (Self::Session, Carriage::Secure) => "SameSite=Lax; Secure",
            (Self::Form, Carriage::Secure) => "SameSite=Strict; Secure",
            (Self::Session | Self::Form, Carriage::Framed) => "SameSite=None; Secure; Partitioned",
        }
    }

    /// The value of this cookie; `None` when there is none, or two.
    pub(super) fn read(self, headers: &HeaderMap, carriage: Carriage) -> Option<&str> {
        let name = self.name(carriage);
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
    pub(super) fn set(self, value: &str, carriage: Carriage, lasts: Duration) -> String {
        let (name, same_site) = (self.name(carriage), self.same_site(carriage));
        let seconds = lasts.as_secs();
        format!("{name}={value}; Path=/portal; Max-Age={seconds}; HttpOnly; {same_site}")
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
                .read(&headers(text), Carriage::Plain)
                .map(str::to_owned)
        };

        assert_eq!(read("a=b; tidings_portal=x").as_deref(), Some("x"));
        assert_eq!(read("xtidings_portal=x; tidings_portalx=y"), None);
        assert_eq!(read("tidings_portal=x; tidings_portal=y"), None);
        assert_eq!(
            Cookie::Session.read(&headers("tidings_portal=x"), Carriage::Secure),
            None
        );
    }

    #[test]
    fn no_script_and_no_other_site_gets_at_the_session() {
        let set = Cookie::Session.set("v", Carriage::Secure, Duration::from_secs(60));

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
                .set("v", Carriage::Plain, Duration::ZERO)
                .contains("Secure")
        );
    }

    #[test]
    fn a_cookie_travels_in_a_foreign_frame_only_where_frames_are_allowed() {
        for cookie in [Cookie::Session, Cookie::Form] {
            let set = |carriage| cookie.set("v", carriage, Duration::from_secs(60));

            assert!(
                set(Carriage::Framed).ends_with("HttpOnly; SameSite=None; Secure; Partitioned")
            );
            assert!(!set(Carriage::Secure).contains("None"));
            assert!(!set(Carriage::Plain).contains("None"));
        }
    }
}
