//! The manual page and the completions, made from the tables of options and columns. They are files of the repository, in
//! bin/doc; the test sees that they are as new as the tables, and with `TCPTOP_WRITE=1` it writes them.

use std::{fmt::Write, fs, path::Path};

use super::{
    help::{EXAMPLES, SUMMARY},
    id::Id,
    options::{OPERANDS, OPTIONS},
    table::{GROUPS, Opt},
};
use crate::{
    columns::{self, COLUMNS},
    conn::TcpState,
    exit,
};

/// Text for roff: dashes that can be copied, and no line that is taken for a request.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn manual() -> String {
    let mut page =
        String::from(".\\\" Made from the tables of options and columns: see bin/src/args/manual.rs.\n");
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(page, ".TH TCPTOP 8 \"\" \"tcptop {version}\" \"System administration\"");
    let summary = SUMMARY.trim_end_matches('.');
    let _ = writeln!(page, ".SH NAME\ntcptop \\- {}", roff(&(summary[..1].to_lowercase() + &summary[1..])));
    page.push_str(
        ".SH SYNOPSIS\n.B tcptop\n.RI [ options ]\n.RI [ interval\n.RI [ count ]]\n.SH DESCRIPTION\n",
    );
    page.push_str(include_str!("../../doc/description.roff"));
    page.push_str(".SH OPTIONS\n");
    for operand in &OPERANDS {
        let _ = writeln!(page, ".TP\n.I {}\n{}.", operand.value.name, roff(operand.help));
    }
    for (group, title) in GROUPS {
        let _ = writeln!(page, ".SS {}", roff(title));
        for opt in OPTIONS.iter().filter(|opt| opt.group == group) {
            let mut names = opt.short.map_or_else(String::new, |letter| format!("\\fB\\-{letter}\\fR, "));
            let _ = write!(names, "\\fB{}\\fR", roff(opt.long));
            if let Some(takes) = &opt.value {
                let gap = if takes.optional { "" } else { " " };
                let _ = write!(names, "{gap}\\fI{}\\fR", roff(takes.name));
            }
            let _ = writeln!(page, ".TP\n{names}\n{}.", roff(&opt.description()));
        }
    }
    page.push_str(".SH COLUMNS\nNames for\n.BR \\-\\-columns \", \" \\-\\-sort\nand\n.BR \\-\\-by ;\nCSV has them in its header line.\n");
    for column in &COLUMNS {
        let mut title = String::new();
        if !column.title.eq_ignore_ascii_case(column.name) {
            let _ = write!(title, " (in text {})", column.title);
        }
        let _ =
            writeln!(page, ".TP\n.BR {} \"{}\"\n{}.", column.name, roff(&title), roff(&capital(column.help)));
    }
    page.push_str(".SH EXAMPLES\n");
    for (command, answer) in EXAMPLES {
        let _ = writeln!(page, ".TP\n.B {}\n{}.", roff(command), roff(answer));
    }
    page.push_str(".SH EXIT STATUS\n");
    for (status, meaning) in exit::TABLE {
        let _ = writeln!(page, ".TP\n.B {status}\n{}.", roff(meaning));
    }
    page.push_str(include_str!("../../doc/end.roff"));
    page
}

fn capital(text: &str) -> String {
    text[..1].to_uppercase() + &text[1..]
}

/// What may stand behind an option, for completions.
enum Words {
    Nothing,
    Files,
    Any,
    These(Vec<String>),
}

fn words(opt: &Opt) -> Words {
    let names = |wanted: &dyn Fn(columns::Id) -> bool| {
        COLUMNS.iter().filter(|column| wanted(column.id)).map(|column| column.name.to_owned()).collect()
    };
    match opt.id {
        Id::Output => Words::Files,
        Id::Sort | Id::Columns => Words::These(names(&|_| true)),
        Id::By => {
            let mut all: Vec<String> = names(&|id| columns::grouped(id).is_some());
            all.extend(["process".into(), "remote".into()]);
            Words::These(all)
        }
        Id::Time => Words::These(["utc", "local", "epoch"].map(String::from).into()),
        Id::State => {
            Words::These(TcpState::names().map(|name| name.to_lowercase().replace('_', "-")).collect())
        }
        _ if opt.value.as_ref().is_some_and(|value| !value.optional) => Words::Any,
        _ => Words::Nothing,
    }
}

