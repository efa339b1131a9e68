//! One view of the path: thousands of spellings through the gateway to servers that route by
//! rules of their own. Each route says its name; the gateway says which contract it matched.
//!
//! A case is an answer of a route whose contract the gateway had not matched. Unknown paths are
//! let through here, so that nothing but the one view keeps a spelling from a route.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::super::{Context, Verdict};
use super::asking::{Answer, Asker};
use super::spellings::spellings;
use crate::process::{Process, installed};
use crate::random::Random;
use crate::site::{PATIENCE, Site, free, get};

const SEED: u64 = 20;
const LEGAL: usize = 500;
/// Of the cases, so many are shown.
const SHOWN: usize = 5;

/// A contract, and the route of each upstream that belongs to it.
struct Route {
    name: &'static str,
    template: &'static str,
    /// Further keys of its contract.
    keys: &'static str,
    nginx: &'static str,
    express: &'static str,
    /// Paths of it, `@` in the place of an identifier.
    paths: &'static [&'static str],
}

const fn route(
    name: &'static str,
    template: &'static str,
    nginx: &'static str,
    express: &'static str,
    paths: &'static [&'static str],
) -> Route {
    Route {
        name,
        template,
        keys: "",
        nginx,
        express,
        paths,
    }
}

const ROUTES: &[Route] = &[
    route("root", "/", "= /", "/", &["/"]),
    route("list", "/orders", "= /orders", "/orders", &["/orders"]),
    route(
        "special",
        "/orders/special",
        "= /orders/special",
        "/orders/special",
        &["/orders/special"],
    ),
    route(
        "one",
        "/orders/{id}",
        "~ ^/orders/[^/]+$",
        "/orders/:id",
        &["/orders/@", "/orders/7"],
    ),
    route(
        "items",
        "/orders/{id}/items",
        "~ ^/orders/[^/]+/items$",
        "/orders/:id/items",
        &["/orders/@/items"],
    ),
    route(
        "daily",
        "/Reports/Daily",
        "= /Reports/Daily",
        "/Reports/Daily",
        &["/Reports/Daily"],
    ),
    route(
        "users",
        "/v1.0/users",
        r"~* ^/v1\.0/users$",
        "/v1.0/users",
        &["/v1.0/users"],
    ),
    route(
        "login",
        "/api/login",
        "= /api/login",
        "/api/login",
        &["/api/login"],
    ),
    route(
        "api",
        "/api/{*rest}",
        "/api/",
        "/api/*rest",
        &["/api/@", "/api/@/@/x"],
    ),
    route(
        "files",
        "/files/{*rest}",
        "^~ /files/",
        "/files/*rest",
        &["/files/@/b.txt", "/files/@"],
    ),
    route(
        "secret",
        "/admin/secret",
        "= /admin/secret",
        "/admin/secret",
        &["/admin/secret"],
    ),
    route(
        "cafe",
        "/caf%C3%A9/{id}",
        "~ ^/café/[^/]+$",
        "/caf%C3%A9/:id",
        &["/caf%C3%A9/@"],
    ),
    Route {
        keys: ", merge_slashes: true",
        ..route(
            "merged",
            "/merged/{id}",
            "~ ^/merged/[^/]+$",
            "/merged/:id",
            &["/merged/@"],
        )
    },
];
/// With an upstream that decodes slashes nobody may allow them.
const KEPT_SLASHES: &[Route] = &[
    Route {
        keys: ", allow_encoded_slash: true",
        ..route(
            "project",
            "/projects/{id}",
            "",
            "/projects/:id",
            &["/projects/@", "/projects/@%2F@"],
        )
    },
    Route {
        keys: ", allow_encoded_slash: true",
        ..route(
            "issues",
            "/projects/{id}/issues",
            "",
            "/projects/:id/issues",
            &["/projects/@%2F@/issues"],
        )
    },
];

// R020
pub(super) fn nginx(context: &Context) -> anyhow::Result<Verdict> {
    let Some(program) = installed("nginx") else {
        return Ok(Verdict::new(false, "nginx is not installed".to_owned()));
    };
    let routes: Vec<&Route> = ROUTES.iter().collect();
    let mut told = Vec::new();
    let mut pass = true;
    for merges in ["on", "off"] {
        let folder = context.folder(&format!("paths-nginx-{merges}"));
        std::fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let address = free()?;
        let config = folder.join("nginx.conf");
        std::fs::write(
            &config,
            nginx_configuration(&folder, address, merges, &routes),
        )?;
        let mut command = Command::new(&program);
        command.arg("-p").arg(&folder).arg("-c").arg(&config);
        let mut process = Process::start(command, &folder.join("nginx.log"))?;
        process.until(PATIENCE, || get(address, "/").is_ok())?;
        let seen = compare(context, &format!("nginx-{merges}"), address, &routes)?;
        pass &= seen.passes();
        told.push(format!("merge_slashes {merges}: {}", seen.told()));
    }
    Ok(Verdict::new(pass, told.join("; ")))
}

