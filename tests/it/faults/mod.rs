//! Faults, and they are real: killed servers, a killed Postgres, terminated backends, stops under load.
//!
//! What a test measures it prints (`--nocapture`); what it asserts is a promise.

mod backends;
mod backlogs;
mod exports;
mod external;
mod kills;
mod neighbours;
mod postgres;
mod refusals;
mod several;
mod stops;
