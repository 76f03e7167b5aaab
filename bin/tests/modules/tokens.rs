//! Splits a source into words and signs.

/// The words and signs of a source, each with its line. Comments are left out, and of a literal its text.
pub fn tokens(text: &str) -> Vec<(usize, String)> {
    let text: Vec<char> = text.chars().collect();
    let is_word = |at: usize| text.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(n, c)| text.get(at + n) == Some(&c));
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let begin = at;
        let mut token = String::new();
        if starts(at, "//") {
            while at < text.len() && text[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < text.len() {
                let step = if starts(at, "/*") { 1 } else { -i32::from(starts(at, "*/")) };
                depth += step;
                at += if step == 0 { 1 } else { 2 };
                if depth == 0 {
                    break;
                }
            }
        } else if text[at] == '"' {
            at = end_of_quote(&text, at);
        } else if text[at] == '\'' {
            // Otherwise it is a lifetime, whose name follows as a word.
            let is_char = starts(at + 1, "\\") || starts(at + 2, "'");
            at = if is_char { end_of_quote(&text, at) } else { at + 1 };
        } else if is_word(at) {
            while is_word(at) {
                at += 1;
            }
            token = text[begin..at].iter().collect();
            let hashes = text[at..].iter().take_while(|c| **c == '#').count();
            if matches!(&*token, "r" | "br" | "cr") && text.get(at + hashes) == Some(&'"') {
                let end = ["\"", &"#".repeat(hashes)].concat();
                at += hashes + 1;
                while at < text.len() && !starts(at, &end) {
                    at += 1;
                }
                at += end.len();
                token.clear();
            }
        } else if starts(at, "::") {
            at += 2;
            token.push_str("::");
        } else {
            at += 1;
            if !text[begin].is_whitespace() {
                token.push(text[begin]);
            }
        }
        if !token.is_empty() {
            tokens.push((line, token));
        }
        line += text[begin..at.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Where the literal ends whose opening quote is at `at`.
fn end_of_quote(text: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while text.get(end).is_some_and(|c| *c != text[at]) {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    end + 1
}

/// Drops each item that `#[cfg(test)]` stands before, with its other attributes.
pub fn without_tests(tokens: Vec<(usize, String)>) -> Vec<(usize, String)> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let marked = |at: usize| {
        let here = tokens.iter().skip(at).map(|(_, word)| word.as_str());
        here.take(MARK.len()).eq(MARK)
    };
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !marked(at) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // The item ends at a semicolon, or with the braces of its body.
        let mut depth = 0;
        for (_, word) in &tokens[at..] {
            at += 1;
            match word.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(word.as_str(), ";" | "}") {
                break;
            }
        }
    }
    kept
}
