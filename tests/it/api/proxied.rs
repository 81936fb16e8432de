//! Behind a proxy: a real nginx passes on what is asked and what is answered, whatever it is, and tells who asks.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::http::routes;

use super::malformed::{Wrongs, exchange};
use crate::harness::{Client, TestPlatform};
use crate::process::{eventually, free_port, seconds, skipped_without};

/// What nginx is told: `@platform` is where it passes things on to, `@buffered` and `@streaming` where it listens.
const CONFIGURATION: &str = "
    daemon off; master_process off; pid nginx.pid; error_log error.log;
    events { worker_connections 512; }
    http {
        access_log off;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
        scgi_temp_path scgi;
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        upstream platform { server @platform; keepalive 4; }
        server { listen @buffered; location / { proxy_pass http://platform; } }
        server { listen @streaming; location / { proxy_pass http://platform; proxy_request_buffering off; } }
    }";

struct Nginx {
    child: Child,
    buffered: String,
    streaming: String,
    _folder: TempDir,
}

impl Nginx {
    /// `None`, and a line that says so, on a machine that has none.
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool of the machine, not a setting of the platform"
    )]
    async fn before(platform: &TestPlatform) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [buffered, streaming] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let (address, _) = platform.client().address_and_key();
        let configuration = CONFIGURATION
            .replace("@platform", &address)
            .replace("@buffered", &buffered)
            .replace("@streaming", &streaming);
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let started = Command::new("nginx")
            // where Debian keeps it
            .env("PATH", format!("{path}:/usr/sbin"))
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            skipped_without("nginx");
            return None;
        };
        let nginx = Self {
            child,
            buffered,
            streaming,
            _folder: folder,
        };
        let probe = Client::new(format!("http://{}", nginx.streaming), None);
        eventually("nginx passes things on", seconds(20), async || {
            let asked = probe.request(reqwest::Method::GET, "/livez").send().await;
            asked
                .is_ok_and(|answer| answer.status() == 200)
                .then_some(())
        })
        .await;
        Some(nginx)
    }

    fn both(&self) -> [&str; 2] {
        [&self.buffered, &self.streaming]
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_request_the_proxy_gets_an_answer_to_pass_on() {
    let platform = TestPlatform::usual().await;
    let Some(nginx) = Nginx::before(&platform).await else {
        return;
    };
    let (_, key) = platform.client().address_and_key();

    let (mut sent, mut ours, mut faults) = (0, 0, Vec::new());
    for address in nginx.both() {
        for route in routes() {
            for wrong in Wrongs::of(route, address, &key) {
                sent += 1;
                let answer = exchange(address, &wrong.bytes).await;
                let answer = answer.unwrap_or_else(|end| format!("HTTP/1.1 599 {end}"));
                let is_ours = answer.to_lowercase().contains("x-request-id: req_");
                ours += usize::from(is_ours);
                // nginx itself may refuse with 505 or 501; that it could not pass something on it tells by these
                if (is_ours && status(&answer) >= 500) || [502, 504, 599].contains(&status(&answer))
                {
                    faults.push(format!("{} {}: {answer}", route.path, wrong.name));
                }
            }
        }
    }

    assert_eq!(faults, Vec::<String>::new(), "of {sent}");
    assert!(ours > sent / 3, "{ours} of {sent} came from the platform");
    println!("{sent} malformed requests through nginx, {ours} of them answered by the platform");
}

/// What a refused body must never become.
const SMUGGLED: &str = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: platform\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_refused_unread_is_nobodys_next_request() {
    let platform = TestPlatform::usual().await;
    let Some(nginx) = Nginx::before(&platform).await else {
        return;
    };
    let (_, key) = platform.client().address_and_key();
    let good = r#"{"event":"a","data":{}}"#;
    let large = SMUGGLED.repeat(9 * 1024 * 1024 / SMUGGLED.len());
    let small = SMUGGLED.repeat(400);
    let mut recorded = 0;
    for address in nginx.both() {
        for round in 0..20 {
            let (who, body, expected) = match round % 4 {
                0 => (key.as_str(), large.as_str(), 413),
                1 => ("wrong", small.as_str(), 401),
                2 => (key.as_str(), small.as_str(), 400),
                _ => ("wrong", large.as_str(), 401),
            };
            for (who, body, expected) in [(who, body, expected), (key.as_str(), good, 201)] {
                let length = body.len();
                let request = format!(
                    "POST /events HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {who}\r\n\
                     Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                let answer = exchange(address, request.as_bytes()).await.unwrap();
                assert_eq!(status(&answer), expected, "{round}: {answer}");
                recorded += i64::from(expected == 201);
            }
        }
    }

    let feed = platform.client().get("/events?limit=100").await.expect(200);
    let positions = feed["data"].as_array().unwrap().iter();
    let positions: Vec<_> = positions
        .map(|event| event["position"].as_i64().unwrap())
        .collect();
    assert!(
        positions.into_iter().eq(1..=recorded),
        "{recorded} and no other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_requests_of_unusual_form_reach_the_platform() {
    let platform = TestPlatform::usual().await;
    let Some(nginx) = Nginx::before(&platform).await else {
        return;
    };
    let (_, key) = platform.client().address_and_key();
    let body = r#"{"event":"a","data":{"n":1e2,"text":"\u0000"}}"#;
    let chunks: String = body.chars().map(|one| format!("1\r\n{one}\r\n")).collect();
    for address in nginx.both() {
        let head = |rest: &str| {
            format!(
                "POST /events HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/json\r\n{rest}\r\n"
            )
        };
        let length = format!("Content-Length: {}\r\n", body.len());
        for (form, request) in [
            ("one length", format!("{}{body}", head(&length))),
            (
                "chunks of a byte",
                format!(
                    "{}{chunks}0\r\n\r\n",
                    head("Transfer-Encoding: chunked\r\n")
                ),
            ),
            (
                "asks first",
                format!(
                    "{}{body}",
                    head(&format!("{length}Expect: 100-continue\r\n"))
                ),
            ),
            (
                "many headers",
                format!(
                    "{}{body}",
                    head(&format!("{length}{}", "X-A: b\r\n".repeat(60)))
                ),
            ),
        ] {
            let answer = exchange(address, request.as_bytes()).await.unwrap();
            let answer = answer
                .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
                .unwrap_or(&answer);
            assert_eq!(status(answer), 201, "{form}: {answer}");
            assert!(
                answer.contains(r#""data":{"n":1e2,"text":"\u0000"}"#),
                "{form}: {answer}"
            );
        }
        let head = format!("HEAD /events HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, head.as_bytes()).await.unwrap();
        assert!(answer.ends_with("\r\n\r\n"), "HEAD has no body: {answer}");
    }
}

/// A caller at this address of the loopback network, who claims to speak for others.
#[expect(
    clippy::disallowed_methods,
    reason = "a caller from outside, who does not go through egress"
)]
fn caller(local: [u8; 4]) -> reqwest::Client {
    let address = std::net::IpAddr::from(local);
    let client = reqwest::Client::builder().no_proxy();
    client.local_address(address).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_callers_are_told_apart_and_cannot_claim_an_address() {
    let proxy = ["127.0.0.1/32".parse().unwrap()];
    let platform = TestPlatform::builder()
        .configure(|config| {
            config.server.trusted_proxies = proxy.into();
            config.server.wrong_keys_max = 3;
        })
        .start()
        .await;
    let Some(nginx) = Nginx::before(&platform).await else {
        return;
    };
    let url = format!("http://{}", nginx.buffered);
    let (guesser, other) = (caller([127, 0, 0, 2]), caller([127, 0, 0, 3]));
    let guess = async |caller: &reqwest::Client, number: usize| {
        let guess = caller
            .get(format!("{url}/events"))
            .bearer_auth(format!("sk_{number}"));
        let claimed = format!("192.0.2.{number}, 127.0.0.1");
        let answer = guess.header("X-Forwarded-For", claimed).send().await;
        answer.unwrap().status().as_u16()
    };

    let mut statuses = Vec::new();
    for number in 0..5 {
        statuses.push(guess(&guesser, number).await);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(guess(&other, 1).await, 401, "somebody else");

    let (_, key) = platform.client().address_and_key();
    let organization = other.post(format!("{url}/organizations")).bearer_auth(key);
    let made = organization.json(&json!({ "name": "Named" })).send().await;
    assert_eq!(made.unwrap().status(), 201);
    let feed = platform.client().get("/events?limit=100").await.expect(200);
    let told: Vec<&Value> = feed["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"] == "audit_log.event_recorded")
        .collect();
    let told = told.last().expect("the trail tells of it").to_string();
    assert!(told.contains(r#""location":"127.0.0.3""#), "{told}");
}
