//! The portal: who gets in, what they see, and what they cannot be made to do.

mod accessible;
mod browser;
mod driver;
mod frames;
mod hostile;
mod logs;
mod organizations;
mod pages;
mod plant;
mod replays;
mod sessions;
mod settings;
mod sizes;
mod strings;
mod visitor;
mod walk;
mod why;

use visitor::{Page, Visitor};
