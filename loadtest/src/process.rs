//! Child processes of a run: started, measured through /proc, ended by their id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Clock ticks per second of /proc on every Linux that runs this.
const TICKS_PER_SECOND: u64 = 100;

/// A child that is killed when it goes out of scope.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a command with stdout and stderr in `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self {
            child,
            name,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends TERM and waits for the end.
    ///
    /// # Errors
    /// When it has not ended after `patience`.
    pub fn stop(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(patience)
    }

    /// Sends KILL and waits for the end.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        Ok(self.child.wait()?)
    }

    /// Sends HUP.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no process id")?;
        kill_process(id, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it has not ended after `patience`.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{} has not ended after {patience:?}", self.name)
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until `ready` holds.
    ///
    /// # Errors
    /// When the process ends first, or after `patience`; the end of its log is in the message.
    pub fn until(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended at its start with {status}: {}",
                    self.name,
                    self.log_end()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!(
            "{} is not ready after {patience:?}: {}",
            self.name,
            self.log_end()
        )
    }

    /// The last lines that it wrote.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system CPU time of a process and of its ended children, in microseconds.
///
/// # Errors
/// When the process is gone.
pub fn cpu_us(id: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("read /proc/ID/stat")?;
    // The name in brackets may hold spaces; the fields after it do not.
    let after = stat.rsplit_once(") ").context("a line of /proc/ID/stat")?.1;
    let field = |n: usize| {
        after
            .split(' ')
            .nth(n)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok((field(11) + field(12)) * (1_000_000 / TICKS_PER_SECOND))
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// When the process is gone.
pub fn rss_kib(id: u32) -> anyhow::Result<u64> {
    status_kib(id, "VmRSS:")
}

/// The most that a process had resident since its start, or since [`rss_peak_reset`], in KiB.
///
/// # Errors
/// When the process is gone.
pub fn rss_peak_kib(id: u32) -> anyhow::Result<u64> {
    status_kib(id, "VmHWM:")
}

/// Forgets the most that a process had resident.
///
/// # Errors
/// When the process is gone, or belongs to somebody else.
pub fn rss_peak_reset(id: u32) -> anyhow::Result<()> {
    std::fs::write(format!("/proc/{id}/clear_refs"), "5").context("write /proc/ID/clear_refs")
}

fn status_kib(id: u32, field: &str) -> anyhow::Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{id}/status")).context("read /proc/ID/status")?;
    let line = status
        .lines()
        .find(|l| l.starts_with(field))
        .with_context(|| field.to_owned())?;
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .context("a number of KiB")
}

/// CPU time of a process's threads of a name, in nanoseconds.
///
/// # Errors
/// When the process is gone or has no such thread.
pub fn thread_cpu_ns(id: u32, name: &str) -> anyhow::Result<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).context("read /proc/ID/task")?;
    let mut found = None;
    for task in tasks {
        let task = task?.path();
        let comm = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if comm.trim_end() != name {
            continue;
        }
        // The first number is the time on a CPU.
        let schedstat = std::fs::read_to_string(task.join("schedstat")).context("schedstat")?;
        let first = schedstat
            .split(' ')
            .next()
            .and_then(|n| n.parse::<u64>().ok());
        found = Some(found.unwrap_or(0) + first.context("a time of schedstat")?);
    }
    found.with_context(|| format!("no thread {name}"))
}

/// A program beside this one, or the given path.
///
/// # Errors
/// When there is no such file.
pub fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Tests run one folder below the binaries.
    for folder in own.ancestors().skip(1).take(2) {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "{name} is not beside {}: build the workspace first (make fast)",
        own.display()
    )
}

/// A program of the system by name, if installed.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|p| p.is_file())
}
