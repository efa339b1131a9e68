//! A wall clock that steps, and a thread that panics: a few lines of C that the linker puts before
//! libc. The gateway itself knows of none of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

const SOURCE: &str = include_str!("shim.c");
/// Seconds of the step, and the name of the thread that is to panic, filled up with zeros.
const NAME_BYTES: usize = 16;

/// The library and the file with its orders.
pub(super) struct Shim {
    library: PathBuf,
    orders: PathBuf,
}

impl Shim {
    /// Builds it with the C compiler that the gateway's build needs as well.
    pub(super) fn build(folder: &Path) -> anyhow::Result<Self> {
        let source = folder.join("shim.c");
        let shim = Self {
            library: folder.join("shim.so"),
            orders: folder.join("orders"),
        };
        std::fs::write(&source, SOURCE)?;
        let mut command = Command::new("cc");
        command.args(["-O1", "-shared", "-fPIC", "-o"]);
        let output = command.arg(&shim.library).arg(&source).output();
        let output = output.context("run cc; make tools installs it")?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "cc: {said}");
        shim.order(0, "")?;
        Ok(shim)
    }

    /// What a gateway is started under.
    pub(super) fn wrapper(&self) -> [String; 3] {
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("SHIM_FILE={}", self.orders.display()),
        ]
    }

    /// Steps the wall clock by so many seconds from what it is, and dooms a thread.
    pub(super) fn order(&self, step_seconds: i64, doomed: &str) -> anyhow::Result<()> {
        let mut bytes = step_seconds.to_ne_bytes().to_vec();
        bytes.extend(doomed.bytes().take(NAME_BYTES - 1));
        bytes.resize(8 + NAME_BYTES, 0);
        // In place: the library has the file mapped.
        if self.orders.exists() {
            use std::os::unix::fs::FileExt as _;
            let file = std::fs::OpenOptions::new().write(true).open(&self.orders)?;
            file.write_all_at(&bytes, 0)?;
        } else {
            std::fs::write(&self.orders, &bytes)?;
        }
        Ok(())
    }
}
