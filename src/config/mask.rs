//! Masks: settings as they may be shown.
//!
//! Invariant: what comes out holds no password; a text that is not understood is masked whole. Pure.

/// Stands in the place of a secret.
pub const MASK: &str = "********";

/// How much of a setting's value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Open,
    /// A URL: all but the password in it.
    Url,
    /// None of it.
    Secret,
}

impl Secrecy {
    /// The secrecy of a key, `section.name`.
    pub fn of(key: &str) -> Self {
        match key {
            "secrets.master_key" | "secrets.old_master_key" | "bootstrap.api_key" => Self::Secret,
            "database.url" | "server.public_url" => Self::Url,
            _ => Self::Open,
        }
    }

    /// The value as it may be shown; an empty one is shown as empty.
    pub fn mask(self, value: &str) -> String {
        match self {
            _ if value.is_empty() => String::new(),
            Self::Open => value.to_owned(),
            Self::Url => url(value),
            Self::Secret => MASK.to_owned(),
        }
    }
}

/// A URL with its password masked, in the authority and in the query.
///
/// Shape: also URLs with several hosts, which no general parser takes.
fn url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return MASK.to_owned();
    };
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    // The last `@`: a password may hold one, and a slash too, when it was not encoded.
    let place = match before_query.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", mask_user(user)),
        None => before_query.to_owned(),
    };
    let query = query
        .map(|query| format!("?{}", mask_query(query)))
        .unwrap_or_default();
    // An `@` behind the `?` means that an unencoded password holds the `?`.
    if query.contains('@') {
        format!("{scheme}://{MASK}")
    } else {
        format!("{scheme}://{place}{query}")
    }
}

fn mask_user(user: &str) -> String {
    match user.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}"),
        None => user.to_owned(),
    }
}

fn mask_query(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("password") => {
            format!("{name}={MASK}")
        }
        Some(_) | None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let cases = [
            (
                "postgres://u:hunter2@h:5432/db",
                "postgres://u:********@h:5432/db",
            ),
            (
                "postgres://u:hunter2@a:1,b:2/db?sslmode=require",
                "postgres://u:********@a:1,b:2/db?sslmode=require",
            ),
            ("postgres://u:hun@ter/2@h/db", "postgres://u:********@h/db"),
            (
                "postgres:///db?host=/run&user=u&password=hunter2",
                "postgres:///db?host=/run&user=u&password=********",
            ),
            (
                "postgres:///db?sslpassword=hunter2",
                "postgres:///db?sslpassword=********",
            ),
            ("postgres://u:hun?ter2@h/db", "postgres://********"),
            ("postgres://u@h/db", "postgres://u@h/db"),
            ("host=h password=hunter2", "********"),
        ];
        for (url, shown) in cases {
            assert_eq!(Secrecy::Url.mask(url), shown);
        }
    }

    #[test]
    fn a_secret_shows_only_whether_it_is_set() {
        assert_eq!(
            Secrecy::of("secrets.master_key").mask("0123456789abcdef"),
            MASK
        );
        assert_eq!(Secrecy::of("bootstrap.api_key").mask(""), "");
        assert_eq!(
            Secrecy::of("server.listen").mask("127.0.0.1:1"),
            "127.0.0.1:1"
        );
    }
}
