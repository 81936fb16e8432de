//! A problem as a page tells it: a status and sentences, without codes.
//!
//! Invariant: nothing is said here that the body of the same problem would not say; the cause goes to the log.

use actix_web::HttpMessage as _;
use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use super::{Code, Problem};
use crate::domain::id::RequestId;

/// What a page says of a problem.
#[derive(Debug)]
pub(in crate::http) struct Told {
    pub(in crate::http) status: StatusCode,
    pub(in crate::http) message: String,
    /// What is wrong with the input, one sentence each.
    pub(in crate::http) faults: Vec<String>,
    /// Seconds after which it may be tried again.
    pub(in crate::http) retry_after: Option<&'static str>,
}

impl Problem {
    /// Says what a page may say, and logs what the caller must not see.
    pub(in crate::http) fn tell(self, request: &HttpRequest) -> Told {
        self.log(request);
        let id = request.extensions().get::<RequestId>().copied();
        let message = match id {
            Some(id) if self.code == Code::Internal => {
                format!("Internal error. Please quote the request id {id}.")
            }
            Some(_) | None => self.message.into_owned(),
        };
        let faults = self.faults.iter().map(|fault| fault.sentence().to_owned());
        Told {
            status: self.code.status(),
            message,
            faults: faults.collect(),
            retry_after: self.code.retry_after(),
        }
    }
}
