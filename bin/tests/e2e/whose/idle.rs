//! Tests a connection that is idle before its end, and whose owner exits at that moment.

use std::{thread::sleep, time::Duration};

use super::log::{Log, is_live, owner};
use crate::{
    cgroup::inside,
    helper::{Helper, command},
    traffic::{V4, accept, listen, receive},
};

#[test]
fn the_closed_row_has_the_names_of_the_first_row() {
    inside("quiet", |cgroup| {
        let listener = listen(V4);
        let address = listener.local_addr().expect("bound");
        let mut client = Helper::by(command("e2e-quiet").arg("--word"), "e2e-quiet");
        cgroup.take("system.slice/quiet.service", client.owner.pid);
        let log = Log::start(&["-d", "0.5", "-D", &address.port().to_string()]);
        let local = client.tell(&format!("connect {address}"));
        let server = accept(&listener);
        client.tell("send 500");
        receive(&server, 500);
        let remote = address.to_string();
        let live = log.expect("a live row", |row| is_live(row, &local, &remote) && row["tx_bytes"] == "500");
        let pid = client.owner.pid.to_string();
        assert_eq!(owner(&live), (&*pid, "e2e-quiet"));
        assert!(live["cmdline"].ends_with(" --word"), "{live:?}");
        assert_eq!(live["unit"], "quiet.service");
        sleep(Duration::from_millis(3_000));
        client.leave();
        drop(server);
        let closed = log.closed(&local, &remote);
        for column in ["pid", "comm", "cmdline", "unit", "tx_bytes"] {
            assert_eq!(closed[column], live[column], "{closed:?}");
        }
        log.stop();
    });
}
