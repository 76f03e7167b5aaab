//! The table of options and operands. The parser, both helps, the manual page, the completions and the error messages
//! read it. To add an option, add a row here and an `OptionId` in `id`; the compiler then asks for the arm in `parse`.

use super::{
    id::OptionId,
    table::{ArgumentValue, Operand, Opt, OptionGroup},
};

const SECONDS: &str = "seconds from 0.1 to 3600";
const REPORTS: &str = "a whole number, 1 or more";
const RATE: &str = "bytes per second, like 500K or 10M";
const PORTS: &str =
    "ports from 0 to 65535, ranges of them, or names of /etc/services, like 80,8000-8100,!ssh";

/// Every option.
#[rustfmt::skip]
pub static OPTIONS: &[Opt] = &[
    Opt::new(OptionId::Once, "--once", OptionGroup::Timing,
        "Print one report after one interval, then exit", "").letter('1'),
    Opt::new(OptionId::Interval, "--interval", OptionGroup::Timing,
        "Time between reports [default: 1]", "0.1 to 3600, decimals allowed").letter('d').takes("SECONDS", SECONDS),
    Opt::new(OptionId::Count, "--count", OptionGroup::Timing,
        "Exit after N reports", "Without it, tcptop runs until interrupted").letter('n').takes("N", REPORTS),

    Opt::new(OptionId::ExitOver, "--exit-over", OptionGroup::Timing,
        "Exit with status 1 after a report with a rate above RATE", "The rate is the sum of all rows that match the filters, both ways, in bytes per second, like 500K. The \
         status is 74 if that report could not be written")
        .takes("RATE", RATE),

    Opt::new(OptionId::Pid, "--pid", OptionGroup::Which,
        "Only these processes", "").letter('p').takes("LIST", "process ids from 1 to 4194304, like 812 or 812,4211"),
    Opt::new(OptionId::Comm, "--comm", OptionGroup::Which,
        "Only processes with these names", "* stands for anything: 'php*'. Only the first 15 bytes of a name count, as in ps")
        .letter('c').takes("LIST", "names of processes, like sshd or nginx,php*"),
    Opt::new(OptionId::Port, "--port", OptionGroup::Which,
        "Only these ports at either end; '!ssh' excludes ssh", "Ports, ranges, and names of /etc/services: 80,8000-8100,domain").letter('P').takes("LIST", PORTS),
    Opt::new(OptionId::LocalPort, "--lport", OptionGroup::Which,
        "Only these local ports", "").letter('L').takes("LIST", PORTS),
    Opt::new(OptionId::RemotePort, "--rport", OptionGroup::Which,
        "Only these remote ports", "").letter('D').takes("LIST", PORTS),
    Opt::new(OptionId::Addr, "--addr", OptionGroup::Which,
        "Only these addresses at either end", "IPv4 or IPv6; with /LENGTH, whole networks: 192.168.0.0/16")
        .letter('a').takes("LIST", "addresses or networks, like 192.0.2.7,2001:db8::/32"),
    Opt::new(OptionId::NoLoopback, "--no-loopback", OptionGroup::Which,
        "Nothing over this host's loopback", "The same as --addr '!127.0.0.0/8,!::1'"),
    Opt::new(OptionId::Tcp, "--tcp", OptionGroup::Which, "Only TCP", "").letter('t'),
    Opt::new(OptionId::Udp, "--udp", OptionGroup::Which, "Only UDP", "").letter('u'),
    Opt::new(OptionId::V4, "--ipv4", OptionGroup::Which, "Only IPv4, also when an IPv6 socket speaks it", "").letter('4'),
    Opt::new(OptionId::V6, "--ipv6", OptionGroup::Which, "Only IPv6", "").letter('6'),
    Opt::new(OptionId::State, "--state", OptionGroup::Which,
        "Only these TCP states", "Like established,time-wait: the column's names, in upper or lower case, with - or _")
        .takes("LIST", "TCP states, like established,close-wait"),
    Opt::new(OptionId::Direction, "--direction", OptionGroup::Which,
        "Only opened by the local (out) or remote (in) end", "For TCP and forwarded connections")
        .takes("SIDE", "out or in"),
    Opt::new(OptionId::Device, "--interface", OptionGroup::Which,
        "Only these network interfaces",
        "Names, in which * stands for anything. In other network namespaces, interfaces only have numbers. Forwarded \
         connections have none")
        .letter('i').takes("LIST", "network interfaces, like eth0,wg*"),
    Opt::new(OptionId::Listen, "--listen", OptionGroup::Which,
        "Also sockets that wait for connections or datagrams",
        "The list may be ten seconds old. --state listen shows only these").letter('l'),

    Opt::new(OptionId::Traffic, "--traffic", OptionGroup::Which,
        "Connections of this host, those it forwards, or both",
        "local, forwarded or all [default: all if this host forwards and tracks connections, else local]. Connection tracking \
         counts forwarded ones, as whole IP packets")
        .takes("KIND", "local, forwarded or all"),

    Opt::new(OptionId::Sort, "--sort", OptionGroup::Order,
        "Order by COLUMN", "Sizes, rates, counts and times begin with the largest; names, addresses, ports and ids with the smallest. '-' in \
         front reverses. Unknown values come last")
        .letter('s').takes("[-]COLUMN", "a column of --help, with '-' in front for the reverse order"),
    Opt::new(OptionId::Rows, "--rows", OptionGroup::Order,
        "Print at most N rows, 0 for all",
        "Default: what fits the terminal; elsewhere 20, but all in CSV and with --closed or --listen")
        .letter('r').takes("N", "a whole number"),
    Opt::new(OptionId::MinRate, "--min-rate", OptionGroup::Order,
        "Only rows of at least RATE, RX/s plus TX/s", "Bytes per second, like 500K. Sums include the hidden rows")
        .takes("RATE", RATE),
    Opt::new(OptionId::By, "--by", OptionGroup::Order,
        "One row with sums for each value of COLUMN",
        "process (the same as pid), comm, cmdline, user, unit, proto, laddr, lport, remote (the same as raddr), rport, client or \
         state. Rates and bytes are those of the interval, also of connections that ended in it")
        .takes("COLUMN", "process, comm, cmdline, user, unit, proto, laddr, lport, remote, rport, client or state"),
    Opt::new(OptionId::SinceStart, "--since-start", OptionGroup::Order,
        "With --by: sums since tcptop started, with ended connections",
        "The largest come first. In CSV, bytes are counters that only grow, and every row is in every report. Above \
         4096 rows, tcptop keeps the 3072 largest and sums up the others (`N more`, in CSV `left_out`). A row that returns \
         starts at 0"),

    Opt::new(OptionId::Csv, "--csv", OptionGroup::Form,
        "Comma-separated values, a row per active connection",
        "A header line, then in each interval a row for each connection that moved bytes"),
    Opt::new(OptionId::Closed, "--closed", OptionGroup::Form,
        "Also each connection that ended, with final totals",
        "Text always has ended ones that moved bytes in the interval, with a minus before the protocol. --closed=only shows only \
         ended ones, one line each, with begin and duration (in CSV the columns `start` and `duration_ms`)").may_take("[=only]", "'only' or no value"),
    Opt::new(OptionId::Total, "--total", OptionGroup::Form,
        "In CSV, end each report with the sum of all",
        "The row `total` has the bytes of the interval. Before it come `shown`, if there is a filter, and \
         `forwarded`, which is no part of the total"),
    Opt::new(OptionId::Quiet, "--quiet", OptionGroup::Form,
        "The sums only: the header line, in CSV the row `total`", "They count all connections. With a filter, `shown` (in CSV the row before `total`) counts those that match. Text also has the sums since tcptop started").letter('q'),
    Opt::new(OptionId::Columns, "--columns", OptionGroup::Form,
        "These columns, in this order", "").takes("LIST", "columns of --help, like proto,local,remote,comm"),
    Opt::new(OptionId::Wide, "--wide", OptionGroup::Form,
        "Shorten nothing for a narrow terminal", "Implies --no-clear").letter('w'),
    Opt::new(OptionId::Bytes, "--bytes", OptionGroup::Form,
        "Sizes in digits, not as 1.5K", "In 1.5K, K is 1024"),
    Opt::new(OptionId::Bits, "--bits", OptionGroup::Form,
        "Rates in bits per second, in powers of 1000", "CSV still has bytes per second"),
    Opt::new(OptionId::NoHeader, "--no-header", OptionGroup::Form,
        "Rows only: no header line, no titles", "").letter('H'),
    Opt::new(OptionId::NoClear, "--no-clear", OptionGroup::Form,
        "One report below the other, also on a terminal", "").letter('C'),
    Opt::new(OptionId::Time, "--time", OptionGroup::Form,
        "utc, local or epoch [default: local, in CSV utc]", "RFC 3339 with milliseconds, or seconds since 1970. The local zone is that of TZ, /etc/localtime or /etc/TZ")
        .takes("FORM", "utc, local or epoch"),

    Opt::new(OptionId::Cmdline, "--cmdline", OptionGroup::Names,
        "Command lines of processes", "In text instead of their names, in CSV as a column `cmdline` at the end; 512 bytes at most"),
    Opt::new(OptionId::User, "--user", OptionGroup::Names,
        "Owners' users; with a LIST, only connections of these",
        "By name where /etc/passwd has one; in CSV a column `user` at the end. In the LIST, names and numbers")
        .may_take("[=LIST]", "users of /etc/passwd or numbers, like www-data,1000"),
    Opt::new(OptionId::Unit, "--unit", OptionGroup::Names,
        "Owners' services or containers; with a LIST, only connections of these",
        "From their cgroups; in CSV a column `unit` at the end. In the LIST, * stands for anything: 'docker:*'")
        .may_take("[=LIST]", "services or containers, like nginx.service,docker:*"),

    Opt::new(OptionId::Host, "--host", OptionGroup::Names,
        "Name of this host, or NAME, as a column at the end", "To put logs of many hosts together")
        .may_take("[=NAME]", "a name or no value"),

    Opt::new(OptionId::Output, "--output", OptionGroup::Log,
        "Append reports to FILE ('-': standard output)",
        "tcptop writes each report with one call. A new FILE has mode 640. It first renames a FILE with other columns or in \
         another form to FILE.1. It refuses a file that it did not write, or to which another tcptop logs (exit status \
         74). If somebody renames or removes FILE, tcptop makes it again (on SIGHUP at once). If it cannot write, it says so \
         once, counts the reports that it drops, and goes on as soon as it can")
        .letter('o').takes("FILE", "a file name (to begin it with '-', write './-')"),
    Opt::new(OptionId::MaxSize, "--max-size", OptionGroup::Log,
        "Rename FILE to FILE.1 before it exceeds SIZE",
        "And FILE.1 to FILE.2 and so on. Skips FILE.N if tcptop did not write it. A report above SIZE stays whole")
        .takes("SIZE", "bytes, 1024 or more, like 500K or 10M"),
    Opt::new(OptionId::Keep, "--keep", OptionGroup::Log,
        "Keep N renamed files [default: 4]", "").takes("N", "a whole number, 999 at most"),

    Opt::new(OptionId::UdpTimeout, "--udp-timeout", OptionGroup::General,
        "End a UDP flow after this much silence [default: 5]", "1 to 3600")
        .takes("SECONDS", "seconds from 1 to 3600"),
    Opt::new(OptionId::Flows, "--flows", OptionGroup::General,
        "Connections and UDP flows to count at a time",
        "1024 to 262144; default: one per 64 KiB of RAM (4096 to 65536), or what fits in a memory cgroup. Each takes 323 bytes of kernel memory, even while unused (about 456 from Linux 6.19 on, except x86-64 and 64-bit ARM)")
        .takes("N", "a whole number from 1024 to 262144"),
    Opt::new(OptionId::Collector, "--collector", OptionGroup::General,
        "auto, bpf or diag: what counts local connections",
        "[default: auto, which uses diag if the kernel refuses bpf] diag reads the kernel's totals by sock_diag: only TCP of \
         this network namespace, but without privileges")
        .takes("NAME", "auto, bpf or diag"),
    Opt::new(OptionId::EnableAcct, "--enable-acct", OptionGroup::General,
        "Let connection tracking count bytes until tcptop ends",
        "Sets net.netfilter.nf_conntrack_acct to 1"),
    Opt::new(OptionId::Check, "--check", OptionGroup::General,
        "Try what tcptop needs on this host, then exit", "Tells what is there, what is missing, and what that means"),
    Opt::new(OptionId::Help, "--help", OptionGroup::General,
        "Print the help, then exit", "-h prints a short one").letter('h'),
    Opt::new(OptionId::Version, "--version", OptionGroup::General,
        "Print the version, then exit", "").letter('V'),
];

