//! The portal: who gets in, what they see, and what they cannot be made to do.

mod browser;
mod driver;
mod organizations;
mod pages;
mod replays;
mod sessions;
mod visitor;
mod why;

use visitor::Visitor;
