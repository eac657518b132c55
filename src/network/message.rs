//! rtnetlink messages: those this daemon sends, and what it takes from those the kernel sends.
//!
//! Of an interface the kernel tells a hundred attributes, and more with each release. A handful is read here, each by
//! itself, so that one that is new or strange never hides an interface.

use super::{Address, Kind, Link, Port};
use crate::config::HostAddress;
use crate::mac::MacAddr;
use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NetlinkBuffer, NetlinkHeader, NlaBuffer, NlasIterator};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourHeader, NeighbourState};
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteType};
use std::net::IpAddr;

/// Our mark on interfaces (`IFLA_IFALIAS`).
const MARK: &[u8] = b"latchkey";
/// Our mark on addresses (`IFA_PROTO`): a number that nothing registered uses.
const ADDRESS_MARK: u8 = 0x6c;

/// Message types (linux/rtnetlink.h).
pub const NEW_LINK: u16 = 16;
/// See [`NEW_LINK`].
pub const DEL_LINK: u16 = 17;
/// See [`NEW_LINK`].
pub const GET_LINK: u16 = 18;
/// See [`NEW_LINK`].
pub const NEW_ADDRESS: u16 = 20;
/// See [`NEW_LINK`].
pub const DEL_ADDRESS: u16 = 21;
/// See [`NEW_LINK`].
pub const GET_ADDRESS: u16 = 22;
/// See [`NEW_LINK`].
pub const NEW_ROUTE: u16 = 24;
/// See [`NEW_LINK`].
pub const DEL_ROUTE: u16 = 25;
/// See [`NEW_LINK`].
pub const GET_ROUTE: u16 = 26;
/// See [`NEW_LINK`].
pub const GET_NEIGHBOUR: u16 = 30;
/// The end of a dump, or an answer (linux/netlink.h).
pub const DONE: u16 = 3;
/// An acknowledgement, or an error.
pub const ERROR: u16 = 2;

/// A request (`NLM_F_REQUEST`) that is to be acknowledged (`NLM_F_ACK`).
pub const ACT: u16 = 0x1 | 0x4;
/// [`ACT`], and it must not be there yet (`NLM_F_EXCL`, `NLM_F_CREATE`).
pub const CREATE: u16 = ACT | 0x200 | 0x400;
/// A request for all there are (`NLM_F_ROOT`, `NLM_F_MATCH`).
pub const DUMP: u16 = 0x1 | 0x300;
/// The table changed while it was dumped (`NLM_F_DUMP_INTR`).
const INTERRUPTED: u16 = 0x10;

// Attributes: linux/if_link.h, linux/if_addr.h, linux/neighbour.h, linux/rtnetlink.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_PROTO: u16 = 11;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RT_TABLE_MAIN: u32 = 254;

/// A message to the kernel, without its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The message type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// What follows the header.
    pub body: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: u16, header: &impl Emitable, attributes: &[DefaultNla]) -> Request {
        let mut body = octets(header);
        body.extend(octets(&attributes));
        Request { kind, flags, body }
    }

    /// The octets of the message.
    pub fn to_octets(&self, sequence_number: u32) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.length = (header.buffer_len() + self.body.len()) as u32;
        (header.message_type, header.flags, header.sequence_number) = (self.kind, self.flags, sequence_number);
        let mut message = octets(&header);
        message.extend_from_slice(&self.body);
        message
    }
}

fn octets(what: &impl Emitable) -> Vec<u8> {
    let mut octets = vec![0; what.buffer_len()];
    what.emit(&mut octets);
    octets
}

fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NLA_F_NESTED, octets(&attributes))
}

fn text(kind: u16, value: &[u8]) -> DefaultNla {
    let mut value = value.to_vec();
    value.push(0);
    DefaultNla::new(kind, value)
}

