//! The story: organizations, event types, endpoints and what happens; told by a shop's platform about its three users.
//!
//! Invariant: pure and without chance, so that a story that was interrupted goes on with the same words. Names,
//! addresses and networks are those set aside for examples.

use serde_json::{Value, json};

/// What is published when the story is told, so that it is not told again.
pub(super) const THE_END: &str = "demo.completed";

/// A port beside the receiver's own that nobody listens on.
const NOBODY: &str = "http://127.0.0.1:9019";

pub(super) struct OrganizationPart {
    pub(super) name: &'static str,
    pub(super) external_id: &'static str,
    pub(super) plan: &'static str,
}

pub(super) const ORGANIZATIONS: [OrganizationPart; 3] = [
    OrganizationPart {
        name: "Larkspur Bakery",
        external_id: "demo-larkspur",
        plan: "team",
    },
    OrganizationPart {
        name: "Harbor & Pine Furniture",
        external_id: "demo-harbor-pine",
        plan: "business",
    },
    OrganizationPart {
        name: "Quillon Robotics",
        external_id: "demo-quillon",
        plan: "trial",
    },
];

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Well,
    Slow,
    /// Refuses some attempts.
    Flaky,
    /// Nobody listens.
    Dead,
    /// Answers 410.
    Gone,
}

pub(super) struct EndpointPart {
    pub(super) path: &'static str,
    pub(super) description: &'static str,
    pub(super) patterns: &'static [&'static str],
    pub(super) manner: Manner,
    /// Which of the organizations it is bound to.
    pub(super) of: Option<usize>,
    /// Waits between attempts; the platform's where there are none.
    pub(super) waits: Option<&'static [u32]>,
}

pub(super) const ENDPOINTS: [EndpointPart; 7] = [
    EndpointPart {
        path: "billing",
        description: "Billing backend",
        patterns: &["invoice.*", "payment.*"],
        manner: Manner::Well,
        of: None,
        waits: None,
    },
    EndpointPart {
        path: "warehouse",
        description: "Warehouse; takes its time",
        patterns: &["order.*"],
        manner: Manner::Slow,
        of: None,
        waits: None,
    },
    EndpointPart {
        path: "security",
        description: "Larkspur's security monitoring: who did what",
        patterns: &["audit_log.*"],
        manner: Manner::Well,
        of: Some(0),
        waits: None,
    },
    EndpointPart {
        path: "larkspur",
        description: "Larkspur's own",
        patterns: &["invoice.*", "order.shipped"],
        manner: Manner::Well,
        of: Some(0),
        waits: None,
    },
    EndpointPart {
        path: "mail",
        description: "Mail service; answers 503 now and then",
        patterns: &["invoice.paid", "payment.failed", "subscription.*"],
        manner: Manner::Flaky,
        of: None,
        waits: Some(&[1, 2, 4, 8]),
    },
    EndpointPart {
        path: "crm",
        description: "Old CRM; nobody is there",
        patterns: &["order.placed", "subscription.*"],
        manner: Manner::Dead,
        of: None,
        waits: Some(&[1, 120, 600]),
    },
    EndpointPart {
        path: "partner",
        description: "Former partner; answered 410 Gone",
        patterns: &["order.shipped"],
        manner: Manner::Gone,
        of: Some(1),
        waits: None,
    },
];

impl Manner {
    /// The manner of the receiver at this path.
    pub(super) fn at(path: &str) -> Option<Self> {
        let path = path.trim_start_matches('/');
        let part = ENDPOINTS.iter().find(|part| part.path == path);
        part.map(|part| part.manner)
    }
}

impl EndpointPart {
    /// Its URL, at this receiver.
    pub(super) fn url(&self, receiver: &url::Url) -> String {
        match self.manner {
            Manner::Dead => format!("{NOBODY}/{}", self.path),
            Manner::Well | Manner::Slow | Manner::Flaky | Manner::Gone => {
                format!("{}/{}", receiver.as_str().trim_end_matches('/'), self.path)
            }
        }
    }
}

