//! libFuzzer on the target `differential`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::differential::run(bytes));
