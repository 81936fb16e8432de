//! The integration tests: one binary, one folder for each part of the platform.
mod embedded;
