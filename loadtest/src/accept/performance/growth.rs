//! What grows with the number of contracts, of client keys and of connections, and how much.

mod idle;
mod keys;
mod matching;
mod memory;
mod scene;
mod start;

pub(super) use idle::connections as idle;
pub(super) use keys::bounded as client_keys;
pub(super) use matching::of_paths as matching;
pub(super) use memory::of_contracts as memory;
pub(super) use start::up as start_up;
