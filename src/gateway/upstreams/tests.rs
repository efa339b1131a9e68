//! Choices, ejections and names without a socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::group::Group;
use super::{Picker, UpstreamGroup, Upstreams};
use crate::config::{Balance, Ejection, HealthCheck};
use crate::gateway::settings::ServerSettings;
use crate::units::Millis;

const SECOND: u64 = 1_000_000_000;

/// Far from the clock of the thread that lets servers in again: it runs here too, and would end in a
/// moment what began long ago.
const NOW: u64 = 1 << 62;

fn of(settings: UpstreamGroup) -> (Arc<Upstreams>, Picker) {
    let upstreams = Upstreams::new(&[settings], 1).unwrap();
    let picker = upstreams.picker(0);
    (upstreams, picker)
}

fn weighted(weights: &[u32]) -> UpstreamGroup {
    let servers = weights.iter().enumerate();
    let mut group = UpstreamGroup::new("orders", Vec::<String>::new());
    group.servers = servers
        .map(|(at, weight)| ServerSettings {
            address: format!("127.0.0.1:{}", at + 1),
            weight: *weight,
        })
        .collect();
    group
}

/// The port of the next request.
fn port(picker: &Picker) -> Option<u16> {
    picker.pick(0, None).map(|target| target.socket().port())
}

fn counts(picker: &Picker, requests: usize) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for port in (0..requests).filter_map(|_| port(picker)) {
        *counts.entry(port).or_default() += 1;
    }
    counts
}

#[test]
fn servers_take_turns() {
    let (_upstreams, picker) = of(weighted(&[1, 1]));
    let ports: Vec<u16> = (0..4).filter_map(|_| port(&picker)).collect();
    assert_eq!(ports, [1, 2, 1, 2]);
    assert!(picker.pick(1, None).is_none());
}

#[test]
fn shares_are_exact_over_whole_rounds() {
    let (_upstreams, picker) = of(weighted(&[1, 3, 6]));
    let expected = BTreeMap::from([(1, 1_000), (2, 3_000), (3, 6_000)]);
    assert_eq!(counts(&picker, 10_000), expected);
}

#[test]
fn a_second_attempt_goes_elsewhere_where_there_is_an_elsewhere() {
    for balance in Balance::ALL {
        let mut group = weighted(&[9, 1, 1]);
        group.balance = balance;
        let (_upstreams, picker) = of(group);
        for _ in 0..100 {
            let first = picker.pick(0, None).unwrap().socket();
            let second = picker.pick(0, Some(first)).unwrap().socket();
            assert_ne!(first, second, "{balance:?}");
        }
        let mut group = weighted(&[1]);
        group.balance = balance;
        let (_upstreams, picker) = of(group);
        let first = picker.pick(0, None).unwrap().socket();
        assert_eq!(picker.pick(0, Some(first)).unwrap().socket(), first);
    }
}

#[test]
fn the_less_busy_of_two_is_chosen() {
    let mut group = weighted(&[1, 1]);
    group.balance = Balance::LeastRequest;
    let (upstreams, picker) = of(group);
    let held: Vec<_> = (0..40).filter_map(|_| picker.pick(0, None)).collect();
    let loads: Vec<u64> = upstreams.views()[0]
        .servers
        .iter()
        .map(|server| server.in_flight)
        .collect();
    assert_eq!(loads, [20, 20]);
    drop(held);
    let mut group = weighted(&[1, 3]);
    group.balance = Balance::LeastRequest;
    let (upstreams, picker) = of(group);
    let held: Vec<_> = (0..40).filter_map(|_| picker.pick(0, None)).collect();
    let light = upstreams.views()[0].servers[0].in_flight;
    assert!((9..=11).contains(&light), "{light} of 40 for a quarter");
    drop(held);
    let views = upstreams.views();
    assert!(views[0].servers.iter().all(|server| server.in_flight == 0));
    // Nothing in flight: by weight alone.
    let quarter = counts(&picker, 10_000)[&1];
    assert!((2_300..=2_700).contains(&quarter), "{quarter}");
}

fn fail(picker: &Picker, port: u16, at_ns: u64) {
    // Every server comes within one round.
    for _ in 0..100 {
        let Some(mut target) = picker.pick(0, None) else {
            return;
        };
        if target.socket().port() == port {
            picker.judge(&mut target, true, || at_ns);
            return;
        }
    }
}

fn states(upstreams: &Upstreams) -> String {
    let views = upstreams.views();
    let letter = |name: &str| name.chars().next().unwrap();
    let servers = views[0].servers.iter();
    servers.map(|server| letter(server.state.name())).collect()
}

#[test]
fn who_fails_in_a_row_is_left_out_and_comes_back_on_probation() {
    let (upstreams, picker) = of(weighted(&[1, 1, 1]));
    let group = &upstreams.groups[0];
    let mut now = NOW;
    for _ in 0..4 {
        fail(&picker, 2, now);
    }
    assert_eq!(states(&upstreams), "hhh");
    fail(&picker, 2, now);
    assert_eq!(states(&upstreams), "heh");
    assert_eq!(counts(&picker, 10), BTreeMap::from([(1, 5), (3, 5)]));
    group.pass(now + 10 * SECOND - 1);
    assert_eq!(states(&upstreams), "heh");
    now += 10 * SECOND;
    group.pass(now);
    assert_eq!(states(&upstreams), "hhh");
    fail(&picker, 2, now);
    assert_eq!(states(&upstreams), "heh", "one failure is enough now");
    group.pass(now + 20 * SECOND - 1);
    assert_eq!(states(&upstreams), "heh", "and it lasts twice as long");
    group.pass(now + 20 * SECOND);
    let mut well = loop {
        let target = picker.pick(0, None).unwrap();
        if target.socket().port() == 2 {
            break target;
        }
    };
    picker.judge(&mut well, false, || now);
    picker.judge(&mut well, true, || now);
    drop(well);
    fail(&picker, 2, now);
    assert_eq!(states(&upstreams), "hhh", "one good answer ends the row");
    assert_eq!(upstreams.views()[0].ejections, 2);
}

