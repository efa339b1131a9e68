//! A gateway of four people, its bundles, and a clock that the test holds.

mod measures;
mod rooted;
mod signed;
mod site;
mod starting;
mod taking;
