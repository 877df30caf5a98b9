//! The dashboard and the alert rules of `deploy/`, with a real Prometheus that watches a box with calls.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbc_tests::e2e::{FastPath, Lab, Need, Process, http, lab_config, skipped};
use serde_json::Value;

use super::support::{Call, PHONES, start_on, talk};

const PROMETHEUS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);
const TALK: Duration = Duration::from_secs(3);
/// Two scrapes and an evaluation take 3 s.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

fn deploy(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    root.join(file)
}

/// The panels that draw something, from top to bottom, rows left out.
fn panels() -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(deploy("grafana/sbc.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let drawn = panels.iter().filter(|panel| panel["type"] != "row");
    Ok(drawn.cloned().collect())
}

/// What the dashboard asks for, with the title of who asks. Of what is drawn only where it is above zero, that it is there at all.
fn queries() -> Result<Vec<(String, String)>> {
    let mut queries = Vec::new();
    for panel in panels()? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        let says_why_empty = panel["fieldConfig"]["defaults"]["noValue"].is_string();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().context("a target without expr")?;
            let always = query.strip_suffix(" > 0").unwrap_or(query);
            ensure!(
                says_why_empty || always == query,
                "{title}: an empty panel that does not say why"
            );
            let query = always
                .replace("$__rate_interval", "30s")
                .replace("$instance", ".*")
                .replace("$network", ".*")
                .replace("$trunk", ".*");
            // The rest is `label_replace`'s.
            ensure!(!query.replace("${1}", "").contains('$'), "{title}: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    ensure!(queries.len() > 50, "{} queries", queries.len());
    Ok(queries)
}

/// Names of metrics in queries; those that rules record are none.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    let ours = words.filter(|word| word.starts_with("sbc_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(deploy("prometheus"))
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "promtool {arguments:?}: {out}{err}"
    );
    Ok(())
}

/// Grafana's grid has 24 columns.
#[test]
fn panels_fill_the_grid_and_say_what_they_show() -> Result<()> {
    let text = std::fs::read_to_string(deploy("grafana/sbc.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut height = 0;
    for panel in dashboard["panels"].as_array().context("no panels")? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        let place = &panel["gridPos"];
        let at = |key: &str| place[key].as_u64().context("no place in the grid");
        let (left, top, wide, high) = (at("x")?, at("y")?, at("w")?, at("h")?);
        assert!(left + wide <= 24, "{title} is beyond the right edge");
        for cell in (left..left + wide).flat_map(|x| (top..top + high).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} is upon another panel");
        }
        height = height.max(top + high);
    }
    assert_eq!(taken.len() as u64, 24 * height, "there are holes");
    for panel in panels()? {
        let title = &panel["title"];
        assert!(panel["description"].is_string(), "{title} explains nothing");
        let has_unit = panel["fieldConfig"]["defaults"]["unit"].is_string();
        assert!(
            has_unit || panel["type"] == "state-timeline",
            "{title} has no unit"
        );
        // Beside its title, its rim and the gap it has 38 pixels a row less 58, and Grafana draws no graph behind a figure in less than 100.
        let has_graph = panel["options"]["graphMode"] == "area";
        let high = panel["gridPos"]["h"].as_u64().context("no height")?;
        assert!(
            !has_graph || 38 * high > 158,
            "{title} has no room for its graph"
        );
        // `$__rate_interval` reaches over four scrapes: with narrower bars each event would stand in several.
        let has_bars = panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars";
        assert!(
            !has_bars || panel["interval"] == "1m",
            "{title} counts anew what it has counted"
        );
        // Of an axis without decimals Grafana takes what is between whole numbers for no value, and would write there what it writes into an empty panel.
        let defaults = &panel["fieldConfig"]["defaults"];
        let is_whole = panel["type"] == "timeseries" && defaults["decimals"] == 0;
        let is_blank = defaults["mappings"][0]["options"]["match"] == "null";
        assert!(
            !is_whole || defaults["noValue"].is_null() || is_blank,
            "{title} has words on its axis"
        );
    }
    Ok(())
}

#[test]
fn rules_and_alerts_are_sound() -> Result<()> {
    if skipped("alert rules", &[Need::Program("promtool")]) {
        return Ok(());
    }
    promtool(&["check", "config", "prometheus.yml"])?;
    promtool(&["check", "rules", "--lint-fatal", "rules.yml", "alerts.yml"])?;
    promtool(&["test", "rules", "tests.yml"])
}

