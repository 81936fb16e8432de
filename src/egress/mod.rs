//! Egress: the only door through which the platform reaches addresses that a customer chose.
//!
//! Invariant: nothing here connects to an address that the [`Policy`] was not asked about: literals are judged on
//! every call, names by the very answer that is then connected to. Every end of a POST is an [`Attempt`], never an
//! `Err`. Does not sign, does not limit how many POSTs run at once, and never tries again; its callers do.
//!
//! [`Attempt`]: crate::domain::attempt::Attempt

mod failure;
pub mod policy;
mod ranges;
mod resolver;
mod retry_after;
mod sender;

#[cfg(test)]
mod tests;

pub use policy::{Policy, Refusal, Target};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use sender::{Post, Sender, SenderError, SenderSettings, To};
