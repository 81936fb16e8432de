//! Coming in and going out.
//!
//! Invariant: the key is read from the form and kept nowhere; what the browser gets is a pass that was made a moment
//! ago. A wrong key counts against its address as it does at the API; a right one is let in whatever was counted. A link
//! is opened by a button and not by being looked at, because mail scanners look at links.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use maud::{Markup, html};

use super::cookies::Cookie;
use super::door::{Shown, Stranger, Visit, carriage, enter, inside, redirect, redirect_with};
use super::view::{hidden_proof, open_page};
use crate::app;
use crate::domain::portal::{Pass, SESSION_FOR};
use crate::http::extract::{Query, guesses, origin};
use crate::http::problem::{Code, Problem};

/// How long a form may be looked at before it is sent.
const FORM_FOR: Duration = Duration::from_secs(3600);

/// Asks for a key.
pub(super) async fn show(stranger: Stranger) -> Shown {
    if enter(&stranger.request, Query::parse("")?).await?.is_some() {
        return Ok(redirect(stranger.query.one("next").unwrap_or("/portal")));
    }
    let next = stranger.query.one("next").unwrap_or("/portal");
    Ok(ask(&stranger, next, None))
}

/// Signs in.
pub(super) async fn sign_in(stranger: Stranger) -> Shown {
    let key = stranger.form.one("key").unwrap_or_default().trim();
    let next = stranger.form.one("next").unwrap_or("/portal");
    let origin = origin(&stranger.request);
    match app::portal::sign_in(&stranger.app, key, origin).await? {
        Some((pass, _session)) => come_in(&stranger, &pass, next).await,
        None if guesses(&stranger.request) => {
            let message =
                "Too many wrong keys came from your address. Wait a moment, then try again.";
            Err(Problem::new(Code::RateLimitExceeded, message))
        }
        None => {
            let fault = "That is no admin key of this server, or it was revoked.";
            let mut answer = ask(&stranger, next, Some(fault));
            *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(answer)
        }
    }
}

/// Ends whatever session the browser had, and begins this one.
async fn come_in(stranger: &Stranger, pass: &Pass, next: &str) -> Shown {
    let carriage = stranger.carriage();
    let before = Cookie::Session.read(stranger.request.headers(), carriage);
    if let Some(before) = before.and_then(Pass::parse) {
        app::portal::leave(&stranger.app, &before).await?;
    }
    let session = Cookie::Session.set(&pass.expose(), carriage, SESSION_FOR);
    let form = Cookie::Form.set("", carriage, Duration::ZERO);
    Ok(redirect_with(inside(next), &[session, form]))
}

fn ask(stranger: &Stranger, next: &str, fault: Option<&str>) -> HttpResponse {
    with_form(stranger, "Sign in", |proof| {
        html! {
            h1 { "Sign in" }
            form method="post" action="/portal/sign-in" {
                (proof)
                input type="hidden" name="next" value=(inside(next));
                // A name under which password managers keep the key.
                input type="text" name="as" value="operator" autocomplete="username" hidden;
                label for="key" { "Admin API key" }
                input #key type="password" name="key" required autocomplete="current-password" autofocus
                    placeholder="sk_…" aria-describedby="key-help" aria-invalid=[fault.map(|_| "true")];
                @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
                button type="submit" { "Sign in" }
            }
            p #key-help .soft {
                "The server printed a key at its first start. "
                code { "tidings keys create" } " makes another, and "
                code { "tidings portal link" } " a link that needs none."
            }
            p.soft { "Here for the API? " a href="/docs" { "Its documentation" } " needs no key." }
        }
    })
}

/// Shows a link's button.
pub(super) async fn show_link(stranger: Stranger) -> Shown {
    Ok(with_form(&stranger, "Open the portal", |proof| {
        html! {
            h1 { "You were sent a link" }
            form method="post" { (proof) button type="submit" { "Open the portal" } }
            p.soft { "It works once. If it was used already, ask for another." }
        }
    }))
}

/// Comes in by a link.
pub(super) async fn redeem(stranger: Stranger) -> Shown {
    let text = stranger
        .request
        .match_info()
        .get("pass")
        .unwrap_or_default();
    let entered = match Pass::parse(text) {
        Some(link) => {
            let origin = origin(&stranger.request);
            app::portal::redeem(&stranger.app, &link, origin).await?
        }
        None => None,
    };
    match entered {
        Some((pass, _session)) => come_in(&stranger, &pass, "/portal").await,
        None => {
            let content = html! {
                h1 { "This link opens nothing" }
                p { "It was used already, or is too old. Ask whoever sent it for another." }
            };
            let mut answer = open_page("Used link", &content);
            *answer.status_mut() = StatusCode::GONE;
            Ok(answer)
        }
    }
}

/// Goes out.
pub(super) async fn sign_out(visit: Visit) -> Shown {
    app::portal::leave(&visit.app, &visit.pass).await?;
    let cookie = Cookie::Session.set("", carriage(&visit.app), Duration::ZERO);
    Ok(redirect_with("/portal/sign-in", &[cookie]))
}

/// A page with a form for anybody: its proof stands in the form and in a cookie.
fn with_form(
    stranger: &Stranger,
    title: &str,
    content: impl FnOnce(&Markup) -> Markup,
) -> HttpResponse {
    let carriage = stranger.carriage();
    let kept = Cookie::Form.read(stranger.request.headers(), carriage);
    // Kept where there is one, so that a second tab does not spoil the first one's form.
    let value = kept
        .filter(|value| is_proof(value))
        .map_or_else(drawn, str::to_owned);
    let mut answer = open_page(title, &content(&hidden_proof(&value)));
    let cookie = Cookie::Form.set(&value, carriage, FORM_FOR);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

fn is_proof(text: &str) -> bool {
    text.len() == 43 && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok()
}

fn drawn() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
