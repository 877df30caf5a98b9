//! The web page, as a browser asks for it.

use std::collections::BTreeMap;

use super::*;

/// What a browser says at first.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

async fn get(sbc: &Sbc, path: &str, more: &str) -> Answer {
    let mut stream = TcpStream::connect(sbc.admin()).await.unwrap();
    // A name that is no address: whoever gets here gets the page, and no more than that.
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: edge.example\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Answer {
        status: status.parse().unwrap(),
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

/// What of the page is at our own address.
fn loads(text: &str) -> Vec<String> {
    let own = text.split("\"/page/").skip(1);
    let beside = text.split("from \"./").skip(1);
    own.chain(beside)
        .filter_map(|rest| rest.split('"').next())
        .map(|name| format!("/page/{name}"))
        .collect()
}

#[tokio::test]
async fn a_browser_gets_the_page_with_all_its_files_and_nothing_else() {
    let sbc = Sbc::start().await;
    let mut wanted = vec!["/".to_owned()];
    let mut seen = BTreeMap::new();
    while let Some(path) = wanted.pop() {
        if seen.contains_key(&path) {
            continue;
        }
        let answer = get(&sbc, &path, BROWSER).await;
        assert_eq!(answer.status, 200, "{path}");
        let header = |name: &str| answer.headers.get(name).map(String::as_str);
        let policy = header("content-security-policy").unwrap();
        for said in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(said), "{path}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(header(name), Some(value), "{path}");
        }
        for word in ["unsafe", "http", "*", "data:"] {
            assert!(!policy.contains(word), "{policy}");
        }
        wanted.extend(loads(&answer.body));
        let tag = header("etag").unwrap().to_owned();
        let again = get(&sbc, &path, &format!("{BROWSER}If-None-Match: {tag}\r\n")).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.headers["etag"], tag);
        seen.insert(path, tag);
    }
    assert!(seen.len() > 10, "{seen:?}");
    let nothing = get(&sbc, "/page/mod.rs", BROWSER).await;
    assert_eq!(nothing.status, 404);
    sbc.stop().await;
}

#[tokio::test]
async fn a_terminal_gets_text() {
    let sbc = Sbc::start().await;
    for accepts in ["", "Accept: */*\r\n"] {
        let answer = get(&sbc, "/", accepts).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("/metrics"), "{}", answer.body);
        assert_eq!(answer.headers["vary"], "accept");
    }
    sbc.stop().await;
}

/// The page itself is for everybody: it has no secret, and asks for the token before it shows anything.
#[tokio::test]
async fn the_page_is_there_without_the_token_and_what_it_shows_is_not() {
    let sbc = Sbc::start_with(|config| {
        config.sbc.admin_token = Some(sbc::config::Secret::new("0123456789abcdef".to_owned()));
    })
    .await;
    assert_eq!(get(&sbc, "/", BROWSER).await.status, 200);
    for path in ["/api/status", "/metrics"] {
        assert_eq!(get(&sbc, path, BROWSER).await.status, 401, "{path}");
        let with = "Authorization: Bearer 0123456789abcdef\r\n";
        assert_eq!(get(&sbc, path, with).await.status, 200, "{path}");
    }
    sbc.stop().await;
}
