//! The web page at `/`: what the API has, for people. No build step: the files beside this one are what the browser gets.
//!
//! It has no secret in it, and whoever reaches the admin address gets it: what it shows it asks the API for, as everybody else has to. It loads nothing
//! from elsewhere, runs no script but its own, and is in no other site's frame; a browser that knows Trusted Types makes no markup out of text.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Admin;

/// What a browser may do with it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    /// Changes with the text.
    tag: LazyLock<String>,
}

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(File {
            name: $name,
            kind: $kind,
            text: include_str!($name),
            tag: LazyLock::new(|| tag(include_str!($name))),
        }),*]
    };
}

/// The first is the page itself.
static FILES: [File; 17] = files![
    "page.html": HTML,
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "theme.js": SCRIPT,
    "main.js": SCRIPT,
    "api.js": SCRIPT,
    "call.js": SCRIPT,
    "calls.js": SCRIPT,
    "chart.js": SCRIPT,
    "dom.js": SCRIPT,
    "format.js": SCRIPT,
    "history.js": SCRIPT,
    "ladder.js": SCRIPT,
    "overview.js": SCRIPT,
    "tables.js": SCRIPT,
    "ui.js": SCRIPT,
    "why.js": SCRIPT,
];

/// What a terminal gets at `/`.
const TERMINAL: &str = concat!(
    "sbc ",
    env!("CARGO_PKG_VERSION"),
    "\n\n/         in a browser: the page that shows all this\n/metrics  what was counted, for Prometheus\n/healthz  200 while the engine answers\n/readyz   200 while new calls are taken\n",
    "/api      what `sbc status`, `sbc calls`, `sbc trace`, `sbc flows`, `sbc trunks`, `sbc registrations` and `sbc bans` show and `sbc reload` does, as JSON, for this host, or with the token of the config\n"
);

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/", get(start))
        .route("/page/{name}", get(file))
}

async fn start(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT);
    let is_browser = accepts.is_some_and(|said| {
        let said = String::from_utf8_lossy(said.as_bytes()).to_ascii_lowercase();
        said.contains("text/html")
    });
    let mut response = match is_browser {
        true => answer(&FILES[0], &headers),
        false => TERMINAL.into_response(),
    };
    let vary = header::HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES[1..].iter().find(|file| file.name == name) {
        Some(file) => answer(file, &headers),
        None => (StatusCode::NOT_FOUND, "the page has no such file\n").into_response(),
    }
}

/// Browsers ask each time whether it has changed: another version of the daemon has another page.
fn answer(file: &File, headers: &HeaderMap) -> Response {
    let tag = file.tag.as_str();
    let common: [(HeaderName, &str); 8] = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    if is_known(tag, headers) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(header::CONTENT_TYPE, file.kind)], file.text).into_response()
}

/// Whether whoever asks has that one (RFC 9110 13.1.2).
fn is_known(tag: &str, headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut said = said
        .filter_map(|said| said.to_str().ok())
        .flat_map(|said| said.split(','));
    said.any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    })
}

fn tag(text: &str) -> String {
    format!(
        "\"{:08x}-{:x}\"",
        crc32fast::hash(text.as_bytes()),
        text.len()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use axum::http::HeaderValue;
    use sbc_ebpf::shed::Shed;

    use super::*;
    use crate::io::metrics::{drop_reasons, refusals};

    #[test]
    fn every_file_is_served_and_nothing_is_asked_for_that_is_not() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/io/admin/page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_served = FILES.iter().any(|file| file.name == name);
            assert!(is_served || name == "mod.rs", "{name} is not served");
        }
        for file in &FILES {
            let imports = file.text.lines().filter_map(|line| {
                let (_, from) = line.strip_prefix("import ")?.split_once("from \"./")?;
                from.split('"').next()
            });
            let loads = file.text.split("\"/page/").skip(1);
            for name in imports.chain(loads.filter_map(|rest| rest.split('"').next())) {
                assert!(
                    FILES.iter().any(|file| file.name == name),
                    "{}: {name}",
                    file.name
                );
            }
        }
    }

    #[test]
    fn every_reason_for_a_drop_is_in_words() {
        let file = FILES.iter().find(|file| file.name == "why.js").unwrap();
        let (media, sip) = file.text.split_once("const SIP").unwrap();
        let is_told = |words: &str, reason: &str| {
            let entries = [format!("\n  {reason}: \""), format!("\n  \"{reason}\": \"")];
            entries.iter().any(|entry| words.contains(entry))
        };
        for reason in drop_reasons() {
            assert!(is_told(media, reason), "media: {reason}");
        }
        let shed = Shed::ALL.map(Shed::label);
        for reason in refusals().chain(shed).chain(["malformed", "overload"]) {
            assert!(is_told(sip, reason), "SIP: {reason}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_no_text_becomes_markup() {
        for file in &FILES {
            // Names of XML, which nobody fetches.
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for word in [
                "http:",
                "https:",
                "url(",
                "@import",
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "document.write",
                "eval(",
                "new Function",
                "javascript:",
                "srcdoc",
                "<style",
                " style=",
                "onclick=",
            ] {
                assert!(!text.contains(word), "{}: {word}", file.name);
            }
        }
        let inline = FILES[0].text.replace("></script>", "");
        assert!(!inline.contains("</script>"), "a script within the page");
    }

    #[test]
    fn a_tag_that_is_known_is_found_among_others() {
        let known = |said: &'static str| {
            let headers = [(header::IF_NONE_MATCH, HeaderValue::from_static(said))];
            is_known("\"a-1\"", &headers.into_iter().collect())
        };
        for said in ["\"a-1\"", "W/\"a-1\"", "\"b\", \"a-1\"", "*"] {
            assert!(known(said), "{said}");
        }
        for said in ["", "a-1", "\"a-2\"", "\"a\", \"1\""] {
            assert!(!known(said), "{said}");
        }
        assert!(!is_known("\"a-1\"", &HeaderMap::new()));
    }
}
