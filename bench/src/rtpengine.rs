//! rtpengine in user space, driven by its own control protocol (ng, as JSON over UDP).

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sbc_tests::e2e::{EDGE_LEFT, EDGE_RIGHT, Namespace, Need, Process};
use serde_json::{Value, json};

const CONTROL: &str = "127.0.0.1:22222";
const READY: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(5);

/// A running rtpengine with an interface on either side of the edge; killed on drop.
#[derive(Debug)]
pub struct Rtpengine {
    process: Process,
    control: UdpSocket,
    cookies: u32,
}

impl Rtpengine {
    /// Starts it in the edge.
    ///
    /// # Errors
    /// It is not installed, or does not begin to work.
    pub fn start(edge: &Namespace) -> Result<Rtpengine> {
        if Need::Program("rtpengine").lacking().is_some() {
            bail!(
                "rtpengine is not installed: `cargo xtask bench` as root does that (Debian's package rtpengine-daemon)"
            );
        }
        let mut command = edge.command("rtpengine");
        command
            // No kernel module.
            .arg("--table=-1")
            .arg(format!("--interface=left/{EDGE_LEFT}"))
            .arg(format!("--interface=right/{EDGE_RIGHT}"))
            .arg(format!("--listen-ng={CONTROL}"))
            .args(["--port-min=30000", "--port-max=40000"])
            .args(["--delete-delay=0", "--tos=184"])
            // Only what is wrong.
            .args(["--config-file=none", "--foreground", "--log-stderr"])
            .arg("--log-level=4");
        let process = Process::spawn("rtpengine", command)?;
        let control = edge.enter(|| -> Result<UdpSocket> {
            let control = UdpSocket::bind("127.0.0.1:0")?;
            control.connect(CONTROL)?;
            Ok(control)
        })??;
        let mut rtpengine = Rtpengine {
            process,
            control,
            cookies: 0,
        };
        rtpengine.wait()?;
        Ok(rtpengine)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sets up a call of PCMU between the phone's media address and the carrier's; gives where each of them sends to.
    ///
    /// # Errors
    /// It refuses, or does not answer.
    pub fn call(&mut self, call: u16, peers: [SocketAddr; 2]) -> Result<[SocketAddr; 2]> {
        self.anchor(call, peers.map(|peer| sdp(peer, PCMU)), &json!({}))
    }

    /// The same, of G.722 at the phone and PCMU at the carrier: transcoded both ways.
    ///
    /// # Errors
    /// As [`Rtpengine::call`].
    pub fn transcoded_call(
        &mut self,
        call: u16,
        [phone, carrier]: [SocketAddr; 2],
    ) -> Result<[SocketAddr; 2]> {
        let bodies = [sdp(phone, G722), sdp(carrier, PCMU)];
        let codec = json!({ "mask": ["G722"], "transcode": ["PCMU"] });
        self.anchor(call, bodies, &codec)
    }

    fn anchor(
        &mut self,
        call: u16,
        [offer, answer]: [String; 2],
        codec: &Value,
    ) -> Result<[SocketAddr; 2]> {
        let id = format!("bench-{call}");
        let mut request = json!({
            "command": "offer", "call-id": id, "from-tag": "a", "sdp": offer,
            "direction": ["left", "right"], "replace": ["origin"], "flags": ["trust-address"],
            "ICE": "remove",
        });
        if codec["transcode"].is_array() {
            request["codec"] = codec.clone();
        }
        let right = media_address(&self.ask(&request)?)?;
        let answer = self.ask(&json!({
            "command": "answer", "call-id": id, "from-tag": "a", "to-tag": "b", "sdp": answer,
            "replace": ["origin"], "flags": ["trust-address"], "ICE": "remove",
        }))?;
        Ok([media_address(&answer)?, right])
    }

    fn wait(&mut self) -> Result<()> {
        let end = std::time::Instant::now() + READY;
        self.control
            .set_read_timeout(Some(Duration::from_millis(100)))?;
        while self.ask(&json!({ "command": "ping" })).is_err() {
            ensure!(
                std::time::Instant::now() < end && !self.process.has_ended(),
                "rtpengine does not answer:\n{}",
                self.process.printed()
            );
            // Refused at once while it is not there yet.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.control.set_read_timeout(Some(ANSWER))?)
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        self.cookies += 1;
        let cookie = format!("{} ", self.cookies);
        self.control.send(format!("{cookie}{request}").as_bytes())?;
        let mut bytes = [0; 8192];
        loop {
            let length = self.control.recv(&mut bytes).context("rtpengine")?;
            let text = String::from_utf8_lossy(&bytes[..length]);
            // What answers an earlier question came too late.
            let Some(answer) = text.strip_prefix(&cookie) else {
                continue;
            };
            let answer: Value = serde_json::from_str(answer)?;
            ensure!(
                matches!(answer["result"].as_str(), Some("ok" | "pong")),
                "rtpengine answers {answer} to {request}"
            );
            return Ok(answer);
        }
    }
}

/// Payload type and name.
const PCMU: (u8, &str) = (0, "PCMU");
const G722: (u8, &str) = (9, "G722");

fn sdp(at: SocketAddr, (number, codec): (u8, &str)) -> String {
    let (ip, port) = (at.ip(), at.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {number}\r\na=rtpmap:{number} {codec}/8000\r\na=ptime:20\r\n"
    )
}

fn media_address(answer: &Value) -> Result<SocketAddr> {
    let sdp = answer["sdp"].as_str().unwrap_or_default();
    let field = |start: &str, nth: usize| {
        let line = sdp.lines().find_map(|line| line.strip_prefix(start));
        line.and_then(|line| line.split_whitespace().nth(nth))
    };
    let (ip, port) = (field("c=IN IP4", 0), field("m=audio", 0));
    let (ip, port) = ip.zip(port).with_context(|| format!("no media in {sdp}"))?;
    Ok(SocketAddr::new(ip.parse()?, port.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_to_send() {
        let at: SocketAddr = "10.0.0.1:30000".parse().unwrap();
        assert_eq!(media_address(&json!({ "sdp": sdp(at, PCMU) })).unwrap(), at);
        assert!(media_address(&json!({})).is_err());
    }
}
