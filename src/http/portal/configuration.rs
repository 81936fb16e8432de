//! The settings in effect, as far as they are an environment's operator's to see.

use maud::{Markup, html};

use super::door::{Shown, Visit};
use super::parts::{Tone, badge};
use super::view::{Part, page};
use crate::config::ShownSetting;
use crate::domain::access::Permission;

pub(super) async fn show(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let content = html! {
        p.crumbs { a href="/portal/settings" { "Settings" } }
        h1 { "Configuration in effect" }
        (table(&visit.app.settings().in_effect))
        p.help {
            "Of this server; they are set where it is started. What is about the machine and its database is left out: "
            code { "tidings config print" } " shows that there too, and which place has set what."
        }
    };
    page(&visit, Part::Settings, "Configuration in effect", &content)
}

fn table(settings: &[ShownSetting]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "Setting" } th { "Value" } th.wide { "Origin" } } }
            tbody { @for setting in settings { tr {
                td { code { (setting.key) } }
                td.url { @if setting.value.is_empty() { span.soft { "–" } } @else { (setting.value.replace(',', ", ")) } }
                td.wide { @if setting.is_default { span.soft { "default" } } @else { (badge(Tone::Plain, "set")) } }
            } } }
        } }
    }
}
