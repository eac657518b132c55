//! Networks of namespaces for the tests, and what is sent and received in them. As root.

use nix::sched::{CloneFlags, setns};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Runs something in a namespace: sockets it makes and programs it starts stay there.
pub fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let handle = File::open(format!("/run/netns/{namespace}")).unwrap();
            setns(handle, CloneFlags::CLONE_NEWNET).expect("root may enter a network namespace");
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `ip` in a namespace.
pub fn ip(namespace: &str, arguments: &str) {
    run(&format!("ip -n {namespace} {arguments}"));
}

fn run(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect("iproute2 is installed by make test");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A gateway with one bridge for each VLAN, two stations on each, a LAN and the outside world:
///
/// ```text
/// station VLAN/a  10.0.VLAN.11, 2001:db8:VLAN::11  --+
/// station VLAN/b  10.0.VLAN.12, 2001:db8:VLAN::12  --+ brvlanVLAN [gateway] lan0 -- lan      192.168.1.20, 2001:db8:1::20
///                                                                           wan0 -- outside  203.0.113.10, 2001:db8:ffff::10,
///                                                                                            192.168.100.10, fd99::10
/// ```
///
/// The gateway has the address 1 everywhere, 2 outside. The ports of a bridge are isolated from each other, and stations
/// reach their neighbours by way of the gateway, as a device does that wants to get around that.
pub struct Network {
    prefix: String,
    vlans: Vec<u16>,
    pub gateway: String,
    pub lan: String,
    pub outside: String,
    stations: HashMap<u16, [String; 2]>,
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Network {
    pub fn new(vlans: &[u16]) -> Network {
        let prefix = format!("lk{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let name = |part: &str| format!("{prefix}-{part}");
        let stations = vlans.iter().map(|vlan| (*vlan, ["a", "b"].map(|side| name(&format!("{vlan}{side}")))));
        let network = Network {
            vlans: vlans.to_vec(),
            gateway: name("gw"),
            lan: name("lan"),
            outside: name("out"),
            stations: stations.collect(),
            prefix: prefix.clone(),
        };
        for namespace in network.namespaces() {
            run(&format!("ip netns add {namespace}"));
            ip(&namespace, "link set lo up");
            inside(&namespace, || {
                // Addresses are to be usable at once, and nobody is to configure itself.
                for key in ["all", "default"] {
                    let base = format!("/proc/sys/net/ipv6/conf/{key}");
                    std::fs::write(format!("{base}/accept_dad"), "0").unwrap();
                    std::fs::write(format!("{base}/accept_ra"), "0").unwrap();
                    std::fs::write(format!("/proc/sys/net/ipv4/conf/{key}/accept_redirects"), "0").unwrap();
                    std::fs::write(format!("{base}/accept_redirects"), "0").unwrap();
                }
            });
        }
        let gateway = &network.gateway;
        inside(gateway, || {
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{key}"), "1").unwrap();
            }
            for key in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{key}/rp_filter"), "0").unwrap();
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{key}/send_redirects"), "0").unwrap();
            }
        });
        network.link("lan0", &network.lan, "eth0");
        network.link("wan0", &network.outside, "eth0");
        for address in ["192.168.1.1/24", "2001:db8:1::1/64"] {
            ip(gateway, &format!("address add {address} dev lan0"));
        }
        for address in ["203.0.113.2/24", "2001:db8:ffff::2/64"] {
            ip(gateway, &format!("address add {address} dev wan0"));
        }
        network.host(&network.lan, &["192.168.1.20/24", "2001:db8:1::20/64"], "192.168.1.1", "2001:db8:1::1");
        let outside = ["203.0.113.10/24", "2001:db8:ffff::10/64", "192.168.100.10/24", "fd99::10/64"];
        network.host(&network.outside, &outside, "203.0.113.2", "2001:db8:ffff::2");
        ip(gateway, "route add default via 203.0.113.10");
        ip(gateway, "route add default via 2001:db8:ffff::10");
        for (vlan, sides) in &network.stations {
            ip(gateway, &format!("link add brvlan{vlan} type bridge mcast_snooping 0"));
            ip(gateway, &format!("link set brvlan{vlan} up"));
            ip(gateway, &format!("address add 10.0.{vlan}.1/24 dev brvlan{vlan}"));
            ip(gateway, &format!("address add 2001:db8:{vlan}::1/64 dev brvlan{vlan}"));
            for (side, host) in sides.iter().zip([11, 12]) {
                let port = format!("v{vlan}-{host}");
                network.link(&port, side, "eth0");
                ip(gateway, &format!("link set {port} master brvlan{vlan}"));
                ip(gateway, &format!("link set {port} type bridge_slave isolated on"));
                let addresses = [format!("10.0.{vlan}.{host}/32"), format!("2001:db8:{vlan}::{host}/128")];
                for address in addresses {
                    ip(side, &format!("address add {address} dev eth0"));
                }
                // Only the gateway is on the link.
                ip(side, &format!("route add 10.0.{vlan}.1 dev eth0"));
                ip(side, &format!("route add 2001:db8:{vlan}::1 dev eth0"));
                ip(side, &format!("route add default via 10.0.{vlan}.1"));
                ip(side, &format!("route add default via 2001:db8:{vlan}::1"));
            }
        }
        network
    }

    /// The namespace of a VLAN's first station.
    pub fn station(&self, vlan: u16) -> &str {
        &self.stations[&vlan][0]
    }

    fn namespaces(&self) -> Vec<String> {
        let fixed = [&self.gateway, &self.lan, &self.outside];
        fixed.into_iter().chain(self.stations.values().flatten()).cloned().collect()
    }

    fn link(&self, port: &str, namespace: &str, name: &str) {
        ip(&self.gateway, &format!("link add {port} type veth peer name {name} netns {namespace}"));
        ip(&self.gateway, &format!("link set {port} up"));
        ip(namespace, &format!("link set {name} up"));
    }

    fn host(&self, namespace: &str, addresses: &[&str], v4: &str, v6: &str) {
        for address in addresses {
            ip(namespace, &format!("address add {address} dev eth0"));
        }
        ip(namespace, &format!("route add default via {v4}"));
        ip(namespace, &format!("route add default via {v6}"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in self.namespaces() {
            assert!(namespace.starts_with(&self.prefix));
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).status();
        }
    }
}

/// The UDP ports on which everybody listens, and the TCP ports.
const UDP: [u16; 7] = [53, 67, 161, 443, 547, 5005, 9000];
const TCP: [u16; 6] = [22, 53, 80, 443, 8080, 9000];

/// Receivers everywhere but at the first stations' own TCP ports, and what they received.
pub struct Receivers {
    received: Arc<Mutex<HashMap<String, u64>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Receivers {
    pub fn start(network: &Network) -> Receivers {
        let mut receivers = Receivers { received: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        for namespace in network.namespaces() {
            let vlans = if namespace == network.gateway { &network.vlans[..] } else { &[] };
            let (udp, tcp) = inside(&namespace, || {
                let any: IpAddr = Ipv6Addr::UNSPECIFIED.into();
                let udp: Vec<UdpSocket> = UDP.iter().map(|port| bound(|| UdpSocket::bind((any, *port)))).collect();
                for socket in &udp {
                    // A machine that is busy may look at them late.
                    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &(8 << 20)).unwrap();
                    for vlan in vlans {
                        let index = nix::net::if_::if_nametoindex(format!("brvlan{vlan}").as_str()).unwrap();
                        let all: Ipv6Addr = "ff02::1:2".parse().unwrap();
                        // Every socket of one namespace takes what any joined for.
                        let _ = socket.join_multicast_v6(&all, index);
                    }
                }
                (udp, TCP.map(|port| bound(|| TcpListener::bind((any, port)))))
            });
            receivers.threads.push(receivers.listen(udp, tcp));
        }
        receivers
    }

    /// One thread looks after all sockets of a namespace.
    fn listen(&self, udp: Vec<UdpSocket>, tcp: [TcpListener; 6]) -> JoinHandle<()> {
        let (received, stop) = (self.received.clone(), self.stop.clone());
        udp.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        tcp.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        thread::spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            let mut buffer = [0; 2048];
            let count = |token: &[u8]| {
                *received.lock().unwrap().entry(String::from_utf8_lossy(token).into_owned()).or_default() += 1;
            };
            while !stop.load(Ordering::Relaxed) {
                let mut idle = true;
                for socket in &udp {
                    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                        idle = false;
                        count(&buffer[..length]);
                        if buffer.starts_with(b"echo") {
                            let _ = socket.send_to(&buffer[..length], from);
                        }
                    }
                }
                for listener in &tcp {
                    if let Ok((stream, _)) = listener.accept() {
                        stream.set_nonblocking(true).unwrap();
                        open.push(stream);
                    }
                }
                open.retain_mut(|stream| match stream.read(&mut buffer) {
                    Ok(0) => false,
                    Ok(length) => {
                        idle = false;
                        count(&buffer[..length]);
                        true
                    }
                    Err(why) => why.kind() == std::io::ErrorKind::WouldBlock,
                });
                if idle {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        })
    }

    /// How often a token was received, wherever that was.
    pub fn count(&self, token: &str) -> u64 {
        self.received.lock().unwrap().get(token).copied().unwrap_or(0)
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Binds a port. A program that another thread is starting holds our closed sockets until it runs.
fn bound<T>(bind: impl Fn() -> std::io::Result<T>) -> T {
    for _ in 0..40 {
        match bind() {
            Err(why) if why.kind() == std::io::ErrorKind::AddrInUse => thread::sleep(Duration::from_millis(25)),
            done => return done.unwrap(),
        }
    }
    bind().unwrap()
}

fn unspecified(to: &IpAddr) -> &'static str {
    if to.is_ipv4() { "0.0.0.0" } else { "::" }
}

/// Sends a datagram. What the sender's kernel says about it (a refusal that came back) does not count.
pub fn send(from: &str, to: &str, port: u16, token: &str) {
    let address: IpAddr = to.parse().unwrap();
    send_from(from, unspecified(&address), to, port, token);
}

/// Sends a datagram from one of the sender's addresses.
pub fn send_from(from: &str, source: &str, to: &str, port: u16, token: &str) {
    inside(from, || {
        let socket = UdpSocket::bind((source.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.set_broadcast(true).unwrap();
        let mut address = SocketAddr::new(to.parse().unwrap(), port);
        if let SocketAddr::V6(v6) = &mut address
            && v6.ip().is_multicast()
        {
            v6.set_scope_id(nix::net::if_::if_nametoindex("eth0").unwrap());
        }
        let _ = socket.send_to(token.as_bytes(), address);
    });
}

/// Connects, and sends a token over each connection that comes about.
pub fn connect_all(tries: &[(String, String, u16, String)]) {
    // A good many wait at the same time for an answer that does not come.
    for some in tries.chunks(64) {
        thread::scope(|scope| {
            for (from, to, port, token) in some {
                scope.spawn(move || {
                    inside(from, || {
                        let to = SocketAddr::new(to.parse().unwrap(), *port);
                        if let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_millis(700)) {
                            let _ = stream.write_all(token.as_bytes());
                            thread::sleep(Duration::from_millis(50));
                        }
                    });
                });
            }
        });
    }
}

/// What the network says about a datagram that nobody takes: the ICMP error as its sender gets it.
pub fn error_for(from: &str, to: &str, port: u16) -> Option<std::io::ErrorKind> {
    inside(from, || {
        let to: IpAddr = to.parse().unwrap();
        let socket = UdpSocket::bind((unspecified(&to).parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1000))).unwrap();
        socket.connect((to, port)).unwrap();
        socket.send(b"anybody?").unwrap();
        let error = socket.recv(&mut [0; 16]).unwrap_err().kind();
        (error != std::io::ErrorKind::WouldBlock).then_some(error)
    })
}

/// Datagrams to several destinations in turn, about a thousand a second each.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    pub fn start(from: &str, to: &[(&str, &str)]) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, from) = (stop.clone(), from.to_owned());
        let to: Vec<(SocketAddr, String)> =
            to.iter().map(|(to, token)| (SocketAddr::new(to.parse().unwrap(), 9000), (*token).to_owned())).collect();
        let thread = thread::spawn(move || {
            inside(&from, || {
                // One socket for each: an ICMP error is reported to the next one who sends.
                let sockets: Vec<UdpSocket> = to.iter().map(|_| UdpSocket::bind("0.0.0.0:0").unwrap()).collect();
                let mut sent = 0;
                while !stopped.load(Ordering::Relaxed) {
                    for ((to, token), socket) in to.iter().zip(&sockets) {
                        while socket.send_to(token.as_bytes(), to).is_err() {}
                    }
                    sent += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                sent
            })
        });
        Flood { stop, thread }
    }

    /// Ends it. How many datagrams went to each destination.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// An exchange of datagrams that lasts: one flow, opened once.
pub struct Talk {
    socket: UdpSocket,
    echo: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Talk {
    pub fn open(from: &str, to: &str, address: &str) -> Talk {
        let there = inside(to, || UdpSocket::bind("0.0.0.0:7007").unwrap());
        there.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let echo = Arc::new(AtomicBool::new(true));
        let going = echo.clone();
        let thread = thread::spawn(move || {
            let mut buffer = [0; 64];
            while going.load(Ordering::Relaxed) {
                if let Ok((length, from)) = there.recv_from(&mut buffer) {
                    let _ = there.send_to(&buffer[..length], from);
                }
            }
        });
        let socket = inside(from, || UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let address: IpAddr = address.parse().unwrap();
        inside(from, || socket.connect((address, 7007)).unwrap());
        Talk { socket, echo, thread: Some(thread) }
    }

    /// Whether a word comes back.
    pub fn answers(&self, word: &str) -> bool {
        // What was refused is reported to the sender; so are answers of before, which are passed over.
        let _ = self.socket.send(word.as_bytes());
        let mut buffer = [0; 64];
        for _ in 0..8 {
            match self.socket.recv(&mut buffer) {
                Ok(length) if buffer[..length] == *word.as_bytes() => return true,
                Ok(_) => {}
                Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => return false,
            }
        }
        false
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.echo.store(false, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
