//! The comparison proxy passes everything through and loses nothing.

use loadtest::drive::{self, Options};
use loadtest::process::{cpu_us, rss_kib};
use loadtest::site::{PATIENCE, bare_pingora};
use loadtest::upstream::Upstream;

#[test]
fn the_bare_proxy_passes_every_request_on() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().unwrap();
    // The folder of the built programs is found from this test's own place.
    assert!(
        loadtest::process::beside("bare-pingora").is_ok(),
        "{}",
        env!("CARGO_BIN_EXE_bare-pingora")
    );
    let (mut proxy, address) = bare_pingora(folder.path(), upstream.address(), 2).unwrap();
    upstream.reset();
    let tally = drive::run(&Options::new(address, "contracts", 2_000)).unwrap();
    assert_eq!(
        (tally.answers(), tally.statuses.get(&200)),
        (2_000, Some(&2_000)),
        "{}",
        tally.to_json()
    );
    assert_eq!(upstream.seen().requests, 2_000);
    assert!(cpu_us(proxy.id()).unwrap() > 0 && rss_kib(proxy.id()).unwrap() > 0);
    assert!(proxy.stop(PATIENCE).is_ok(), "it ends when asked");
}
