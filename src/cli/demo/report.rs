//! What the demo made, and what to look at.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::output::{columns, printable};

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) organizations: u32,
    pub(super) event_types: u32,
    pub(super) events: u32,
    pub(super) audit_log_events: u32,
    /// The state of the export.
    pub(super) export: String,
    pub(super) endpoints: Vec<EndpointLine>,
    pub(super) look_at: Vec<Sight>,
}

#[derive(Serialize)]
pub(super) struct EndpointLine {
    pub(super) id: String,
    pub(super) description: &'static str,
    pub(super) condition: String,
}

/// A page worth looking at.
#[derive(Serialize)]
pub(super) struct Sight {
    pub(super) what: &'static str,
    pub(super) url: String,
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let Self {
            organizations,
            event_types,
            events,
            audit_log_events,
            export,
            endpoints,
            look_at,
        } = self;
        let mut text = format!(
            "Made {organizations} organizations, {event_types} event types, {} endpoints, {events} events, \
             {audit_log_events} audit log entries and an export ({}).\n",
            endpoints.len(),
            printable(export),
        );
        let lines: Vec<_> = endpoints
            .iter()
            .map(|line| [line.description.to_owned(), line.condition.clone()])
            .collect();
        let _infallible = write!(text, "\nEndpoints:\n{}\n", indented(&columns(&lines)));
        let sights: Vec<_> = look_at
            .iter()
            .map(|sight| [sight.what.to_owned(), sight.url.clone()])
            .collect();
        let _infallible = write!(
            text,
            "\nLook at, signed in with the API key:\n{}\n\n\
             The receiver has stopped with this command: what is published from now on is not taken by anybody.",
            indented(&columns(&sights))
        );
        text
    }
}

fn indented(lines: &str) -> String {
    format!("  {}", lines.replace('\n', "\n  "))
}
