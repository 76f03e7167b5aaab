//! Tests packets that bypass the kernel's stack through nft's flow tables.

use super::router::{Router, SERVER, sums};
use crate::options::{Cells, connections};

/// nft rules with a flow table that counts packets for connection tracking.
const FLOW_TABLE: &str = "
    flowtable fast {
        hook ingress priority 0
        devices = { lan, wan }
        counter
    }
    chain accelerate {
        type filter hook forward priority 1
        ct state established flow add @fast
    }";

#[test]
fn offloaded_connections_are_marked_and_counted() {
    let router = Router::new("");
    if !router.router.supports(FLOW_TABLE) {
        println!("skipped: this kernel has no flow tables");
        return;
    }
    router.router.nft(FLOW_TABLE);
    let (mut is_offloaded, mut rows) = (false, Vec::new());
    let all = router.watch(&["-d", "0.3"], || {
        let pair = router.pair(SERVER);
        pair.exchange(2_000_000, 4_000_000);
        std::thread::sleep(std::time::Duration::from_millis(700));
        pair.exchange(1_000, 1_000);
        std::thread::sleep(std::time::Duration::from_millis(700));
    });
    for row in connections(&all) {
        is_offloaded |= row["state"] == "OFFLOADED";
        rows.push(row);
    }
    assert!(is_offloaded, "{rows:?}");
    let last: &Cells = rows.last().expect("rows");
    let (rx, tx) = sums([last]);
    // The rows also count headers and retransmitted segments.
    assert!(rx > 4_001_000 && rx < 4_400_000 && tx > 2_001_000 && tx < 2_400_000, "{last:?}");
}
