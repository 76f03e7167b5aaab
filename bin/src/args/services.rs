//! Looks up ports by name in /etc/services, because a static binary has no name service.

use std::fs;

/// The file that names ports.
const SERVICES: &str = "/etc/services";

/// Returns the port of a service, or `None` if it is not listed or the file is missing.
pub fn port(name: &str) -> Option<u16> {
    find(&fs::read_to_string(SERVICES).ok()?, name)
}

/// `name port/protocol aliases...`, services(5).
fn find(text: &str, name: &str) -> Option<u16> {
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, port) = (words.next()?, words.next()?);
        let is_named = first == name || words.any(|alias| alias == name);
        port.split_once('/').filter(|_| is_named)?.0.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        let text = "# services\n\nssh\t\t22/tcp\t\t\t# SSH\nhttp\t80/tcp www #web\nbad\nodd x/tcp\nhttp-alt 8080/tcp";
        let ports =
            ["ssh", "www", "http-alt", "web", "odd", "bad", "", "22/tcp", "#"].map(|name| find(text, name));
        assert_eq!(ports, [Some(22), Some(80), Some(8080), None, None, None, None, None, None]);
    }
}
