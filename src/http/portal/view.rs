//! The page around a page: head, navigation, and what is shown when something went wrong.
//!
//! Invariant: markup is made by `maud`, which escapes everything that is put into it; there is no inline script and
//! no inline style.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, HeaderValue, RETRY_AFTER};
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::door::{PROOF, Shown, Visit};
use crate::domain::portal::Visitor;
use crate::http::problem::Told;

/// Which part of the portal a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Events,
    Endpoints,
    Deliveries,
    Audit,
    Settings,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Overview,
        Self::Events,
        Self::Endpoints,
        Self::Deliveries,
        Self::Audit,
        Self::Settings,
    ];

    const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("/portal", "Overview"),
            Self::Events => ("/portal/events", "Events"),
            Self::Endpoints => ("/portal/endpoints", "Endpoints"),
            Self::Deliveries => ("/portal/deliveries", "Deliveries"),
            Self::Audit => ("/portal/audit", "Audit log"),
            Self::Settings => ("/portal/settings", "Settings"),
        }
    }

    /// Settings are the environment's.
    fn is_open_to(self, visitor: Visitor) -> bool {
        visitor == Visitor::Operator || self != Self::Settings
    }
}

/// Answers with a page for whoever is in.
pub(super) fn page(visit: &Visit, part: Part, title: &str, content: &Markup) -> Shown {
    page_with(StatusCode::OK, visit, part, title, content)
}

/// The same, with another status.
pub(super) fn page_with(
    status: StatusCode,
    visit: &Visit,
    part: Part,
    title: &str,
    content: &Markup,
) -> Shown {
    let body = html! {
        a.skip href="#content" { "Skip to the content" }
        header.top {
            a.brand href="/portal" { (mark()) "Tidings" }
            (links(visit, part))
            (who(visit))
            // Narrow windows show this instead of the two above; it opens without a script.
            details.menu {
                summary { "Menu" }
                div { (links(visit, part)) (who(visit)) }
            }
        }
        main id="content" { (content) }
    };
    Ok(answer(status, &document(title, &body)))
}

fn links(visit: &Visit, part: Part) -> Markup {
    let visitor = visit.session.grant.visitor;
    html! {
        nav aria-label="Pages" {
            @for one in Part::ALL.into_iter().filter(|part| part.is_open_to(visitor)) {
                @let (path, name) = one.link();
                a href=(path) aria-current=[(one == part).then_some("page")] { (name) }
            }
        }
    }
}

fn who(visit: &Visit) -> Markup {
    let grant = &visit.session.grant;
    html! {
        div.who {
            span.role title={ "Signed in as " (grant.name) } { (grant.visitor.role()) }
            form method="post" action="/portal/sign-out" {
                (proof(visit))
                button.quiet type="submit" { "Sign out" }
            }
        }
    }
}

/// Answers with a page for anybody.
pub(super) fn open_page(title: &str, content: &Markup) -> HttpResponse {
    let body = html! {
        main.door id="content" {
            p.brand { (mark()) "Tidings" }
            (content)
        }
    };
    answer(StatusCode::OK, &document(title, &body))
}

/// Answers with what went wrong.
pub(super) fn problem(told: Told) -> HttpResponse {
    let Told {
        status,
        message,
        faults,
        retry_after,
    } = told;
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        status if status.is_server_error() => "Something went wrong",
        _ => "That did not work",
    };
    let body = html! {
        main.door id="content" {
            p.brand { (mark()) "Tidings" }
            h1 { (title) }
            p { (message) }
            @if !faults.is_empty() { ul { @for fault in &faults { li { (fault) } } } }
            p { a href="/portal" { "To the overview" } }
        }
    };
    let mut answer = answer(status, &document(title, &body));
    if let Some(seconds) = retry_after {
        let seconds = HeaderValue::from_static(seconds);
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}

/// The field that shows whose form it is.
pub(super) fn proof(visit: &Visit) -> Markup {
    hidden_proof(&visit.pass.form_proof())
}

pub(super) fn hidden_proof(value: &str) -> Markup {
    html! { input type="hidden" name=(PROOF) value=(value); }
}

fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Tidings" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The sign beside the name: an event going out to two endpoints.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" {
            path d="M5 10h4M9 10c3 0 2-5 5-5M9 10c3 0 2 5 5 5" fill="none" stroke="currentColor" stroke-width="1.6" {}
            circle cx="4" cy="10" r="2.6" fill="currentColor" {}
            circle cx="16" cy="5" r="2" fill="currentColor" {}
            circle cx="16" cy="15" r="2" fill="currentColor" {}
        }
    }
}

fn answer(status: StatusCode, page: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::html())
        .body(page.to_owned())
}
