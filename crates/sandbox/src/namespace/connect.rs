//! Connections into a sandbox, to what listens on its loopback.
//!
//! The daemon makes the socket itself, on a thread that enters the sandbox's network namespace for
//! it and ends. It does not let the guest make it: the guest could keep the same open socket and,
//! whenever it liked, make our calls on it block; and it would have to run, which it does not when
//! frozen and hardly does while user code takes all of a small CPU share. The host already owns
//! sockets in that namespace, the listeners of the services: they say which it is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpSocket, TcpStream};

/// Asks a socket for its network namespace (linux/sockios.h); libc does not have the number.
const SIOCGSKNS: libc::Ioctl = 0x894C;

/// The network namespace of a socket, closed on exec. It lives at least as long as the descriptor.
pub(super) fn network_of(socket: impl AsFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no argument and gives a new descriptor, which nobody else owns.
    unsafe {
        let network = libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS, 0);
        if network < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(network))
    }
}

/// Connects to a port of the loopback in this network. Waits as long as the kernel does; dropping
/// the future gives up.
pub(super) async fn connect(network: OwnedFd, port: u16) -> io::Result<TcpStream> {
    let made = tokio::task::spawn_blocking(move || socket_in(&network)).await;
    let made = made.map_err(io::Error::other)??;
    let socket = TcpSocket::from_std_stream(made.into());
    // What is delivered is small and awaited: never hold it back.
    socket.set_nodelay(true)?;
    let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    // Without a listener the kernel may give this end the very port that it asks for, and then it
    // is connected to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Makes a socket in this network.
fn socket_in(network: &OwnedFd) -> io::Result<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        Ok(rustix::net::socket_with(family, kind, flags, Some(ipproto::TCP))?)
    };
    // On a thread that ends, so that no thread of ours is ever left in a network of a sandbox.
    thread::scope(|scope| {
        let maker = thread::Builder::new().name("dormouse-dial".to_owned());
        let made = maker.spawn_scoped(scope, make)?.join();
        made.unwrap_or_else(|_| Err(io::Error::other("the thread that makes a socket panicked")))
    })
}