#[test]
fn no_more_than_a_share_is_left_out() {
    let check = |servers: usize, max_percent: u32, expected: usize| {
        let mut group = weighted(&vec![1; servers]);
        group.eject = Ejection {
            failures: 1,
            base: Millis::new(1_000),
            max_percent,
        };
        let (upstreams, picker) = of(group);
        for port in 1..=servers as u16 {
            fail(&picker, port, NOW);
        }
        let out = states(&upstreams).matches('e').count();
        assert_eq!(out, expected, "{servers} at {max_percent} %");
    };
    check(1, 50, 0);
    check(2, 50, 1);
    check(3, 50, 1);
    check(4, 50, 2);
    check(10, 30, 3);
    check(10, 0, 0);
    check(2, 100, 2);
}

#[test]
fn never_means_never() {
    let mut group = weighted(&[1, 1]);
    group.eject.failures = 0;
    let (upstreams, picker) = of(group);
    for _ in 0..100 {
        fail(&picker, 1, NOW);
    }
    assert_eq!(states(&upstreams), "hh");
}

#[test]
fn where_none_is_well_all_are_asked() {
    let (upstreams, picker) = of(weighted(&[1, 1]));
    let group = &upstreams.groups[0];
    let check = HealthCheck::default();
    let say = |port: usize, well: bool| {
        let address = group.due(0, u64::MAX)[port - 1];
        let said = if well { Ok(()) } else { Err("down".to_owned()) };
        for _ in 0..3 {
            group.checked(address, &check, said.clone());
        }
    };
    say(1, false);
    assert_eq!(counts(&picker, 10), BTreeMap::from([(2, 10)]));
    assert!(!upstreams.views()[0].in_panic);
    say(2, false);
    assert_eq!(counts(&picker, 10), BTreeMap::from([(1, 5), (2, 5)]));
    assert!(upstreams.views()[0].in_panic);
    assert_eq!(
        (
            states(&upstreams).as_str(),
            upstreams.views()[0].checks_failed
        ),
        ("uu", 6)
    );
    say(1, true);
    assert_eq!(counts(&picker, 10), BTreeMap::from([(1, 10)]));
    assert!(!upstreams.views()[0].in_panic);
}

#[test]
fn a_name_is_known_after_the_start() {
    let (_upstreams, picker) = of(UpstreamGroup::new("orders", ["localhost:80"]));
    let target = picker.pick(0, None).unwrap();
    let socket = target.socket();
    assert!(socket.ip().is_loopback() && socket.port() == 80, "{socket}");
    assert_eq!(picker.authority(&target), Some("localhost:80"));
}

#[test]
fn a_name_that_is_nowhere_leaves_the_others_alone() {
    for servers in [
        ["localhost:81", "nonexistent.invalid:80"],
        ["nonexistent.invalid:80", "localhost:81"],
        ["nonexistent.invalid:80", "127.0.0.1:81"],
    ] {
        let (_upstreams, picker) = of(UpstreamGroup::new("orders", servers));
        assert_eq!(port(&picker), Some(81), "{servers:?}");
    }
}

#[test]
fn a_lookup_replaces_what_was_known_about_its_server_alone() {
    let group = Group::new(
        0,
        &UpstreamGroup::new("orders", ["a:1", "b:1", "127.0.0.1:1"]),
    );
    let group = group.unwrap();
    let socket = |last: u8| SocketAddr::from(([10, 0, 0, last], 1));
    group.publish(0, [socket(1), socket(2)].into_iter());
    group.publish(1, [socket(3)].into_iter());
    group.publish(0, [socket(4), socket(2)].into_iter());
    group.publish(1, std::iter::empty());
    let table = group.table.load();
    let known: Vec<SocketAddr> = table.usable.iter().map(|a| a.socket).collect();
    let literal = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(known, [socket(4), socket(2), socket(3), literal]);
    assert_eq!(table.usable[1].place, 1, "who stays keeps its place");
}

#[test]
fn an_address_that_comes_back_has_no_past() {
    let mut settings = UpstreamGroup::new("orders", ["a:1", "127.0.0.1:1"]);
    settings.eject.failures = 1;
    let group = Group::new(0, &settings).unwrap();
    let socket = |last: u8| SocketAddr::from(([10, 0, 0, last], 1));
    group.publish(0, [socket(1)].into_iter());
    let address = group.table.load().usable[0];
    group.judge(address, true, || NOW);
    assert_eq!(group.table.load().usable.len(), 1);
    group.publish(0, [socket(2)].into_iter());
    group.judge(address, true, || NOW);
    assert_eq!(group.table.load().usable.len(), 2, "it is not who failed");
}

#[test]
fn a_group_without_an_address_is_looked_up_every_round() {
    let named = Group::new(0, &UpstreamGroup::new("orders", ["a:1"])).unwrap();
    let rounds = |group: &Group| (0..61).filter(|round| group.is_due(*round)).count();
    assert_eq!(rounds(&named), 61);
    named.publish(0, [SocketAddr::from(([10, 0, 0, 1], 1))].into_iter());
    assert_eq!(rounds(&named), 3);
}
