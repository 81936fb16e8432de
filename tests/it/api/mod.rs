//! The API: what every operation answers, good and bad, over real HTTP.

mod endpoint_urls;
mod endpoints;
mod errors;
mod events;
mod feed_filters;
mod health;
mod idempotency;
mod idempotency_elsewhere;
mod limits;
mod malformed;
mod organizations;
mod parser_laws;
mod parsers;
mod permissions;
mod proxied;
mod rates;
mod replays;
