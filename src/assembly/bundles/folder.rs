//! The watched folder: the candidate `bundle.json`, and the next root.
//!
//! Looked at by what a listing says, taken when it stood still for one look, and then compared by the
//! hash of what was read: so a folder that is exchanged through a link is seen, and the same content
//! in another file is no news. What is read half-written is refused and taken when it is whole. What
//! was refused for a reason that passes by itself is tried again.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::OFlags;

use super::store::read_regular;
use crate::assembly::reload::Watch;
use crate::bundle::digest_hex;
use crate::bundle::refusal::RefusalCode;
use crate::config::{Sources, Stamp};

/// Between two looks, where there is no folder: emergency measures end all the same.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was refused for a reason that passes is tried again after so long: a minute.
const RETRY_US: u64 = 60_000_000;

/// A folder, where there is one.
#[derive(Debug)]
pub(super) struct Folder(Option<Watched>);

#[derive(Debug)]
struct Watched {
    dir: PathBuf,
    /// The version of the root that may come.
    next_root: u64,
    watch: Watch,
    /// What was taken last of each, by its hash.
    taken: [Option<String>; 2],
    retry_at_us: Option<u64>,
    /// Why the candidate that was taken last was refused.
    refused: Option<RefusalCode>,
}

/// A file that has news.
#[derive(Debug)]
pub(super) enum News {
    /// The next root.
    Root(io::Result<Vec<u8>>),
    /// A candidate.
    Bundle(io::Result<Vec<u8>>),
}

impl Folder {
    pub(super) fn new(dir: Option<PathBuf>, next_root: u64) -> Self {
        Self(dir.map(|dir| Watched {
            watch: Watch::new(sources(&dir, next_root), Stamp::default()),
            dir,
            next_root,
            taken: [None, None],
            retry_at_us: None,
            refused: None,
        }))
    }

    pub(super) fn look_every(&self) -> Duration {
        let watched = self.0.as_ref();
        watched.map_or(LOOK_EVERY, |watched| watched.watch.look_every())
    }

    /// Whether something may have changed, or it is time to try again.
    pub(super) fn look(&mut self, now_us: u64) -> bool {
        let Some(watched) = &mut self.0 else {
            return false;
        };
        if watched.retry_at_us.is_some_and(|at| at <= now_us) {
            watched.retry_at_us = None;
            watched.taken = [None, None];
            return true;
        }
        watched.watch.look()
    }

    /// Somebody asks for it: what is there is news, whatever it is.
    pub(super) fn forget(&mut self) {
        if let Some(watched) = &mut self.0 {
            watched.taken = [None, None];
        }
    }

    /// The next root is another one; under the one that came, a candidate may be right that was
    /// wrong before.
    pub(super) fn awaits_root(&mut self, next: u64) {
        if let Some(watched) = &mut self.0 {
            watched.next_root = next;
            let is_refused = watched.refused.is_some();
            let kept = watched.taken[1].take().filter(|_| !is_refused);
            watched.taken = [None, kept];
        }
    }

    /// Another bundle is in force without a candidate: one that follows it may lie there already.
    pub(super) fn parent_changed(&mut self) {
        let waits = |watched: &&mut Watched| watched.refused == Some(RefusalCode::ParentUnknown);
        if let Some(watched) = self.0.as_mut().filter(waits) {
            watched.retry_at_us = Some(0);
        }
    }

    /// A root was refused.
    pub(super) fn root_refused(&mut self, code: RefusalCode, now_us: u64) {
        self.retry(code, now_us);
    }

    /// A candidate was refused.
    pub(super) fn refused(&mut self, code: RefusalCode, now_us: u64) {
        if let Some(watched) = &mut self.0 {
            watched.refused = Some(code);
        }
        self.retry(code, now_us);
    }

    fn retry(&mut self, code: RefusalCode, now_us: u64) {
        let passes = matches!(
            code,
            RefusalCode::NotYetValid
                | RefusalCode::ClockBehindLedger
                | RefusalCode::NotPersisted
                | RefusalCode::NotRecorded
        );
        if let Some(watched) = self.0.as_mut().filter(|_| passes) {
            watched.retry_at_us = Some(now_us.saturating_add(RETRY_US));
        }
    }

