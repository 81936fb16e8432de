//! What a receiver does to know who sent a request, written here anew: nothing of the platform is used.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{HeaderMap, HeaderName};
use sha2::Sha256;
use standardwebhooks::Webhook;

use crate::harness::Request;

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The signature of Standard Webhooks that this secret gives.
pub(super) fn standard(request: &Request, secret: &str) -> String {
    let key = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let head = format!(
        "{}.{}.",
        request.header("webhook-id"),
        request.header("webhook-timestamp")
    );
    let mac = hmac(&key, &[head.as_bytes(), &request.body]);
    format!("v1,{}", BASE64_STANDARD.encode(mac))
}

/// The contract's header that this secret gives at the time that the request names.
pub(super) fn contract(request: &Request, secret: &str) -> String {
    let time = contract_time(request);
    let head = format!("{time}.");
    let mac = hmac(secret.as_bytes(), &[head.as_bytes(), &request.body]);
    format!("t={time}, v1={}", hex::encode(mac))
}

/// Unix milliseconds, from the contract's header.
pub(super) fn contract_time(request: &Request) -> i64 {
    let header = request.header("workos-signature");
    let (time, _) = header.strip_prefix("t=").unwrap().split_once(", ").unwrap();
    assert_eq!(time.len(), 13, "{header}");
    time.parse().unwrap()
}

/// Whether the crate that receivers use accepts the request.
pub(super) fn crate_accepts(request: &Request, secret: &str) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    Webhook::new(secret)
        .unwrap()
        .verify(&request.body, &headers)
        .is_ok()
}
