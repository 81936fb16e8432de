//! The banner: what a person sees at the start, and what to do next.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use crate::config::Config;
use crate::domain::access::ApiKeyText;
use crate::egress::Policy;

/// What the banner tells.
pub(super) struct Banner<'a> {
    pub(super) config: &'a Config,
    pub(super) url: &'a str,
    pub(super) database: &'a str,
    /// The environment's name and the new key, on the first start.
    pub(super) first_key: Option<(&'a str, &'a ApiKeyText)>,
}

impl Banner<'_> {
    pub(super) fn render(&self) -> String {
        let url = self.url;
        let mut text = format!("\n  Tidings {} is running.\n\n", env!("CARGO_PKG_VERSION"));
        let _infallible = writeln!(text, "  API        {url}");
        let _infallible = writeln!(text, "  Docs       {url}/docs");
        let _infallible = writeln!(text, "  Database   {}", self.database);
        let key = match self.first_key {
            Some((environment, key)) => {
                let _infallible = writeln!(text, "  API key    {}", key.expose());
                let _infallible = writeln!(
                    text,
                    "             for environment \"{environment}\"; shown this once, so keep it"
                );
                key.expose()
            }
            None => "sk_…",
        };
        let program = program();
        let _infallible = write!(
            text,
            "\n  Try it, in another terminal:\n\n    \
             {program} receive                      # a receiver on http://127.0.0.1:9000\n\n    \
             curl {url}/webhook_endpoints -H 'Authorization: Bearer {key}' \\\n      \
             --json '{{\"endpoint_url\": \"http://127.0.0.1:9000/\", \"events\": [\"invoice.*\"]}}'\n\n    \
             curl {url}/events -H 'Authorization: Bearer {key}' \\\n      \
             --json '{{\"event\": \"invoice.paid\", \"data\": {{\"id\": \"inv_1\", \"amount\": 1200}}}}'\n\n    \
             curl {url}/events -H 'Authorization: Bearer {key}'\n"
        );
        if self.first_key.is_none() {
            let _infallible = write!(text, "\n  A new key: {program} keys create\n");
        }
        if !self.allows_loopback() {
            let _infallible = write!(
                text,
                "\n  Deliveries to this machine and to private networks are refused. For a receiver on this\n  \
                 machine start with: {program} --egress-allow 127.0.0.1\n"
            );
        }
        text
    }

    fn allows_loopback(&self) -> bool {
        let policy = Policy::new(self.config.egress.allow.clone(), false);
        policy
            .check_address(IpAddr::V4(Ipv4Addr::LOCALHOST))
            .is_ok()
    }
}

/// How this program was called.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "tidings".to_owned())
}
