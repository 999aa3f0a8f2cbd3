//! Where a request comes from.
//!
//! Envoy's property `source.address` is not always the peer: without `use_remote_address` Envoy takes the last address of
//! `x-forwarded-for` for it, which any client can send. Such an address has the port 0, which no connection has, so that the
//! two can be told apart: `10.0.0.1:0` came from a header, `10.0.0.1:54256` from a connection.

use crate::proxy::Properties;
use std::net::{IpAddr, SocketAddr};

/// The address of the connection's peer; `None` if the proxy does not know it, or has it from a header.
pub fn peer_address(properties: &dyn Properties) -> Option<IpAddr> {
    let address = String::from_utf8(properties.get(&["source", "address"])?).ok()?;
    let address: SocketAddr = address.parse().ok()?;
    (address.port() != 0).then(|| address.ip().to_canonical())
}
