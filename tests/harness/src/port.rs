//! Ports of this machine that a test has for itself.
//!
//! A port that a system chose (`127.0.0.1:0`) is chosen again as soon as it is let go: the listener of another test
//! responds where nothing should. So these lie below the range from which Linux chooses (32,768 to 60,999,
//! `net.ipv4.ip_local_port_range`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Address that refuses every connection: `tcpmux`, RFC 1078, which no system has any more.
pub const CLOSED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Ports from which [`free_port`] chooses.
const PORTS: Range<u16> = 20_000..32_000;
/// How many of them lie between the first choices of two processes that run side by side.
const OF_ONE_PROCESS: u16 = 100;

/// Returns a port on which nothing listens, each time another one.
///
/// # Panics
/// If none is free.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let others = std::process::id() % u32::from(count / OF_ONE_PROCESS);
    let first = u16::try_from(others).unwrap_or_default() * OF_ONE_PROCESS;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (0..count)
        .map(|_| PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count)
        .find(is_free)
        .expect("a port that is free")
}
