//! `sbc trunks`, `sbc registrations` and their pages; a carrier that is registered with and asked.

use sbc::config::{Credentials, Secret};
use sbc::io::admin::types::{Contact, Refusal, Trunk};
use sbc::sip::{Message, Name, Writer};
use tokio::net::UdpSocket;

use super::agent::Agent;
use super::bans::told;
use super::*;

/// Takes whatever it is asked.
async fn take(carrier: &UdpSocket) -> Message {
    let mut buffer = [0; 4096];
    let (length, from) = carrier.recv_from(&mut buffer).await.unwrap();
    let bytes = bytes::Bytes::copy_from_slice(&buffer[..length]);
    let request = Message::parse(bytes, &Default::default()).unwrap();
    let mut answer = Writer::response(200, "OK");
    for field in request.fields() {
        answer = match field.name {
            Name::Via | Name::From | Name::CallId | Name::CSeq => answer.copy(field),
            Name::To => answer.header(Name::To, format_args!("{};tag=c", field.value)),
            _ => answer,
        };
    }
    carrier.send_to(&answer.finish(), from).await.unwrap();
    request
}

#[tokio::test]
async fn a_carrier_and_a_phone_are_shown_as_they_are() {
    let sbc = Sbc::start_with(|config| {
        let trunk = &mut config.trunks[0];
        trunk.probe = Some(Duration::from_secs(3600));
        trunk.register = Some(Duration::from_secs(7200));
        trunk.credentials = Some(Credentials {
            username: "5555".to_owned(),
            password: Secret::new("x".to_owned()),
        });
        trunk.limits.calls = Some(3);
    })
    .await;
    let carrier = UdpSocket::bind((sbc.peer(1), 5060)).await.unwrap();
    let mut asked = Vec::new();
    while asked.len() < 2 {
        let request = take(&carrier).await;
        let method = request.method().name();
        if !asked.contains(&method) {
            asked.push(method);
        }
    }
    asked.sort_unstable();
    assert_eq!(asked, ["OPTIONS", "REGISTER"]);
    let trunk = loop {
        let (out, _, _) = told(&sbc, &["trunks", "--json"]).await;
        let mut trunks: Vec<Trunk> = serde_json::from_str(&out).unwrap();
        let trunk = trunks.remove(0);
        assert!(trunks.is_empty());
        let is_registered = trunk.registration.as_ref().unwrap().registered;
        if is_registered && trunk.probe.as_ref().unwrap().answered_ms.is_some() {
            break trunk;
        }
    };
    assert_eq!(
        (trunk.name.as_str(), trunk.network.as_str()),
        ("pbx", "lan")
    );
    assert_eq!(trunk.server, format!("udp:{}:5060", sbc.peer(1)));
    let registration = trunk.registration.unwrap();
    assert!(
        registration
            .seconds_left
            .is_some_and(|left| left > 7000 && left <= 7200)
    );
    assert_eq!(registration.trouble, None);
    assert_eq!((trunk.calls, trunk.max_calls), (0, Some(3)));
    let (out, err, code) = told(&sbc, &["trunks"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains("0 of 3"), "{out}");
    let metrics = sbc.metrics().await;
    assert_eq!(metrics.sum("sbc_trunk_up", "trunk=pbx"), 1.0);
    assert_eq!(metrics.sum("sbc_trunk_registered", "trunk=pbx"), 1.0);
    let limited = metrics.sum("sbc_trunk_limited_total", "trunk=pbx limit=max-calls");
    assert_eq!(limited, 0.0);

    let (out, err, code) = told(&sbc, &["registrations"]).await;
    assert!(out.starts_with("No phone is registered. "), "{out}");
    assert_eq!((err.as_str(), code), ("", 0));
    let mut phone = Agent::udp(sbc.peer(2), sbc.sip()).await;
    phone.register("6002", "two", 200).await;
    let (out, _, _) = told(&sbc, &["registrations", "--json"]).await;
    let contacts: Vec<Contact> = serde_json::from_str(&out).unwrap();
    let [contact] = contacts.as_slice() else {
        panic!("{out}")
    };
    assert_eq!(
        (contact.phone.as_str(), contact.network.as_str()),
        ("6002", "lan")
    );
    assert_eq!(
        (contact.source, contact.transport.as_str()),
        (phone.local, "udp")
    );
    assert_eq!(contact.silence, None);
    let (out, _, _) = told(&sbc, &["registrations"]).await;
    assert!(out.contains(&format!("udp:{}", phone.local)), "{out}");
    let (status, text) = sbc.api("/api/registrations?after=7").await;
    assert_eq!((status, text.as_str()), (200, "{\"registrations\":[]}\n"));
    let (status, text) = sbc.api("/api/registrations?before=7").await;
    assert_eq!(status, 400, "{text}");
    serde_json::from_str::<Refusal>(&text).unwrap();

    // It is taken back before the box ends.
    let (_, last) = tokio::join!(sbc.stop(), async {
        loop {
            let request = take(&carrier).await;
            if request.header(Name::Expires) == Some("0") {
                break request;
            }
        }
    });
    assert_eq!(last.method().name(), "REGISTER");
}
