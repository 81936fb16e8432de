//! The door of every page: who is there, whether the form is ours, and what stands around each answer.
//!
//! Invariant: a handler behind [`page`] or [`action`] runs for a session that stands; one behind an action only with
//! a form that this session was shown. Every answer, refusals included, carries the same strict headers.

use std::panic::AssertUnwindSafe;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, Route};
use futures_util::FutureExt as _;

use super::cookies::{Carriage, Cookie};
use super::view;
use crate::app::{self, App};
use crate::domain::access::{Caller, Permission};
use crate::domain::portal::{Pass, PortalSession};
use crate::http::extract::{Extract, Form, Query, origin};
use crate::http::problem::{Code, Problem};

/// The name of the field with a form's proof.
pub(super) const PROOF: &str = "proof";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a page may do; whose frame it may stand in comes behind.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ";
const NOBODY: &str = "'none'";

/// What every handler of a page gives.
pub(super) type Shown = Result<HttpResponse, Problem>;

/// Somebody who is in, and what they ask for.
pub(super) struct Visit {
    pub(super) app: Data<App>,
    pub(super) request: HttpRequest,
    pub(super) query: Query,
    /// Empty where nothing was sent.
    pub(super) form: Query,
    pub(super) session: PortalSession,
    pub(super) caller: Caller,
    pub(super) pass: Pass,
}

impl Visit {
    /// Errors: 403 for a visitor who may not.
    pub(super) fn require(&self, permission: Permission) -> Result<(), Problem> {
        match self.caller.may(permission) {
            true => Ok(()),
            false => Err(Problem::new(
                Code::Forbidden,
                "You may look at this, but not change it.",
            )),
        }
    }
}

/// Somebody of whom nothing is known.
pub(super) struct Stranger {
    pub(super) app: Data<App>,
    pub(super) request: HttpRequest,
    pub(super) query: Query,
    pub(super) form: Query,
}

impl Stranger {
    /// How this server's cookies travel.
    pub(super) fn carriage(&self) -> Carriage {
        carriage(&self.app)
    }
}

/// Over https where the links of the server are, and into frames where somebody may make one.
pub(super) fn carriage(app: &App) -> Carriage {
    let settings = app.settings();
    let is_https = settings.public_url.starts_with("https://");
    match (is_https, settings.frame_ancestors.is_empty()) {
        (false, _) => Carriage::Plain,
        (true, true) => Carriage::Secure,
        (true, false) => Carriage::Framed,
    }
}

/// A page for whoever is in.
pub(super) fn page<F, Fut>(handler: F) -> Route
where
    F: Fn(Visit) -> Fut + Clone + 'static,
    Fut: Future<Output = Shown>,
{
    web::to(move |request: HttpRequest| {
        let handler = handler.clone();
        async move {
            let answer = async {
                match enter(&request, Query::parse("")?).await? {
                    Some(visit) => handler(visit).await,
                    None => Ok(to_sign_in(&request)),
                }
            };
            finish(answer, &request).await
        }
    })
}

/// What a form of whoever is in does.
pub(super) fn action<F, Fut>(handler: F) -> Route
where
    F: Fn(Visit) -> Fut + Clone + 'static,
    Fut: Future<Output = Shown>,
{
    web::to(move |request: HttpRequest, payload: web::Payload| {
        let handler = handler.clone();
        async move {
            let answer = async {
                from_here(request.headers())?;
                let Form(form) = Form::extract(&request, &mut payload.into_inner()).await?;
                let Some(visit) = enter(&request, form).await? else {
                    return Ok(redirect("/portal/sign-in"));
                };
                let proof = visit.form.one(PROOF).unwrap_or_default();
                if !same(proof, &visit.pass.form_proof()) {
                    return Err(stale_form());
                }
                handler(visit).await
            };
            finish(answer, &request).await
        }
    })
}

/// A page for anybody.
pub(super) fn open_page<F, Fut>(handler: F) -> Route
where
    F: Fn(Stranger) -> Fut + Clone + 'static,
    Fut: Future<Output = Shown>,
{
    web::to(move |request: HttpRequest| {
        let handler = handler.clone();
        async move {
            let answer = async { handler(stranger(&request, Query::parse("")?).await?).await };
            finish(answer, &request).await
        }
    })
}

/// What a form for anybody does: its proof stands in a cookie that no other site can bring along.
pub(super) fn open_action<F, Fut>(handler: F) -> Route
where
    F: Fn(Stranger) -> Fut + Clone + 'static,
    Fut: Future<Output = Shown>,
{
    web::to(move |request: HttpRequest, payload: web::Payload| {
        let handler = handler.clone();
        async move {
            let answer = async {
                from_here(request.headers())?;
                let Form(form) = Form::extract(&request, &mut payload.into_inner()).await?;
                let stranger = stranger(&request, form).await?;
                let proof = stranger.form.one(PROOF).unwrap_or_default();
                let beside = Cookie::Form.read(request.headers(), stranger.carriage());
                if !beside.is_some_and(|beside| !beside.is_empty() && same(proof, beside)) {
                    return Err(stale_form());
                }
                handler(stranger).await
            };
            finish(answer, &request).await
        }
    })
}

