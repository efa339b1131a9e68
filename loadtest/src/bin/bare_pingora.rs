//! A bare pass-through on the gateway's proxy engine: what the engine alone costs.
//!
//! Same version, features, allocator and thread model as the gateway, and none of its work.

use std::net::SocketAddr;

use async_trait::async_trait;
use clap::Parser;
use pingora::prelude::{HttpPeer, ProxyHttp, Server, Session};
use pingora::proxy::http_proxy_service;
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Idle upstream connections that are kept; above the requests in flight of any run.
const POOL: usize = 1024;

#[derive(Parser)]
#[command(about = "Bare Pingora pass-through, for comparisons")]
struct Options {
    /// Address to listen on
    #[arg(long)]
    bind: SocketAddr,
    /// The one upstream
    #[arg(long)]
    upstream: SocketAddr,
    /// Worker threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

struct PassThrough(SocketAddr);

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let conf = ServerConf {
        threads: options.threads,
        work_stealing: false,
        upstream_keepalive_pool_size: POOL,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, PassThrough(options.upstream));
    service.add_tcp(&options.bind.to_string());
    server.add_service(service);
    server.run_forever()
}
