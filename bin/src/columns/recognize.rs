//! Recognises text that may be a value of a column.

use super::{Column, value::Value};

impl Column {
    /// Returns true if `cell` looks like a value of this column, in CSV or in text. Returns false for names, which may
    /// be anything, and for the empty cell of an unknown value.
    pub fn has_printed(&self, cell: &[u8], csv: bool) -> bool {
        let digit = |byte: &u8| byte.is_ascii_digit();
        match self.value {
            Value::Name(_) => false,
            // Digits, and the bytes of bars.
            Value::Trend(_) => {
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

    /// Returns true if the values are names, which may be anything.
    pub const fn holds_names(&self) -> bool {
        matches!(self.value, Value::Name(_))
    }

    /// Like [`Self::has_printed`], but also accepts names, and the sign for an unknown value: an empty cell in CSV, a
    /// dash in text.
    pub fn may_have_printed(&self, cell: &[u8], csv: bool) -> bool {
        let unknown: &[u8] = if csv { b"" } else { b"-" };
        self.holds_names() || cell == unknown || self.has_printed(cell, csv)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ColumnId;

    #[test]
    fn cells_of_each_kind() {
        for (id, cell, csv, printed) in [
            (ColumnId::RxBytes, "1234", true, true),
            (ColumnId::RxBytes, "1.5K", true, false),
            (ColumnId::RxBytes, "1.5K", false, true),
            (ColumnId::RxBytes, "", true, false),
            (ColumnId::RxBytes, "K", false, false),
            (ColumnId::Time, "2026-11-23T12:41:52.123Z", true, true),
            (ColumnId::Time, "noon", true, false),
            (ColumnId::Proto, "-tcp", false, true),
            (ColumnId::State, "TIME_WAIT", true, true),
            (ColumnId::State, "a b", true, false),
            (ColumnId::RemoteAddress, "2001:db8::1", true, true),
            (ColumnId::Remote, "[::1]:443", false, true),
            (ColumnId::RemoteAddress, "face", true, false),
            (ColumnId::Comm, "sshd", true, false),
        ] {
            assert_eq!(id.column().has_printed(cell.as_bytes(), csv), printed, "{cell}");
        }
        assert!(ColumnId::RxBytes.column().may_have_printed(b"", true));
        assert!(ColumnId::RxBytes.column().may_have_printed(b"-", false));
        assert!(!ColumnId::RxBytes.column().may_have_printed(b"-", true));
        assert!(ColumnId::Comm.column().may_have_printed(b"anything", true));
    }
}
