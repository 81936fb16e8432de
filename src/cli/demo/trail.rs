//! The audit trail of a small company: who did what in the days before.
//!
//! Invariant: pure; times are counted back from a moment that does not change when the story is told again.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::story::{mixed, pick};
use crate::domain::time;

/// Entries of each organization.
pub(super) const ENTRIES: u32 = 24;
/// The time between two of them, before chance spreads it.
const BETWEEN: TimeDelta = TimeDelta::minutes(170);

/// The action whose entries have to fit a schema.
pub(super) const REFUND: &str = "invoice.refunded";

/// The schema of refunds.
pub(super) fn refund_schema() -> Value {
    json!({
        "targets": [{ "type": "invoice" }],
        "metadata": { "type": "object", "properties": { "amount_cents": { "type": "number" }, "reason": { "type": "string" } } },
    })
}

struct Person {
    id: &'static str,
    name: &'static str,
    role: &'static str,
    address: &'static str,
}

/// Three people of each organization.
const PEOPLE: [[Person; 3]; 3] = [
    [
        person("user_maren", "Maren Oetker", "owner", "203.0.113.14"),
        person("user_jonas", "Jonas Weiland", "baker", "203.0.113.27"),
        person("user_ines", "Ines Carvalho", "accountant", "198.51.100.8"),
    ],
    [
        person("user_theo", "Theo Brandt", "owner", "198.51.100.61"),
        person("user_sanne", "Sanne de Wit", "designer", "203.0.113.90"),
        person("user_piotr", "Piotr Zielinski", "warehouse", "203.0.113.91"),
    ],
    [
        person("user_amara", "Amara Okafor", "owner", "192.0.2.33"),
        person("user_lin", "Lin Zhao", "engineer", "192.0.2.34"),
        person("user_bo", "Bo Lindgren", "support", "192.0.2.77"),
    ],
];

const fn person(
    id: &'static str,
    name: &'static str,
    role: &'static str,
    address: &'static str,
) -> Person {
    Person {
        id,
        name,
        role,
        address,
    }
}

const BROWSERS: [&str; 3] = [
    "Firefox 144 on Linux",
    "Safari 26 on macOS",
    "Chrome 142 on Windows",
];
const WAYS: [&str; 3] = ["passkey", "password", "sso"];

/// One entry of an organization's trail, without the organization.
pub(super) fn entry(of: usize, number: u32, until: DateTime<Utc>) -> Value {
    let salt = 100 + u32::try_from(of).unwrap_or_default();
    let people = PEOPLE.get(of).unwrap_or(&PEOPLE[0]);
    let index = usize::try_from(mixed(number, salt, 3)).unwrap_or_default();
    let who = people.get(index).unwrap_or(&people[0]);
    let other = people.get((index + 1) % 3).unwrap_or(&people[0]);
    let (action, target, metadata) = deed(number, salt, who, other);
    let spread = TimeDelta::minutes(mixed(number, salt + 1, 150).into());
    let back = i32::try_from(ENTRIES - number.min(ENTRIES)).unwrap_or_default();
    let at = until - BETWEEN * back - TimeDelta::minutes(5) + spread;
    json!({
        "action": action,
        "occurred_at": time::to_text(at.min(until)),
        "actor": { "id": who.id, "type": "user", "name": who.name, "metadata": { "role": who.role } },
        "targets": [target],
        "context": { "location": who.address, "user_agent": pick(number, salt, &BROWSERS) },
        "metadata": metadata,
    })
}

/// What was done, to what, and how.
fn deed(number: u32, salt: u32, who: &Person, other: &Person) -> (&'static str, Value, Value) {
    let member = json!({ "id": other.id, "type": "user", "name": other.name });
    match mixed(number, salt + 2, 12) {
        0..=3 => (
            "user.signed_in",
            json!({ "id": who.id, "type": "user", "name": who.name }),
            json!({ "method": pick(number, salt + 3, &WAYS) }),
        ),
        4 => ("member.invited", member, json!({ "role": other.role })),
        5 => (
            "member.role_changed",
            member,
            json!({ "before": "viewer", "after": other.role }),
        ),
        6..=7 => (
            REFUND,
            json!({ "id": format!("inv_{:05}", mixed(number, salt, 300)), "type": "invoice" }),
            json!({ "amount_cents": 500 + mixed(number, salt + 3, 90) * 50, "reason": "returned" }),
        ),
        8 => (
            "api_token.created",
            json!({ "id": format!("token_{number}"), "type": "api_token", "name": "Till in the shop" }),
            json!({ "scope": "orders:read" }),
        ),
        9 => (
            "report.downloaded",
            json!({ "id": "report_q3", "type": "report", "name": "Turnover, third quarter" }),
            json!({ "format": "csv", "rows": 1_200 + mixed(number, salt, 400) }),
        ),
        10 => (
            "payment_method.updated",
            json!({ "id": "card_main", "type": "payment_method", "name": "Card ending in 4242" }),
            json!({}),
        ),
        _ => (
            "settings.changed",
            json!({ "id": "settings", "type": "settings", "name": "Sign-in" }),
            json!({ "setting": "require_passkey", "before": "off", "after": "on" }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_in_the_past_and_are_the_same_every_time() {
        let until = time::from_millis(1_767_225_600_000);
        for of in 0..3 {
            for number in 0..ENTRIES {
                let told = entry(of, number, until);
                let at = told["occurred_at"]
                    .as_str()
                    .and_then(time::from_text)
                    .unwrap();

                assert!(at <= until, "{told}");
                assert_eq!(told, entry(of, number, until));
            }
        }
    }
}
