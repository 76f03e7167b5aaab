//! Why tcptop does not write to a file that it could write to.

use std::fmt;

/// The reason. It completes "cannot append to 'FILE': ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRefusal {
    /// The file begins with something other than this.
    Foreign(&'static str),
    /// The file has content that tcptop may not read.
    Unreadable,
    /// The path leads through another user's link.
    Link,
    /// Another user may have put the file there.
    Owner,
    /// It is a block device.
    Device,
    /// Another process logs there.
    Locked,
}

impl fmt::Display for LogRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(expected) => write!(
                f,
                "it does not begin with {expected}, so tcptop did not write it: move it away, or choose another name"
            ),
            Self::Unreadable => f.write_str(
                "it has content, and tcptop may not read whether it wrote that: move it away, or let it be read",
            ),
            Self::Link => f.write_str(
                "another user's symbolic link leads to it, in a folder that others can write: remove the link, or choose \
                 a folder of your own",
            ),
            Self::Owner => f.write_str(
                "another user owns it, or it has a second name, in a folder that others can write: move it away, or choose \
                 a folder of your own",
            ),
            Self::Device => f.write_str("it is a block device: choose a file, a pipe or a terminal"),
            Self::Locked => {
                f.write_str("another process has locked it, probably a tcptop that logs there: choose another file")
            }
        }
    }
}
