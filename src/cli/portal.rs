//! `tidings portal`: ways into the portal.
//!
//! Invariant: a link's text is printed once, by the command that makes it.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::flags::SettingsFlags;
use super::keys::only;
use super::{admin, output};
use crate::app;
use crate::app::App;
use crate::app::portal::NewLink;
use crate::domain::id::{EnvironmentId, OrganizationId};
use crate::domain::portal::{LINK_SECONDS_MAX, MemberRole, Visitor};
use crate::domain::time;

const LINK_EXAMPLES: &str = "\
The link opens once. Without an organization it lets an operator in, who sees everything.

Examples:
  tidings portal link
  tidings portal link --for 1h --name 'Ada, on call'
  tidings portal link --organization org_01ARZ3NDEKTSV4RRFFQ69G5FAV --role manager";

#[derive(Subcommand)]
pub(super) enum Portal {
    /// Make a link that lets somebody into the portal once
    #[command(after_help = LINK_EXAMPLES)]
    Link(Link),
}

#[derive(Args)]
pub(super) struct Link {
    /// The environment that the link opens [default: the only one there is]
    #[arg(long, value_name = "ID")]
    environment: Option<EnvironmentId>,
    /// Let in one of this organization's people, who see what is its own
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// What they may do: viewer or manager
    #[arg(long, value_name = "ROLE", value_parser = role, requires = "organization", default_value = "viewer")]
    role: MemberRole,
    /// What the visitor is called
    #[arg(long, default_value = "visitor by link")]
    name: String,
    /// How long the link opens, such as 15m or 2h; at most 7d
    #[arg(long = "for", value_name = "TIME", value_parser = good_for, default_value = "15m")]
    good_for: Duration,
    /// Print JSON: {"id", "url", "expires_at"}
    #[arg(long)]
    json: bool,
}

/// A link as it is printed.
#[derive(Serialize)]
struct LinkLine {
    id: String,
    url: String,
    expires_at: String,
}

pub(super) async fn run(command: Portal, settings: &SettingsFlags) -> anyhow::Result<()> {
    let Portal::Link(link) = command;
    let new = NewLink {
        visitor: match link.organization {
            Some(organization) => Visitor::Member {
                organization,
                role: link.role,
            },
            None => Visitor::Operator,
        },
        name: link.name,
        good_for: link.good_for,
    };
    let make = async |app: &App| {
        let environment = match link.environment {
            Some(environment) => environment,
            None => only(&app::environments::list(app).await?)?,
        };
        let actor = admin::operator();
        Ok(app::portal::create_link_by_hand(app, environment, new, actor).await?)
    };
    let made = admin::with_app(settings, make).await?;
    if link.json {
        return output::json(&LinkLine {
            id: made.link.id.to_string(),
            url: made.url,
            expires_at: time::to_text(made.link.expires_at),
        });
    }
    Ok(output::line(&made.url)?)
}

fn role(text: &str) -> Result<MemberRole, String> {
    MemberRole::parse(text).ok_or_else(|| "there are viewer and manager".to_owned())
}

fn good_for(text: &str) -> Result<Duration, String> {
    let wait = humantime::parse_duration(text).map_err(|fault| fault.to_string())?;
    match wait.as_secs() {
        1..=LINK_SECONDS_MAX => Ok(wait),
        _ => Err("1s to 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_a_second_to_a_week() {
        assert_eq!(good_for("2h"), Ok(Duration::from_secs(7_200)));
        for text in ["0s", "8d", "soon", ""] {
            assert!(good_for(text).is_err(), "{text}");
        }
        assert!(role("operator").is_err());
    }
}
