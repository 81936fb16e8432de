//! The integration tests: one binary, one folder for each part of the platform.

#[cfg(test)]
mod cli;
mod embedded;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
mod house;
#[cfg(test)]
mod process;
