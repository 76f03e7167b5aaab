//! Tests a router that keeps connections in another conntrack zone.

use super::router::{Router, SERVER, sums};
use crate::options::connections;

const ZONE: &str = "
    chain raw {
        type filter hook prerouting priority -300
        iifname lan ct zone set 7
        iifname wan ct zone set 7
    }";

#[test]
fn connections_of_a_zone() {
    let router = Router::new(ZONE);
    let rows = router.watch(&[], || router.pair(SERVER).exchange(10_000, 300_000));
    let rows = connections(&rows);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let (up, down) = router.forwarded();
    assert_eq!(sums(rows), (down, up));
}
