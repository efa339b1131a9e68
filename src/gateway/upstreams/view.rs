//! What others are told of the upstreams, as of now.

use std::sync::atomic::Ordering;

use super::Upstreams;
use super::group::Group;
use crate::telemetry::UpstreamView;

impl Upstreams {
    /// All groups as they are now.
    pub(crate) fn views(&self) -> Vec<UpstreamView> {
        let groups = self.groups.iter().enumerate();
        groups
            .map(|(number, group)| self.view(number, group))
            .collect()
    }

    fn view(&self, number: usize, group: &Group) -> UpstreamView {
        let in_flight = |place| {
            let workers = self.flights.iter();
            workers.map(|flights| flights.count(number, place)).sum()
        };
        UpstreamView {
            name: group.name.clone(),
            servers: group.server_views(in_flight),
            in_panic: group.table.load().in_panic,
            ejections: group.ejections.load(Ordering::Relaxed),
            checks_failed: group.checks_failed.load(Ordering::Relaxed),
        }
    }
}
