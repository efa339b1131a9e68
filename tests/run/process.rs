//! A running `tidegate run`: where it listens, what it logs and measures, and how it ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::installation::Installation;
use crate::wire::{Client, Message, eventually};

/// A gateway in a process of its own; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
}

impl Process {
    /// Writes the files, starts the program and waits until it is ready.
    pub(crate) fn start(installation: &Installation) -> Self {
        installation.write();
        Self::start_again(installation)
    }

    /// Starts the program on the files as they are.
    pub(crate) fn start_again(installation: &Installation) -> Self {
        Self::of(installation.command("run"))
    }

    /// Starts the program in place of one that runs.
    pub(crate) fn upgrade(installation: &Installation) -> Self {
        installation.until_it_can_be_taken_over();
        Self::upgrade_at_once(installation)
    }

    /// Starts the program in place of one that may run.
    pub(crate) fn upgrade_at_once(installation: &Installation) -> Self {
        let mut command = installation.command("run");
        command.arg("--upgrade");
        Self::of(command)
    }

    /// Whether the log tells of this.
    pub(crate) fn said(&self, event: &str) -> bool {
        self.log().iter().any(|entry| entry["event"] == event)
    }

    /// Starts the program with these variables beside its files.
    pub(crate) fn start_with(installation: &Installation, variables: &[(&str, &str)]) -> Self {
        installation.write();
        let mut command = installation.command("run");
        command.envs(variables.iter().copied());
        Self::of(command)
    }

    /// Starts the program on the files as they are, where it waits for a bundle before it listens.
    pub(crate) fn start_waiting(installation: &Installation) -> Self {
        Self::until(installation.command("run"), "waiting_for_bundle", 503)
    }

    /// Starts the program with so many descriptors.
    pub(crate) fn start_with_descriptors(installation: &Installation, count: usize) -> Self {
        Self::start_in_shell(installation, &format!("ulimit -n {count}; exec \"$@\""))
    }

    /// Starts the program with its stdout in this file of the folder.
    pub(crate) fn start_with_stdout(installation: &Installation, file: &str) -> Self {
        let file = installation.path(file);
        Self::start_in_shell(installation, &format!("exec \"$@\" > '{}'", file.display()))
    }

    fn start_in_shell(installation: &Installation, script: &str) -> Self {
        installation.write();
        let run = installation.command("run");
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(run.get_program());
        for (name, value) in run.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.args(run.get_args());
        Self::of(shell)
    }

    fn of(command: Command) -> Self {
        Self::until(command, "listening", 200)
    }

    /// Starts the program, until it says this of its addresses and is that ready.
    fn until(mut command: Command, event: &str, ready: u16) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let notes = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // A message of a start that failed is no JSON.
                let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                notes.lock().unwrap().push(entry);
            }
        });
        let none = "127.0.0.1:0".parse().unwrap();
        let mut process = Self {
            child,
            log,
            reader: Some(reader),
            addresses: Vec::new(),
            admin: none,
        };
        eventually("the gateway to listen", || {
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {:?}", process.log());
            !process.events(event).is_empty()
        });
        process.admin = process.events("admin_listening")[0];
        // Ready is said after the last listener is open.
        eventually("ready", || process.ask("/readyz").status() == ready);
        process.addresses = process.events(event);
        process
    }

    /// The addresses that the log tells with this event.
    fn events(&self, event: &str) -> Vec<SocketAddr> {
        self.log()
            .iter()
            .filter(|entry| entry["event"] == event)
            .map(|entry| entry["address"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// What the log says so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addresses[0])
    }

    /// Sends one GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Message {
        self.connect().get(path)
    }

    /// Sends one request without a body on a connection of its own.
    pub(crate) fn request(&self, method: &str, target: &str) -> Message {
        let mut client = self.connect();
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        client.response()
    }

    /// Asks the admin listener.
    pub(crate) fn ask(&self, path: &str) -> Message {
        let mut client = Client::connect(self.admin);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.admin
        ));
        client.response()
    }

    /// Posts JSON to the admin listener.
    pub(crate) fn post(&self, path: &str, body: &str) -> Message {
        let mut client = Client::connect(self.admin);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.admin,
            body.len()
        ));
        client.response()
    }

    /// What `/v1/status` says.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.ask("/v1/status").body).unwrap()
    }

    /// Whether it has a socket in which clients of its first listener wait.
    pub(crate) fn lets_in(&self) -> bool {
        const LISTENS: &str = "0A";
        let port = format!("0100007F:{:04X}", self.addresses[0].port());
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let listening = sockets.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_it = columns[1] == port && columns[3] == LISTENS;
            is_it.then(|| format!("socket:[{}]", columns[9]))
        });
        let listening: Vec<String> = listening.collect();
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap();
        files
            .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
            .any(|file| listening.iter().any(|socket| file == Path::new(socket)))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of the scrape that are series.
    pub(crate) fn series(&self) -> Vec<String> {
        let scrape = self.ask("/metrics");
        assert_eq!(scrape.status(), 200);
        let lines = scrape.text().lines();
        lines
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The sum of a metric over all its series that have `label` in their labels.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let series = self.series();
        let values = series.iter().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            let labels = key.strip_prefix(name)?;
            let fits = (labels.is_empty() || labels.starts_with('{')) && labels.contains(label);
            fits.then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    /// Waits until a contract has so many requests in flight.
    pub(crate) fn until_in_flight(&self, contract: &str, count: u32) {
        eventually("requests in flight", || {
            self.metric("tidegate_inflight_requests", contract) == f64::from(count)
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<Value>) {
        let mut status = None;
        eventually("the process to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // What it said last may not have been read yet.
        self.reader.take().unwrap().join().unwrap();
        (status.unwrap(), self.log())
    }

    /// Asks for an orderly end, and sees to it that it was one.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let (status, log) = self.ended();
        assert_eq!(status.code(), Some(0), "{log:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
