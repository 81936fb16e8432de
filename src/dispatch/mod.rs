//! Dispatch: takes what is due, signs it, sends it, and writes down what came of it.
//!
//! Invariant: a delivery is sent only under a committed lease, and no connection or transaction is held while a
//! POST is under way. Whatever happens in memory may be lost: the row says what is still owed.

mod breakers;
mod courier;
mod database;
mod deliver;
mod dispatcher;
mod health;
mod lanes;
mod scout;
mod settle;
mod settler;
mod under_way;
mod world;

pub use courier::{Courier, CourierSettings};
pub use dispatcher::{Dispatcher, DispatcherSettings, Drained};
pub use world::{Answered, Chance, Ledger, Network, World};
