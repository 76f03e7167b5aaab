#compdef tcptop
# zsh completion for tcptop, made from its table of options: see bin/src/args/documents/completions.rs.

# Columns, also with a minus in front.
_tcptop_signed() {
    compset -P -
    compadd -- "$@"
}

_arguments -s \
    '(-1 --once)-1[Print one report after one interval, then exit]' \
    '(-1 --once)--once[Print one report after one interval, then exit]' \
    '(-d --interval)-d[Time between reports (default 1)]:value:' \
    '(-d --interval)--interval=[Time between reports (default 1)]:value:' \
    '(-n --count)-n[Exit after N reports]:value:' \
    '(-n --count)--count=[Exit after N reports]:value:' \
    '(--exit-over)--exit-over=[Exit with status 1 after a report with a rate above RATE]:value:' \
    '(-p --pid)-p[Only these processes]:value:' \
    '(-p --pid)--pid=[Only these processes]:value:' \
    '(-c --comm)-c[Only processes with these names]:value:' \
    '(-c --comm)--comm=[Only processes with these names]:value:' \
    '(-P --port)-P[Only these ports at either end; !ssh excludes ssh]:value:_sequence _ports' \
    '(-P --port)--port=[Only these ports at either end; !ssh excludes ssh]:value:_sequence _ports' \
    '(-L --lport)-L[Only these local ports]:value:_sequence _ports' \
    '(-L --lport)--lport=[Only these local ports]:value:_sequence _ports' \
    '(-D --rport)-D[Only these remote ports]:value:_sequence _ports' \
    '(-D --rport)--rport=[Only these remote ports]:value:_sequence _ports' \
    '(-a --addr)-a[Only these addresses at either end]:value:' \
    '(-a --addr)--addr=[Only these addresses at either end]:value:' \
    '(--no-loopback)--no-loopback[Nothing over this hosts loopback]' \
    '(-t --tcp)-t[Only TCP]' \
    '(-t --tcp)--tcp[Only TCP]' \
    '(-u --udp)-u[Only UDP]' \
    '(-u --udp)--udp[Only UDP]' \
    '(-4 --ipv4)-4[Only IPv4, also when an IPv6 socket speaks it]' \
    '(-4 --ipv4)--ipv4[Only IPv4, also when an IPv6 socket speaks it]' \
    '(-6 --ipv6)-6[Only IPv6]' \
    '(-6 --ipv6)--ipv6[Only IPv6]' \
    '(--state)--state=[Only these TCP states]:value:_sequence compadd - established syn-sent syn-recv fin-wait1 fin-wait2 time-wait close close-wait last-ack listen closing' \
    '(--direction)--direction=[Only opened by the local (out) or remote (in) end]:value:(out in)' \
    '(-i --interface)-i[Only these network interfaces]:value:' \
    '(-i --interface)--interface=[Only these network interfaces]:value:' \
    '(-l --listen)-l[Also sockets that wait for connections or datagrams]' \
    '(-l --listen)--listen[Also sockets that wait for connections or datagrams]' \
    '(--traffic)--traffic=[Connections of this host, those it forwards, or both]:value:(local forwarded all)' \
    '(-s --sort)-s[Order by COLUMN]:value:_tcptop_signed time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' \
    '(-s --sort)--sort=[Order by COLUMN]:value:_tcptop_signed time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' \
    '(-r --rows)-r[Print at most N rows, 0 for all]:value:' \
    '(-r --rows)--rows=[Print at most N rows, 0 for all]:value:' \
    '(--min-rate)--min-rate=[Only rows of at least RATE, RX/s plus TX/s]:value:' \
    '(--by)--by=[One row with sums for each value of COLUMN]:value:(proto laddr lport raddr rport pid comm cmdline user unit state client process remote)' \
    '(--since-start)--since-start[With --by sums since tcptop started, with ended connections]' \
    '(--csv)--csv[Comma-separated values, a row per active connection]' \
    '(--closed)--closed=-[Also each connection that ended, with final totals]::value:(only)' \
    '(--total)--total[In CSV, end each report with the sum of all]' \
    '(-q --quiet)-q[The sums only the header line, in CSV the row `total`]' \
    '(-q --quiet)--quiet[The sums only the header line, in CSV the row `total`]' \
    '(--columns)--columns=[These columns, in this order]:value:_sequence compadd - time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' \
    '(-w --wide)-w[Shorten nothing for a narrow terminal]' \
    '(-w --wide)--wide[Shorten nothing for a narrow terminal]' \
    '(--bytes)--bytes[Sizes in digits, not as 1.5K]' \
    '(--bits)--bits[Rates in bits per second, in powers of 1000]' \
    '(-H --no-header)-H[Rows only no header line, no titles]' \
    '(-H --no-header)--no-header[Rows only no header line, no titles]' \
    '(-C --no-clear)-C[One report below the other, also on a terminal]' \
    '(-C --no-clear)--no-clear[One report below the other, also on a terminal]' \
    '(--time)--time=[utc, local or epoch (default local, in CSV utc)]:value:(utc local epoch)' \
    '(--cmdline)--cmdline[Command lines of processes]' \
    '(--user)--user=-[Owners users; with a LIST, only connections of these]::value:_sequence _users' \
    '(--unit)--unit=-[Owners services or containers; with a LIST, only connections of these]::value:' \
    '(--host)--host=-[Name of this host, or NAME, as a column at the end]::value:' \
    '(-o --output)-o[Append reports to FILE (- standard output)]:file:_files' \
    '(-o --output)--output=[Append reports to FILE (- standard output)]:file:_files' \
    '(--max-size)--max-size=[Rename FILE to FILE.1 before it exceeds SIZE]:value:' \
    '(--keep)--keep=[Keep N renamed files (default 4)]:value:' \
    '(--udp-timeout)--udp-timeout=[End a UDP flow after this much silence (default 5)]:value:' \
    '(--flows)--flows=[Connections and UDP flows to count at a time]:value:' \
    '(--collector)--collector=[auto, bpf or diag what counts local connections]:value:(auto bpf diag)' \
    '(--enable-acct)--enable-acct[Let connection tracking count bytes until tcptop ends]' \
    '(--check)--check[Try what tcptop needs on this host, then exit]' \
    '(-h --help)-h[Print the help, then exit]' \
    '(-h --help)--help[Print the help, then exit]' \
    '(-V --version)-V[Print the version, then exit]' \
    '(-V --version)--version[Print the version, then exit]' \
    '1::interval:' '2::count:'
