//! Settings: the environment, who has keys, which organizations there are. For operators.

use maud::html;

use super::door::{Shown, Visit};
use super::endpoints::first_page;
use super::parts::{id, when};
use super::view::{Part, page};
use super::{api_keys, organizations};
use crate::app;
use crate::domain::access::Permission;
use crate::domain::organization::OrganizationFilter;

/// Rows of each table; the rest has pages of its own.
const SHOWN: usize = 8;

pub(super) async fn show(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let (app, caller) = (&visit.app, &visit.caller);
    let keys = app::api_keys::page(app, caller, &first_page()).await?.items;
    let filter = OrganizationFilter::default();
    let known = app::organizations::list(app, caller, &filter, &first_page()).await?;
    let known = known.items;
    let now = app.clock().now();
    let content = html! {
        div.head { h1 { "Settings" } a href="/portal/settings/configuration" { "Configuration in effect" } }
        dl.facts {
            dt { "Environment" } dd { (id(caller.environment)) }
            dt { "Server" } dd { code { (app.settings().public_url) } " " span.soft { "Tidings " (env!("CARGO_PKG_VERSION")) } }
            dt { "Session" } dd { (visit.session.grant.name) " " span.soft { "ends " (when(visit.session.expires_at, now)) } }
        }
        section {
            div.head { h2 { "API keys" } p.around { a href="/portal/settings/keys/new" { "Create a key" } a href="/portal/settings/keys" { "All keys" } } }
            (api_keys::table(&visit, keys.get(..SHOWN).unwrap_or(&keys), now))
        }
        section {
            div.head { h2 { "Organizations" } a href="/portal/settings/organizations" { "All organizations" } }
            (organizations::table(known.get(..SHOWN).unwrap_or(&known), now))
            p.help { code { "POST /portal_links" } " lets an organization's people in, to see what is theirs." }
        }
    };
    page(&visit, Part::Settings, "Settings", &content)
}
