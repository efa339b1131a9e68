//! libFuzzer on the target `head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::head::run(bytes));
