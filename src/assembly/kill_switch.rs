//! The kill switch: a tier that the process may not exceed, kept until it is reset.
//!
//! A file `tier_ceiling` in the state directory with one tier by its key; none = not used. Raising
//! the tier again means to remove that file, so it takes access to the state directory and not
//! only to the admin listener. Invariant: what cannot be read holds OBSERVE_ONLY, and what could
//! not be written holds as long as the process lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::admin::{KillSwitchState, Lowering};
use crate::rulebook::Registry;
use crate::units::Tier;

const FILE: &str = "tier_ceiling";

/// More than any tier's name has.
const BYTES_MAX: u64 = 64;

/// The kill switch of a process.
#[derive(Debug)]
pub(super) struct KillSwitch {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    state: KillSwitchState,
    /// The file says the same.
    kept: bool,
}

impl KillSwitch {
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let held = Held {
            state: read(&path),
            kept: true,
        };
        Self {
            path,
            held: Mutex::new(held),
        }
    }

    pub(super) fn state(&self) -> KillSwitchState {
        self.held().state.clone()
    }

    /// The most that the process may do.
    pub(super) fn ceiling(&self) -> Tier {
        ceiling_of(&self.held().state)
    }

    /// Lowers the tier at once, and then writes it down.
    pub(super) fn lower(&self, tier: Tier, registry: &Registry) -> Lowering {
        let mut held = self.held();
        let now = registry.active().load().tier();
        if tier > now {
            return Lowering::NotLower(now);
        }
        registry.set_ceiling(tier);
        held.state.ceiling = Some(tier);
        self.keep(&mut held);
        match &held.state.trouble {
            None => Lowering::Lowered(tier),
            Some(trouble) => Lowering::NotKept(tier, trouble.clone()),
        }
    }

    /// Reads the file again, in case the switch was reset, and hands on what holds. Nobody lowers
    /// the tier meanwhile.
    pub(super) fn reread<R>(&self, then: impl FnOnce(Tier) -> R) -> R {
        let mut held = self.held();
        if held.kept {
            held.state = read(&self.path);
        } else {
            self.keep(&mut held);
        }
        then(ceiling_of(&held.state))
    }

    fn keep(&self, held: &mut Held) {
        let Some(tier) = held.state.ceiling else {
            return;
        };
        let written = write(&self.path, tier);
        held.kept = written.is_ok();
        let path = self.path.display();
        held.state.trouble = written.err().map(|error| format!("{path}: {error}"));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // What a panic left behind is a tier that holds, at worst for too long.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what the kill switch of that state directory has kept; false where there is nothing. A
/// running gateway heeds it at its next reload.
///
/// # Errors
/// What the system answers.
pub fn reset_kill_switch(state_dir: &Path) -> io::Result<bool> {
    match fs::remove_file(state_dir.join(FILE)) {
        Ok(()) => File::open(state_dir)?.sync_all().map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn ceiling_of(state: &KillSwitchState) -> Tier {
    state.ceiling.unwrap_or(Tier::Autonomous)
}

fn read(path: &Path) -> KillSwitchState {
    let mut text = String::new();
    let found = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    let trouble = match found {
        Err(error) if error.kind() == ErrorKind::NotFound => return KillSwitchState::default(),
        Err(error) => error.to_string(),
        Ok(_) => match Tier::from_key(text.trim()) {
            Some(tier) => {
                return KillSwitchState {
                    ceiling: Some(tier),
                    trouble: None,
                };
            }
            None => "its content is no tier".to_owned(),
        },
    };
    let path = path.display();
    let safe = "so OBSERVE_ONLY holds; lower the tier again, or run 'tidegate tier reset'";
    KillSwitchState {
        ceiling: Some(Tier::ObserveOnly),
        trouble: Some(format!("{path}: {trouble}, {safe}")),
    }
}

/// Whole or not at all, and durable on return.
fn write(path: &Path, tier: Tier) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&unfinished)?;
    writeln!(file, "{}", tier.key())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FILE, KillSwitch, reset_kill_switch};
    use crate::admin::Lowering;
    use crate::telemetry::fixture::registry;
    use crate::units::Tier;

    #[test]
    fn what_cannot_be_read_observes_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        for (content, ceiling, troubled) in [
            ("observe_only\n", Tier::ObserveOnly, false),
            ("control", Tier::Control, false),
            ("", Tier::ObserveOnly, true),
            ("CONTROL", Tier::ObserveOnly, true),
            ("control\ncontrol", Tier::ObserveOnly, true),
            ("\u{0}\u{1}", Tier::ObserveOnly, true),
        ] {
            fs::write(&path, content).expect("written");
            let switch = KillSwitch::open(folder.path());
            assert_eq!(switch.ceiling(), ceiling, "{content:?}");
            assert_eq!(switch.state().trouble.is_some(), troubled, "{content:?}");
        }
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a folder in its place");
        assert_eq!(KillSwitch::open(folder.path()).ceiling(), Tier::ObserveOnly);
        fs::remove_dir(&path).expect("removed");
        let switch = KillSwitch::open(folder.path());
        assert_eq!(switch.ceiling(), Tier::Autonomous);
        assert_eq!(switch.state(), super::KillSwitchState::default());
    }

    #[test]
    fn it_holds_even_where_it_cannot_be_written_down() {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = registry(Tier::Control);
        let switch = KillSwitch::open(folder.path());
        let refused = switch.lower(Tier::Autonomous, &registry);
        assert_eq!(refused, Lowering::NotLower(Tier::Control));
        // A folder where the file would be written.
        let unfinished = folder.path().join(FILE).with_extension("new");
        fs::create_dir(&unfinished).expect("a folder");
        let lowering = switch.lower(Tier::ObserveOnly, &registry);
        assert!(matches!(lowering, Lowering::NotKept(Tier::ObserveOnly, _)));
        assert_eq!(registry.active().load().tier(), Tier::ObserveOnly);
        assert_eq!(switch.reread(|ceiling| ceiling), Tier::ObserveOnly);
        fs::remove_dir(&unfinished).expect("removed");
        assert_eq!(switch.reread(|ceiling| ceiling), Tier::ObserveOnly);
        assert_eq!(switch.state().trouble, None, "written down at last");
        let again = KillSwitch::open(folder.path());
        assert_eq!(again.ceiling(), Tier::ObserveOnly);
    }

    #[test]
    fn a_reset_is_heard_of_at_the_next_reading() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "observe_only").expect("written");
        let switch = KillSwitch::open(folder.path());
        assert!(reset_kill_switch(folder.path()).expect("removed"));
        assert!(!reset_kill_switch(folder.path()).expect("nothing left"));
        assert_eq!(switch.ceiling(), Tier::ObserveOnly);
        assert_eq!(switch.reread(|ceiling| ceiling), Tier::Autonomous);
    }
}
