//! Format versions: this one is read, others are refused with what is supported.

use crate::traffic::place;

/// Checks the files with that version in the policy: the exit code, and what was said.
fn check(version: u32) -> (i32, String) {
    let place = place();
    place.write("policy.yaml", &format!("version: {version}\nname: plain\n"));
    let ran = place.run("check -c tidegate.yaml");
    (ran.code, ran.out + &ran.err)
}

fn refused(version: u32) {
    let (code, told) = check(version);
    assert_eq!(code, 78, "{told}");
    assert!(told.contains("policy.yaml"), "{told}");
    assert!(told.contains("version: 1"), "what is supported: {told}");
}

// R111
#[test]
fn version_1_is_read() {
    let (code, told) = check(1);
    assert_eq!(code, 0, "{told}");
}

// R111
#[test]
fn version_0_is_refused() {
    refused(0);
}

// R111
#[test]
fn version_2_is_refused() {
    refused(2);
}
