//! A box that says about its calls what the test wants, and is the real one in all else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc_tests::e2e::Namespace;
use serde_json::{Value, json};

const DAEMON: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9960);
const PATIENCE: Duration = Duration::from_secs(20);
/// What a stranger calls himself.
pub(super) const EVIL: &str =
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";
/// How many steps are arrows, and how many the box's own.
pub(super) const SHAPE: &str = "10,3";
/// The step that puts the call on hold.
pub(super) const HOLD: usize = 12;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.71.1.2\r\ns=-\r\nc=IN IP4 10.71.1.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n";

/// From whom, to whom, and what: 0 is the caller, 1 the box.
const STEPS: [(u8, u8, &str, Option<&str>); 13] = [
    (0, 1, "INVITE", Some(OFFER)),
    (1, 1, "route a-to-b", None),
    (1, 0, "100 Trying", None),
    (1, 2, "INVITE", Some(OFFER)),
    (2, 1, "503 Service Unavailable", None),
    (1, 3, "INVITE", Some(OFFER)),
    (3, 1, "180 Ringing", None),
    (3, 1, "200 OK", Some(OFFER)),
    (1, 3, "ACK", None),
    (1, 1, "codec", None),
    (1, 1, "media path", None),
    (1, 0, "200 OK", Some(OFFER)),
    (0, 1, "INVITE", Some("")),
];

/// Which way each arrow points: 1 is to the right.
pub(super) fn ways() -> Value {
    let arrows = STEPS.iter().filter(|(from, to, ..)| from != to);
    arrows
        .map(|(from, to, ..)| if from < to { 1 } else { -1 })
        .collect()
}

/// The server; gone on drop.
pub(super) struct Canned<'a> {
    edge: &'a Namespace,
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl<'a> Canned<'a> {
    /// Before the daemon of that namespace.
    pub(super) fn start(edge: &'a Namespace) -> Result<Canned<'a>> {
        let listener = edge.enter(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))??;
        let at = listener.local_addr()?;
        let (asked, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (heard, stop) = (Arc::clone(&asked), Arc::clone(&over));
        // Threads that one in there starts are in there too.
        let server = edge.enter(move || {
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let heard = Arc::clone(&heard);
                    // Who goes away in the middle gets no answer.
                    std::thread::spawn(move || drop(serve(&stream, &heard)));
                }
            })
        })?;
        Ok(Canned {
            edge,
            at,
            asked,
            over,
            server: Some(server),
        })
    }

    /// Where it is.
    pub(super) fn origin(&self) -> String {
        format!("http://{}/", self.at)
    }

    /// Waits until it was asked for what begins like this.
    pub(super) fn was_asked(&self, beginning: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.iter().any(|path| path.starts_with(beginning)) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "nobody asks for {beginning}: {asked:?}"
            );
            drop(asked);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Canned<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let at = self.at;
        // It waits for the next one.
        let woken = self.edge.enter(|| TcpStream::connect(at));
        if let (Ok(Ok(_)), Some(server)) = (woken, self.server.take()) {
            let _ = server.join();
        }
    }
}

/// One request a connection.
fn serve(stream: &TcpStream, asked: &Mutex<Vec<String>>) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "no request");
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "connection" => continue,
                "content-length" => length = value.trim().parse()?,
                _ => {}
            }
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = head.split(' ').nth(1).context("no path")?.to_owned();
    let said = answer(&path);
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.push(path);
    drop(asked);
    let mut stream = stream;
    match said {
        Some((kind, bytes)) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            )?;
            stream.write_all(&bytes)?;
        }
        None => {
            let mut daemon = TcpStream::connect(DAEMON)?;
            write!(daemon, "{head}Connection: close\r\n\r\n")?;
            daemon.write_all(&body)?;
            std::io::copy(&mut daemon, &mut stream)?;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(())
}

/// What the box would say; `None` where the real one is to be asked.
fn answer(path: &str) -> Option<(&'static str, Vec<u8>)> {
    let page = match path.split('?').next()? {
        "/api/calls" => json!({ "calls": [call()] }),
        "/api/call" => {
            json!({ "call": call(), "legs": [leg()], "tried": [{ "party": "trunk:b", "why": EVIL }], "streams": [] })
        }
        "/api/flows" => json!({ "flows": [] }),
        "/api/traces" => json!({ "next": null, "traces": [{
            "id": "000000000000001a", "began": "2026-11-22T04:50:00.123Z", "lasted_seconds": 12.3, "state": "up", "failed": true, "from": EVIL,
            "to": null, "dialled": EVIL, "outcome": "busy", "steps": 13, "bytes": 9000 }] }),
        "/api/trace" => trace(),
        "/api/trace.pcap" => return Some(("application/vnd.tcpdump.pcap", vec![0xd4; 24])),
        _ => return None,
    };
    Some(("application/json", page.to_string().into_bytes()))
}

fn call() -> Value {
    json!({
        "id": "000000000000001a", "sip_call_id": EVIL, "from": "trunk:a", "to": ["trunk:b"], "number": EVIL, "state": "up", "seconds": 3,
        "codecs": ["PCMU", null], "path": "user", "reason": EVIL,
    })
}

fn leg() -> Value {
    json!({
        "leg": 0, "party": "trunk:a", "network": "left", "transport": "udp", "local": "10.71.1.1:5060", "peer": "10.71.1.2:5060",
        "sip_call_id": EVIL, "user_agent": EVIL, "state": "up", "holds": false,
    })
}

fn trace() -> Value {
    let steps = STEPS.iter().enumerate().map(|(index, (from, to, label, sdp))| {
        let held = OFFER.replace("sendrecv", "sendonly");
        let sdp = sdp.map(|sdp| if sdp.is_empty() { &held } else { sdp });
        let message = (from != to).then(|| format!("{label} sip:15551234567@10.71.1.1 SIP/2.0\r\nFrom: \"{EVIL}\" <sip:a@10.71.1.2>\r\n\r\n{}", sdp.unwrap_or_default()));
        json!({ "at": index as f64 / 10.0, "from": from, "to": to, "label": label, "note": EVIL, "transport": "udp", "sdp": sdp, "message": message })
    });
    json!({
        "id": "000000000000001a", "state": "up", "failed": true, "began": "2026-11-22T04:50:00.123Z", "lasted_seconds": 12.3, "from": "trunk:a",
        "to": null, "dialled": EVIL, "outcome": "busy", "reason": EVIL,
        "parties": [{ "name": EVIL, "address": "10.71.1.2:5060" }, { "name": "sbc", "address": null }, { "name": "trunk:b", "address": "10.71.2.2:5060" },
            { "name": "trunk:c", "address": "10.71.2.3:5060" }],
        "steps": steps.collect::<Vec<_>>(),
        "verdict": [{ "hears": "caller", "cause": "wrong-source", "text": format!("{EVIL} hears nothing") }], "omitted": 0,
    })
}