async fn stranger(request: &HttpRequest, form: Query) -> Result<Stranger, Problem> {
    Ok(Stranger {
        app: Data::<App>::extract(request, &mut Payload::None).await?,
        request: request.clone(),
        query: Query::parse(request.query_string())?,
        form,
    })
}

/// The session of a request; `None` for nobody who is in.
pub(super) async fn enter(request: &HttpRequest, form: Query) -> Result<Option<Visit>, Problem> {
    let Stranger {
        app,
        request,
        query,
        form,
    } = stranger(request, form).await?;
    let cookie = Cookie::Session.read(request.headers(), carriage(&app));
    let Some(pass) = cookie.and_then(Pass::parse) else {
        return Ok(None);
    };
    let Some(session) = app::portal::session(&app, &pass).await? else {
        return Ok(None);
    };
    let caller = session.caller().at(origin(&request));
    Ok(Some(Visit {
        app,
        request,
        query,
        form,
        session,
        caller,
        pass,
    }))
}

/// Errors: a form that a browser says was sent by a page of another site.
fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(FETCH_SITE).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(
            Code::Forbidden,
            "This form was sent by another site.",
        )),
    }
}

fn stale_form() -> Problem {
    let message =
        "This form is not of your session. Go back, load the page again and send it once more.";
    Problem::new(Code::Forbidden, message)
}

/// Compares in a time that does not tell where the first difference is.
fn same(given: &str, wanted: &str) -> bool {
    let differing = given
        .bytes()
        .zip(wanted.bytes())
        .fold(0, |differing, (one, other)| differing | (one ^ other));
    given.len() == wanted.len() && differing == 0
}

/// Runs a handler to an answer; a panic ends here.
async fn finish(answer: impl Future<Output = Shown>, request: &HttpRequest) -> HttpResponse {
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_panic| Err(Problem::internal("a page panicked")));
    let mut response = match answer {
        Ok(response) => response,
        Err(problem) => view::problem(problem.tell(request)),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // A page shows what is so now, to one visitor.
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let app = request.app_data::<Data<App>>();
    frame(
        headers,
        app.map_or(&[], |app| &app.settings().frame_ancestors),
    );
    response
}

/// Says whose pages may show this one in a frame: those that the settings name, and nobody else.
fn frame(headers: &mut HeaderMap, allowed: &[String]) {
    let policy = format!("{POLICY}{}", allowed.join(" "));
    let policy = HeaderValue::from_str(&policy).ok();
    match policy.filter(|_| !allowed.is_empty()) {
        // The older header cannot name anybody, and browsers that know the policy do without.
        Some(policy) => headers.insert(CONTENT_SECURITY_POLICY, policy),
        None => {
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            let policy = HeaderValue::from_str(&format!("{POLICY}{NOBODY}"));
            let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
            headers.insert(CONTENT_SECURITY_POLICY, policy)
        }
    };
}

/// Leads to another page of the portal.
pub(super) fn redirect(to: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::SEE_OTHER)
        .insert_header((LOCATION, inside(to)))
        .finish()
}

/// The same, and sets a cookie.
pub(super) fn redirect_with(to: &str, cookies: &[String]) -> HttpResponse {
    let mut response = redirect(to);
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

/// To sign in, and back to what was asked for.
fn to_sign_in(request: &HttpRequest) -> HttpResponse {
    let asked = request
        .uri()
        .path_and_query()
        .map_or("/portal", |path| path.as_str());
    let next: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
    redirect(&format!("/portal/sign-in?next={next}"))
}

/// A path of the portal; anything else becomes its first page, so that no link of ours leads elsewhere.
pub(super) fn inside(path: &str) -> &str {
    let plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let ours = path == "/portal" || path.starts_with("/portal/") || path.starts_with("/portal?");
    if plain && ours { path } else { "/portal" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_leads_out_of_the_portal() {
        for path in ["/portal", "/portal/events?type=a.b", "/portal?x=1"] {
            assert_eq!(inside(path), path);
        }
        for path in [
            "https://evil.example/portal/",
            "//evil.example/portal",
            "/\\evil.example",
            "/portal/\\evil.example",
            "/portal/\r\nset-cookie: a=b",
            "/portalx",
            "/events",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(inside(path), "/portal", "{path:?}");
        }
    }

    #[test]
    fn a_proof_is_the_same_only_whole() {
        assert!(same("abc", "abc"));
        for given in ["", "ab", "abcd", "abd"] {
            assert!(!same(given, "abc"), "{given}");
        }
        assert!(same("", ""));
    }
}
