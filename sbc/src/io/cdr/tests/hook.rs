//! A webhook that is a server of the test's own, which does what it is told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::super::tls::{TlsError, Trust};
use super::{Cdr, Directory, done, until};
use crate::config::{self, Secret, Webhook};
use crate::engine::CallRecord;

/// What comes in: the head, and the records.
type Posted = (String, Vec<CallRecord>);

/// Takes connections for as long as `answers` has something to say; an empty one hangs up.
fn serve(listener: TcpListener, answers: Vec<&'static str>) -> mpsc::Receiver<Posted> {
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            let posted = read(&stream);
            if !answer.is_empty() {
                let text =
                    format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = (&stream).write_all(text.as_bytes());
            }
            if told.send(posted).is_err() {
                return;
            }
        }
    });
    heard
}

fn read(stream: &TcpStream) -> Posted {
    request(&mut BufReader::new(stream))
}

fn request(reader: &mut impl BufRead) -> Posted {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn config(directory: &Directory, port: u16) -> config::Cdr {
    config::Cdr {
        json: None,
        csv: None,
        webhook: Some(Webhook {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port,
            path: "/calls?x=1".to_owned(),
            token: Some(Secret::new("t0k".to_owned())),
        }),
        ..directory.config()
    }
}

fn ids(posted: &Posted) -> Vec<&str> {
    posted.1.iter().map(|record| record.id.as_str()).collect()
}

/// Who signs, and who is signed for.
struct Signed {
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// The same for all tests of this process: what is trusted is asked without saying by whom.
fn signed() -> &'static Signed {
    static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
        let key = KeyPair::generate().unwrap();
        let mut of_authority = CertificateParams::new(Vec::new()).unwrap();
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = of_authority.self_signed(&key).unwrap();
        let authority = authority.der().clone();
        let issuer = Issuer::new(of_authority, key);
        let key = KeyPair::generate().unwrap();
        let of_host = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = of_host.signed_by(&key, &issuer).unwrap();
        Signed {
            authority,
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    });
    &SIGNED
}

fn ours() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(signed().authority.clone())?;
    Ok(roots)
}

fn nobody() -> Result<RootCertStore, TlsError> {
    Err(TlsError::NobodyTrusted(String::new()))
}

fn somebody_else() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let key = KeyPair::generate().unwrap();
    let other = CertificateParams::new(Vec::new()).unwrap();
    roots.add(other.self_signed(&key).unwrap().der().clone())?;
    Ok(roots)
}

/// A server with TLS that hands over the first request that reaches it, and takes it.
fn secure(listener: TcpListener) -> mpsc::Receiver<Posted> {
    let (told, heard) = mpsc::channel();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed().certificate.clone()], signed().key.clone_key())
        .unwrap();
    let server = Arc::new(server);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let session = ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(session, stream));
            // Who does not trust us goes away.
            let Ok([_, ..]) = stream.fill_buf() else {
                continue;
            };
            let posted = request(&mut stream);
            let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.get_mut().write_all(text.as_bytes());
            if told.send(posted).is_err() {
                return;
            }
        }
    });
    heard
}

#[test]
fn over_tls_only_who_is_trusted_gets_records() {
    let directory = Directory::new("hook-tls");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = secure(listener);
    let mut config = config(&directory, port);
    config.webhook.as_mut().unwrap().tls = true;
    for distrust in [nobody as Trust, somebody_else] {
        let cdr = Cdr::open_trusting(&config, &directory.0, distrust).unwrap();
        cdr.put(done("1"));
        until(|| cdr.counters().of_sink("webhook")[2] > 0);
        assert_eq!(cdr.counters().of_sink("webhook")[0], 0);
    }
    assert!(heard.try_recv().is_err());
    let cdr = Cdr::open_trusting(&config, &directory.0, ours).unwrap();
    let posted = heard.recv_timeout(WAIT).unwrap();
    assert_eq!(ids(&posted), ["1", "1"]);
    assert!(posted.0.contains("\r\nauthorization: Bearer t0k\r\n"));
    until(|| cdr.counters().of_sink("webhook")[0] == 2);
}

const WAIT: Duration = Duration::from_secs(60);

#[test]
fn what_fails_is_repeated_in_order_until_it_is_taken() {
    let directory = Directory::new("hook");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = vec![
        "500 No",
        "",
        "503 Later\r\nRetry-After: 0",
        "200 OK",
        "204 No Content",
    ];
    let heard = serve(listener, answers);
    let cdr = Cdr::open(&config(&directory, port), &directory.0).unwrap();
    cdr.put(done("1"));
    for _ in 0..4 {
        let posted = heard.recv_timeout(WAIT).unwrap();
        assert_eq!(ids(&posted), ["1"]);
        assert!(
            posted.0.starts_with("POST /calls?x=1 HTTP/1.1\r\n"),
            "{}",
            posted.0
        );
        assert!(
            posted.0.contains("\r\nauthorization: Bearer t0k\r\n"),
            "{}",
            posted.0
        );
    }
    until(|| cdr.counters().of_sink("webhook") == [1, 0, 3]);
    cdr.put(done("2"));
    assert_eq!(ids(&heard.recv_timeout(WAIT).unwrap()), ["2"]);
    until(|| cdr.counters().of_sink("webhook") == [2, 0, 3]);
}

#[test]
fn what_nobody_took_is_sent_after_a_restart() {
    let directory = Directory::new("hook-restart");
    // Somebody who never answers, and then somebody who does.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let cdr = Cdr::open(&config(&directory, port), &directory.0).unwrap();
    for id in ["1", "2", "3"] {
        cdr.put(done(id));
    }
    let (hangs, _) = listener.accept().unwrap();
    let first = read(&hangs);
    drop(cdr);
    assert_eq!(ids(&first)[0], "1");
    let heard = serve(listener, vec!["200 OK"]);
    let cdr = Cdr::open(&config(&directory, port), &directory.0).unwrap();
    assert_eq!(ids(&heard.recv_timeout(WAIT).unwrap()), ["1", "2", "3"]);
    until(|| cdr.counters().of_sink("webhook") == [3, 0, 0]);
}

#[test]
fn a_record_that_is_refused_keeps_no_other_one_waiting() {
    let directory = Directory::new("hook-refused");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // So that the three go together.
    let silent = Cdr::open(&config(&directory, 9), &directory.0).unwrap();
    for id in ["1", "2", "3"] {
        silent.put(done(id));
    }
    drop(silent);
    let refused = "422 Unprocessable Content";
    let answers = vec![refused, refused, "200 OK", "200 OK"];
    let heard = serve(listener, answers);
    let cdr = Cdr::open(&config(&directory, port), &directory.0).unwrap();
    let all = ["1 2 3", "1", "2 3"].map(|_| ids(&heard.recv_timeout(WAIT).unwrap()).join(" "));
    assert_eq!(all, ["1 2 3", "1", "2 3"]);
    until(|| cdr.counters().of_sink("webhook") == [2, 0, 1]);
    let lost: Vec<_> = cdr.counters().lost().collect();
    assert_eq!(lost, [("queue", 0), ("webhook", 0), ("refused", 1)]);
}
