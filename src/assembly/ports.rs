//! The ports of a gateway: its listeners and the admin listener, opened, or taken over from the process
//! before.

use std::sync::Arc;

use super::bundles::Begun;
use super::certificates::Certificates;
use super::upgrade::Takeover;
use super::{StartError, convert, descriptors};
use crate::admin::{Admin, AdminError, AdminPort, AdminState};
use crate::config::{OnNone, Settings};
use crate::gateway::governor::Governor;
use crate::gateway::{Gateway, ListeningSocket};

/// The admin listener: where it belongs to a running gateway still, it is silent until that one gives way.
pub(super) enum AdminDoor {
    Serving(Admin),
    Silent(AdminPort),
}

impl AdminDoor {
    pub(super) fn serve(self, state: &Arc<AdminState>) -> Result<Admin, AdminError> {
        match self {
            Self::Serving(admin) => Ok(admin),
            Self::Silent(port) => Admin::start(port, Arc::clone(state)),
        }
    }
}

pub(super) fn admin_port(
    settings: &Settings,
    takeover: Option<&mut Takeover>,
) -> Result<AdminPort, AdminError> {
    match takeover.and_then(|takeover| takeover.admin(settings.admin)) {
        Some(listener) => AdminPort::handed(listener),
        None => AdminPort::open(settings.admin),
    }
}

/// Binds the listeners; closed ones where there is no bundle and nothing is served without.
pub(super) fn bind(
    settings: &Settings,
    certificates: &Certificates,
    clerks: Vec<Arc<dyn Governor>>,
    begun: Option<&Begun>,
    handed: Option<Vec<ListeningSocket>>,
) -> Result<Gateway, StartError> {
    let connections_max = descriptors::connections_max(settings);
    let gateway_settings = convert::gateway_settings(settings, certificates, connections_max);
    let on_none = settings.bundle.as_ref().map(|bundle| bundle.on_none);
    let is_none = begun.is_some_and(|begun| begun.in_force.is_none());
    let is_closed = is_none && on_none == Some(OnNone::Refuse);
    let handed = handed.unwrap_or_default();
    Ok(Gateway::bind_with(
        gateway_settings,
        clerks,
        is_closed,
        handed,
    )?)
}
