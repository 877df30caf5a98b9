//! What a network behind a router wants of its sockets.

use super::*;

#[tokio::test]
async fn connections_to_whom_it_is_meant_for_are_closed_and_others_stay() {
    let mut sbc = Sbc::open(Limits::default());
    let trunk = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let hops = [&trunk, &other].map(|far| sbc.hop(Transport::Tcp, far.local_addr().unwrap()));
    for hop in hops {
        let sent = sbc.signalling.send(hop, Bytes::from_static(b"first "));
        assert!(sent.is_empty());
    }
    let (mut far, _) = trunk.accept().await.unwrap();
    let (mut stays, _) = other.accept().await.unwrap();
    let network = hops[0].network;
    let meant = hops[0].remote.ip();
    let closed = sbc.signalling.close_peers(network, |peer| peer == meant);
    assert!(matches!(closed[..], [Input::ConnectionClosed(_)]));
    assert!(
        sbc.signalling
            .close_peers(NetworkId(network.0 + 1), |_| true)
            .is_empty()
    );
    // What had been said before still leaves; what is said from now on goes over another one.
    assert_eq!(read_to_end(&mut far).await, "first ");
    for hop in hops {
        let sent = sbc.signalling.send(hop, Bytes::from_static(b"second"));
        assert!(sent.is_empty());
    }
    let (mut far, _) = trunk.accept().await.unwrap();
    sbc.signalling.finish(LONG).await;
    assert_eq!(read_to_end(&mut far).await, "second");
    assert_eq!(read_to_end(&mut stays).await, "first second");
}

#[tokio::test]
async fn a_name_is_looked_up_and_one_that_is_none_leads_nowhere() {
    let mut sbc = Sbc::open(Limits::default());
    let network = NetworkId(0);
    let host = "198.51.100.1".to_owned();
    sbc.signalling.look_up(network, host, 3478);
    match sbc.input().await {
        Input::LookedUp { addresses, .. } => {
            assert_eq!(addresses, ["198.51.100.1:3478".parse().unwrap()]);
        }
        other => panic!("{other:?}"),
    }
    // No resolver is asked for what cannot be a name.
    sbc.signalling.look_up(network, "no name".to_owned(), 3478);
    match sbc.input().await {
        Input::LookedUp { addresses, .. } => assert_eq!(addresses, []),
        other => panic!("{other:?}"),
    }
}