// R020
pub(super) fn express(context: &Context) -> anyhow::Result<Verdict> {
    let (Some(node), Some(npm)) = (installed("node"), installed("npm")) else {
        return Ok(without(context, "node and npm are not installed"));
    };
    let folder = match application(&npm) {
        Ok(folder) => folder,
        Err(error) => return Ok(without(context, &format!("no Express: {error:#}"))),
    };
    let routes: Vec<&Route> = ROUTES.iter().chain(KEPT_SLASHES).collect();
    let address = free()?;
    let table: Vec<[&str; 2]> = routes
        .iter()
        .map(|route| [route.name, route.express])
        .collect();
    let mut command = Command::new(node);
    command.arg("server.js").arg(address.port().to_string());
    command
        .arg(serde_json::to_string(&table)?)
        .current_dir(&folder);
    let mut process = Process::start(command, &folder.join("server.log"))?;
    process.until(PATIENCE, || get(address, "/").is_ok())?;
    let seen = compare(context, "express", address, &routes)?;
    Ok(Verdict::new(seen.passes(), seen.told()))
}

/// A reduced run goes on without what is no part of this project, and says so; a full one does not.
fn without(context: &Context, missing: &str) -> Verdict {
    let told = format!("NOT RUN: {missing}");
    Verdict::new(context.pick(true, false), told)
}

/// The application with its packages, as its lock file says, in a folder below target.
fn application(npm: &Path) -> anyhow::Result<std::path::PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = own.join("../target/peers/express");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json", "server.js"] {
        std::fs::copy(own.join("peers/express").join(file), folder.join(file))?;
    }
    if !folder.join("node_modules/express").is_dir() {
        let mut command = Command::new(npm);
        command.args([
            "ci",
            "--prefer-offline",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]);
        let output = command.current_dir(&folder).output()?;
        anyhow::ensure!(
            output.status.success(),
            "npm ci: {}",
            crate::site::said(&output)
        );
    }
    Ok(folder.canonicalize()?)
}

fn nginx_configuration(
    folder: &Path,
    address: SocketAddr,
    merges: &str,
    routes: &[&Route],
) -> String {
    let dir = folder.display();
    let locations: String = routes
        .iter()
        .map(|route| {
            format!(
                "    location {} {{ return 200 'route={}'; }}\n",
                route.nginx, route.name
            )
        })
        .collect();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
         error_log {dir}/error.log crit;\nevents {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n  \
         keepalive_requests 1000000;\n  large_client_header_buffers 4 32k;\n  \
         client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  \
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
         merge_slashes {merges};\n  server {{\n    listen {address};\n    default_type text/plain;\n    \
         location / {{ return 200 'route=none'; }}\n    location = /files/ {{ return 200 'route=none'; }}\n    \
         location = /api/ {{ return 200 'route=none'; }}\n{locations}  }}\n}}\n"
    )
}

/// What a run found.
#[derive(Default)]
struct Seen {
    spellings: usize,
    refused: usize,
    served: usize,
    unrouted: usize,
    legal_refused: usize,
    /// What the upstream serves under another name than the gateway's, by what it served.
    cases: Vec<String>,
    /// Spellings that are answered by a route where nothing stands before the upstream.
    direct: usize,
}

impl Seen {
    fn passes(&self) -> bool {
        self.cases.is_empty()
            && self.legal_refused == 0
            && self.served > 0
            && self.direct > self.served
    }

    fn told(&self) -> String {
        let shown: Vec<&str> = self.cases.iter().take(SHOWN).map(String::as_str).collect();
        format!(
            "{} spellings, {} cases{}{}; {} refused, {} to their contract, {} to no route; asked directly it serves {}; {} of {LEGAL} legal paths refused",
            self.spellings,
            self.cases.len(),
            if shown.is_empty() { "" } else { ": " },
            shown.join(" | "),
            self.refused,
            self.served,
            self.unrouted,
            self.direct,
            self.legal_refused,
        )
    }
}

