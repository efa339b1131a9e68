//! Fuzz targets, and a driver of our own beside libFuzzer.
//!
//! A target takes any bytes and panics where a law is broken. The laws are about what is promised
//! to whoever reads hostile bytes: no panic, bounded output, one meaning.

pub mod mutate;
pub mod targets;