fn word(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn link_header(index: u32) -> LinkHeader {
    LinkHeader { index, ..LinkHeader::default() }
}

/// Asks for all interfaces, without their statistics.
pub fn get_links() -> Request {
    Request::new(GET_LINK, DUMP, &link_header(0), &[word(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)])
}

/// Asks for the interface of a name.
pub fn get_link(name: &str) -> Request {
    Request::new(GET_LINK, ACT, &link_header(0), &[text(IFLA_IFNAME, name.as_bytes())])
}

/// Makes a bridge, switched off. Its ports forward at once: there is no spanning tree to wait for.
pub fn new_bridge(name: &str) -> Request {
    let data = nested(IFLA_INFO_DATA, &[word(IFLA_BR_FORWARD_DELAY, 0)]);
    let info = nested(IFLA_LINKINFO, &[text(IFLA_INFO_KIND, b"bridge"), data]);
    Request::new(NEW_LINK, CREATE, &link_header(0), &[text(IFLA_IFNAME, name.as_bytes()), info])
}

/// Makes a VLAN of an interface, switched off.
pub fn new_vlan(name: &str, parent: u32, id: u16) -> Request {
    let data = nested(IFLA_INFO_DATA, &[DefaultNla::new(IFLA_VLAN_ID, id.to_ne_bytes().to_vec())]);
    let info = nested(IFLA_LINKINFO, &[text(IFLA_INFO_KIND, b"vlan"), data]);
    let attributes = [text(IFLA_IFNAME, name.as_bytes()), word(IFLA_LINK, parent), info];
    Request::new(NEW_LINK, CREATE, &link_header(0), &attributes)
}

/// Gives an interface that was just made its name and our mark, both at once.
pub fn name_and_mark(index: u32, name: &str) -> Request {
    let attributes = [text(IFLA_IFNAME, name.as_bytes()), text(IFLA_IFALIAS, MARK)];
    Request::new(NEW_LINK, ACT, &link_header(index), &attributes)
}

/// Switches an interface on.
pub fn set_up(index: u32) -> Request {
    let header = LinkHeader { flags: LinkFlags::Up, change_mask: LinkFlags::Up, ..link_header(index) };
    Request::new(NEW_LINK, ACT, &header, &[])
}

/// Makes an interface a port of a bridge, or of none with 0.
pub fn set_master(index: u32, bridge: u32) -> Request {
    Request::new(NEW_LINK, ACT, &link_header(index), &[word(IFLA_MASTER, bridge)])
}

/// Changes how an interface is a port; `None` is left as it is.
pub fn set_port(index: u32, flood: Option<bool>, isolated: Option<bool>) -> Request {
    let flag = |kind, value: Option<bool>| value.map(|value| DefaultNla::new(kind, vec![u8::from(value)]));
    let settings = [flag(IFLA_BRPORT_UNICAST_FLOOD, flood), flag(IFLA_BRPORT_ISOLATED, isolated)];
    let settings: Vec<DefaultNla> = settings.into_iter().flatten().collect();
    let info = [text(IFLA_INFO_SLAVE_KIND, b"bridge"), nested(IFLA_INFO_SLAVE_DATA, &settings)];
    Request::new(NEW_LINK, ACT, &link_header(index), &[nested(IFLA_LINKINFO, &info)])
}

/// Removes an interface.
pub fn delete_link(index: u32) -> Request {
    Request::new(DEL_LINK, ACT, &link_header(index), &[])
}

/// Asks for all addresses.
pub fn get_addresses() -> Request {
    Request::new(GET_ADDRESS, DUMP, &AddressHeader::default(), &[])
}

/// Adds an address with our mark.
pub fn new_address(index: u32, address: HostAddress) -> Request {
    address_request(NEW_ADDRESS, CREATE, index, address, &[DefaultNla::new(IFA_PROTO, vec![ADDRESS_MARK])])
}

/// Removes an address.
pub fn delete_address(index: u32, address: HostAddress) -> Request {
    address_request(DEL_ADDRESS, ACT, index, address, &[])
}

fn address_request(kind: u16, flags: u16, index: u32, host: HostAddress, more: &[DefaultNla]) -> Request {
    let family = if host.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let header = AddressHeader { family, prefix_len: host.length, index, ..AddressHeader::default() };
    let address = match host.address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut attributes = vec![DefaultNla::new(IFA_LOCAL, address.clone()), DefaultNla::new(IFA_ADDRESS, address)];
    attributes.extend_from_slice(more);
    Request::new(kind, flags, &header, &attributes)
}

/// Asks for all routes.
pub fn get_routes() -> Request {
    Request::new(GET_ROUTE, DUMP, &RouteHeader::default(), &[])
}

/// Asks for all neighbours.
pub fn get_neighbours() -> Request {
    Request::new(GET_NEIGHBOUR, DUMP, &NeighbourHeader::default(), &[])
}

/// The messages of a datagram; whatever does not fit its own length ends them.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let frame = NetlinkBuffer::new_checked(self.0).ok()?;
        let length = usize::try_from(frame.length()).ok()?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: frame.message_type(),
            flags: frame.flags(),
            sequence: frame.sequence_number(),
            body: frame.payload(),
        })
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The sequence number of the request it answers; 0 when it answers none.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// True when a dump has to be repeated, because what it was of changed meanwhile.
    pub fn is_interrupted(&self) -> bool {
        self.flags & INTERRUPTED != 0
    }

    /// The error number of an answer of type [`ERROR`] or [`DONE`], 0 for success, and the kernel's words, if it has any.
    pub fn error(&self) -> (i32, Option<String>) {
        const CAPPED: u16 = 0x100;
        const ACK_TLVS: u16 = 0x200;
        const MSG: u16 = 1;
        let code = number(self.body, 0).map_or(0, |n: u32| (n as i32).saturating_neg());
        if self.flags & ACK_TLVS == 0 || self.kind != ERROR {
            return (code, None);
        }
        // The request follows, whole or only its header, and then attributes.
        let request = if self.flags & CAPPED != 0 { 16 } else { number(self.body, 4).unwrap_or(16u32) as usize };
        let rest = self.body.get(4usize.saturating_add(request).next_multiple_of(4)..).unwrap_or_default();
        let words =
            attributes(rest).find(|nla| nla.kind() == MSG).and_then(|nla| string(nla.value()).map(String::from));
        (code, words)
    }
}

