//! Shell completions for bash, zsh and fish, made from the tables of options and columns.

use std::fmt::Write;

use super::super::{id::OptionId, options::OPTIONS, read::GROUP_ALIASES, table::Opt};
use crate::{
    columns::{self, COLUMNS},
    conn::TcpState,
};

/// The kinds of values that an option completes.
enum Completion {
    Nothing,
    Files,
    Any,
    /// One of these words.
    These(Vec<String>),
    /// One of these words, with or without a minus in front.
    Signed(Vec<String>),
    /// A comma-separated list of these words.
    List(Vec<String>),
    /// A comma-separated list of users.
    Users,
    /// A comma-separated list of port names.
    Services,
}

fn words(opt: &Opt) -> Completion {
    let names = |wanted: &dyn Fn(columns::ColumnId) -> bool| {
        COLUMNS.iter().filter(|column| wanted(column.id)).map(|column| column.name.to_owned()).collect()
    };
    // The words that `expected` lists, such as `local, forwarded or all`.
    let from_expected = |opt: &Opt| {
        let expected = opt.value.as_ref().map_or("", |value| value.expected).replace(" or ", ", ");
        Completion::These(expected.split(", ").map(String::from).collect())
    };
    match opt.id {
        OptionId::Output => Completion::Files,
        OptionId::Sort => Completion::Signed(names(&|_| true)),
        OptionId::Columns => Completion::List(names(&|_| true)),
        OptionId::By => {
            let mut all: Vec<String> = names(&|id| columns::grouped(id).is_some());
            all.extend(GROUP_ALIASES.map(|(alias, _)| alias.to_owned()));
            Completion::These(all)
        }
        OptionId::Time | OptionId::Traffic | OptionId::Collector | OptionId::Direction => from_expected(opt),
        OptionId::Closed => Completion::These(vec!["only".into()]),
        OptionId::State => {
            Completion::List(TcpState::names().map(|name| name.to_lowercase().replace('_', "-")).collect())
        }
        OptionId::User => Completion::Users,
        OptionId::Port | OptionId::LocalPort | OptionId::RemotePort => Completion::Services,
        _ if opt.value.is_some() => Completion::Any,
        _ => Completion::Nothing,
    }
}

/// Returns true if the value may be left out, and is given only behind `=`.
fn is_optional(opt: &Opt) -> bool {
    opt.value.as_ref().is_some_and(|value| value.optional)
}

/// Returns every spelling of an option.
fn spellings(opt: &Opt) -> Vec<String> {
    let mut all: Vec<String> = opt.short.map(|letter| format!("-{letter}")).into_iter().collect();
    all.push(opt.long.into());
    all
}

