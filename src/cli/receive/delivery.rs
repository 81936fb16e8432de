//! One delivery as it arrived: who it claims to be, whether that holds, and how it is shown.

use std::fmt;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::output::{pretty, printable};
use crate::domain::signature::{
    SignatureFault, SigningSecret, StandardHeaders, verify_contract, verify_standard,
};
use crate::domain::time;

/// How old a signature may be; what the libraries of each family allow.
const STANDARD_TOLERANCE: Duration = Duration::from_secs(5 * 60);
const CONTRACT_TOLERANCE: Duration = Duration::from_secs(3 * 60);

/// What was found out about a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Verified,
    /// The request has none.
    Missing,
    /// There is no secret to check it with.
    Unchecked,
    Wrong(SignatureFault),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Missing => f.write_str("missing"),
            Self::Unchecked => f.write_str("not checked"),
            Self::Wrong(fault) => write!(f, "WRONG: {fault}"),
        }
    }
}

/// The parts of a request that matter here.
#[derive(Debug)]
pub(super) struct Arrival {
    at: DateTime<Utc>,
    method: String,
    path: String,
    id: Option<String>,
    standard: Verdict,
    contract: Verdict,
    body: String,
}

impl Arrival {
    pub(super) fn read(
        request: &HttpRequest,
        body: &[u8],
        secrets: &[SigningSecret],
        now: DateTime<Utc>,
    ) -> Self {
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let standard = match (
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
        ) {
            (Some(id), Some(timestamp), Some(signature)) => {
                let headers = StandardHeaders {
                    id,
                    timestamp,
                    signature,
                };
                best(secrets, |secret| {
                    verify_standard(secret, headers, body, now.timestamp(), STANDARD_TOLERANCE)
                })
            }
            _ => Verdict::Missing,
        };
        let contract = match header("workos-signature") {
            Some(header) => best(secrets, |secret| {
                verify_contract(
                    secret,
                    header,
                    body,
                    now.timestamp_millis(),
                    CONTRACT_TOLERANCE,
                )
            }),
            None => Verdict::Missing,
        };
        Self {
            at: now,
            method: request.method().to_string(),
            path: request.path().to_owned(),
            id: header("webhook-id").map(str::to_owned),
            standard,
            contract,
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }

    /// The `webhook-id`.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// For people: a line about the delivery, one about its signatures, the body.
    pub(super) fn text(&self, attempt: u32, answer: StatusCode) -> String {
        let head = format!(
            "{}  {} {}  {}  {}  attempt {attempt} seen here  answering {answer}",
            time::to_text(self.at),
            self.method,
            self.path,
            self.event_type().as_deref().unwrap_or("(no event)"),
            self.id().unwrap_or("(no webhook-id)"),
        );
        let Self {
            standard, contract, ..
        } = self;
        let signatures = format!("  webhook-signature: {standard}   WorkOS-Signature: {contract}");
        let body = match self.body.as_str() {
            "" => "(no body)".to_owned(),
            body => pretty(body).replace('\n', "\n  "),
        };
        format!("{}\n{signatures}\n  {body}\n", printable(&head))
    }

    /// For scripts: one line of JSON.
    pub(super) fn json(&self, attempt: u32, answer: StatusCode) -> String {
        let line = Line {
            received_at: time::to_text(self.at),
            method: &self.method,
            path: &self.path,
            webhook_id: self.id(),
            event: self.event_type(),
            attempt_seen: attempt,
            webhook_signature: self.standard.to_string(),
            workos_signature: self.contract.to_string(),
            answer: answer.as_u16(),
            body: match serde_json::from_str::<&RawValue>(&self.body) {
                // A line stays a line, whatever white space the sender chose.
                Ok(json) if !json.get().contains(['\n', '\r']) => Shown::Json(json),
                Ok(_) | Err(_) => Shown::Text(&self.body),
            },
        };
        serde_json::to_string(&line).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    fn event_type(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Named {
            event: String,
        }
        serde_json::from_str(&self.body)
            .ok()
            .map(|named: Named| named.event)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    received_at: String,
    method: &'a str,
    path: &'a str,
    webhook_id: Option<&'a str>,
    event: Option<String>,
    attempt_seen: u32,
    webhook_signature: String,
    workos_signature: String,
    answer: u16,
    body: Shown<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// One secret that fits is enough; otherwise what the last one said.
fn best(
    secrets: &[SigningSecret],
    verify: impl Fn(&SigningSecret) -> Result<(), SignatureFault>,
) -> Verdict {
    let mut verdict = Verdict::Unchecked;
    for secret in secrets {
        match verify(secret) {
            Ok(()) => return Verdict::Verified,
            Err(fault) => verdict = Verdict::Wrong(fault),
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::domain::signature::{sign_contract, sign_standard};

    const BODY: &str =
        r#"{"object":"event","id":"event_1","event":"invoice.paid","data":{"b":1.50,"a":[]}}"#;

    fn secret(byte: u8) -> SigningSecret {
        SigningSecret::from_bytes([byte; 32])
    }

    fn now() -> DateTime<Utc> {
        time::from_millis(1_767_225_600_000)
    }

    fn arrival(signed_with: &SigningSecret, secrets: &[SigningSecret]) -> Arrival {
        let body = BODY.as_bytes();
        let request = TestRequest::post()
            .uri("/hook")
            .insert_header(("webhook-id", "event_1"))
            .insert_header(("webhook-timestamp", now().timestamp().to_string()))
            .insert_header((
                "webhook-signature",
                sign_standard([signed_with], "event_1", now().timestamp(), body),
            ))
            .insert_header((
                "WorkOS-Signature",
                sign_contract(signed_with, now().timestamp_millis(), body),
            ));
        Arrival::read(&request.to_http_request(), body, secrets, now())
    }

    #[test]
    fn a_delivery_is_verified_in_both_families_by_any_of_the_secrets() {
        let signed = arrival(&secret(1), &[secret(2), secret(1)]);
        let forged = arrival(&secret(3), &[secret(2), secret(1)]);

        assert_eq!(
            (signed.standard, signed.contract),
            (Verdict::Verified, Verdict::Verified)
        );
        let wrong = Verdict::Wrong(SignatureFault::Mismatch);
        assert_eq!((forged.standard, forged.contract), (wrong, wrong));
    }

    #[test]
    fn without_a_secret_or_a_signature_nothing_is_claimed() {
        let unchecked = arrival(&secret(1), &[]);
        let bare = Arrival::read(
            &TestRequest::get().to_http_request(),
            b"",
            &[secret(1)],
            now(),
        );

        assert_eq!(
            (unchecked.standard, unchecked.contract),
            (Verdict::Unchecked, Verdict::Unchecked)
        );
        assert_eq!(
            (bare.standard, bare.contract),
            (Verdict::Missing, Verdict::Missing)
        );
    }

    #[test]
    fn people_see_the_delivery_its_signatures_and_its_body() {
        let text = arrival(&secret(1), &[secret(1)]).text(2, StatusCode::OK);

        assert_eq!(
            text,
            "2026-01-01T00:00:00.000Z  POST /hook  invoice.paid  event_1  attempt 2 seen here  answering 200 OK\n  \
             webhook-signature: verified   WorkOS-Signature: verified\n  \
             {\n    \"object\": \"event\",\n    \"id\": \"event_1\",\n    \"event\": \"invoice.paid\",\n    \
             \"data\": {\n      \"b\": 1.50,\n      \"a\": []\n    }\n  }\n"
        );
    }

    #[test]
    fn scripts_get_one_line_with_the_body_as_it_came() {
        let line = arrival(&secret(1), &[secret(1)]).json(1, StatusCode::GONE);
        let fields: serde_json::Value = serde_json::from_str(&line).unwrap();

        assert!(!line.contains('\n') && line.contains(BODY));
        assert_eq!(
            (&fields["answer"], &fields["webhook_signature"]),
            (&410.into(), &"verified".into())
        );
    }
}
