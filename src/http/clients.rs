//! How many connections each client has, so that none can take them all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// The open connections by where they come from.
#[derive(Debug)]
pub(super) struct Clients {
    most: usize,
    proxies: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts until this is dropped; or one that never counts.
#[derive(Debug)]
pub(super) struct Place(Option<(Arc<Clients>, IpAddr)>);

impl Clients {
    /// Nobody has come yet. `most`: connections of one client; those of proxies are of many, and do not count.
    pub(super) fn new(most: usize, proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, proxies, open: Mutex::default() })
    }

    /// A place for a connection from this address; none if as many as allowed are open. Programs on this machine are not
    /// counted: they are told apart by nothing.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let counts = |ip: &IpAddr| !ip.is_loopback() && !self.proxies.iter().any(|net| net.contains(ip));
        let Some(address) = address.filter(counts) else { return Some(Place(None)) };
        let client = client(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place(Some((Arc::clone(self), client))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((clients, client)) = self.0.take() else { return };
        let mut open = clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Who has that address: of IPv6 each customer has a network of 64 bits, and as many addresses as he likes.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn each_client_has_so_many_places_and_gets_them_back() {
        let clients = Clients::new(2, vec!["10.9.0.0/16".parse().unwrap()]);
        let held: Vec<_> = (0..2).map(|_| clients.admit(Some(from("10.0.0.1"))).unwrap()).collect();
        assert!(clients.admit(Some(from("10.0.0.1"))).is_none());
        let other = clients.admit(Some(from("10.0.0.2"))).unwrap();
        let mut uncounted = Vec::new();
        for address in [None, Some(from("127.0.0.1")), Some(from("::1")), Some(from("10.9.1.1"))] {
            uncounted.extend((0..5).map(|_| clients.admit(address).unwrap()));
        }
        drop(held);
        assert!(clients.admit(Some(from("10.0.0.1"))).is_some());
        drop((other, uncounted));
        assert!(clients.open.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_are_one_client() {
        let clients = Clients::new(1, Vec::new());
        let _held = clients.admit(Some(from("2001:db8:1:2::1"))).unwrap();
        assert!(clients.admit(Some(from("2001:db8:1:2:ffff::9"))).is_none());
        assert!(clients.admit(Some(from("2001:db8:1:3::1"))).is_some());
    }
}
