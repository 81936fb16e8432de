//! Faults, and they are real: killed servers, a killed Postgres, terminated backends, stops under load.
//!
//! What a test measures it prints (`--nocapture`); what it asserts is a promise.

mod backends;
mod backlogs;
mod commits;
mod dumps;
mod exports;
mod external;
mod failover;
mod frozen;
mod kills;
mod neighbours;
mod network;
mod overload;
mod postgres;
mod refusals;
mod replays;
mod reruns;
mod rolling;
mod room;
mod several;
mod stops;
mod storms;
mod strain;
mod waits;