fn compare(
    context: &Context,
    name: &str,
    upstream: SocketAddr,
    routes: &[&Route],
) -> anyhow::Result<Seen> {
    let site = Site::controlling(
        &context.folder(&format!("paths-{name}-site")),
        upstream,
        &contracts(routes),
    )?;
    site.amend("expose_headers: false", "expose_headers: true")?;
    site.write("policy.yaml", &lenient_policy(&site)?)?;
    let mut gateway = site.start()?;
    let paths: Vec<&str> = routes
        .iter()
        .flat_map(|route| route.paths)
        .copied()
        .collect();
    let count = context.pick(2_000, 20_000);
    let mut seen = Seen {
        spellings: count,
        ..Seen::default()
    };
    let (mut asker, mut direct) = (Asker::new(site.listen), Asker::new(upstream));
    for spelling in spellings(&paths, count, SEED) {
        let answer = asker.ask(&spelling)?;
        seen.direct += usize::from(
            direct
                .ask(&spelling)?
                .route
                .is_some_and(|route| route != "none"),
        );
        judge(&mut seen, &spelling, &answer);
    }
    let mut random = Random::new(SEED);
    let mut by_route: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..LEGAL {
        let route = routes[number % routes.len()];
        let path = legal_path(&mut random, route);
        let answer = asker.ask(path.as_bytes())?;
        let is_served = answer.route.as_deref() == Some(route.name)
            && answer.contract.as_deref() == Some(route.name);
        if !is_served {
            seen.legal_refused += 1;
            *by_route.entry(route.name).or_default() += 1;
            eprintln!("{name}: legal {path}: {answer:?}");
        }
    }
    gateway.stop(PATIENCE)?;
    Ok(seen)
}

fn judge(seen: &mut Seen, spelling: &[u8], answer: &Answer) {
    match (&answer.route, &answer.contract) {
        (None, _) => seen.refused += 1,
        (Some(route), _) if route == "none" => seen.unrouted += 1,
        (Some(route), Some(contract)) if route == contract => seen.served += 1,
        (Some(route), contract) => {
            let matched = contract.as_deref().unwrap_or("no contract");
            let shown = spelling.escape_ascii().to_string();
            let shown: String = shown.chars().take(80).collect();
            seen.cases
                .push(format!("{shown} is {matched}, served by {route}"));
        }
    }
}

fn contracts(routes: &[&Route]) -> String {
    let mut text = "version: 1\ncontracts:\n".to_owned();
    for route in routes {
        let Route {
            name,
            template,
            keys,
            ..
        } = route;
        let consent = if template.contains("{*") {
            ", allow_catch_all: true"
        } else {
            ""
        };
        text += &format!(
            "  - {{ id: {name}, endpoint: \"GET {template}\", owner: team-paths{keys}{consent} }}\n"
        );
    }
    text
}

/// Unknown paths are let through, as many as come.
fn lenient_policy(site: &Site) -> anyhow::Result<String> {
    let mut policy = std::fs::read_to_string(site.folder().join("policy.yaml"))?;
    for (from, to) in [
        ("action: quarantine ", "action: allow "),
        ("unknown_endpoint: 0.7", "unknown_endpoint: 0.1"),
        ("rate_limit_rpm: 600 ", "rate_limit_rpm: 1000000000 "),
        ("burst: 60", "burst: 1000000"),
    ] {
        anyhow::ensure!(policy.contains(from), "no '{from}' in the policy");
        policy = policy.replace(from, to);
    }
    Ok(policy)
}

/// A canonical path of the route, with identifiers as they come.
fn legal_path(random: &mut Random, route: &Route) -> String {
    const LETTERS: &[&str] = &[
        "a", "Z", "7", "-", "_", ".", "~", "%20", "%C3%A9", ":", "@", "!", "$", "&", "'", "(", ")",
        "*", "+", ",", "=", "%3F", "%23", "%25-", "x", "0",
    ];
    let place = random.below(route.paths.len() as u64) as usize;
    let mut path = String::new();
    for part in route.paths[place].split_inclusive('@') {
        path += part.trim_end_matches('@');
        if part.ends_with('@') {
            path.push('i');
            for _ in 0..random.below(12) {
                path += LETTERS[random.below(LETTERS.len() as u64) as usize];
            }
            path += ["d", "D", "9", ";v=1"][random.below(4) as usize];
        }
    }
    if random.chance(0.3) {
        path += "?q=/../%2e%2e;x&r=%zz";
    }
    path
}
