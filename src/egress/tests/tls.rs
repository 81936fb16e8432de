//! Certificates are checked: a receiver that nobody vouches for gets nothing.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::sender::{sender, to, unreachable};
use crate::domain::attempt::Unreachable;

/// For 127.0.0.1, valid for a hundred years, signed by itself; with its key below. Made for this test.
const CERTIFICATE: &str = "MIIBjzCCATagAwIBAgIUEQMwl3AmwRNwvs0ygVGJ94wjFlIwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJ\
    MTI3LjAuMC4xMCAXDTI2MTEyMjIwMjg1OFoYDzIxMjYxMDI5MjAyODU4WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggq\
    hkjOPQMBBwNCAAQJLavj82tBjX+ZwkTmk+Kr0pJX3bGC/94dlZQvRNaV6cllnhxk1KewlJvZtlO7We5KrIkr/kfd6F6t6Db8f1ACo2QwYjAd\
    BgNVHQ4EFgQUhzTkyEAWMZ8h32igniOyinabLfowHwYDVR0jBBgwFoAUhzTkyEAWMZ8h32igniOyinabLfowDwYDVR0TAQH/BAUwAwEB/zAP\
    BgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQCIA3vZD3onSLXN1ATl5kpb6ts43ab01mPjhnbyv5Qo2y1AiBiqXnghJaNGCw2dDKi\
    SyMhxq0J5TMFu3E2s+Cf0AD9pQ==";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFYDzXKGuBh/i/sWlss4tmeP8j0VwOkkIv15NKG4EoL+hRANC\
    AAQJLavj82tBjX+ZwkTmk+Kr0pJX3bGC/94dlZQvRNaV6cllnhxk1KewlJvZtlO7We5KrIkr/kfd6F6t6Db8f1AC";

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent() {
    let sender = sender();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let received = tokio::task::spawn_blocking(move || received(&listener));

    let attempt = sender.post(to(&url)).await;

    assert_eq!(attempt.outcome, unreachable(Unreachable::Tls));
    assert_eq!(received.await.unwrap(), "");
}

/// Shakes hands with one client and reads what it says.
fn received(listener: &TcpListener) -> String {
    let der = |text| BASE64_STANDARD.decode(text).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der(KEY)));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![der(CERTIFICATE).into()], key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut said = String::new();
    // fails with the client's alert, after whatever came before it
    StreamOwned::new(connection, stream)
        .read_to_string(&mut said)
        .ok();
    said
}
