//! The house: its walls, its tables and its documents, held against the code.

// clippy lets helpers unwrap only where it sees that they are for tests
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod source;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod walls;
