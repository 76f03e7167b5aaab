//! Whether this host passes a connection on, and which of its ends is the near one.

use super::{
    entry::Entry,
    host::{Host, is_private},
    tuple::Address,
};

/// An address and a port.
pub type End = (Address, u16);

/// The ends of a connection that is handed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub near: End,
    pub far: End,
    /// The near end as the far end sees it, if that is another one.
    pub translated: Option<End>,
    /// Where the near end sends its packets to, if the far end is translated too.
    pub sent_to: Option<End>,
    /// The near end is the one that answers, so that it receives what the original direction counts.
    pub answers: bool,
    /// Neither end is this host's.
    pub forwarded: bool,
}

/// The ends of a connection between two other hosts. `None`: it is one of this host's own, or goes to many hosts.
///
/// A translated source is behind the translation, so it is near; of a translated destination, the real one is. If both are
/// translated, both ends may be inside, and the source is near. If neither is, the end with a private address is near,
/// and the source if that does not tell them apart.
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

/// The ends of a connection of this host, as its socket sees them. `None`: neither end is this host's. If both are, the near
/// end is the source.
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
