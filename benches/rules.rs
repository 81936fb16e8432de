//! What the pure rules cost: signing, taking JSON in at the door, choosing endpoints.
//!
//! `cargo bench --bench rules -- sign` runs those whose name contains the word. No network and no database.

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, Utc};
use criterion::{Criterion, Throughput};
use tidings::domain::endpoint::{Endpoint, EndpointState, Secrets};
use tidings::domain::event::{EventLimits, EventParts, EventPattern, EventType, NewEvent};
use tidings::domain::headers::signatures;
use tidings::domain::id::{EndpointId, EnvironmentId, EventId};
use tidings::domain::json::{JsonLimits, compact};
use tidings::domain::signature::{SigningSecret, sign_contract, sign_standard};
use tidings::domain::time::Clock;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    sign(&mut criterion);
    door(&mut criterion);
    choose(&mut criterion);
    criterion.final_summary();
}

/// A JSON object of about a kibibyte, as producers send them: short members of several kinds, some white space.
fn kibibyte() -> String {
    let mut members: Vec<String> = (0..16)
        .map(|number| {
            format!(r#""member_{number}": {{"name": "caf\u00e9 {number}", "amount": 12.50}}"#)
        })
        .collect();
    let length = |members: &[String]| members.join(", ").len() + 2;
    let fill = 1024_usize.saturating_sub(length(&members) + r#", "fill": """#.len());
    members.push(format!(r#""fill": "{}""#, "x".repeat(fill)));
    format!("{{{}}}", members.join(", "))
}

fn secrets(now: DateTime<Utc>) -> Secrets {
    Secrets {
        current: SigningSecret::from_bytes([7; 32]),
        current_since: now,
        previous: None,
    }
}

fn sign(criterion: &mut Criterion) {
    let (now, body) = (Clock::System.now(), kibibyte());
    let (event, secrets, body) = (EventId::new(now), secrets(now), body.as_bytes());
    let (secret, id) = (&secrets.current, event.to_string());
    let mut group = criterion.benchmark_group("sign a kibibyte");
    group.bench_function("WorkOS-Signature", |bench| {
        bench.iter(|| sign_contract(secret, now.timestamp_millis(), black_box(body)));
    });
    group.bench_function("webhook-signature", |bench| {
        bench.iter(|| sign_standard([secret], &id, now.timestamp(), black_box(body)));
    });
    group.bench_function("both, as an attempt does", |bench| {
        bench.iter(|| signatures(event, black_box(body), &secrets, now));
    });
    group.finish();
}

fn door(criterion: &mut Criterion) {
    let data = kibibyte();
    let limits = EventLimits {
        data_bytes_max: 256 * 1024,
    };
    let mut group = criterion.benchmark_group("a kibibyte of JSON");
    group.throughput(Throughput::Bytes(data.len().try_into().unwrap_or(u64::MAX)));
    group.bench_function("compact", |bench| {
        bench.iter(|| {
            let mut out = String::with_capacity(data.len());
            let compacted = compact(black_box(&data), JsonLimits::default(), &mut out);
            compacted.map(|_kind| out)
        });
    });
    group.bench_function("parse an event", |bench| {
        bench.iter(|| {
            let parts = EventParts {
                event: "invoice.paid",
                data: black_box(&data),
                context: None,
                organization_id: None,
            };
            NewEvent::parse("", &parts, limits)
        });
    });
    group.finish();
}

/// What a type that was not seen before costs; the fan-out remembers what it has found.
fn choose(criterion: &mut Criterion) {
    let wanted = EventType::parse("event", "invoice.item_500.paid").expect("an event type");
    let mut group = criterion.benchmark_group("choose among endpoints");
    for count in [1, 1_000] {
        let endpoints: Vec<Endpoint> = (0..count).map(endpoint).collect();
        group.bench_function(count.to_string(), |bench| {
            bench.iter(|| {
                let endpoints = black_box(&endpoints).iter();
                endpoints
                    .filter(|endpoint| endpoint.wants(&wanted, None))
                    .count()
            });
        });
    }
    group.finish();
}

/// An endpoint with a pattern that no other has.
fn endpoint(number: u32) -> Endpoint {
    let (now, pattern) = (Clock::System.now(), format!("invoice.item_{number}.*"));
    Endpoint {
        environment: EnvironmentId::new(now),
        id: EndpointId::new(now),
        url: format!("https://example.com/{number}"),
        patterns: vec![EventPattern::parse("events", &pattern).expect("a pattern")],
        organization: None,
        description: String::new(),
        state: EndpointState::Enabled,
        secrets: secrets(now),
        schedule: None,
        failing_since: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}
