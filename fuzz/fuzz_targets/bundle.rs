//! libFuzzer on the target `bundle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::targets::bundle::run(bytes));
