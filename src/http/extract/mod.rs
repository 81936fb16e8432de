//! Extractors: what handlers ask for, taken from the request.
//!
//! Invariant: only types of this room can be arguments of a handler (see `handler`). Everything a caller sends
//! is bounded here, and everything that is wrong with it is told at once.

mod argument;
mod authorized;
mod body;
mod form;
mod handler;
mod member;
mod path;
mod public;
mod query;
mod sender;
mod signed;

pub(super) use argument::{Extract, Open};
pub(super) use authorized::{
    Admin, AuditRead, AuditWrite, Authorized, EndpointsRead, EndpointsWrite, EventsRead,
    EventsWrite,
};
pub(super) use body::{Body, BodyLimits};
pub(super) use form::Form;
pub(super) use handler::Arguments;
pub(super) use member::{Member, Reader, object};
pub(super) use path::{PathAction, PathExternalId, PathId, PathName};
pub(super) use public::PublicKeys;
pub(super) use query::{Listing, Query};
pub(super) use sender::{TrustedProxies, guesses, origin};
pub(super) use signed::SignedExport;
