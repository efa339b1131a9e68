//! libFuzzer on the target `contracts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::contracts::run(bytes));
