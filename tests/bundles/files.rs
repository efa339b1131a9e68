//! What becomes of files that are there already.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::place::Place;

#[test]
fn what_is_there_is_not_written_over() {
    let place = Place::new();
    place.bundle("b.json", "", &["alice"]);
    let public = place.ok("bundle keygen --out dave.key").out;
    let all = ["root.json", "b.json", "alice.key"];
    let read = || all.map(|file| fs::read(place.path(file)).unwrap());
    let before = read();
    let init = format!(
        "root init --audience edge --production false --principal d={0} --principal e={1}",
        public.trim(),
        place.ok("bundle keygen --out eve.key").out.trim()
    );
    for file in all {
        let told = [file, "is there already", "name another file"];
        place.refused(&format!("root rotate root.json -o {file}"), 1, &told);
        place.refused(&format!("{init} -o {file}"), 1, &told);
        let build = "bundle build --root root.json --author alice --parent b.json";
        place.refused(&format!("{build} -o {file}"), 1, &told);
    }
    assert!(read() == before);
    // A name that leads nowhere is a name all the same.
    symlink("nowhere.json", place.path("link.json")).unwrap();
    place.refused(
        "root rotate root.json -o link.json",
        1,
        &["name another file"],
    );
    assert!(!place.path("nowhere.json").exists());
    let left = fs::read_dir(place.dir()).unwrap();
    let mut names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.ends_with(".tmp")));
}

#[test]
fn who_signs_through_a_link_signs_its_target() {
    let place = Place::new();
    place.bundle("b.json", "", &["alice"]);
    fs::create_dir(place.path("else")).unwrap();
    fs::rename(place.path("b.json"), place.path("else/b.json")).unwrap();
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(place.path("else/b.json"), mode(0o660)).unwrap();
    symlink("else/b.json", place.path("b.json")).unwrap();
    place.ok("bundle sign --root root.json --key bob.key --key carol.key b.json");
    let link = fs::symlink_metadata(place.path("b.json")).unwrap();
    assert!(link.is_symlink());
    let facts = fs::metadata(place.path("else/b.json")).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o660);
    place.ok("bundle verify else/b.json --root root.json");
}
