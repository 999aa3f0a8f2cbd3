//! Where a request comes from.
//!
//! Envoy's property `source.address` is not always the peer: without `use_remote_address` Envoy takes the last address of
//! `x-forwarded-for` for it, which any client can send. Such an address has the port 0, which no connection has, so that the
//! two can be told apart: `10.0.0.1:0` came from a header, `10.0.0.1:54256` from a connection.

use super::Credentials;
use crate::policy::ClientAddress;
use crate::proxy::Properties;
use std::net::{IpAddr, SocketAddr};

/// Most addresses of `x-forwarded-for` that are read.
const MAX_ADDRESSES: usize = 64;

/// The address of the connection's peer; `None` if the proxy does not know it, or has it from a header.
pub fn peer_address(properties: &dyn Properties) -> Option<IpAddr> {
    let address = String::from_utf8(properties.get(&["source", "address"])?).ok()?;
    let address: SocketAddr = address.parse().ok()?;
    (address.port() != 0).then(|| address.ip().to_canonical())
}

/// The address of the client, as a policy finds it.
pub fn client_address(rule: ClientAddress, credentials: &Credentials<'_>) -> Option<IpAddr> {
    let peer = peer_address(credentials.properties);
    let ClientAddress::XffHops(hops) = rule else {
        return peer;
    };
    let mut addresses = Vec::new();
    for value in credentials.values("x-forwarded-for") {
        for item in std::str::from_utf8(value).ok()?.split(',') {
            addresses.push(forwarded(item.trim()));
            if addresses.len() > MAX_ADDRESSES {
                return None;
            }
        }
    }
    // With `use_remote_address` Envoy itself has added the peer.
    if peer.is_some() && addresses.last() == Some(&peer) {
        addresses.pop();
    }
    let at = addresses.len().checked_sub(usize::from(hops))?;
    *addresses.get(at)?
}

/// An address of `x-forwarded-for`, which some proxies write with its port.
fn forwarded(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    Some(address?.to_canonical())
}
