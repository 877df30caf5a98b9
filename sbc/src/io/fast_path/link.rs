//! An interface, as its link message says and as next hops need it.

use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    VlanProtocol,
};
use sbc_ebpf::abi::{self, NextHop};

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Its name.
    pub(super) name: String,
    /// Its Ethernet address; none for what is no Ethernet.
    pub(super) mac: Option<[u8; 6]>,
    /// Largest IP packet.
    pub(super) mtu: u32,
    /// A pair of virtual interfaces.
    pub(super) is_veth: bool,
    /// It is a VLAN of another interface.
    pub(super) vlan: Option<Vlan>,
    /// Frames may pass.
    pub(super) is_up: bool,
}

/// What an 802.1Q interface stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vlan {
    /// The interface that the tagged frames are on.
    pub(super) lower: u32,
    /// 1 to 4094.
    pub(super) id: u16,
}

impl Link {
    /// What a link message says.
    pub(super) fn of(message: LinkMessage) -> Link {
        let is_ethernet = message.header.link_layer_type == LinkLayerType::Ether;
        let mut link = Link {
            name: String::new(),
            mac: None,
            mtu: 0,
            is_veth: false,
            vlan: None,
            is_up: message.header.flags.contains(LinkFlags::Up),
        };
        let (mut lower, mut is_elsewhere, mut tag) = (None, false, None);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(bytes) if is_ethernet => {
                    link.mac = bytes.as_slice().try_into().ok();
                }
                LinkAttribute::Link(index) => lower = Some(index),
                LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
                LinkAttribute::LinkInfo(infos) => {
                    link.is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
                    tag = tag_of(&infos);
                }
                _ => {}
            }
        }
        match (tag, lower) {
            (Some(Tag::Dot1q(id)), Some(lower)) if !is_elsewhere => {
                link.vlan = Some(Vlan { lower, id });
            }
            // A tag that cannot be put on its lower interface here: of no use to the fast path.
            (Some(_), _) => link.mac = None,
            (None, _) => {}
        }
        link
    }
}

/// The tag that a VLAN interface puts on its frames.
enum Tag {
    Dot1q(u16),
    /// 802.1ad.
    Other,
}

fn tag_of(infos: &[LinkInfo]) -> Option<Tag> {
    if !infos.contains(&LinkInfo::Kind(InfoKind::Vlan)) {
        return None;
    }
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data.as_slice()),
        _ => None,
    });
    let mut id = None;
    for one in data.unwrap_or_default() {
        match one {
            InfoVlan::Id(number) => id = Some(*number),
            InfoVlan::Protocol(VlanProtocol::Ieee8021Q) => {}
            InfoVlan::Protocol(_) => return Some(Tag::Other),
            _ => {}
        }
    }
    Some(id.map_or(Tag::Other, Tag::Dot1q))
}

/// An interface that routes lead to, and what its frames leave by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Device {
    /// Its Ethernet address; none for what is no Ethernet, or whose frames XDP cannot make.
    pub(super) mac: Option<[u8; 6]>,
    mtu: u32,
    /// The interface itself; of a VLAN, the one that carries it.
    pub(super) carrier: u32,
    /// The VLAN's tag; 0: none.
    vlan: u16,
    is_veth: bool,
    /// The driver says that it takes no frames from another one's.
    pub(super) takes_nothing: bool,
}

impl Device {
    /// `lower` carries it, if it is a VLAN. A VLAN of a VLAN has two tags, which XDP does not write.
    pub(super) fn of(ifindex: u32, link: &Link, lower: Option<&Link>) -> Device {
        let device = Device {
            mac: link.mac,
            mtu: link.mtu,
            carrier: ifindex,
            vlan: 0,
            is_veth: link.is_veth,
            takes_nothing: false,
        };
        match (link.vlan, lower) {
            (None, _) => device,
            (Some(vlan), Some(lower)) if lower.mac.is_some() && lower.vlan.is_none() => Device {
                carrier: vlan.lower,
                vlan: vlan.id,
                is_veth: lower.is_veth,
                ..device
            },
            (Some(_), _) => Device {
                mac: None,
                ..device
            },
        }
    }

