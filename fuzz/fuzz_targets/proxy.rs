//! libFuzzer on the target `proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::proxy::run(bytes));
