//! Deliveries: what receivers get, when, and what is recorded of it.
