//! A real browser without a screen (Chromium), led through its WebDriver.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::lab::{Namespace, Scratch};
use super::process::Process;

/// Longer than it takes on a busy machine to start, or to show something.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// How WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Bytes of one answer: a screenshot has some 100 kB.
const LARGEST: usize = 64 << 20;
/// It looks for nothing in the world by itself; root has no sandbox.
const SWITCHES: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,800",
];

/// A browser with one tab; it and all its processes are gone on drop.
#[derive(Debug)]
pub struct Browser<'a> {
    namespace: &'a Namespace,
    driver: SocketAddr,
    session: String,
    _process: Process,
}

impl<'a> Browser<'a> {
    /// Starts one in `namespace` that has seen nothing yet.
    ///
    /// # Errors
    /// It does not start; the error has what it printed.
    pub fn start(namespace: &'a Namespace, scratch: &Scratch) -> Result<Browser<'a>> {
        let home = scratch.path().join("browser");
        std::fs::create_dir_all(&home)?;
        // Its processes are many: all end with the first of a PID namespace of theirs.
        let mut command = namespace.command("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["chromedriver", "--port=0"])
            .env("HOME", &home)
            .env("TMPDIR", &home);
        let mut process = Process::spawn("chromedriver", command)?;
        let said = process.wait_for("started successfully on port", PATIENCE)?;
        let port = said.trim_end_matches('.').rsplit(' ').next();
        let port: u16 = port
            .and_then(|port| port.parse().ok())
            .context(said.clone())?;
        let mut browser = Browser {
            namespace,
            driver: (Ipv4Addr::LOCALHOST, port).into(),
            session: String::new(),
            _process: process,
        };
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let mut switches = SWITCHES.to_vec();
        switches.push(&profile);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": switches },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let session = browser.ask("POST", "/session", &wanted)?;
        let id = session["sessionId"].as_str().context("no session")?;
        browser.session = format!("/session/{id}");
        Ok(browser)
    }

    /// Goes there, as if it had been typed.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn go(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    /// Runs a script in the page; what it returns.
    ///
    /// # Errors
    /// It throws.
    pub fn run(&self, script: &str) -> Result<Value> {
        let body = json!({ "script": script, "args": [] });
        self.post("/execute/sync", &body)
    }

    /// The value of an expression, once it is not false, null, empty or zero. `what` is how the error calls it.
    ///
    /// # Errors
    /// It does not become so; the error has the page's text.
    pub fn until(&self, what: &str, expression: &str) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let value = self.run(&format!("return ({expression});"))?;
            let is_there = match &value {
                Value::Null | Value::Bool(false) => false,
                Value::String(text) => !text.is_empty(),
                Value::Number(number) => number.as_f64() != Some(0.0),
                _ => true,
            };
            if is_there {
                return Ok(value);
            }
            if Instant::now() > end {
                let text = self.run("return document.body.innerText;")?;
                let console = self.console()?.join("\n");
                bail!(
                    "not {what}: {expression}\n{}\n{console}",
                    text.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The page has that text somewhere in what a selector finds.
    ///
    /// # Errors
    /// It has not, and does not get it.
    pub fn shows(&self, selector: &str, text: &str) -> Result<()> {
        let expression = format!(
            "[...document.querySelectorAll({})].some(node => node.textContent.includes({}))",
            json!(selector),
            json!(text)
        );
        self.until(&format!("{text:?} in {selector}"), &expression)
            .map(drop)
    }

    /// Clicks what a selector finds first, once it is there.
    ///
    /// # Errors
    /// It is not there, or something lies on top of it.
    pub fn click(&self, selector: &str) -> Result<()> {
        self.on(selector, "/click", &json!({}))
    }

    /// Types into it. `\u{e007}` is Enter, `\u{e00c}` Escape, `\u{e015}` Arrow Down.
    ///
    /// # Errors
    /// It is not there, or takes no keys.
    pub fn type_into(&self, selector: &str, keys: &str) -> Result<()> {
        self.on(selector, "/value", &json!({ "text": keys }))
    }

    /// How large its window is, in pixels; a narrow one is that of a phone.
    ///
    /// # Errors
    /// It does not take that.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 }),
        )
    }

    /// Whether the system wants dark colours.
    ///
    /// # Errors
    /// It does not take that.
    pub fn prefer_dark(&self, dark: bool) -> Result<()> {
        let value = if dark { "dark" } else { "light" };
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] }),
        )
    }

    /// What stands in its console since it was read last: errors, and what its policies kept it from.
    ///
    /// # Errors
    /// It is gone.
    pub fn console(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({ "type": "browser" }))?;
        let lines = log.as_array().context("no log")?.iter();
        Ok(lines
            .map(|line| format!("{} {}", line["level"], line["message"]))
            .collect())
    }

    /// Addresses that it asked for something since that was read last.
    ///
    /// # Errors
    /// It is gone.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({ "type": "performance" }))?;
        let mut all = Vec::new();
        for line in log.as_array().context("no log")? {
            let event: Value = serde_json::from_str(line["message"].as_str().unwrap_or_default())?;
            let event = &event["message"];
            // What an empty tab is made of is the browser's own.
            let document = event["params"]["documentURL"].as_str();
            let is_page = document.is_some_and(|url| !url.starts_with("chrome"));
            if event["method"] == "Network.requestWillBeSent" && is_page {
                let url = event["params"]["request"]["url"].as_str();
                all.push(url.context("a request to nowhere")?.to_owned());
            }
        }
        Ok(all)
    }

    fn on(&self, selector: &str, act: &str, body: &Value) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let wanted = json!({ "using": "css selector", "value": selector });
            let done = self.post("/element", &wanted).and_then(|element| {
                let id = element[ELEMENT].as_str().context("no element")?.to_owned();
                self.post(&format!("/element/{id}{act}"), body)
            });
            match done {
                Ok(_) => return Ok(()),
                // Not there yet, or drawn anew in between.
                Err(_) if Instant::now() < end => std::thread::sleep(LOOK),
                Err(error) => return Err(error.context(selector.to_owned())),
            }
        }
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<()> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body).map(drop)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    /// One request to the driver: the value of its answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let driver = self.driver;
        let stream = self.namespace.enter(|| TcpStream::connect(driver))??;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.to_string();
        write!(
            &stream,
            "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let answer = answer(BufReader::new(&stream)).with_context(|| format!("{method} {path}"))?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        let value = answer["value"].take();
        if let Some(error) = value["error"].as_str() {
            bail!("{path}: {error}: {}", value["message"]);
        }
        Ok(value)
    }
}

/// The body of an answer.
fn answer(mut from: impl BufRead) -> Result<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    while from.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    ensure!(length <= LARGEST, "an answer of {length} bytes");
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-Length: 4\r\nx: y\r\n\r\nbodyand more";
        assert_eq!(answer(&text[..]).unwrap(), b"body");
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nbody";
        assert!(answer(&short[..]).is_err());
    }
}
