//! The flight recorder: what it has of packets that only the kernel saw, and of those of a media worker.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use etherparse::{SlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use sbc::io::admin::types::Call;
use sbc_tests::e2e::speaker::{self, AL, Heard, MU, Speaker};
use sbc_tests::e2e::{
    CARRIER, Crowd, Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Lab, Need, PHONE, Party, lab_config,
    skipped,
};

use super::support::start_on;

/// Where both ends have their RTP.
const MEDIA: u16 = 4000;
/// How long a packet, or a file, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Packets that the phone sends, of which every tenth is lost on its way.
const SENT: u16 = 300;
const STRANGER: u16 = 4004;
const NEEDS: [Need; 2] = [Need::Namespaces, Need::Program("ethtool")];

#[test]
fn of_what_only_the_kernel_saw() -> Result<()> {
    recorded(FastPath::Native)
}

#[test]
fn of_what_a_worker_forwards() -> Result<()> {
    recorded(FastPath::Off)
}

fn recorded(fast_path: FastPath) -> Result<()> {
    let what = format!("the flight recorder, fast_path = {}", fast_path.word());
    if skipped(&what, &NEEDS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let directory = lab.scratch.path().join("flight");
    let state = lab.scratch.path().join("state");
    let config = format!(
        "{}\n[flight_recorder]\ndirectory = \"{}\"\nloss = 5\n",
        lab_config(fast_path, &state),
        directory.display()
    );
    let daemon = start_on(&lab, &config)?;
    let party = |host, ip| Party {
        host,
        sip: SocketAddr::new(ip, 5060),
        media: SocketAddr::new(ip, MEDIA),
    };
    let mut crowd = Crowd::begin(
        party(&lab.phone, PHONE.into()),
        party(&lab.carrier, CARRIER.into()),
        SocketAddr::new(EDGE_LEFT.into(), 5060),
        1,
    )?;
    let [(_, [left, right])] = crowd.media()?.try_into().ok().context("one call")?;
    let phone = lab.phone.enter(|| UdpSocket::bind((PHONE, MEDIA)))??;
    let stranger = lab.phone.enter(|| UdpSocket::bind((PHONE, STRANGER)))??;
    let carrier = lab.carrier.enter(|| UdpSocket::bind((CARRIER, MEDIA)))??;
    carrier.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = [0; 2048];
    let numbers: Vec<u16> = (0..SENT).filter(|number| number % 10 != 9).collect();
    for number in &numbers {
        phone.send_to(&rtp(*number), left)?;
        let (length, _) = carrier.recv_from(&mut bytes).context("lost")?;
        assert_eq!(bytes[..length], rtp(*number));
    }
    stranger.send_to(&rtp(7777), left)?;
    // It is seen before this one.
    phone.send_to(&rtp(SENT), left)?;
    carrier.recv_from(&mut bytes).context("lost")?;

    let file = lab.scratch.path().join("call.pcap");
    let id = only_call(&lab)?.id;
    let said = cli(
        &lab,
        &["record", &id, "--pcap", &file.display().to_string()],
    )?;
    assert!(said.contains("bytes, RTP and RTCP headers"), "{said}");
    let packets = read(&file)?;
    let way = |from: SocketAddr, to: SocketAddr| -> Vec<u16> {
        let fits = packets
            .iter()
            .filter(|packet| (packet.from, packet.to) == (from, to));
        fits.map(|packet| packet.number).collect()
    };
    let (peer, far) = (phone.local_addr()?, carrier.local_addr()?);
    let mut last: Vec<u16> = numbers;
    last.push(SENT);
    let came = way(peer, left);
    // A ring of 256, of which the stranger's has one place.
    ensure!(came.len() == 255, "{} packets came", came.len());
    assert!(last.ends_with(&came), "{came:?}");
    assert_eq!(way(right, far), came);
    assert_eq!(way(stranger.local_addr()?, left), [7777]);
    assert_eq!(packets.len(), 2 * came.len() + 1);
    assert!(packets.iter().all(|packet| packet.length == 28 + 172));
    assert!(packets.is_sorted_by_key(|packet| packet.at));
    assert_eq!(right.ip(), SocketAddr::new(EDGE_RIGHT.into(), 0).ip());

    // A tenth was lost: that is too much.
    assert_eq!(files(&directory)?, [""; 0]);
    crowd.hang_up()?;
    let written = [("result", "written")];
    daemon.scrape_until("a capture", PATIENCE, |metrics| {
        metrics.sum("sbc_flight_captures_total", &written) == 1.0
    })?;
    let names = files(&directory)?;
    let [name] = names.as_slice() else {
        bail!("{names:?}")
    };
    assert!(
        name.starts_with("flight-2") && name.ends_with(&format!("-{id}.pcap")),
        "{name}"
    );
    let kept = read(&directory.join(name))?;
    let kept = kept
        .iter()
        .filter(|packet| packet.to == left && packet.from == peer);
    assert_eq!(kept.map(|packet| packet.number).collect::<Vec<_>>(), came);
    Ok(())
}

#[test]
fn what_is_said_is_recorded_through_the_kernel_and_transcoding_and_back() -> Result<()> {
    said_throughout(FastPath::Native)
}

#[test]
fn what_is_said_is_recorded_through_user_space_and_transcoding_and_back() -> Result<()> {
    said_throughout(FastPath::Off)
}

/// A call that is recorded goes into transcoding and comes out of it again.
fn said_throughout(fast_path: FastPath) -> Result<()> {
    let what = format!("payload, fast_path = {}", fast_path.word());
    if skipped(&what, &NEEDS) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    // A has both laws, B one of them.
    let config = config.replace("[\"PCMU\", \"G722\", \"PCMA\"]", "[\"PCMA\"]");
    let config = config.replace("[sbc]\n", "[sbc]\nadmin_token = \"a-token-of-this-test\"\n");
    let _daemon = start_on(
        &lab,
        &format!("{config}\n[flight_recorder]\npayload = true\n"),
    )?;
    let config = lab.scratch.path().join("lab.toml").display().to_string();
    let file = lab.scratch.path().join("call.pcap");
    let mut alice = Speaker::open(&lab.phone, PHONE, EDGE_LEFT)?;
    let mut bob = Speaker::open(&lab.carrier, CARRIER, EDGE_RIGHT)?;
    alice.agrees(&mut bob, AL, AL)?;
    let (before, output) = thread::scope(|scope| {
        let to = file.display().to_string();
        let arguments = ["record", "speaker", "--config", &config, "--payload", &to];
        let arguments = arguments.map(str::to_owned);
        let edge = &lab.edge;
        let recorder = scope.spawn(move || Daemon::cli(edge, arguments));
        let end = Instant::now() + PATIENCE;
        while !file.exists() && Instant::now() < end && !recorder.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        let before = [&alice, &bob].map(|who| who.heard().len());
        for law in [None, Some(MU), Some(AL)] {
            if let Some(law) = law {
                alice.agrees(&mut bob, law, AL)?;
            }
            for who in [&alice, &bob] {
                who.hears_more(50)?;
            }
        }
        alice.hangs_up(&bob)?;
        // It ends with the call.
        let output = recorder.join().ok().context("no output")??;
        Ok::<_, anyhow::Error>((before, output))
    })?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{told}");
    assert!(
        told.ends_with(" packets came, with what was said in them\n"),
        "{told}"
    );

    let bytes = fs::read(&file)?;
    let packets = payloads(&bytes)?;
    let media = |ip: Ipv4Addr| SocketAddr::from((ip, MEDIA));
    for (who, at, before) in [
        (&alice, media(PHONE), before[0]),
        (&bob, media(CARRIER), before[1]),
    ] {
        // Each packet that came is as it was sent.
        let came = packets.iter().filter(|packet| packet.0 == at);
        let mut count = 0;
        for (.., payload) in came.filter(|packet| is_rtp(&packet.2)) {
            let said = speaker::read(payload).context("not a speaker's")?;
            assert_eq!(payload, &speaker::packet(said.number, said.payload_type));
            count += 1;
        }
        assert!(count >= 150, "{count} packets came from {at}");
        // And each that was heard is there, whoever sent it.
        let left = packets.iter().filter(|packet| packet.1 == at);
        let left: Vec<Heard> = left.filter_map(|packet| speaker::read(&packet.2)).collect();
        let heard = who.heard();
        for one in &heard[before..] {
            assert!(left.contains(one), "{at} heard {one:?}, which is not there");
        }
        println!(
            "{what}: {at} sent {count} packets, heard {}",
            heard.len() - before
        );
    }
    Ok(())
}

fn is_rtp(payload: &[u8]) -> bool {
    payload
        .get(1)
        .is_some_and(|second| !(192..=223).contains(second))
}

#[test]
fn where_it_is_off_it_says_so() -> Result<()> {
    if skipped("the flight recorder, off", &NEEDS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let state = lab.scratch.path().join("state");
    let _daemon = start_on(&lab, &lab_config(FastPath::Off, &state))?;
    let output = Daemon::cli(&lab.edge, ["record", "1", "--pcap", "/dev/null"])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("sbc: the flight recorder is off: write `[flight_recorder]`"),
        "{said}"
    );
    Ok(())
}

fn rtp(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

fn cli(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let output = Daemon::cli(&lab.edge, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?)
}

fn only_call(lab: &Lab) -> Result<Call> {
    let mut calls: Vec<Call> = serde_json::from_str(&cli(lab, &["calls", "--json"])?)?;
    ensure!(calls.len() == 1, "{calls:?}");
    calls.pop().context("no call")
}

fn files(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// A packet of RTP in a capture.
struct Seen {
    at: Duration,
    from: SocketAddr,
    to: SocketAddr,
    number: u16,
    /// With its headers.
    length: u32,
}

fn read(file: &Path) -> Result<Vec<Seen>> {
    let bytes = fs::read(file)?;
    let mut reader = PcapReader::new(bytes.as_slice())?;
    let mut seen = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        let length = packet.orig_len();
        // What was not kept is missed by who reads strictly.
        let mut whole = packet.data().to_vec();
        whole.resize(length as usize, 0);
        let sliced = SlicedPacket::from_ip(&whole).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else {
            bail!("no IPv4")
        };
        let (from, to) = (ip.header().source_addr(), ip.header().destination_addr());
        let Some(TransportSlice::Udp(udp)) = sliced.transport else {
            bail!("no UDP")
        };
        let payload = udp.payload();
        seen.push(Seen {
            at: packet.timestamp(),
            from: (from, udp.source_port()).into(),
            to: (to, udp.destination_port()).into(),
            number: u16::from_be_bytes([payload[2], payload[3]]),
            length,
        });
    }
    Ok(seen)
}

/// From where to where, and what; of packets that are there as a whole.
fn payloads(bytes: &[u8]) -> Result<Vec<(SocketAddr, SocketAddr, Vec<u8>)>> {
    let mut reader = PcapReader::new(bytes)?;
    let mut all = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        ensure!(packet.orig_len() as usize == packet.data().len(), "cut off");
        let sliced =
            SlicedPacket::from_ip(packet.data()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else {
            bail!("no IPv4")
        };
        let (from, to) = (ip.header().source_addr(), ip.header().destination_addr());
        let Some(TransportSlice::Udp(udp)) = sliced.transport else {
            bail!("no UDP")
        };
        let from = (from, udp.source_port()).into();
        let to = (to, udp.destination_port()).into();
        all.push((from, to, udp.payload().to_vec()));
    }
    Ok(all)
}
