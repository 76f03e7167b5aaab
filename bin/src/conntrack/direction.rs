//! Finds out whether this host forwards a connection, and which of its ends is the near one.

use tcptop_abi::MappedAddress;

use super::{
    addresses::{Host, is_private},
    entry::Entry,
};

/// An address and a port.
pub type TupleEnd = (MappedAddress, u16);

/// The ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub near: TupleEnd,
    pub far: TupleEnd,
    /// The near end as the far end sees it, if address translation changed it.
    pub translated: Option<TupleEnd>,
    /// The destination of the near end's packets, if the far end is translated too.
    pub sent_to: Option<TupleEnd>,
    /// The near end is the one that answers, so it receives the packets of the original direction.
    pub answers: bool,
    /// Neither end is an address of this host.
    pub forwarded: bool,
}

/// Returns the ends of a connection between two other hosts. `None`: an end belongs to this host, or the destination is many
/// hosts.
///
/// If the source is translated, it is behind the translation and therefore near. If the destination is translated, the real
/// destination is near. If both are translated, both ends may be inside, and the source is near. If neither is, the end with
/// a private address is near; if both or neither have one, the source is.
pub fn forwarded(entry: &Entry, host: &Host) -> Option<Ends> {
    let Entry { original, reply, .. } = entry;
    let is_ours = [&original.source, &reply.source].into_iter().any(|address| host.owns(address));
    if is_ours || host.reaches_many(&original.destination) {
        return None;
    }
    let source_translated = reply.to() != original.from();
    let destination_translated = reply.from() != original.to();
    let ends = |translated| Ends {
        near: original.from(),
        far: reply.from(),
        translated,
        sent_to: None,
        answers: false,
        forwarded: true,
    };
    Some(match (source_translated, destination_translated) {
        (true, false) => ends(Some(reply.to())),
        (true, true) => Ends { sent_to: Some(original.to()), ..ends(Some(reply.to())) },
        (false, true) => Ends {
            near: reply.from(),
            far: original.from(),
            translated: Some(original.to()),
            sent_to: None,
            answers: true,
            forwarded: true,
        },
        (false, false) if is_private(&original.destination) && !is_private(&original.source) => {
            Ends { near: original.to(), far: original.from(), answers: true, ..ends(None) }
        }
        (false, false) => ends(None),
    })
}

/// Returns the ends of a connection of this host, as its socket sees them. `None`: neither end belongs to this host. If both
/// do, the source is the near end.
pub fn own(entry: &Entry, host: &Host) -> Option<Ends> {
    let Entry { original, reply, .. } = entry;
    let ends =
        |near, far, answers| Ends { near, far, translated: None, sent_to: None, answers, forwarded: false };
    if host.owns(&original.source) {
        Some(ends(original.from(), original.to(), false))
    } else {
        host.owns(&reply.source).then(|| ends(reply.from(), reply.to(), true))
    }
}

#[cfg(test)]
#[path = "direction_tests.rs"]
mod tests;
