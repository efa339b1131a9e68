//! Load, comparison and acceptance runs against a tidegate binary, from outside.
//!
//! This package talks to the gateway only as its users do: command line, sockets, files.
//! It does not use the gateway's library, so that nothing is judged by the code it judges.

pub mod accept;
pub mod ask;
pub mod cpu_ratio;
pub mod crowd;
pub mod differential;
pub mod drive;
pub mod generate;
pub mod instructions;
pub mod interrupted;
pub mod peers;
pub mod probes;
pub mod process;
pub mod profile;
pub mod random;
pub mod site;
pub mod standstill;
pub mod upstream;
pub mod wire;
