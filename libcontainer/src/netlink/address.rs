//! Addresses of network devices: `RTM_GETADDR` and `RTM_NEWADDR` of rtnetlink(7).
//!
//! What an address means to its family stays in attributes that are passed on as they are.

use super::wire::{ACK, CREATE, DUMP, REPLACE, Request, attributes, number, text};
use super::{Refusal, Socket};

const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
/// `IFA_*` of `linux/if_addr.h`.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const LABEL: u16 = 3;
const BROADCAST: u16 = 4;
const LIFETIMES: u16 = 6;
const FLAGS: u16 = 8;
const PRIORITY: u16 = 9;
const PROTOCOL: u16 = 11;
/// Attributes that are the address's own. `LABEL` and `FLAGS` are read for themselves.
const OWN: [u16; 6] = [ADDRESS, LOCAL, BROADCAST, LIFETIMES, PRIORITY, PROTOCOL];
/// `IFA_F_PERMANENT`: it does not run out.
const PERMANENT: u32 = 0x80;
/// `IFA_F_TEMPORARY` of IPv6: the kernel made it, for privacy. With IPv4 the same bit says something
/// that follows from the order.
const TEMPORARY: u32 = 0x1;
/// Flags that are set and not found out: `NODAD`, `HOMEADDRESS`, `MANAGETEMPADDR`, `NOPREFIXROUTE`
/// and `MCAUTOJOIN`.
const SETTABLE: u32 = 0x2 | 0x10 | 0x100 | 0x200 | 0x400;
const INET6: u8 = 10;
/// `RT_SCOPE_UNIVERSE`: it is known everywhere.
const UNIVERSE: u8 = 0;
/// The longest label, which is as long as a device's name, `IFNAMSIZ` less the zero.
const LONGEST: usize = 15;

/// An address of a device, of any family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix: u8,
    scope: u8,
    flags: u32,
    label: Option<String>,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// An address from the kernel's message, `struct ifaddrmsg` and attributes, and the number of
    /// its device.
    fn decode(message: &[u8]) -> Option<(u32, Self)> {
        let &[family, prefix, flags, scope] = message.first_chunk()?;
        let index = number(message.get(4..)?)?;
        let mut address = Self {
            family,
            prefix,
            scope,
            flags: u32::from(flags),
            label: None,
            attributes: Vec::new(),
        };
        for (kind, data) in attributes(message.get(8..)?) {
            match kind {
                FLAGS => address.flags = number(data)?,
                LABEL => address.label = Some(text(data)),
                _ if OWN.contains(&kind) => address.attributes.push((kind, data.to_vec())),
                _ => {}
            }
        }
        Some((index, address))
    }

    /// Whether it goes with its device: it is permanent and of global scope (config-linux.md,
    /// "Network Devices").
    pub(crate) fn is_global_and_permanent(&self) -> bool {
        self.flags & PERMANENT != 0 && self.scope == UNIVERSE
    }

    /// Whether the kernel made it out of another one, and would do so again.
    pub(crate) fn is_derived(&self) -> bool {
        self.family == INET6 && self.flags & TEMPORARY != 0
    }

    /// The same address of a device that has another name: labels begin with it.
    pub(crate) fn renamed(mut self, old: &str, new: &str) -> Self {
        let rest = self.label.as_deref().and_then(|label| label.strip_prefix(old));
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(':')) {
            self.label = Some(format!("{new}{rest}")).filter(|label| label.len() <= LONGEST);
        }
        self
    }

    fn request(&self, index: u32) -> Request {
        let mut structure = [self.family, self.prefix, 0, self.scope, 0, 0, 0, 0];
        structure[4..].copy_from_slice(&index.to_ne_bytes());
        let flags = self.flags & SETTABLE;
        let mut request = Request::new(NEW_ADDRESS, ACK | CREATE | REPLACE, &structure)
            .attribute(FLAGS, &flags.to_ne_bytes());
        if let Some(label) = &self.label {
            request = request.text(LABEL, label);
        }
        self.attributes.iter().fold(request, |request, (kind, data)| request.attribute(*kind, data))
    }
}

impl Socket {
    /// The addresses of a device, of every family, in the kernel's order.
    pub(crate) fn addresses(&mut self, index: u32) -> Result<Vec<Address>, Refusal> {
        let parts = self.ask(&Request::new(GET_ADDRESS, DUMP, &[0; 8]))?;
        let all = parts.iter().filter_map(|part| Address::decode(part));
        Ok(all.filter(|(of, _)| *of == index).map(|(_, address)| address).collect())
    }

    /// Gives a device an address.
    pub(crate) fn add_address(&mut self, index: u32, address: &Address) -> Result<(), Refusal> {
        self.ask(&address.request(index)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(family: u8, scope: u8, flags: u32, label: &str) -> Address {
        let request = Request::new(NEW_ADDRESS, 0, &[family, 24, flags as u8, scope, 5, 0, 0, 0])
            .attribute(FLAGS, &flags.to_ne_bytes())
            .attribute(ADDRESS, &[10, 0, 0, 1])
            .attribute(7, &[1; 4]);
        let message = request.text(LABEL, label).encode(1);
        let (_, address) = Address::decode(&message[16..]).unwrap();
        address
    }

    #[test]
    fn only_what_is_permanent_and_known_everywhere_goes_along() {
        for (scope, flags, goes) in [
            (UNIVERSE, PERMANENT, true),
            (UNIVERSE, PERMANENT | 0x20, true), // deprecated
            (UNIVERSE, 0, false),
            (253, PERMANENT, false), // of the link
            (254, PERMANENT, false), // of the host
        ] {
            let address = address(2, scope, flags, "eth0");
            assert_eq!(address.is_global_and_permanent(), goes, "{scope} {flags}");
        }
        assert!(address(INET6, UNIVERSE, TEMPORARY, "").is_derived());
        assert!(!address(2, UNIVERSE, TEMPORARY, "").is_derived());
    }

    #[test]
    fn a_label_follows_the_name_of_its_device() {
        let label = |label: &str, new: &str| address(2, 0, 0, label).renamed("eth0", new).label;
        assert_eq!(label("eth0", "c0").as_deref(), Some("c0"));
        assert_eq!(label("eth0:1", "c0").as_deref(), Some("c0:1"));
        assert_eq!(label("eth01", "c0").as_deref(), Some("eth01"));
        assert_eq!(label("other", "c0").as_deref(), Some("other"));
        assert_eq!(label("eth0:1234", "a-long-name-4567"), None);
    }

    #[test]
    fn what_is_asked_for_is_what_was_read() {
        let old = address(INET6, UNIVERSE, PERMANENT | 0x200 | 0x40, "eth0");
        let bytes = old.request(8).encode(1);
        let (index, new) = Address::decode(&bytes[16..]).unwrap();
        assert_eq!((index, new), (8, Address { flags: 0x200, ..old }));
    }
}
