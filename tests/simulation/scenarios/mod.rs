//! One file for each trouble.

mod chaos;
mod clock;
mod failure;
mod flash_crowd;
mod limits;
mod long;
mod moved;
mod push_back;
mod quiet;
mod slow;
mod stall;
mod swap;
mod tenants;
mod tiers;