/// The operands, in order; each is optional. bcc's tools and vmstat take the same two.
pub static OPERANDS: [Operand; 2] = [
    Operand {
        value: ArgumentValue { name: "interval", optional: false, expected: SECONDS },
        #[cfg(test)]
        help: "The same as --interval",
    },
    Operand {
        value: ArgumentValue { name: "count", optional: false, expected: REPORTS },
        #[cfg(test)]
        help: "The same as --count",
    },
];

/// Finds the option with this letter.
pub fn by_short(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.short == Some(letter))
}

/// Finds the option with this long name, given without its dashes.
pub fn by_long(word: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.long.strip_prefix("--") == Some(word))
}

#[cfg(test)]
mod tests {
    use super::{super::table::GROUPS, *};

    #[test]
    fn no_name_is_taken_twice() {
        for (at, opt) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[at + 1..] {
                assert_ne!(opt.id, other.id);
                assert_ne!(opt.long, other.long);
                assert!(opt.short.is_none() || opt.short != other.short, "{:?}", opt.short);
            }
        }
    }

    #[test]
    fn rows_are_well_formed() {
        for opt in OPTIONS {
            let word = opt.long.strip_prefix("--").expect("two dashes");
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!(word.len() > 1 && word.bytes().all(fits), "{word}");
            assert!(opt.short.is_none_or(|letter| letter.is_ascii_alphanumeric()), "{word}");
            assert!(!opt.brief.is_empty() && !opt.brief.ends_with('.') && !opt.more.ends_with('.'), "{word}");
            assert!(
                opt.value.as_ref().is_none_or(|v| !v.name.is_empty() && !v.expected.is_empty()),
                "{word}"
            );
            assert_eq!(by_long(word).map(|found| found.id), Some(opt.id));
            if let Some(letter) = opt.short {
                assert_eq!(by_short(letter).map(|found| found.id), Some(opt.id));
            }
        }
        assert!(by_long("interva").is_none(), "abbreviations would break when an option is added");
        assert!(by_long("").is_none());
    }

    #[test]
    fn every_option_is_tried_end_to_end() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
        let mut tests = String::new();
        let rooms = ["options", "forwarded/native", "reasons", "."].map(|room| directory.join(room));
        for place in rooms {
            for file in std::fs::read_dir(place).expect("tests").flatten() {
                tests += &std::fs::read_to_string(file.path()).unwrap_or_default();
            }
        }
        for opt in OPTIONS {
            let tried = ["\"", " ", "="].iter().any(|end| tests.contains(&format!("{}{end}", opt.long)));
            assert!(tried, "no test of bin/tests/e2e uses {}", opt.long);
        }
    }

    #[test]
    fn every_group_is_titled_and_used() {
        for (group, _) in GROUPS {
            assert!(OPTIONS.iter().any(|opt| opt.group == group), "{group:?}");
        }
        for opt in OPTIONS {
            assert_eq!(GROUPS.iter().filter(|(group, _)| *group == opt.group).count(), 1);
        }
    }
}
