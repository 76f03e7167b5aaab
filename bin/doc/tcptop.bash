# bash completion for tcptop, made from its table of options: see bin/src/args/documents/completions.rs.
# shellcheck shell=bash

# _tcptop_words HEAD WORD COMPGEN...: what begins with WORD, behind HEAD.
_tcptop_words() {
    local head=$1 word=$2
    shift 2
    mapfile -t COMPREPLY < <(compgen -P "$head" "$@" -- "$word")
}

# _tcptop_list HEAD WORD COMPGEN...: completes the last item of a list, which may have ! or ^ in front.
_tcptop_list() {
    local head=$1 word=$2 item
    shift 2
    item=${word##*,}
    item=${item#[\!^]}
    compopt -o nospace 2>/dev/null
    _tcptop_words "$head${word%"$item"}" "$item" "$@"
}

_tcptop() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} head=''
    COMPREPLY=()
    # Bash parts words at =, unless somebody changed COMP_WORDBREAKS.
    if [[ $word == = ]]; then
        word='' before=$before=
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}=
    elif [[ $word == --*=* ]]; then
        before=${word%%=*}= head=${word%%=*}= word=${word#*=}
    fi
    case $before in
    -d | --interval | --interval=) : ;;
    -n | --count | --count=) : ;;
    --exit-over | --exit-over=) : ;;
    -p | --pid | --pid=) : ;;
    -c | --comm | --comm=) : ;;
    -P | --port | --port=) _tcptop_list "$head" "$word" -A service ;;
    -L | --lport | --lport=) _tcptop_list "$head" "$word" -A service ;;
    -D | --rport | --rport=) _tcptop_list "$head" "$word" -A service ;;
    -a | --addr | --addr=) : ;;
    --state | --state=) _tcptop_list "$head" "$word" -W 'established syn-sent syn-recv fin-wait1 fin-wait2 time-wait close close-wait last-ack listen closing' ;;
    --direction | --direction=) _tcptop_words "$head" "$word" -W 'out in' ;;
    -i | --interface | --interface=) : ;;
    --traffic | --traffic=) _tcptop_words "$head" "$word" -W 'local forwarded all' ;;
    -s | --sort | --sort=) [[ $word != -* ]] || head+=-; _tcptop_words "$head" "${word#-}" -W 'time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' ;;
    -r | --rows | --rows=) : ;;
    --min-rate | --min-rate=) : ;;
    --by | --by=) _tcptop_words "$head" "$word" -W 'proto laddr lport raddr rport pid comm cmdline user unit state client process remote' ;;
    --closed=) _tcptop_words "$head" "$word" -W 'only' ;;
    --columns | --columns=) _tcptop_list "$head" "$word" -W 'time event proto laddr lport local raddr rport remote pid comm cmdline user unit state rx_bytes tx_bytes bytes rx_packets tx_packets rx_rate tx_rate rate rtt_us retrans start duration_ms conns nat client direction host interface reason recvq sendq cwnd avg10 avg60 trend' ;;
    --time | --time=) _tcptop_words "$head" "$word" -W 'utc local epoch' ;;
    --user=) _tcptop_list "$head" "$word" -A user ;;
    --unit=) : ;;
    --host=) : ;;
    -o | --output | --output=) compopt -o filenames 2>/dev/null; _tcptop_words "$head" "$word" -f ;;
    --max-size | --max-size=) : ;;
    --keep | --keep=) : ;;
    --udp-timeout | --udp-timeout=) : ;;
    --flows | --flows=) : ;;
    --collector | --collector=) _tcptop_words "$head" "$word" -W 'auto bpf diag' ;;
    *)
        [[ $word == -* ]] || return
        _tcptop_words '' "$word" -W '-1 --once -d --interval -n --count --exit-over -p --pid -c --comm -P --port -L --lport -D --rport -a --addr --no-loopback -t --tcp -u --udp -4 --ipv4 -6 --ipv6 --state --direction -i --interface -l --listen --traffic -s --sort -r --rows --min-rate --by --since-start --csv --closed --total -q --quiet --columns -w --wide --bytes --bits -H --no-header -C --no-clear --time --cmdline --user --unit --host -o --output --max-size --keep --udp-timeout --flows --collector --enable-acct --check -h --help -V --version --closed=only --user= --unit= --host='
        [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
        ;;
    esac
}

complete -F _tcptop tcptop
