//! Failure: what the client's errors mean for an attempt.
//!
//! Invariant: told by type, never by text, and total: what is not recognised is a broken connection. The client's
//! errors nest (client, connection pool, connector, TLS, operating system), so the whole chain is walked.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::policy::Refusal;
use super::resolver::LookupError;
use crate::domain::attempt::{Outcome, Unreachable};

/// The outcome of a POST that the policy refused.
pub(super) fn forbidden(refusal: Refusal) -> Outcome {
    Outcome::Forbidden {
        reason: refusal.to_string(),
    }
}

/// The outcome of a POST that ended in `error`; `connect_limit` is what the connection had been given.
pub(super) fn outcome_of(error: &reqwest::Error, connect_limit: Duration) -> Outcome {
    if let Some(lookup) = find::<LookupError>(error) {
        return outcome_of_lookup(lookup);
    }
    // the URL passed the policy, but not the client: nothing was sent
    if error.is_builder() {
        return forbidden(Refusal::Malformed);
    }
    let reason = if error.is_dns() {
        Unreachable::Dns
    } else if find::<rustls::Error>(error).is_some() {
        Unreachable::Tls
    } else if !error.is_connect() {
        Unreachable::Broken
    } else if error.is_timeout() {
        return Outcome::TimedOut {
            after: connect_limit,
        };
    } else if broke_in_handshake(error) {
        Unreachable::Tls
    } else {
        Unreachable::Connect
    };
    Outcome::Unreachable { reason }
}

fn outcome_of_lookup(lookup: &LookupError) -> Outcome {
    match lookup {
        LookupError::Forbidden(refusal) => Outcome::Forbidden {
            reason: format!("the name was looked up, and {refusal}"),
        },
        LookupError::TimedOut { after } => Outcome::TimedOut { after: *after },
        LookupError::NoAddress | LookupError::Failed(_) => Outcome::Unreachable {
            reason: Unreachable::Dns,
        },
    }
}

/// A receiver that hangs up in the middle of a handshake leaves no TLS error behind, only an end of the stream;
/// opening a TCP connection ends in none of these.
fn broke_in_handshake(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let broke = |io: &io::Error| matches!(io.kind(), BrokenPipe | ConnectionReset | UnexpectedEof);
    error.url().is_some_and(|url| url.scheme() == "https")
        && chain(error)
            .filter_map(|error| error.downcast_ref())
            .any(broke)
}

/// Finds the first `E` in the chain of `error`.
fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The error and all its sources.
///
/// `io::Error::source` skips the error that it wraps, so that one is looked up by hand.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&error| {
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
