//! Whether text that somebody finds can be a value of a column.

use super::{Column, Value};

impl Column {
    /// Whether this column may have printed `cell`: in CSV, or in text. False for a name, which may be anything, and for the
    /// empty cell of a value that is not known.
    pub fn has_printed(&self, cell: &[u8], csv: bool) -> bool {
        let digit = |byte: &u8| byte.is_ascii_digit();
        match self.value {
            Value::Name(_) => false,
            // Digits, and the bytes of bars.
            Value::Past(_) => {
                let step = |byte: &u8| matches!(byte, b'0'..=b'7' | 0xe2 | 0x96 | 0x81..=0x88);
                !cell.is_empty() && cell.iter().all(step)
            }
            // `1.5K`, `0.10ms`; `2026-11-23T12:41:52.123Z`.
            Value::Number(..) if csv => !cell.is_empty() && cell.iter().all(digit),
            Value::Number(..) | Value::Moment(_) => cell.first().is_some_and(digit),
            // `-tcp`, `TIME_WAIT`.
            Value::Word(_) => {
                let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                cell.iter().all(letter) && cell.iter().any(u8::is_ascii_alphabetic)
            }
            Value::Address(_) | Value::Endpoint(_) => {
                let part =
                    |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'[' | b']' | b'*');
                cell.iter().all(part) && cell.iter().any(|byte| matches!(byte, b':' | b'.'))
            }
        }
    }

    /// Whether its values are names, which may be anything.
    pub const fn is_of_names(&self) -> bool {
        matches!(self.value, Value::Name(_))
    }

    /// Whether a row may lack the value: an empty cell in CSV, a dash in text.
    pub fn may_have_printed(&self, cell: &[u8], csv: bool) -> bool {
        let unknown: &[u8] = if csv { b"" } else { b"-" };
        self.is_of_names() || cell == unknown || self.has_printed(cell, csv)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Id;

    #[test]
    fn cells_of_each_kind() {
        for (id, cell, csv, printed) in [
            (Id::RxBytes, "1234", true, true),
            (Id::RxBytes, "1.5K", true, false),
            (Id::RxBytes, "1.5K", false, true),
            (Id::RxBytes, "", true, false),
            (Id::RxBytes, "K", false, false),
            (Id::Time, "2026-11-23T12:41:52.123Z", true, true),
            (Id::Time, "noon", true, false),
            (Id::Proto, "-tcp", false, true),
            (Id::State, "TIME_WAIT", true, true),
            (Id::State, "a b", true, false),
            (Id::RemoteAddress, "2001:db8::1", true, true),
            (Id::Remote, "[::1]:443", false, true),
            (Id::RemoteAddress, "face", true, false),
            (Id::Comm, "sshd", true, false),
        ] {
            assert_eq!(id.column().has_printed(cell.as_bytes(), csv), printed, "{cell}");
        }
        assert!(Id::RxBytes.column().may_have_printed(b"", true));
        assert!(Id::RxBytes.column().may_have_printed(b"-", false));
        assert!(!Id::RxBytes.column().may_have_printed(b"-", true));
        assert!(Id::Comm.column().may_have_printed(b"anything", true));
    }
}
