//! Load, comparison and acceptance runs.

fn main() {}
