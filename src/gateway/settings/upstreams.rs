//! What the gateway must know of the servers behind it.

use crate::config::{Balance, Ejection, HealthCheck, Protocol, UpstreamTls};

/// Servers that answer for one another.
#[derive(Debug, Clone)]
pub struct UpstreamGroup {
    /// The name in contracts and metrics.
    pub name: String,
    /// At least one.
    pub servers: Vec<ServerSettings>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// What they speak.
    pub protocol: Protocol,
    /// How connections are secured; `None` = not at all.
    pub tls: Option<UpstreamTls>,
    /// When a server that fails is left out.
    pub eject: Ejection,
    /// How servers are asked whether they are well; `None` = not at all.
    pub health: Option<HealthCheck>,
}

impl UpstreamGroup {
    /// These servers with all else at its default: HTTP/1.1 without TLS, in turn.
    pub fn new<S: Into<ServerSettings>>(
        name: impl Into<String>,
        servers: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            servers: servers.into_iter().map(Into::into).collect(),
            balance: Balance::default(),
            protocol: Protocol::default(),
            tls: None,
            eject: Ejection::default(),
            health: None,
        }
    }
}

/// One server of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `address:port` or `name:port`.
    pub address: String,
    /// Its share in relation to the others', 1 to 100.
    pub weight: u32,
}

impl From<String> for ServerSettings {
    fn from(address: String) -> Self {
        Self { address, weight: 1 }
    }
}

impl From<&str> for ServerSettings {
    fn from(address: &str) -> Self {
        Self::from(address.to_owned())
    }
}
