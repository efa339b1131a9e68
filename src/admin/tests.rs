//! The admin listener over real sockets, with a ledger behind it.

mod bench;
mod changing;
mod decisions;
mod levers;
mod life;
mod reading;
mod routes;
