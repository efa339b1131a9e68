//! The proxies that are probed, each a plain one in front of its own recorder.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::process::{Process, installed};
use crate::site::{PATIENCE, Setup, Site, bare_pingora, free, get};

/// A proxy by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// tidegate in tier CONTROL.
    Control,
    /// tidegate in tier `OBSERVE_ONLY`.
    Observe,
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
    /// Pingora without a gateway.
    Bare,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Control,
        Self::Observe,
        Self::Nginx,
        Self::Haproxy,
        Self::Bare,
    ];

    /// How it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "tidegate control",
            Self::Observe => "tidegate observe",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Bare => "bare pingora",
        }
    }

    /// Whether it is there to be compared with.
    #[must_use]
    pub const fn is_peer(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy | Self::Bare)
    }
}

/// A running proxy.
pub(super) struct Subject {
    // Held: the process ends with this value.
    _process: Process,
    pub(super) address: SocketAddr,
}

/// Starts one in front of `upstream`, with its files in `folder`; `routes` paths `/a/N` have a
/// contract of their own, so that the failures of one do not speak against the next.
pub(super) fn start(
    kind: Kind,
    folder: &Path,
    upstream: SocketAddr,
    routes: usize,
) -> anyhow::Result<Subject> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let (process, address) = match kind {
        Kind::Control => tidegate(&folder, upstream, "control", routes)?,
        Kind::Observe => tidegate(&folder, upstream, "observe_only", routes)?,
        Kind::Bare => bare_pingora(&folder, upstream, 1)?,
        Kind::Nginx => configured(&folder, "nginx", &["-p", ".", "-c"], |bind| {
            nginx(&folder, bind, upstream)
        })?,
        Kind::Haproxy => configured(&folder, "haproxy", &["-db", "-f"], |bind| {
            haproxy(bind, upstream)
        })?,
    };
    Ok(Subject {
        _process: process,
        address,
    })
}

fn tidegate(
    folder: &Path,
    upstream: SocketAddr,
    tier: &'static str,
    routes: usize,
) -> anyhow::Result<(Process, SocketAddr)> {
    let setup = Setup {
        contracts: 0,
        threads: 1,
        tier,
        ..Setup::observing(upstream)
    };
    let site = Site::prepare(&folder.join("site"), &setup)?;
    let mut contracts = String::from("version: 1\ncontracts:\n");
    let methods = "allowed_methods: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE]";
    let mut add = |id: &str, path: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            contracts,
            "  - {{id: {id}, owner: me, endpoint: \"GET {path}\", {methods}}}"
        );
    };
    add("probe_v1", "/p");
    add("probe_below_v1", "/p/{rest}");
    add("second_v1", "/second/{number}");
    for route in 0..routes {
        add(&format!("answer_{route}_v1"), &format!("/a/{route}"));
    }
    site.write("contracts/own.yaml", &contracts)?;
    let process = site.start()?;
    Ok((process, site.listen))
}

fn configured(
    folder: &Path,
    name: &str,
    args: &[&str],
    text: impl Fn(SocketAddr) -> String,
) -> anyhow::Result<(Process, SocketAddr)> {
    let program = installed(name).with_context(|| format!("{name} is not installed"))?;
    let bind = free()?;
    let config = folder.join(format!("{name}.conf"));
    std::fs::write(&config, text(bind))?;
    let mut command = Command::new(program);
    command.current_dir(folder).args(args).arg(&config);
    let mut process = Process::start(command, &folder.join(format!("{name}.log")))?;
    process.until(PATIENCE, || get(bind, "/second/0").is_ok())?;
    Ok((process, bind))
}

fn nginx(folder: &Path, bind: SocketAddr, upstream: SocketAddr) -> String {
    let dir = folder.display();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
         error_log {dir}/error.log error;\nevents {{ worker_connections 512; }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {dir}/body;\nproxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\nuwsgi_temp_path {dir}/uwsgi;\n\
         scgi_temp_path {dir}/scgi;\nupstream recorder {{ server {upstream}; keepalive 8; }}\n\
         server {{ listen {bind};\nlocation / {{ proxy_pass http://recorder;\n\
         proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
         proxy_set_header Host $http_host;\nproxy_read_timeout 2s; }} }} }}\n"
    )
}

fn haproxy(bind: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  \
         timeout server 2s\nfrontend probes\n  bind {bind}\n  default_backend recorder\n\
         backend recorder\n  http-reuse always\n  server one {upstream}\n"
    )
}