/// The event types with their schemas; the first is enforced.
pub(super) fn event_types() -> [(&'static str, Value); 7] {
    let text = || json!({ "type": "string" });
    let amount = || json!({ "type": "integer", "minimum": 0 });
    let object = |required: Value, properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let invoice = object(
        json!(["id", "amount_cents", "currency"]),
        json!({ "id": text(), "amount_cents": amount(), "currency": { "enum": ["EUR", "USD"] } }),
    );
    let order = object(
        json!(["id"]),
        json!({ "id": text(), "items": { "type": "array" } }),
    );
    let payment = object(
        json!(["id", "reason"]),
        json!({ "id": text(), "reason": text() }),
    );
    let plan = object(
        json!(["plan"]),
        json!({ "plan": text(), "seats": { "type": "integer", "minimum": 1 } }),
    );
    let kind = |name, description: &str, schema: &Value, enforced: bool| {
        let body = json!({ "name": name, "description": description, "schema": schema, "enforced": enforced });
        (name, body)
    };
    [
        kind(
            "invoice.paid",
            "An invoice was paid in full.",
            &invoice,
            true,
        ),
        kind("invoice.created", "An invoice was sent.", &invoice, false),
        kind(
            "invoice.overdue",
            "An invoice is past its date.",
            &invoice,
            false,
        ),
        kind("order.placed", "An order came in.", &order, false),
        kind(
            "order.shipped",
            "An order left the warehouse.",
            &order,
            false,
        ),
        kind("payment.failed", "A card was declined.", &payment, false),
        kind(
            "subscription.upgraded",
            "More seats, or a larger plan.",
            &plan,
            false,
        ),
    ]
}

/// An event of the story.
pub(super) struct EventPart {
    /// Which of the organizations it is about.
    pub(super) of: usize,
    pub(super) event: &'static str,
    pub(super) data: Value,
    pub(super) context: Value,
}

/// The event with this number.
pub(super) fn event(number: u32) -> EventPart {
    let of = match mixed(number, 1, 10) {
        0..=4 => 0,
        5..=7 => 1,
        _ => 2,
    };
    let amount = 900 + mixed(number, 2, 800) * 25;
    let invoice = |id: u32| {
        json!({ "id": format!("inv_{id:05}"), "amount_cents": amount, "currency": "EUR",
            "lines": [{ "sku": pick(number, 3, &SKUS), "quantity": 1 + mixed(number, 4, 9) }] })
    };
    let order = json!({ "id": format!("ord_{number:05}"), "items": [{ "sku": pick(number, 3, &SKUS), "quantity": 1 + mixed(number, 4, 4) }],
        "ship_to": { "city": pick(number, 5, &CITIES), "country": "DE" } });
    let (event, data) = match mixed(number, 6, 20) {
        0..=5 => ("invoice.paid", invoice(number)),
        6..=8 => ("invoice.created", invoice(number)),
        9 => ("invoice.overdue", invoice(number)),
        10..=14 => ("order.placed", order),
        15..=17 => ("order.shipped", order),
        18 => (
            "payment.failed",
            json!({ "id": format!("pay_{number:05}"), "reason": pick(number, 5, &REASONS), "attempt": 1 + mixed(number, 4, 3) }),
        ),
        _ => (
            "subscription.upgraded",
            json!({ "plan": pick(number, 5, &PLANS), "seats": 5 + mixed(number, 4, 40) }),
        ),
    };
    let context = json!({ "source": pick(number, 7, &SOURCES) });
    EventPart {
        of,
        event,
        data,
        context,
    }
}

const SKUS: [&str; 5] = [
    "rye-1kg",
    "oak-desk",
    "servo-12",
    "walnut-chair",
    "starter-kit",
];
const CITIES: [&str; 5] = ["Bremen", "Leipzig", "Freiburg", "Kiel", "Erfurt"];
const REASONS: [&str; 3] = ["card_declined", "insufficient_funds", "expired_card"];
const PLANS: [&str; 3] = ["team", "business", "business-yearly"];
const SOURCES: [&str; 3] = ["checkout", "back-office", "api"];

/// One of the choices, the same for the same number.
pub(super) fn pick<'a>(number: u32, salt: u32, choices: &[&'a str]) -> &'a str {
    let count = u32::try_from(choices.len()).unwrap_or(1).max(1);
    let index = usize::try_from(mixed(number, salt, count)).unwrap_or_default();
    choices.get(index).copied().unwrap_or_default()
}

/// A number below `below` that looks like chance and is none (Source: the finalizer of MurmurHash3).
pub(super) fn mixed(number: u32, salt: u32, below: u32) -> u32 {
    let mut mixed = number
        .wrapping_mul(31)
        .wrapping_add(salt.wrapping_mul(0x9e37_79b9));
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    (mixed ^ (mixed >> 16))
        .checked_rem(below)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_shortest_story_has_every_type_every_organization_and_enough_for_the_dead_to_be_left_alone()
     {
        let told: Vec<_> = (0..60).map(event).collect();
        let types: HashSet<_> = told.iter().map(|part| part.event).collect();
        let organizations: HashSet<_> = told.iter().map(|part| part.of).collect();
        let dead = told.iter().filter(|part| part.event == "order.placed");
        let gone = told
            .iter()
            .any(|part| part.event == "order.shipped" && part.of == 1);

        assert_eq!(types.len(), 7, "{types:?}");
        assert_eq!(organizations.len(), 3);
        assert!(dead.count() >= 10);
        assert!(gone);
    }
}
