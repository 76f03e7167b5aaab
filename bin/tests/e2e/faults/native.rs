//! Lets calls of the connection tracking collector fail, on a router of three network namespaces.

use std::sync::Arc;

use super::{is_of_proc, launch::Launch, sweep, traffic::Traffic};
use crate::{
    forwarded::native::router::{Router, SERVER},
    rows::Flow,
    traffic::Pair,
};

/// Connections that the router forwards. It counts the bytes of whole packets, so a row has at least the payload. An entry
/// outlives its connection by minutes, so no row is closed.
struct Forwarded {
    router: Arc<Router>,
    pair: Option<Pair>,
}

impl Traffic for Forwarded {
    fn transfer(&mut self) -> Vec<(Flow, u64, u64)> {
        let pair = self.pair.insert(self.router.pair(SERVER));
        pair.exchange(1_234, 567);
        vec![(pair.flow, 567, 1_234)]
    }

    fn end(&mut self) {
        self.pair = None;
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    fn events(&self) -> &'static [&'static str] {
        &["live"]
    }

    fn is_right(&self, found: u64, moved: u64) -> bool {
        (moved..moved + 2_000).contains(&found)
    }
}

#[test]
fn calls_of_connection_tracking() {
    let router = Arc::new(Router::new(""));
    let outer = Arc::clone(&router);
    let launch = Launch::new(&["--traffic", "forwarded"]).inside(move |start| outer.router.inside(start));
    let mut traffic = Forwarded { router, pair: None };
    sweep(&launch, &mut traffic, |site| !is_of_proc(site), &["sendto", "recv"]);
}