/// An answer of Prometheus's API.
fn ask(lab: &Lab, path: &str, query: &str) -> Result<Value> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let (status, body) = http(&lab.edge, PROMETHEUS, &format!("{path}{query}"))?;
    let answer: Value = serde_json::from_str(&body)?;
    ensure!(status == 200 && answer["status"] == "success", "{body}");
    Ok(answer["data"].clone())
}

/// Whether there is a number to draw.
fn is_shown(lab: &Lab, query: &str) -> Result<bool> {
    let data = ask(lab, "/api/v1/query?query=", query)?;
    let series = data["result"].as_array().context("no result")?;
    Ok(series.iter().any(|series| {
        let value = series["value"][1].as_str().unwrap_or_default();
        value.parse::<f64>().is_ok_and(f64::is_finite)
    }))
}

#[test]
fn no_panel_is_empty_and_every_rule_is_evaluated() -> Result<()> {
    let needs = [&PHONES[..], &[Need::Program("prometheus")]].concat();
    if skipped("the dashboard", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"))
        .replace("[trunk.b]", "[trunk.b]\nprobe = \"5s\"\nmax_calls = 10");
    let records = lab.scratch.path().join("calls.json");
    let config = format!("{config}\n[cdr]\njson = \"{}\"\n", records.display());
    let daemon = start_on(&lab, &config)?;
    let sample = std::fs::read_to_string(deploy("prometheus/prometheus.yml"))?;
    let rules = ["rules.yml", "alerts.yml"].map(|file| deploy("prometheus").join(file));
    let rules = format!("[{}, {}]", rules[0].display(), rules[1].display());
    let faster = sample
        .replace("15s", "1s")
        .replace("[rules.yml, alerts.yml]", &rules);
    ensure!(faster.contains(&rules), "{sample}");
    let file = lab.scratch.write("prometheus.yml", &faster)?;
    let mut command = lab.edge.command("prometheus");
    command
        .arg("--config.file")
        .arg(file)
        .arg("--storage.tsdb.path")
        .arg(lab.scratch.path().join("tsdb"))
        .arg(format!("--web.listen-address={PROMETHEUS}"));
    let mut prometheus = Process::spawn("prometheus", command)?;
    let mut until = |what: &str, holds: &dyn Fn() -> Result<Vec<String>>| -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let lacking = match holds() {
                Ok(lacking) if lacking.is_empty() => return Ok(()),
                Ok(lacking) => lacking.join("\n"),
                Err(error) => format!("{error:#}"),
            };
            if prometheus.has_ended() || Instant::now() > end {
                bail!("not {what}:\n{lacking}\n{}", prometheus.printed());
            }
            std::thread::sleep(LOOK);
        }
    };
    until("scraped before the call", &|| {
        let shown = is_shown(&lab, "sbc_calls_total and on (instance) up == 1")?;
        Ok((!shown)
            .then(|| "no scrape".to_owned())
            .into_iter()
            .collect())
    })?;
    let call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    call.end()?;

    // What is asked for is there, by name.
    let (_, page) = daemon.http("/metrics")?;
    let told: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let rules = ["rules.yml", "alerts.yml"].map(|file| deploy("prometheus").join(file));
    let rules = std::fs::read_to_string(&rules[0])? + &std::fs::read_to_string(&rules[1])?;
    let exprs: String = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', 's', 'd']))
        .collect();
    let queries = queries()?;
    let asked: String = queries.iter().map(|(_, query)| query.as_str()).collect();
    for name in names(&exprs).union(&names(&asked)) {
        // Only where a trunk has `register`: none of the lab's does.
        if name == "sbc_trunk_registered" {
            continue;
        }
        assert!(told.contains(name.as_str()), "{name} is asked for");
    }

    until("full: panels are empty", &|| {
        let mut empty = Vec::new();
        for (title, query) in &queries {
            if !is_shown(&lab, query)? {
                empty.push(format!("{title}: {query}"));
            }
        }
        Ok(empty)
    })?;
    until("evaluated", &|| {
        let data = ask(&lab, "/api/v1/rules", "")?;
        let groups = data["groups"].as_array().context("no groups")?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array());
        let rules: Vec<&Value> = rules.flatten().collect();
        ensure!(rules.len() >= 19, "{} rules", rules.len());
        let sick = rules.iter().filter(|rule| rule["health"] != "ok");
        Ok(sick.map(|rule| rule.to_string()).collect())
    })?;
    // Nothing is wrong with this box.
    let alerts = ask(&lab, "/api/v1/alerts", "")?;
    assert_eq!(alerts["alerts"], Value::Array(Vec::new()), "{alerts}");
    Ok(())
}
