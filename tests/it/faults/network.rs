//! The outbound guard in a network of its own, in which every address answers: whatever is called is seen.
//!
//! The network is a namespace of the kernel's, which only root may make; elsewhere the test says that it was skipped.
//! Inside, forbidden addresses and a public one are this machine's, one listener takes what comes to any of them, and
//! names are answered by a server that lies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tidings::config::load::variable;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use crate::process::{Cluster, Server, Site, eventually, seconds};

const INSIDE: &str = "TIDINGS_TEST_NETWORK";
const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
/// Addresses that the network has beside the loopback ones, and that must not be called.
const FORBIDDEN: [&str; 18] = [
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "2001:db8::1",
    "2002:a01:203::1",
    "64:ff9b::a01:203",
    "100::1",
];
/// Other ways to say one of them, and names that lead to one.
const SPELLINGS: [&str; 21] = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0.0.0.0",
    "0",
    "[::]",
    "[::1]",
    "[::ffff:10.1.2.3]",
    "[::ffff:7f00:1]",
    "[fe80::1%25lo]",
    "0x0a010203",
    "167837955",
    "012.1.2.3",
    "10.1.515",
    "10.1.2.3.",
    "localhost",
    "LOCALHOST.",
    "private.test",
    "mapped.test",
    "mixed.test",
    "rebind.test",
];

/// What a name leads to, the so many-th time that it is asked for.
fn addresses(name: &str, time: usize) -> Vec<IpAddr> {
    let (public, private) = (IpAddr::V4(PUBLIC), IpAddr::V4(PRIVATE));
    match name {
        "public.test" | "redirect.test" => vec![public],
        "private.test" => vec![private],
        "mapped.test" => vec![IpAddr::V6(PRIVATE.to_ipv6_mapped())],
        "mixed.test" => vec![public, private],
        // Public when it is registered, and not when it is called.
        "rebind.test" if time == 0 => vec![public],
        "rebind.test" => vec![private],
        _ => Vec::new(),
    }
}

/// Answers a query for addresses.
fn answer(query: &[u8], asked: &mut BTreeMap<(String, u8), usize>) -> Vec<u8> {
    let (mut name, mut at) = (Vec::new(), 12);
    while query[at] > 0 {
        let label = &query[at + 1..=at + usize::from(query[at])];
        name.push(String::from_utf8_lossy(label).to_lowercase());
        at += 1 + label.len();
    }
    let kind = query[at + 2];
    let time = asked.entry((name.join("."), kind)).or_default();
    let found = addresses(&name.join("."), *time).into_iter();
    *time += 1;
    let records: Vec<Vec<u8>> = found
        .filter_map(|address| match (address, kind) {
            (IpAddr::V4(four), 1) => Some(four.octets().to_vec()),
            (IpAddr::V6(six), 28) => Some(six.octets().to_vec()),
            _ => None,
        })
        .collect();
    let count = u8::try_from(records.len()).unwrap();
    let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]].concat();
    answer.extend(&query[12..at + 5]);
    for record in records {
        let length = u8::try_from(record.len()).unwrap();
        // The name above, its kind, the Internet, no time to live.
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, length]);
        answer.extend(record);
    }
    answer
}

async fn answer_names() {
    let socket = UdpSocket::bind("127.0.0.1:53").await.unwrap();
    let (mut asked, mut query) = (BTreeMap::new(), [0; 512]);
    loop {
        let (length, whom) = socket.recv_from(&mut query).await.unwrap();
        let answer = answer(&query[..length], &mut asked);
        socket.send_to(&answer, whom).await.unwrap();
    }
}