/// Every spelling of an option, the optional value included.
fn spellings(opt: &Opt) -> Vec<String> {
    let mut all: Vec<String> = opt.short.map(|letter| format!("-{letter}")).into_iter().collect();
    all.push(opt.long.into());
    if opt.value.as_ref().is_some_and(|value| value.optional) {
        all.push(format!("{}=only", opt.long));
    }
    all
}

fn bash() -> String {
    let mut text = String::from(
        "# bash completion for tcptop, made from its table of options: see bin/src/args/manual.rs.\n\
         # shellcheck shell=bash disable=SC2207\n\n_tcptop() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n    COMPREPLY=()\n    case $before in\n",
    );
    for opt in &OPTIONS {
        let patterns = spellings(opt).join(" | ");
        let reply = match words(opt) {
            Words::Nothing => continue,
            Words::Files => "COMPREPLY=($(compgen -f -- \"$word\"))".to_owned(),
            Words::Any => "return".to_owned(),
            Words::These(list) => format!("COMPREPLY=($(compgen -W '{}' -- \"$word\"))", list.join(" ")),
        };
        let _ = writeln!(text, "    {patterns}) {reply} ;;");
    }
    let all: Vec<String> = OPTIONS.iter().flat_map(spellings).collect();
    let _ = write!(
        text,
        "    *)\n        [[ $word == -* ]] || return\n        COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n        ;;\n    esac\n}}\n\ncomplete -F _tcptop tcptop\n",
        all.join(" ")
    );
    text
}

fn zsh() -> String {
    let mut text = String::from(
        "#compdef tcptop\n# zsh completion for tcptop, made from its table of options: see bin/src/args/manual.rs.\n\n_arguments -s \\\n",
    );
    for opt in &OPTIONS {
        let brief = opt.brief.replace('\'', "").replace('[', "(").replace(']', ")").replace(':', "");
        let action = match words(opt) {
            Words::Nothing => String::new(),
            Words::Files => ":file:_files".into(),
            Words::Any => ":value:".into(),
            Words::These(list) => format!(":value:({})", list.join(" ")),
        };
        let mut names: Vec<String> = opt.short.map(|letter| format!("-{letter}")).into_iter().collect();
        names.push(opt.long.into());
        for name in &names {
            let (equals, action) = match (&opt.value, name.starts_with("--")) {
                (Some(value), true) if value.optional => ("=-", "::value:(only)"),
                (Some(_), true) => ("=", action.as_str()),
                _ => ("", action.as_str()),
            };
            let _ = writeln!(text, "    '({}){name}{equals}[{brief}]{action}' \\", names.join(" "));
        }
    }
    text.push_str("    '1::interval:' '2::count:'\n");
    text
}

fn fish() -> String {
    let mut text = String::from(
        "# fish completion for tcptop, made from its table of options: see bin/src/args/manual.rs.\n\ncomplete -c tcptop -f\n",
    );
    for opt in &OPTIONS {
        let short = opt.short.map_or_else(String::new, |letter| format!(" -s {letter}"));
        let action = match words(opt) {
            Words::Nothing => String::new(),
            Words::Files => " -r -F".into(),
            Words::Any => " -x".into(),
            Words::These(list) => format!(" -x -a '{}'", list.join(" ")),
        };
        let brief = opt.brief.replace('\'', "");
        let _ = writeln!(text, "complete -c tcptop{short} -l {}{action} -d '{brief}'", &opt.long[2..]);
    }
    text
}

#[test]
fn manual_and_completions_are_those_of_the_tables() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc");
    let files =
        [("tcptop.8", manual()), ("tcptop.bash", bash()), ("tcptop.zsh", zsh()), ("tcptop.fish", fish())];
    for (name, text) in files {
        let path = directory.join(name);
        if std::env::var_os("TCPTOP_WRITE").is_some() {
            fs::write(&path, &text).expect("written");
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "bin/doc/{name} is not of these tables: `TCPTOP_WRITE=1 cargo test manual` writes it"
        );
    }
}
