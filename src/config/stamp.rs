//! What the files of a configuration look like from outside, to see that they have changed.
//!
//! Asked once a second instead of by notifications of the kernel: these are lost on network and
//! overlay file systems and tell nothing of a folder that is exchanged through a symbolic link,
//! which is how deployments change files. Links are followed. Nothing is read but what a listing
//! says: a change of time, length or identity is a change.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::sources::list_yaml;

/// The files that one configuration consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// `tidegate.yaml`.
    pub main: PathBuf,
    /// The policy, where there is one.
    pub policy: Option<PathBuf>,
    /// The charter, where there is one.
    pub charter: Option<PathBuf>,
    /// The folder of the contracts.
    pub contracts: Option<PathBuf>,
    /// The folder or file of the self-tests.
    pub self_tests: Option<PathBuf>,
}

/// What the files looked like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(Vec<Seen>);

/// One file; `None` where it cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    facts: Option<[i64; 6]>,
}

impl Seen {
    fn of(path: &Path) -> Self {
        let facts = fs::metadata(path).ok().map(|metadata| facts(&metadata));
        Self {
            path: path.to_owned(),
            facts,
        }
    }
}

/// Which file it is, how long, and when its content and its entry were changed.
fn facts(file: &Metadata) -> [i64; 6] {
    let [identity, length] = [file.ino(), file.len()].map(u64::cast_signed);
    let content = [file.mtime(), file.mtime_nsec()];
    let entry = [file.ctime(), file.ctime_nsec()];
    // The length of a folder says nothing.
    let length = if file.is_dir() { 0 } else { length };
    [identity, length, content[0], content[1], entry[0], entry[1]]
}

impl Stamp {
    /// Of these files, in their order.
    pub fn of_files<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        Self(paths.map(Seen::of).collect())
    }

    /// Of one file alone.
    pub(super) fn of_file(path: &Path) -> Self {
        Self(vec![Seen::of(path)])
    }
}

impl Sources {
    /// What they look like now; `others` are files that were found to have faults.
    #[must_use]
    pub fn stamp(&self, others: &[PathBuf]) -> Stamp {
        let mut stamp = self.stamp_after(Stamp::of_file(&self.main));
        stamp.0.extend(others.iter().map(|path| Seen::of(path)));
        stamp
    }

    pub(super) fn stamp_after(&self, mut main: Stamp) -> Stamp {
        main.0.extend(self.policy.iter().map(|path| Seen::of(path)));
        main.0
            .extend(self.charter.iter().map(|path| Seen::of(path)));
        for path in self.contracts.iter().chain(&self.self_tests) {
            // Not the folder itself: other files may come and go there.
            let mut faults = Vec::new();
            let files = match path.is_dir() {
                true => list_yaml(path, &mut faults),
                false => vec![path.clone()],
            };
            main.0.extend(files.iter().map(|path| Seen::of(path)));
        }
        main
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Sources;

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for release in ["one", "two"] {
            fs::create_dir(path(release)).expect("a folder");
            fs::write(path(release).join("a.yaml"), "x").expect("a file");
        }
        std::os::unix::fs::symlink(path("one"), path("contracts")).expect("a link");
        fs::write(path("tidegate.yaml"), "x").expect("a file");
        let sources = Sources {
            main: path("tidegate.yaml"),
            policy: Some(path("policy.yaml")),
            charter: Some(path("charter.yaml")),
            contracts: Some(path("contracts")),
            self_tests: Some(path("self-tests")),
        };
        let exchange_link = || {
            std::os::unix::fs::symlink(path("two"), path("link")).expect("a link");
            fs::rename(path("link"), path("contracts")).expect("exchanged");
        };
        let steps: [(&str, bool, &dyn Fn()); 11] = [
            ("nothing", false, &|| {}),
            ("rewritten", true, &|| {
                fs::write(path("one/a.yaml"), "yy").expect("written");
            }),
            ("another file", true, &|| {
                fs::write(path("one/b.yaml"), "").expect("written");
            }),
            ("not ours", false, &|| {
                fs::write(path("one/notes.txt"), "").expect("written");
            }),
            ("removed", true, &|| {
                fs::remove_file(path("one/b.yaml")).expect("removed");
            }),
            ("the folder behind a link", true, &exchange_link),
            ("a policy", true, &|| {
                fs::write(path("policy.yaml"), "").expect("written");
            }),
            ("self-tests", true, &|| {
                fs::create_dir(path("self-tests")).expect("a folder");
                fs::write(path("self-tests/a.yaml"), "").expect("written");
            }),
            ("one of them", true, &|| {
                fs::write(path("self-tests/a.yaml"), "yy").expect("written");
            }),
            ("a charter", true, &|| {
                fs::write(path("charter.yaml"), "").expect("written");
            }),
            ("the main file", true, &|| {
                fs::rename(path("tidegate.yaml"), path("old")).expect("moved");
                fs::write(path("tidegate.yaml"), "x").expect("written");
            }),
        ];
        for (what, changes, step) in steps {
            let before = sources.stamp(&[]);
            step();
            assert_eq!(sources.stamp(&[]) != before, changes, "{what}");
        }
    }
}