    /// What is new: roots come before bundles that they may have signed.
    pub(super) fn news(&mut self) -> Option<News> {
        let watched = self.0.as_mut()?;
        let sources = sources(&watched.dir, watched.next_root);
        // Before it is read: what changes meanwhile will be seen as a change.
        let seen = sources.stamp(&[]);
        let [root, bundle] = &mut watched.taken;
        let root_path = watched.dir.join(format!("root.{}.json", watched.next_root));
        let news = read_news(&root_path, root).map(News::Root);
        let news = news.or_else(|| {
            let path = watched.dir.join("bundle.json");
            let news = read_news(&path, bundle).map(News::Bundle);
            if news.is_some() {
                watched.refused = None;
            }
            news
        });
        if news.is_none() {
            watched.watch.loaded(sources, seen);
        }
        news
    }
}

fn sources(dir: &std::path::Path, next_root: u64) -> Sources {
    Sources {
        main: dir.join("bundle.json"),
        policy: Some(dir.join(format!("root.{next_root}.json"))),
        charter: None,
        contracts: None,
        self_tests: None,
    }
}

/// What a file holds, where that is something else than what was taken. Links are followed: that is
/// how deployments change files.
fn read_news(path: &std::path::Path, taken: &mut Option<String>) -> Option<io::Result<Vec<u8>>> {
    let read = match read_regular(path, OFlags::empty()) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            *taken = None;
            return None;
        }
        read => read,
    };
    let hash = match &read {
        Ok(bytes) => digest_hex(bytes),
        Err(error) => error.to_string(),
    };
    if taken.as_ref() == Some(&hash) {
        return None;
    }
    *taken = Some(hash);
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(folder: &mut Folder) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(news) = folder.news() {
            let (what, read) = match news {
                News::Root(read) => ("root", read),
                News::Bundle(read) => ("bundle", read),
            };
            let text = read.map(|bytes| String::from_utf8(bytes).unwrap());
            all.push(format!(
                "{what} {}",
                text.unwrap_or_else(|_| "error".to_owned())
            ));
        }
        all
    }

    #[test]
    fn news_are_other_contents() {
        let tmp = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(tmp.path().join(name), text).unwrap();
        let mut folder = Folder::new(Some(tmp.path().to_owned()), 2);
        assert!(news(&mut folder).is_empty());
        put("bundle.json", "one");
        put("root.3.json", "too early");
        assert_eq!(news(&mut folder), ["bundle one"]);
        put("bundle.json", "one");
        assert!(news(&mut folder).is_empty(), "the same again");
        folder.forget();
        assert_eq!(news(&mut folder), ["bundle one"], "asked for");
        put("root.2.json", "next");
        assert_eq!(news(&mut folder), ["root next"]);
        folder.awaits_root(3);
        assert_eq!(news(&mut folder), ["root too early"]);
        // As deployments do it: a link to a folder is exchanged.
        for release in ["a", "b"] {
            let dir = tmp.path().join(release);
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("bundle.json"), release).unwrap();
            let link = tmp.path().join("link");
            std::os::unix::fs::symlink(&dir, &link).unwrap();
            std::fs::rename(&link, tmp.path().join("data")).unwrap();
            _ = std::fs::remove_file(tmp.path().join("bundle.json"));
            std::os::unix::fs::symlink("data/bundle.json", tmp.path().join("bundle.json")).unwrap();
            assert_eq!(news(&mut folder), [format!("bundle {release}")]);
        }
        std::fs::remove_file(tmp.path().join("bundle.json")).unwrap();
        std::fs::create_dir(tmp.path().join("bundle.json")).unwrap();
        assert_eq!(news(&mut folder), ["bundle error"]);
        assert!(news(&mut folder).is_empty(), "told once");
    }

    #[test]
    fn what_passes_is_tried_again() {
        let tmp = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(Some(tmp.path().to_owned()), 2);
        std::fs::write(tmp.path().join("bundle.json"), "early").unwrap();
        assert_eq!(news(&mut folder).len(), 1);
        folder.refused(RefusalCode::SignatureInvalid, 5);
        assert!(!folder.look(5 + RETRY_US));
        folder.refused(RefusalCode::NotYetValid, 5);
        assert!(!folder.look(4 + RETRY_US));
        assert!(folder.look(5 + RETRY_US));
        assert_eq!(news(&mut folder).len(), 1);
        // What lacked the next root, or its parent, is tried when that comes.
        folder.refused(RefusalCode::UnknownKey, 5);
        folder.awaits_root(3);
        assert_eq!(news(&mut folder).len(), 1);
        folder.awaits_root(4);
        assert!(news(&mut folder).is_empty(), "nothing was wrong with it");
        folder.parent_changed();
        assert!(!folder.look(5));
        folder.refused(RefusalCode::ParentUnknown, 5);
        folder.parent_changed();
        assert!(folder.look(5));
        assert_eq!(news(&mut folder).len(), 1);
        let mut none = Folder::new(None, 2);
        assert!(!none.look(0) && none.news().is_none());
    }
}
