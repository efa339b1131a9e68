//! libFuzzer on the target `path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::path::run(bytes));