pub fn bash() -> String {
    let mut text = String::from(
        r#"# bash completion for tcptop, made from its table of options: see bin/src/args/documents/completions.rs.
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
"#,
    );
    for opt in OPTIONS {
        let behind = vec![format!("{}=", opt.long)];
        let patterns = if is_optional(opt) { behind } else { [spellings(opt), behind].concat() };
        let reply = match words(opt) {
            Completion::Nothing => continue,
            Completion::Files => {
                r#"compopt -o filenames 2>/dev/null; _tcptop_words "$head" "$word" -f"#.to_owned()
            }
            Completion::Any => ":".to_owned(),
            Completion::These(list) => format!(r#"_tcptop_words "$head" "$word" -W '{}'"#, list.join(" ")),
            Completion::Signed(list) => format!(
                r#"[[ $word != -* ]] || head+=-; _tcptop_words "$head" "${{word#-}}" -W '{}'"#,
                list.join(" ")
            ),
            Completion::List(list) => format!(r#"_tcptop_list "$head" "$word" -W '{}'"#, list.join(" ")),
            Completion::Users => r#"_tcptop_list "$head" "$word" -A user"#.to_owned(),
            Completion::Services => r#"_tcptop_list "$head" "$word" -A service"#.to_owned(),
        };
        let _ = writeln!(text, "    {}) {reply} ;;", patterns.join(" | "));
    }
    let all: Vec<String> = OPTIONS.iter().flat_map(spellings).collect();
    let optional = OPTIONS.iter().filter(|opt| is_optional(opt)).map(|opt| match opt.id {
        OptionId::Closed => format!("{}=only", opt.long),
        _ => format!("{}=", opt.long),
    });
    let all: Vec<String> = all.into_iter().chain(optional).collect();
    let _ = write!(
        text,
        r#"    *)
        [[ $word == -* ]] || return
        _tcptop_words '' "$word" -W '{}'
        [[ ${{#COMPREPLY[@]}} -ne 1 || ${{COMPREPLY[0]}} != *= ]] || compopt -o nospace 2>/dev/null
        ;;
    esac
}}

complete -F _tcptop tcptop
"#,
        all.join(" ")
    );
    text
}

pub fn zsh() -> String {
    let mut text = String::from(
        "#compdef tcptop\n# zsh completion for tcptop, made from its table of options: see bin/src/args/documents/completions.rs.\n\n\
         # Columns, also with a minus in front.\n_tcptop_signed() {\n    compset -P -\n    compadd -- \"$@\"\n}\n\n\
         _arguments -s \\\n",
    );
    for opt in OPTIONS {
        let brief = opt.brief.replace('\'', "").replace('[', "(").replace(']', ")").replace(':', "");
        let action = match words(opt) {
            Completion::Nothing => String::new(),
            Completion::Files => ":file:_files".into(),
            Completion::Any => ":value:".into(),
            Completion::These(list) => format!(":value:({})", list.join(" ")),
            Completion::Signed(list) => format!(":value:_tcptop_signed {}", list.join(" ")),
            Completion::List(list) => format!(":value:_sequence compadd - {}", list.join(" ")),
            Completion::Users => ":value:_sequence _users".into(),
            Completion::Services => ":value:_sequence _ports".into(),
        };
        let names = spellings(opt);
        for name in &names {
            let (equals, action) = match (&opt.value, name.starts_with("--")) {
                (Some(value), true) if value.optional => ("=-", format!(":{action}")),
                (Some(_), true) => ("=", action.clone()),
                _ => ("", action.clone()),
            };
            let _ = writeln!(text, "    '({}){name}{equals}[{brief}]{action}' \\", names.join(" "));
        }
    }
    text.push_str("    '1::interval:' '2::count:'\n");
    text
}

pub fn fish() -> String {
    let mut text = String::from(
        "# fish completion for tcptop, made from its table of options: see bin/src/args/documents/completions.rs.\n\ncomplete -c tcptop -f\n",
    );
    for opt in OPTIONS {
        let short = opt.short.map_or_else(String::new, |letter| format!(" -s {letter}"));
        let signed =
            |list: &[String]| list.iter().map(|name| format!("-{name}")).collect::<Vec<_>>().join(" ");
        let action = match words(opt) {
            Completion::Nothing => String::new(),
            Completion::Files => " -r -F".into(),
            Completion::Any if is_optional(opt) => String::new(),
            Completion::Any => " -x".into(),
            // fish has no optional values, so each value is offered as a switch of its own.
            Completion::These(_) if is_optional(opt) => String::new(),
            Completion::These(list) => format!(" -x -a '{}'", list.join(" ")),
            Completion::Signed(list) => format!(" -x -a '{} {}'", list.join(" "), signed(&list)),
            Completion::List(list) => {
                format!(" -x -a '(__fish_complete_list , \"string split \\' \\' \\'{}\\'\")'", list.join(" "))
            }
            Completion::Users => " -a '(__fish_complete_list , __fish_complete_users)'".into(),
            Completion::Services => {
                " -x -a '(__fish_complete_list , \"string match -r \\'^[a-z][^ \\\\t]*\\' </etc/services\")'"
                    .into()
            }
        };
        let brief = opt.brief.replace('\'', "");
        let _ = writeln!(text, "complete -c tcptop{short} -l {}{action} -d '{brief}'", &opt.long[2..]);
        if opt.id == OptionId::Closed {
            let _ = writeln!(
                text,
                "complete -c tcptop -l closed=only -d 'Connections that ended, and no others'"
            );
        }
    }
    text
}
