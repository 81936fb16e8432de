//! Problems: what a caller is told when a request fails.
//!
//! Invariant: this is the only file that knows status codes for errors. The body is the contract's
//! `{"message", "code", "errors": [{"field", "code", "message"}]}`, always `application/json`, never with a
//! top-level `error` (an official SDK takes that for another kind of failure). What went wrong inside is logged
//! once, here, with the request id; the caller sees the id and nothing else.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;

use actix_web::http::header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use serde::Serialize;
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::app::{AppError, Noun};
use crate::domain::access::Permission;
use crate::domain::id::RequestId;
use crate::domain::invalid::Invalid;
use crate::domain::schema::SchemaFault;
use crate::domain::time;

mod fault;
mod told;

pub(super) use fault::Fault;
pub(super) use told::Told;

/// Seconds after which a refused caller may come back.
const RETRY_AFTER_SECONDS: &str = "1";

macro_rules! codes {
    ($($name:ident = $status:ident $code:literal $message:literal;)+) => {
        /// Every kind of failure that a caller can meet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($name,)+
        }

        impl Code {
            /// All of them, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word on the wire, which programs match.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The status, and the message where nothing more can be said.
            pub const fn answer(self) -> (StatusCode, &'static str) {
                match self {
                    $(Self::$name => (StatusCode::$status, $message),)+
                }
            }
        }
    };
}

codes! {
    MalformedRequest = BAD_REQUEST "malformed_request" "The request is not valid HTTP.";
    MalformedJson = BAD_REQUEST "malformed_json" "The request body is not valid JSON.";
    IdempotencyKeyReused = BAD_REQUEST "idempotency_key_reused"
        "Another idempotency key with different request parameters was found. Please use a different idempotency key.";
    ExternalIdAlreadyUsed = BAD_REQUEST "external_id_already_used" "The external_id is already in use.";
    InvalidMetadata = BAD_REQUEST "invalid_metadata" "The metadata is not valid.";
    InvalidCursor = BAD_REQUEST "invalid_cursor" "The cursor names no object of this list.";
    CursorExpired = BAD_REQUEST "cursor_expired" "The cursor is older than the events that are kept.";
    InvalidEventsRequest = BAD_REQUEST "invalid_events_request"
        "One or more event names (e.g. dsync.user.created) must be provided using the events parameter.";
    InvalidAuditLogEvent = BAD_REQUEST "invalid_audit_log_event" "Invalid Audit Log event.";
    InvalidAuditLogExportRangeDate = BAD_REQUEST "invalid_audit_log_export_range_date" "Invalid date range";
    InvalidDateRangeException = BAD_REQUEST "invalid_date_range_exception"
        "Start date cannot be before what is kept.";
    Unauthorized = UNAUTHORIZED "unauthorized" "Unauthorized";
    Forbidden = FORBIDDEN "forbidden" "Forbidden";
    NotFound = NOT_FOUND "not_found" "There is nothing at this path.";
    EntityNotFound = NOT_FOUND "entity_not_found" "Not found.";
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "This path does not take this method.";
    RequestTimeout = REQUEST_TIMEOUT "request_timeout" "The request body did not arrive in time.";
    EntityExists = CONFLICT "entity_exists" "It exists already.";
    DuplicateEndpoint = CONFLICT "duplicate_endpoint" "A webhook endpoint with this URL exists already.";
    EndpointDisabled = CONFLICT "endpoint_disabled" "The webhook endpoint is disabled.";
    AuditLogEmpty = CONFLICT "audit_log_empty" "The audit log has no entries yet: there is nothing to sign.";
    NotCheckpointed = CONFLICT "not_checkpointed"
        "No checkpoint covers this entry yet. Make one, or send a size.";
    LinkExpired = GONE "link_expired" "The link has expired. Get the object again for a new one.";
    PayloadTooLarge = PAYLOAD_TOO_LARGE "payload_too_large" "The request body is too large.";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type"
        "The request body must be application/json without a content encoding.";
    InvalidRequestParameters = UNPROCESSABLE_ENTITY "invalid_request_parameters" "Validation failed";
    InvalidEventData = UNPROCESSABLE_ENTITY "invalid_event_data" "The event does not fit the schema of its type.";
    InvalidUrl = UNPROCESSABLE_ENTITY "invalid_url" "The URL is not allowed.";
    LimitReached = UNPROCESSABLE_ENTITY "limit_reached" "A limit is reached.";
    RateLimitExceeded = TOO_MANY_REQUESTS "rate_limit_exceeded" "Too many requests. Please slow down.";
    HeadersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "headers_too_large" "The request's head is too large.";
    Internal = INTERNAL_SERVER_ERROR "internal" "Internal error.";
    Overloaded = SERVICE_UNAVAILABLE "overloaded" "Too much work is waiting. Please try again.";
    Unavailable = SERVICE_UNAVAILABLE "unavailable" "The service is not available right now. Please try again.";
}

