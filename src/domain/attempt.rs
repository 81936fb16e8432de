//! Attempts: what one POST of one delivery came to.
//!
//! Invariant: an [`Outcome`] is data, never an error: every way a POST can end has a variant, and every
//! variant can be stored and read back. Does not decide what happens next; that is `domain::delivery::decide`.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// What one POST came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx answer.
    Accepted { status: u16 },
    /// Any other answer; `retry_after` is what the receiver asked for, if it did.
    Refused {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// No complete answer within the limit; `after` is the limit that ran out.
    TimedOut { after: Duration },
    /// No answer at all.
    Unreachable { reason: Unreachable },
    /// The outbound guard did not allow the call; nothing was sent.
    Forbidden { reason: String },
}

/// The word for an outcome, on the wire, in rows and in filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeName {
    Accepted,
    Refused,
    TimedOut,
    Unreachable,
    Forbidden,
}

impl OutcomeName {
    pub const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Refused,
        Self::TimedOut,
        Self::Unreachable,
        Self::Forbidden,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

impl Outcome {
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    pub const fn name(&self) -> OutcomeName {
        match self {
            Self::Accepted { .. } => OutcomeName::Accepted,
            Self::Refused { .. } => OutcomeName::Refused,
            Self::TimedOut { .. } => OutcomeName::TimedOut,
            Self::Unreachable { .. } => OutcomeName::Unreachable,
            Self::Forbidden { .. } => OutcomeName::Forbidden,
        }
    }
}

/// One way in which attempts failed, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureCount {
    /// The latest of them.
    pub outcome: Outcome,
    pub count: u64,
    pub last_at: DateTime<Utc>,
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The name has no address.
    Dns,
    /// No connection to any address.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke, or the answer was not HTTP.
    Broken,
}

impl Unreachable {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Broken => "broken",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Dns, Self::Connect, Self::Tls, Self::Broken]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// What the receiver answered, cut to the limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// In the order they came; values that are no UTF-8 are replaced lossily.
    pub headers: Vec<(String, String)>,
    /// At most `limits::ANSWER_BYTES_MAX`.
    pub body: Vec<u8>,
}

/// One POST that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub outcome: Outcome,
    pub duration: Duration,
    /// `None` when no answer came.
    pub answer: Option<Answer>,
}

/// An attempt as it was recorded, with what is derived from it.
#[derive(Debug, Clone)]
pub struct RecordedAttempt {
    /// From 1.
    pub number: u32,
    pub started_at: DateTime<Utc>,
    pub attempt: Attempt,
    /// Lower-case names; without signatures when the secrets have changed since.
    pub request_headers: Vec<(String, String)>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { status } => write!(f, "accepted {status}"),
            Self::Refused { status, .. } => write!(f, "refused {status}"),
            Self::TimedOut { .. } => f.write_str("timed out"),
            Self::Unreachable { reason } => write!(f, "unreachable {}", reason.as_str()),
            Self::Forbidden { .. } => f.write_str("forbidden"),
        }
    }
}