/// Attributes, up to the first that does not fit.
pub fn attributes(octets: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(octets).map_while(Result::ok)
}

/// A number in the byte order of this machine.
fn number(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// An attribute's number of four octets.
pub fn u32_of(nla: &NlaBuffer<&[u8]>) -> Option<u32> {
    nla.value().try_into().ok().map(u32::from_ne_bytes)
}

/// A text that ends with a zero.
pub fn string(octets: &[u8]) -> Option<&str> {
    std::str::from_utf8(octets.split(|octet| *octet == 0).next()?).ok()
}

/// Reads an interface of a `RTM_NEWLINK` message: its index, and what it is. `None` for what is no such message, and
/// for those with which a bridge tells of its ports.
pub fn link(body: &[u8]) -> Option<(u32, Link)> {
    let header = LinkHeader::parse(body).ok()?;
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut link = Link {
        name: "".into(),
        kind: Kind::Other,
        up: header.flags.contains(LinkFlags::Up),
        ours: false,
        master: None,
        port: None,
    };
    let (mut vlan, mut parent) = (None, 0);
    for nla in attributes(body.get(octets_of_header(&header)..)?) {
        match nla.kind() {
            IFLA_IFNAME => link.name = string(nla.value())?.into(),
            IFLA_LINK => parent = u32_of(&nla).unwrap_or(0),
            IFLA_MASTER => link.master = u32_of(&nla).filter(|index| *index != 0),
            IFLA_IFALIAS => link.ours = string(nla.value()).is_some_and(|alias| alias.as_bytes() == MARK),
            IFLA_LINKINFO => link_info(nla.value(), &mut link, &mut vlan),
            _ => {}
        }
    }
    if let Some(id) = vlan {
        link.kind = Kind::Vlan { id, parent };
    }
    (!link.name.is_empty()).then_some((header.index, link))
}

fn octets_of_header(header: &impl Emitable) -> usize {
    header.buffer_len()
}

fn link_info(octets: &[u8], link: &mut Link, vlan: &mut Option<u16>) {
    let find = |kind| attributes(octets).find(|nla| nla.kind() == kind);
    let named = |kind, name| find(kind).is_some_and(|nla| string(nla.value()) == Some(name));
    if named(IFLA_INFO_KIND, "bridge") {
        link.kind = Kind::Bridge;
    } else if named(IFLA_INFO_KIND, "vlan")
        && let Some(data) = find(IFLA_INFO_DATA)
    {
        let id = attributes(data.value()).find(|nla| nla.kind() == IFLA_VLAN_ID);
        *vlan = id.and_then(|nla| nla.value().try_into().ok().map(u16::from_ne_bytes));
    }
    if named(IFLA_INFO_SLAVE_KIND, "bridge")
        && let Some(data) = find(IFLA_INFO_SLAVE_DATA)
    {
        let flag = |kind| attributes(data.value()).find(|nla| nla.kind() == kind).map(|nla| nla.value() != [0]);
        link.port = Some(Port {
            flood: flag(IFLA_BRPORT_UNICAST_FLOOD).unwrap_or(true),
            isolated: flag(IFLA_BRPORT_ISOLATED).unwrap_or(false),
        });
    }
}

/// Reads an address of a `RTM_NEWADDR` message.
pub fn address(body: &[u8]) -> Option<Address> {
    let header = AddressHeader::parse(body).ok()?;
    let (mut local, mut remote, mut ours) = (None, None, false);
    for nla in attributes(body.get(octets_of_header(&header)..)?) {
        match nla.kind() {
            IFA_LOCAL => local = ip(nla.value()),
            IFA_ADDRESS => remote = ip(nla.value()),
            IFA_PROTO => ours = nla.value() == [ADDRESS_MARK],
            _ => {}
        }
    }
    // IPv6 has its own address in IFA_ADDRESS unless there is a peer, IPv4 in IFA_LOCAL.
    let address = HostAddress { address: local.or(remote)?, length: header.prefix_len };
    Some(Address { link: header.index, address, ours })
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || octets.try_into().ok().map(|octets: [u8; 4]| octets.into());
    let v6 = || octets.try_into().ok().map(|octets: [u8; 16]| octets.into());
    v4().or_else(v6)
}

/// True when a `RTM_NEWROUTE` or `RTM_DELROUTE` message is about a default route.
pub fn is_default_route(body: &[u8]) -> bool {
    RouteHeader::parse(body).is_ok_and(|header| header.destination_prefix_length == 0)
}

/// The interfaces of a default route of the main table in a `RTM_NEWROUTE` message, by their indices. None for any
/// other route, and for one that leads nowhere.
pub fn default_route(body: &[u8]) -> Vec<u32> {
    let Ok(header) = RouteHeader::parse(body) else { return Vec::new() };
    let plain = header.destination_prefix_length == 0
        && header.kind == RouteType::Unicast
        && !header.flags.contains(RouteFlags::Cloned);
    let rest = body.get(octets_of_header(&header)..).filter(|_| plain).unwrap_or_default();
    let (mut table, mut links) = (u32::from(header.table), Vec::new());
    for nla in attributes(rest) {
        match nla.kind() {
            RTA_TABLE => table = u32_of(&nla).unwrap_or(table),
            RTA_OIF => links.extend(u32_of(&nla)),
            RTA_MULTIPATH => next_hops(nla.value(), &mut links),
            _ => {}
        }
    }
    if table == RT_TABLE_MAIN { links } else { Vec::new() }
}

/// `struct rtnexthop`: length, flags, hops, index; attributes follow.
fn next_hops(mut octets: &[u8], links: &mut Vec<u32>) {
    while let (Some(length), Some(index)) = (octets.first_chunk().copied().map(u16::from_ne_bytes), number(octets, 4)) {
        let length = usize::from(length);
        if length < 8 || length > octets.len() {
            return;
        }
        links.push(index);
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Reads a neighbour of a `RTM_NEWNEIGH` message that has an address and is, or was a while ago, there.
pub fn neighbour(body: &[u8]) -> Option<(MacAddr, IpAddr)> {
    let header = NeighbourHeader::parse(body).ok()?;
    let there = matches!(
        header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    if !there || header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut mac, mut address) = (None, None);
    for nla in attributes(body.get(octets_of_header(&header)..)?) {
        match nla.kind() {
            NDA_DST => address = ip(nla.value()),
            NDA_LLADDR => mac = nla.value().try_into().ok().map(MacAddr),
            _ => {}
        }
    }
    Some((mac?, address?))
}

#[cfg(test)]
mod tests;