impl Code {
    pub fn status(self) -> StatusCode {
        self.answer().0
    }

    /// Seconds after which a refused caller may come back; `None` where coming back changes nothing.
    fn retry_after(self) -> Option<&'static str> {
        let passes = matches!(
            self.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        passes.then_some(RETRY_AFTER_SECONDS)
    }
}

/// A failure on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    message: Cow<'static, str>,
    faults: Vec<Fault>,
    entity_id: Option<String>,
    /// For the log alone.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// What went wrong, for people. It may change; match `code` instead.
    #[schema(example = "Validation failed")]
    message: &'a str,
    /// What went wrong, for programs.
    #[schema(example = "invalid_request_parameters")]
    code: &'static str,
    /// Everything that is wrong with the input, where the input is at fault.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    #[schema(value_type = Vec<Fault>, required = false)]
    errors: &'a [Fault],
    /// The id that names nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    entity_id: Option<&'a str>,
}

impl Problem {
    /// A problem that says what its code says.
    pub(super) fn of(code: Code) -> Self {
        Self::new(code, code.answer().1)
    }

    pub(super) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            faults: Vec::new(),
            entity_id: None,
            cause: None,
        }
    }

    pub(super) fn forbidden(wanted: Permission) -> Self {
        Self::new(
            Code::Forbidden,
            format!("Forbidden: the API key lacks the permission {wanted}."),
        )
    }

    pub(super) fn not_found(noun: Noun, id: &str) -> Self {
        let message = format!("{} not found: '{id}'.", noun.as_str());
        Self {
            entity_id: Some(id.to_owned()),
            ..Self::new(Code::EntityNotFound, message)
        }
    }

    pub(super) fn with_faults(code: Code, faults: Vec<Invalid>) -> Self {
        Self {
            faults: faults.into_iter().map(Fault::of_input).collect(),
            ..Self::of(code)
        }
    }

    /// An audit log event that breaks a limit: the contract's pointers beside the fields.
    pub(super) fn invalid_audit_log_event(faults: Vec<Invalid>) -> Self {
        Self {
            faults: faults.into_iter().map(Fault::of_audit_log_event).collect(),
            ..Self::of(Code::InvalidAuditLogEvent)
        }
    }

    fn misfit(code: Code, word: &'static str, faults: Vec<SchemaFault>) -> Self {
        let told = faults
            .into_iter()
            .map(|fault| Fault::of_schema(word, fault));
        Self {
            faults: told.collect(),
            ..Self::of(code)
        }
    }

    fn exists(noun: Noun, message: String) -> Self {
        let code = match noun {
            Noun::Endpoint => Code::DuplicateEndpoint,
            Noun::Event
            | Noun::Organization
            | Noun::Delivery
            | Noun::ApiKey
            | Noun::Environment
            | Noun::AuditLogEvent
            | Noun::AuditLogAction
            | Noun::AuditLogExport
            | Noun::AuditLogCheckpoint
            | Noun::AuditLogRedaction
            | Noun::EventType
            | Noun::PortalLink
            | Noun::Replay => Code::EntityExists,
        };
        Self::new(code, message)
    }

    /// A failure of the platform itself; `cause` goes to the log.
    pub(super) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::of(Code::Internal)
        }
    }

    fn caused(code: Code, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::of(code)
        }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the rest of the request may still be on its way and is not waited for.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self.code, Code::RequestTimeout | Code::MalformedRequest)
    }

    /// Makes the answer, and logs what the caller must not see.
    pub(super) fn respond(mut self, request: &HttpRequest) -> HttpResponse {
        self.log(request);
        if self.code == Code::Internal
            && let Some(id) = request.extensions().get::<RequestId>()
        {
            self.message = format!("Internal error. Please quote the request id {id}.").into();
        }
        let status = self.code.status();
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.code.retry_after() {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if self.ends_connection() {
            response.insert_header((CONNECTION, "close")).force_close();
        }
        response.json(self.body())
    }

    fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            message: &self.message,
            code: self.code.as_str(),
            errors: &self.faults,
            entity_id: self.entity_id.as_deref(),
        }
    }

    fn log(&self, request: &HttpRequest) {
        let Some(cause) = &self.cause else { return };
        let extensions = request.extensions();
        let id = extensions.get::<RequestId>().map(tracing::field::display);
        let method: &Method = request.method();
        let cause = chain(cause.as_ref());
        if self.code == Code::Internal {
            error!(request.id = id, %method, error = cause, "request failed");
        } else {
            warn!(request.id = id, %method, error = cause, "request refused");
        }
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _infallible = write!(text, ": {error}");
        source = error.source();
    }
    text
}