    /// The way to a neighbour behind it; not known while the neighbour is not.
    pub(super) fn hop(self, neighbour: Option<[u8; 6]>) -> NextHop {
        let (Some(source), Some(destination)) = (self.mac, neighbour) else {
            return NextHop::default();
        };
        let plain = if self.vlan == 0 { abi::PLAIN } else { 0 };
        // veth sends back (XDP_TX) only where the far end runs XDP too; redirects it takes on the same terms as from elsewhere.
        let redirect = if self.is_veth { abi::REDIRECT } else { 0 };
        NextHop {
            ifindex: self.carrier,
            mtu: u16::try_from(self.mtu).unwrap_or(u16::MAX),
            destination,
            source,
            vlan: self.vlan,
            flags: plain | redirect,
            ..NextHop::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::link::LinkHeader;

    use super::*;

    /// A link message as the kernel writes it: through bytes, so that what is read is what would be.
    fn read(attributes: Vec<LinkAttribute>) -> Link {
        let mut message = LinkMessage::default();
        message.header = LinkHeader::default();
        message.header.index = 7;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up;
        message.attributes = attributes;
        let mut whole = NetlinkMessage::new(
            NetlinkHeader::default(),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)),
        );
        whole.finalize();
        let mut bytes = vec![0; whole.buffer_len()];
        whole.serialize(&mut bytes);
        let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
        match read.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Link::of(link),
            other => panic!("{other:?}"),
        }
    }

    fn vlan(protocol: VlanProtocol, more: Option<LinkAttribute>) -> Link {
        let data = vec![InfoVlan::Protocol(protocol), InfoVlan::Id(42)];
        let mut attributes = vec![
            LinkAttribute::IfName("eth0.42".to_owned()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Link(3),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(data)),
            ]),
        ];
        attributes.extend(more);
        read(attributes)
    }

    #[test]
    fn a_vlan_names_what_carries_it() {
        let link = vlan(VlanProtocol::Ieee8021Q, None);
        assert_eq!(link.vlan, Some(Vlan { lower: 3, id: 42 }));
        assert_eq!(link.mac, Some([2, 0, 0, 0, 0, 1]));
        assert_eq!(
            (link.name.as_str(), link.mtu, link.is_up),
            ("eth0.42", 1500, true)
        );
    }

    #[test]
    fn tags_that_are_not_802_1q_here_are_no_use() {
        let link = vlan(VlanProtocol::Ieee8021Ad, None);
        assert_eq!((link.vlan, link.mac), (None, None));
        // The carrier is in another namespace.
        let link = vlan(VlanProtocol::Ieee8021Q, Some(LinkAttribute::LinkNetNsId(0)));
        assert_eq!((link.vlan, link.mac), (None, None));
    }

    #[test]
    fn the_far_end_of_a_veth_is_no_carrier() {
        let link = read(vec![
            LinkAttribute::IfName("eth0".to_owned()),
            LinkAttribute::Link(3),
            LinkAttribute::LinkNetNsId(0),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
        ]);
        assert_eq!((link.vlan, link.is_veth), (None, true));
        assert_eq!(link.mac, Some([2, 0, 0, 0, 0, 1]));
    }

    fn link(mac: u8) -> Link {
        Link {
            name: "eth0".to_owned(),
            mac: Some([mac; 6]),
            mtu: 1500,
            is_veth: false,
            vlan: None,
            is_up: true,
        }
    }

    #[test]
    fn a_vlan_leaves_by_what_carries_it_with_its_tag() {
        let (lower, mut vlan) = (link(1), link(2));
        vlan.vlan = Some(Vlan { lower: 3, id: 42 });
        let hop = Device::of(7, &vlan, Some(&lower)).hop(Some([9; 6]));
        assert_eq!((hop.ifindex, hop.vlan, hop.flags), (3, 42, 0));
        assert_eq!((hop.source, hop.destination), ([2; 6], [9; 6]));
    }

    #[test]
    fn an_interface_of_its_own_leaves_untagged() {
        let hop = Device::of(7, &link(1), None).hop(Some([9; 6]));
        assert_eq!((hop.ifindex, hop.vlan, hop.flags), (7, 0, abi::PLAIN));
        assert_eq!(Device::of(7, &link(1), None).hop(None), NextHop::default());
    }

    #[test]
    fn a_vlan_whose_carrier_is_no_use_is_none_either() {
        let mut vlan = link(2);
        vlan.vlan = Some(Vlan { lower: 3, id: 42 });
        assert_eq!(Device::of(7, &vlan, None).mac, None);
        let bare = Link {
            mac: None,
            ..link(1)
        };
        assert_eq!(Device::of(7, &vlan, Some(&bare)).mac, None);
        let nested = vlan.clone();
        assert_eq!(Device::of(7, &vlan, Some(&nested)).mac, None);
    }
}
