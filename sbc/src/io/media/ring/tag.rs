//! Which request a completion belongs to, as the word that goes with both.

use super::super::backend::{Account, SocketId};

/// What a completion belongs to: 8 bits of kind, 32 of generation (or account), 16 of socket (or buffer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The bell was rung.
    Wake,
    /// A receive was to end.
    Cancel,
    /// A socket received, or ends to.
    Receive(SocketId),
    /// A buffer has left.
    Send { account: Account, buffer: u16 },
}

impl Tag {
    /// The word.
    pub(super) fn pack(self) -> u64 {
        let (kind, middle, low) = match self {
            Tag::Wake => (0, 0, 0),
            Tag::Cancel => (1, 0, 0),
            Tag::Receive(id) => (2, id.generation, id.index),
            Tag::Send { account, buffer } => {
                let Account { network, socket } = account;
                (3, u32::from(network) | u32::from(socket) << 16, buffer)
            }
        };
        kind << 56 | u64::from(middle) << 16 | u64::from(low)
    }

    /// What the word says; `None` if it is none of ours.
    pub(super) fn unpack(data: u64) -> Option<Tag> {
        let middle = (data >> 16) as u32;
        let low = data as u16;
        match data >> 56 {
            0 => Some(Tag::Wake),
            1 => Some(Tag::Cancel),
            2 => Some(Tag::Receive(SocketId {
                index: low,
                generation: middle,
            })),
            3 => Some(Tag::Send {
                account: Account {
                    network: middle as u16,
                    socket: (middle >> 16) as u16,
                },
                buffer: low,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_same_after_its_word() {
        let far = SocketId {
            index: u16::MAX,
            generation: u32::MAX,
        };
        let near = SocketId {
            index: 1,
            generation: 0,
        };
        let send = |network, socket, buffer| Tag::Send {
            account: Account { network, socket },
            buffer,
        };
        for tag in [
            Tag::Wake,
            Tag::Cancel,
            Tag::Receive(far),
            Tag::Receive(near),
            send(u16::MAX, 2, 0),
            send(1, u16::MAX, u16::MAX),
        ] {
            assert_eq!(Tag::unpack(tag.pack()), Some(tag));
        }
        assert_eq!(Tag::unpack(u64::MAX), None);
    }
}