/// Takes what comes to any address, and sends on to a private one whoever asks for `redirect.test`.
async fn take(called: Arc<Mutex<BTreeSet<IpAddr>>>, redirected: Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80))
        .await
        .unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let to = stream.local_addr().unwrap().ip().to_canonical();
        called.lock().unwrap().insert(to);
        let mut head = [0; 4096];
        let length = stream.read(&mut head).await.unwrap_or_default();
        let answer = match String::from_utf8_lossy(&head[..length]).contains("redirect.test") {
            true => {
                redirected.fetch_add(1, Ordering::Relaxed);
                format!("HTTP/1.1 302 Found\r\nlocation: http://{PRIVATE}/\r\n")
            }
            false => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        let answer = format!("{answer}content-length: 0\r\nconnection: close\r\n\r\n");
        // Whoever has gone does not matter.
        let _gone = stream.write_all(answer.as_bytes()).await;
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

fn set_up(site: &Site) {
    assert!(run("ip", &["link", "set", "lo", "up"]));
    let public = PUBLIC.to_string();
    for address in FORBIDDEN.iter().chain([&public.as_str()]) {
        let added = run("ip", &["addr", "add", address, "dev", "lo"]);
        assert!(added, "{address}");
    }
    for (name, text) in [
        ("resolv.conf", "nameserver 127.0.0.1\n"),
        ("hosts", "127.0.0.1 localhost\n"),
    ] {
        let file = site.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mounted = run(
            "mount",
            &["--bind", file.to_str().unwrap(), &format!("/etc/{name}")],
        );
        assert!(mounted, "{name}");
    }
}

async fn endpoint(server: &Server, url: &str) {
    server
        .create(
            "/webhook_endpoints",
            json!({ "endpoint_url": url, "events": ["load.*"] }),
        )
        .await;
}

#[test]
fn in_a_network_where_every_address_answers_only_public_ones_are_called() {
    if !run(
        "unshare",
        &["--net", "--mount", "ip", "link", "set", "lo", "up"],
    ) {
        eprintln!("skipped: no network namespace can be made here");
        return;
    }
    let output = Command::new("unshare")
        .args(["--net", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "faults::network::inside",
            "--ignored",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a network of its own"]
async fn inside() {
    if variable(INSIDE).is_none() {
        return;
    }
    let files = Site::new();
    set_up(&files);
    let (called, redirected) = (Arc::default(), Arc::default());
    let runtime = tokio::runtime::Handle::current();
    runtime.spawn(answer_names());
    runtime.spawn(take(Arc::clone(&called), Arc::clone(&redirected)));
    let cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url()).with("TIDINGS__EGRESS__ALLOW", "");
    let server = site.serve().await;
    let hosts = FORBIDDEN.iter().map(|address| match address.contains(':') {
        true => format!("[{address}]"),
        false => (*address).to_owned(),
    });
    let hosts: Vec<String> = hosts.chain(SPELLINGS.map(str::to_owned)).collect();
    for number in 0..hosts.len() {
        endpoint(&server, &format!("http://public.test/{number}")).await;
    }
    endpoint(&server, "http://redirect.test/").await;
    endpoint(&server, &format!("http://{PUBLIC}/")).await;
    server.stop().await;
    assert_eq!(
        *called.lock().unwrap(),
        BTreeSet::new(),
        "nothing is called to register it"
    );

    // Past the look at registration, which would refuse most of them.
    let sql = cluster.client().await;
    for (number, host) in hosts.iter().enumerate() {
        let (new, old) = (
            format!("http://{host}/"),
            format!("http://public.test/{number}"),
        );
        let move_it = "UPDATE endpoints SET url = $1 WHERE url = $2";
        let moved = sql.execute(move_it, &[&new, &old]).await.unwrap();
        assert_eq!(moved, 1, "{old}");
    }
    let server = site.serve().await;
    server.publish(1).await;
    eventually("every one was tried", seconds(60), async || {
        let tried = "SELECT count(*) FROM outbox WHERE attempts = 0";
        let left: i64 = sql.query_one(tried, &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
    let refused = "SELECT count(*) FROM attempts WHERE outcome = 'forbidden'";
    let refused: i64 = sql.query_one(refused, &[]).await.unwrap().get(0);
    println!("{refused} of {} refused as forbidden", hosts.len());

    assert_eq!(
        *called.lock().unwrap(),
        BTreeSet::from([IpAddr::V4(PUBLIC)])
    );
    assert!(redirected.load(Ordering::Relaxed) > 0);
    server.stop().await;
}