impl From<Vec<Invalid>> for Problem {
    fn from(faults: Vec<Invalid>) -> Self {
        Self::with_faults(Code::InvalidRequestParameters, faults)
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Invalid(faults) => faults.into(),
            AppError::AuditInvalid(faults) => {
                Self::misfit(Code::InvalidAuditLogEvent, "invalid_audit_log", faults)
            }
            AppError::EventInvalid(faults) => Self::misfit(
                Code::InvalidEventData,
                Code::InvalidEventData.as_str(),
                faults,
            ),
            AppError::ExportRangeTooOld { earliest } => Self::new(
                Code::InvalidDateRangeException,
                format!("Start date cannot be before {}.", time::to_text(earliest)),
            ),
            AppError::NotFound { noun, id } => Self::not_found(noun, &id),
            AppError::Exists { noun, message } => Self::exists(noun, message),
            AppError::InvalidUrl { message } => {
                let fault =
                    Invalid::new("endpoint_url", Code::InvalidUrl.as_str(), message.clone());
                Self {
                    message: message.into(),
                    ..Self::with_faults(Code::InvalidUrl, vec![fault])
                }
            }
            AppError::IdempotencyKeyReused { key } => Self::new(
                Code::IdempotencyKeyReused,
                format!(
                    "Another idempotency key ({key}) with different request parameters was found. \
                     Please use a different idempotency key."
                ),
            ),
            AppError::ExternalIdUsed { external_id } => Self::new(
                Code::ExternalIdAlreadyUsed,
                format!("The external_id '{external_id}' is already in use."),
            ),
            AppError::CursorUnknown { cursor } => Self::new(
                Code::InvalidCursor,
                format!("The cursor '{cursor}' names no object of this list."),
            ),
            AppError::CursorExpired { cursor } => Self::new(
                Code::CursorExpired,
                format!("The cursor '{cursor}' is older than the events that are kept."),
            ),
            AppError::EndpointDisabled { id } => Self::new(
                Code::EndpointDisabled,
                format!("The webhook endpoint '{id}' is disabled."),
            ),
            AppError::TrailEmpty => Self::of(Code::AuditLogEmpty),
            AppError::NotCheckpointed => Self::of(Code::NotCheckpointed),
            // Operators rotate keys by the command line.
            error @ (AppError::RotationUnderWay
            | AppError::MasterKeyNeeded
            | AppError::MasterKeysNeeded
            | AppError::MasterKeyUnknown { .. }) => Self::internal(error),
            AppError::LimitReached { what, max } => Self::new(
                Code::LimitReached,
                format!("There can be at most {max} {what}."),
            ),
            AppError::Overloaded => Self::of(Code::Overloaded),
            AppError::Unavailable(cause) => Self::caused(Code::Unavailable, cause),
            AppError::Internal(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
impl Problem {
    /// Where the faults are.
    pub(super) fn fields(&self) -> Vec<&str> {
        self.faults.iter().filter_map(Fault::field).collect()
    }

    pub(super) fn pointers(&self) -> Vec<&str> {
        self.faults.iter().filter_map(Fault::pointer).collect()
    }
}

#[cfg(test)]
mod tests;
