use std::net::{TcpListener, UdpSocket};

use super::*;

#[tokio::test]
async fn health_and_pages() {
    let sbc = Sbc::start().await;
    assert_eq!(sbc.page("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(sbc.page("/readyz").await, (200, "ready\n".to_owned()));
    let (status, body) = sbc.page("/secret").await;
    assert_eq!(status, 404);
    assert!(body.starts_with("{\"error\":"), "{body}");
    sbc.stop().await;
}

#[tokio::test]
async fn what_is_stopped_leaves_its_ports() {
    let sbc = Sbc::start().await;
    let (sip, admin, trunk) = (sbc.sip(), sbc.admin(), sbc.peer(1));
    assert!(UdpSocket::bind(sip).is_err());
    sbc.stop().await;
    UdpSocket::bind(sip).unwrap();
    TcpListener::bind(sip).unwrap();
    let again = start(config(sip.ip(), trunk), options()).await.unwrap();
    assert_eq!(again.admin().tcp(), Some(admin));
    again.control().stop().await;
    again.ended().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_and_nothing_is_left_behind() {
    let (sbc, trunk) = (own_address(29), own_address(30));
    let taken = TcpListener::bind((sbc, 5060)).unwrap();
    let error = start(config(sbc, trunk), options())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("network lan: tcp {sbc}:5060 is taken by ")),
        "{error}"
    );
    drop(taken);
    let taken = TcpListener::bind((sbc, 9960)).unwrap();
    let error = start(config(sbc, trunk), options())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("admin address: tcp {sbc}:9960 is taken by ")),
        "{error}"
    );
    drop(taken);
    let running = start(config(sbc, trunk), options()).await.unwrap();
    assert_eq!(running.locals().len(), 2);
    running.control().stop().await;
    running.ended().await.unwrap();
}
