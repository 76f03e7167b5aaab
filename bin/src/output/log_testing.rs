//! Helpers for tests of logs, which have two columns and are in their own directory.

use std::{
    env, fs,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process,
};

use super::{
    LogFile, OutputError, OutputOptions,
    log::Log,
    refusal::LogRefusal,
    samples::{self, never},
    signature::Signature,
};
use crate::columns::ColumnId;

/// The header of these logs, and one with other columns.
pub const HEADER: &str = "rx_bytes,tx_bytes\n";
pub const OTHER: &str = "rx_bytes,pid\n";

/// A directory of one test. Dropping it removes the directory.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tcptop-log-{}-{name}", process::id()));
        fs::create_dir_all(&path).expect("the test makes its own directory");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|_| "none".into())
    }

    pub fn metadata(&self, name: &str) -> fs::Metadata {
        fs::metadata(self.path(name)).expect("there")
    }

    pub fn log(&self, most: Option<u64>, keep: u32) -> Writer {
        self.try_log(most, keep).expect("opened")
    }

    pub fn try_log(&self, most: Option<u64>, keep: u32) -> Result<Writer, OutputError> {
        open(LogFile { path: self.path("log"), most, keep })
    }

    /// Returns why the file is refused.
    pub fn refusal(&self) -> LogRefusal {
        match self.try_log(None, 4).map(|_| ()) {
            Err(OutputError::Refused { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a log with two columns, as the printer does.
pub struct Writer {
    pub log: Log,
    pub stop: OwnedFd,
}

pub fn signature() -> Signature {
    Signature::new(&OutputOptions { columns: vec![ColumnId::RxBytes, ColumnId::TxBytes], ..samples::csv() })
}

pub fn open(settings: LogFile) -> Result<Writer, OutputError> {
    let stop = never();
    Ok(Writer { log: Log::open(settings, signature(), stop.as_fd())?, stop })
}

impl Writer {
    /// Returns true if the file was new for this report, so that the header line comes first.
    pub fn report(&mut self, text: &str) -> Result<bool, OutputError> {
        let new = self.log.prepare(text.len(), self.stop.as_fd())?;
        let header = if new { HEADER } else { "" };
        self.log.write([header, text].concat().as_bytes(), self.stop.as_fd())?;
        Ok(new)
    }
}

pub fn with_header(text: &str) -> String {
    [HEADER, text].concat()
}
