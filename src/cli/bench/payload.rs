//! The payload: what the events of a run look like, and how one is known again where it is delivered.
//!
//! Invariant: every event of a run has its own number and otherwise the same bytes; the filling is random text, so
//! that the database cannot store less than was sent. Finds the number whatever surrounds `data`.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;
use rand::Rng as _;
use rand::distr::Alphanumeric;

/// Stands before an event's number.
const NUMBER: &str = r#""bench_number":"#;
const FILL: &str = r#","fill":""#;
/// The digits of the largest number.
const DIGITS_MAX: usize = 10;

/// One run: its name keeps it apart from others.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    event_type: String,
    fill: String,
    path: &'static str,
}

impl Payload {
    /// Events with `data` of about `bytes` bytes; `batch` of them in each request.
    pub(super) fn new(run: &str, bytes: usize, batch: u32) -> Self {
        let frame = "{}".len() + NUMBER.len() + DIGITS_MAX + FILL.len() + "\"".len();
        let fill = rand::rng()
            .sample_iter(Alphanumeric)
            .take(bytes.saturating_sub(frame));
        Self {
            event_type: event_type(run),
            fill: fill.map(char::from).collect(),
            path: if batch > 1 {
                "/events/batch"
            } else {
                "/events"
            },
        }
    }

    /// Where the requests go.
    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// The request that records the events with these numbers.
    pub(super) fn body(&self, numbers: Range<u32>) -> Bytes {
        let mut text = String::new();
        if self.path == "/events" {
            numbers.for_each(|number| self.write_event(&mut text, number));
            return text.into();
        }
        text.push_str(r#"{"events":["#);
        let first = numbers.start;
        for number in numbers {
            if number > first {
                text.push(',');
            }
            self.write_event(&mut text, number);
        }
        text.push_str("]}");
        text.into()
    }

    fn write_event(&self, text: &mut String, number: u32) {
        let Self {
            event_type, fill, ..
        } = self;
        write!(
            text,
            r#"{{"event":"{event_type}","data":{{{NUMBER}{number}{FILL}{fill}"}}}}"#
        )
        .expect("a String takes every text");
    }
}

/// The type of a run's events.
pub(super) fn event_type(run: &str) -> String {
    format!("bench.{run}")
}

/// The number of the event that was delivered.
pub(super) fn number_in(body: &[u8]) -> Option<u32> {
    let (mark, mut number) = (NUMBER.as_bytes(), None::<u32>);
    let start = body.windows(mark.len()).position(|window| window == mark)? + mark.len();
    for byte in body.get(start..)? {
        let b'0'..=b'9' = byte else { break };
        let digit = u32::from(byte - b'0');
        number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_as_large_as_asked_and_its_number_is_found() {
        let payload = Payload::new("run_1", 1024, 1);
        let body = payload.body(1_234_567_890..1_234_567_891);
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();

        assert_eq!(event["event"], "bench.run_1");
        assert_eq!(event["data"].to_string().len(), 1024);
        assert_eq!(number_in(&body), Some(1_234_567_890));
    }

    #[test]
    fn a_batch_holds_each_event_once() {
        let payload = Payload::new("run_1", 64, 3);
        let batch: serde_json::Value = serde_json::from_slice(&payload.body(7..10)).unwrap();
        let events = batch["events"].as_array().unwrap();
        let numbers: Vec<_> = events
            .iter()
            .map(|event| event["data"]["bench_number"].as_u64().unwrap())
            .collect();

        assert_eq!(numbers, [7, 8, 9]);
        assert_eq!(payload.path(), "/events/batch");
    }

    #[test]
    fn a_body_without_a_number_has_none() {
        for body in [
            "",
            r#"{"bench_number":}"#,
            r#"{"bench_number":"1"}"#,
            r#"{"bench_number":99999999999}"#,
        ] {
            assert_eq!(number_in(body.as_bytes()), None, "{body}");
        }
    }
}
