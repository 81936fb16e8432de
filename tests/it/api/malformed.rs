//! Malformed requests: hundreds of them, made from the route table and sent as bytes.
//!
//! Each is answered in the one JSON shape with a status below 500, or where nothing is wrong with it, is done. None
//! hangs, and none is answered by a reset.

use serde_json::Value;
use tidings::http::{Route, routes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::TestPlatform;
use crate::process::seconds;

const JSON: &str = "content-type: application/json\r\n";
/// What the promise asks for.
const REQUESTS_MIN: usize = 380;

/// One way to be wrong: the statuses that tell of it; none: any below 500, where other faults may come first.
pub(super) struct Wrong {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    statuses: &'static [u16],
}

/// The ways of one route.
pub(super) struct Wrongs<'a> {
    route: &'a Route,
    method: &'a str,
    path: String,
    /// What every head holds.
    who: String,
    found: Vec<Wrong>,
}

impl<'a> Wrongs<'a> {
    pub(super) fn of(route: &'a Route, address: &str, key: &str) -> Vec<Wrong> {
        let mut wrongs = Self {
            route,
            method: route.method.as_str(),
            path: route.path.replace(['{', '}'], ""),
            who: format!("host: {address}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"),
            found: Vec::new(),
        };
        wrongs.lines();
        wrongs.headers();
        if ["POST", "PUT", "PATCH"].contains(&wrongs.method) {
            wrongs.bodies();
        } else {
            wrongs.queries();
        }
        wrongs.ids();
        wrongs.found
    }

    /// `line` and `headers` are the head, together with who is calling.
    fn add(&mut self, name: &'static str, statuses: &'static [u16], line: &str, rest: Rest<'_>) {
        let head = format!("{line}\r\n{}{}\r\n", self.who, rest.headers);
        self.found.push(Wrong {
            name,
            bytes: [head.as_bytes(), rest.body].concat(),
            statuses,
        });
    }

    /// The head is the usual one, but for these headers.
    fn with(&mut self, name: &'static str, statuses: &'static [u16], headers: &str, body: &[u8]) {
        let line = format!("{} {} HTTP/1.1", self.method, self.path);
        self.add(name, statuses, &line, Rest { headers, body });
    }

    fn lines(&mut self) {
        let (method, path) = (self.method, self.path.clone());
        for (name, statuses, line) in [
            (
                "a method that is none",
                &[405],
                format!("BREW {path} HTTP/1.1"),
            ),
            (
                "a version that is none",
                &[400],
                format!("{method} {path} HTTP/9.9"),
            ),
            (
                "a space in the path",
                &[400],
                format!("{method} {path} x HTTP/1.1"),
            ),
        ] {
            self.add(name, statuses, &line, Rest::default());
        }
    }

    fn headers(&mut self) {
        for (name, headers) in [
            ("a header without a colon", "nonsense\r\n"),
            ("a header's name with a space", "bad name: x\r\n"),
            ("a length below nothing", "content-length: -1\r\n"),
            ("two lengths", "content-length: 1\r\ncontent-length: 2\r\n"),
            (
                "a length beyond counting",
                "content-length: 99999999999999999999999\r\n",
            ),
            ("a control character", "x-a: a\x01b\r\n"),
        ] {
            self.with(name, &[400], headers, b"");
        }
        let large = format!("x-a: {}\r\n", "a".repeat(200_000));
        self.with("a head beyond its limit", &[431], &large, b"");
        self.with(
            "too many headers",
            &[431, 400],
            &"x-a: b\r\n".repeat(500),
            b"",
        );
        if self.route.permission.is_some() {
            self.with(
                "a second key",
                &[401],
                "authorization: Bearer other\r\n",
                b"",
            );
        }
    }

    fn queries(&mut self) {
        let texts = [
            "search",
            "domains",
            "status",
            "state",
            "events",
            "actions",
            "actor_ids",
            "actor_names",
            "targets",
            "organization_id",
            "endpoint_id",
            "event_id",
            "range_start",
            "from",
            "order",
        ];
        let nuls = texts.map(|name| format!("{name}=a%00b")).join("&");
        for (name, query) in [
            (
                "a query that makes no sense",
                "limit=-1&after=%ff&order=up&%c3",
            ),
            ("a NUL in every parameter", &nuls),
        ] {
            let line = format!("{} {}?{query} HTTP/1.1", self.method, self.path);
            self.add(name, &[], &line, Rest::default());
        }
    }

