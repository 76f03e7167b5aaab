//! The manual page, made from the tables of options and columns.

use std::{fmt::Write, fs, path::Path};

use super::{
    super::{
        options::{OPERANDS, OPTIONS},
        table::GROUPS,
    },
    help::{EXAMPLES, SUMMARY},
};
use crate::{columns::COLUMNS, exit};

/// Escapes text for roff, so that dashes can be copied and no line is taken for a request.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

pub fn manual() -> String {
    let mut page = String::from(
        ".\\\" Made from the tables of options and columns: see bin/src/args/documents/manual.rs.\n",
    );
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(page, ".TH TCPTOP 8 \"\" \"tcptop {version}\" \"System administration\"");
    let summary = SUMMARY.trim_end_matches('.');
    let _ = writeln!(page, ".SH NAME\ntcptop \\- {}", roff(&(summary[..1].to_lowercase() + &summary[1..])));
    page.push_str(
        ".SH SYNOPSIS\n.B tcptop\n.RI [ options ]\n.RI [ interval\n.RI [ count ]]\n.SH DESCRIPTION\n",
    );
    page.push_str(include_str!("../../../doc/description.roff"));
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
    page.push_str(".SH COLUMNS\nNames for\n.BR \\-\\-columns \", \" \\-\\-sort\nand\n.BR \\-\\-by ;\nCSV has them in its header line. In text, \\- stands for a value that is\nnot known, and in RX and TX also for a connection that has not moved since tcptop began.\n");
    for column in COLUMNS {
        let mut title = String::new();
        if !column.title.eq_ignore_ascii_case(column.name) {
            let _ = write!(title, " (in text {})", column.title);
        }
        let _ = writeln!(page, ".TP\n.BR {} \"{}\"\n{}.", column.name, roff(&title), roff(column.help));
    }
    page.push_str(".SH EXAMPLES\n");
    for (command, answer) in EXAMPLES {
        let _ = writeln!(page, ".TP\n.B {}\n{}.", roff(command), roff(answer));
    }
    page.push_str(".SH EXIT STATUS\n");
    for (status, meaning) in exit::TABLE {
        let _ = writeln!(page, ".TP\n.B {status}\n{}.", roff(meaning));
    }
    page.push_str(include_str!("../../../doc/end.roff"));
    page
}

#[test]
fn the_manual_tells_of_services_cron_and_columns() {
    let page = manual();
    for text in [
        "\nrx_rate and tx_rate together.\n",
        "/etc/default/tcptop",
        "/var/log/tcptop/tcptop.csv",
        "/etc/init.d/tcptop",
        "/etc/config/tcptop",
        "* * * * * root tcptop ",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // As the packages have it.
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/package");
    let cron = fs::read_to_string(package.join("cron/tcptop")).expect("a file of the repository");
    let line = cron.lines().last().expect("the recipe");
    assert!(page.contains(&roff(line)), "{line}");
    for (file, log) in [
        ("systemd/tcptop.service", "/var/log/tcptop/tcptop.csv"),
        ("openwrt/files/tcptop.config", "/tmp/log/tcptop.csv"),
        ("buildroot/package/tcptop/S95tcptop", "/var/log/tcptop.csv"),
    ] {
        let text = fs::read_to_string(package.join(file)).expect("a file of the repository");
        assert!(text.contains(log) && page.contains(log), "{file}");
    }
}
