//! libFuzzer on the target `chunked`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::chunked::run(bytes));
