//! Address of the peer and of the client of a request.
//!
//! Envoy's property `source.address` is not always the peer. Without `use_remote_address`, Envoy takes it from the last
//! address of `x-forwarded-for`, which any client can send. Such an address has the port 0, which no connection has. So
//! `10.0.0.1:0` comes from a header, and `10.0.0.1:54256` from a connection.

use super::Credentials;
use crate::policy::ClientAddress;
use crate::proxy::Properties;
use std::net::{IpAddr, SocketAddr};

/// Maximum addresses of `x-forwarded-for`. With more, the client's address is unknown.
const MAX_ADDRESSES: usize = 64;

/// Returns the address of the connection's peer; `None` if it is unknown or comes from a header.
pub fn peer_address(properties: &dyn Properties) -> Option<IpAddr> {
    let address = String::from_utf8(properties.get(&["source", "address"])?).ok()?;
    let address: SocketAddr = address.parse().ok()?;
    (address.port() != 0).then(|| address.ip().to_canonical())
}

/// Returns the client's address, as the policy determines it.
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
    // With `use_remote_address`, Envoy has appended the peer itself.
    if peer.is_some() && addresses.last() == Some(&peer) {
        addresses.pop();
    }
    let at = addresses.len().checked_sub(usize::from(hops))?;
    *addresses.get(at)?
}

/// Parses an address of `x-forwarded-for`. Some proxies write it with a port.
fn forwarded(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    Some(address?.to_canonical())
}