    /// What can be wrong with a body.
    fn bodies(&mut self) {
        let deep = [b"[".repeat(5_000), b"]".repeat(5_000)].concat();
        let sent: [(&'static str, &'static [u16], &[u8]); 7] = [
            ("half of JSON", &[400, 404, 422], b"{\"event\":"),
            ("no UTF-8", &[400, 404, 422], b"{\"event\":\"\xff\"}"),
            ("a list for an object", &[], b"[]"),
            ("a number for an object", &[], b"1e999"),
            ("nothing but depth", &[], &deep),
            ("a member twice", &[], b"{\"name\":\"a\",\"name\":\"b\"}"),
            (
                "wrong types all over",
                &[],
                b"{\"event\":1,\"name\":{},\"data\":[],\"events\":7}",
            ),
        ];
        for (name, statuses, body) in sent {
            let headers = format!("{JSON}content-length: {}\r\n", body.len());
            self.with(name, statuses, &headers, body);
        }
        let chunked = format!("{JSON}transfer-encoding: chunked\r\n");
        let (size, two) = (b"ZZ\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n");
        self.with(
            "a chunk whose size is no number",
            &[400, 404],
            &chunked,
            size,
        );
        let both = format!("{JSON}content-length: 3\r\ntransfer-encoding: chunked\r\n");
        self.with("a length and chunks", &[400], &both, two);
        let other = "content-type: text/xml\r\ncontent-length: 4\r\n";
        self.with("a body of another kind", &[], other, b"<a/>");
        let zipped = format!("{JSON}content-encoding: gzip\r\ncontent-length: 2\r\n");
        self.with("a compressed body", &[], &zipped, b"{}");
    }

    /// What can be wrong with the parameters of a path.
    fn ids(&mut self) {
        let Some((before, rest)) = self.route.path.split_once('{') else {
            return;
        };
        let after = rest.split_once('}').map_or("", |(_, after)| after);
        for (name, id) in [
            ("an id of nothing readable", "%ff%00"),
            ("an id that climbs", "..%2f..%2fetc"),
            ("an id of another kind", "event_!"),
        ] {
            let line = format!("{} {before}{id}{after} HTTP/1.1", self.method);
            let headers = &format!("{JSON}content-length: 2\r\n");
            let body = b"{}";
            self.add(name, &[], &line, Rest { headers, body });
        }
    }
}

/// What follows the first line.
#[derive(Clone, Copy, Default)]
struct Rest<'a> {
    headers: &'a str,
    body: &'a [u8],
}

/// Sends bytes, reads to the end; a reset after an answer is an end too.
pub(super) async fn exchange(address: &str, bytes: &[u8]) -> Result<String, String> {
    let talk = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let sending = async {
            // the other side may have heard enough
            let _closed = to.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let reading = from.read_to_end(&mut answer);
        let read = tokio::select! {
            read = reading => read,
            () = sending => unreachable!("it never ends"),
        };
        match (answer.is_empty(), read) {
            (false, _) => Ok(String::from_utf8_lossy(&answer).into_owned()),
            (true, Ok(_)) => Err("closed without an answer".to_owned()),
            (true, Err(error)) => Err(error.to_string()),
        }
    };
    let talked = tokio::time::timeout(seconds(20), talk).await;
    talked.unwrap_or_else(|_| Err("it hangs".to_owned()))
}

/// What is wrong with an answer, if anything is.
fn fault(wrong: &Wrong, answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
    let expected = wrong.statuses.is_empty() || wrong.statuses.contains(&status);
    if status >= 500 || !expected {
        return Some(format!("{status}: {body}"));
    }
    if status < 400 {
        return None;
    }
    let head = head.to_lowercase();
    if !head.contains("content-type: application/json") || !head.contains("x-request-id: req_") {
        return Some(format!("not the one shape: {head} {body}"));
    }
    // where a body could not be read to its end, the framework may add its own refusal
    let body = body.split("HTTP/1.1 ").next()?;
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let shaped = json["message"].is_string() && json["code"].is_string();
    (!shaped).then(|| format!("not the one shape: {body}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_malformed_requests_are_each_refused_in_the_documented_shape() {
    let platform = TestPlatform::usual().await;
    let (address, key) = platform.client().address_and_key();

    let (mut sent, mut faults) = (0, Vec::new());
    for route in routes() {
        for wrong in Wrongs::of(route, &address, &key) {
            sent += 1;
            let told = match exchange(&address, &wrong.bytes).await {
                Ok(answer) => fault(&wrong, &answer),
                Err(end) => Some(end),
            };
            faults.extend(
                told.map(|told| format!("{} {}: {}: {told}", route.method, route.path, wrong.name)),
            );
        }
    }

    assert_eq!(faults, Vec::<String>::new(), "of {sent}");
    assert!(sent >= REQUESTS_MIN, "{sent}");
    assert_eq!(platform.client().get("/readyz").await.status, 200);
    println!("{sent} malformed requests, each refused in JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_wrong_alone_is_refused_too() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let document = client.get("/openapi.json").await.expect(200);

    let mut refused = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array();
        let of_query = parameters.into_iter().flatten();
        for parameter in of_query.filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            for value in ["no", "-1", "99999999999999999999", "%00", "%ff"] {
                let answer = client.get(&format!("{path}?{name}={value}")).await;
                let asked = format!("{path}?{name}={value}: {} {}", answer.status, answer.text());
                assert!(answer.status < 500, "{asked}");
                if answer.status >= 400 {
                    refused += 1;
                    assert!(answer.json()["code"].is_string(), "{asked}");
                }
            }
        }
    }
    // a list that takes a page, an order and a cursor refuses eleven of them
    assert!(refused >= 200, "{refused}");
}
