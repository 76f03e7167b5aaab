# bash completion for tcptop, made from its table of options: see bin/src/args/manual.rs.
# shellcheck shell=bash disable=SC2207

_tcptop() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $before in
    -d | --interval) return ;;
    -n | --count) return ;;
    --exit-over) return ;;
    -p | --pid) return ;;
    -c | --comm) return ;;
    -P | --port) return ;;
    -L | --lport) return ;;
    -D | --rport) return ;;
    -a | --addr) return ;;
    --state) COMPREPLY=($(compgen -W 'established syn-sent syn-recv fin-wait1 fin-wait2 time-wait close close-wait last-ack listen closing' -- "$word")) ;;
    --direction) return ;;
    -i | --interface) return ;;
    --traffic) return ;;
    -s | --sort) COMPREPLY=($(compgen -W 'time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' -- "$word")) ;;
    -r | --rows) return ;;
    --min-rate) return ;;
    --by) COMPREPLY=($(compgen -W 'proto laddr lport raddr rport pid comm cmdline user unit state client process remote' -- "$word")) ;;
    --columns) COMPREPLY=($(compgen -W 'time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' -- "$word")) ;;
    --time) COMPREPLY=($(compgen -W 'utc local epoch' -- "$word")) ;;
    -o | --output) COMPREPLY=($(compgen -f -- "$word")) ;;
    --max-size) return ;;
    --keep) return ;;
    --udp-timeout) return ;;
    --flows) return ;;
    --collector) return ;;
    *)
        [[ $word == -* ]] || return
        COMPREPLY=($(compgen -W '-1 --once -d --interval -n --count --exit-over -p --pid -c --comm -P --port -L --lport -D --rport -a --addr --no-loopback -t --tcp -u --udp -4 --ipv4 -6 --ipv6 --state --direction -i --interface -l --listen --traffic -s --sort -r --rows --min-rate --by --since-start --csv --closed --closed=only --total -q --quiet --columns -w --wide --bytes --bits -H --no-header -C --no-clear --time --cmdline --user --user=only --unit --unit=only --host --host=only -o --output --max-size --keep --udp-timeout --flows --collector --enable-acct --check -h --help -V --version' -- "$word"))
        ;;
    esac
}

complete -F _tcptop tcptop
