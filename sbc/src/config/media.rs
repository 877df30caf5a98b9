//! `media_cores`, `media_priority` and `media_gather` of `[sbc]`: the threads that carry media in user space.

use std::time::Duration;

use toml::de::DeValue;

use super::error::{Fault, Report, shown};
use super::model::Config;
use super::reader::{Section, Value};

/// More workers are none the better.
const MAX_CORES: usize = 64;
/// The kernel numbers no more of them (CONFIG_NR_CPUS).
const MAX_CORE: u16 = 8191;

const CORES: &str =
    "`\"auto\"`, or a list of the numbers of up to 64 processor cores, each once, such as `[2, 3]`";
const PRIORITIES: &str = "`\"high\"`, `\"normal\"` or `\"real-time\"`";
const GATHERS: &str = "whole milliseconds from `\"0ms\"` to `\"5ms\"`";

/// How the threads work that carry media in user space: media workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaWorkers {
    /// One for each of these cores, which it does not leave. Empty: one for each core of the host, wherever the system has it work.
    pub cores: Vec<u16>,
    /// What they are given before others.
    pub priority: MediaPriority,
    /// How long one with many transcoded calls waits for more packets, to do them together; 5 ms at most.
    pub gather: Duration,
}

/// What media workers are given before others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaPriority {
    /// A processor more often, where the system allows that (nice -10).
    #[default]
    High,
    /// Nothing.
    Normal,
    /// A processor always, where the system allows that (`SCHED_FIFO`).
    RealTime,
}

impl Default for MediaWorkers {
    fn default() -> MediaWorkers {
        MediaWorkers {
            cores: Vec::new(),
            priority: MediaPriority::default(),
            gather: Duration::from_millis(5),
        }
    }
}

impl MediaPriority {
    /// As the file has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            MediaPriority::High => "high",
            MediaPriority::Normal => "normal",
            MediaPriority::RealTime => "real-time",
        }
    }
}

/// What holds; where the file says nothing, or something wrong, which is reported, the usual.
pub(super) fn read(section: &Section<'_, '_>, report: &mut Report) -> MediaWorkers {
    let usual = MediaWorkers::default();
    let cores = section
        .optional("media_cores")
        .map(|value| (cores(&value, report), value));
    let priority = section.optional("media_priority");
    let gather = section.optional("media_gather");
    let workers = MediaWorkers {
        cores: cores
            .as_ref()
            .and_then(|(cores, _)| cores.clone())
            .unwrap_or_default(),
        priority: priority
            .as_ref()
            .and_then(|value| self::priority(value, report))
            .unwrap_or_default(),
        gather: gather
            .and_then(|value| self::gather(&value, report))
            .unwrap_or(usual.gather),
    };
    let is_auto = cores.is_none_or(|(cores, _)| cores.is_some_and(|cores| cores.is_empty()));
    if let Some(value) = priority
        && workers.priority == MediaPriority::RealTime
        && is_auto
    {
        // On every core they would leave none to signalling.
        let fault = Fault::Value {
            key: value.key,
            found: shown(workers.priority.label()),
            expected: "`\"high\"` or `\"normal\"` while media workers may be on any core"
                .to_owned(),
        };
        let help =
            "give them cores that the rest of the box can do without, such as `media_cores = [1]`";
        report.add_with(value.at, fault, Some(help.to_owned()));
    }
    workers
}

/// What `sbc check` says about them, where that is not the usual.
pub(super) fn told(config: &Config) -> Option<String> {
    let MediaWorkers {
        cores,
        priority,
        gather,
    } = &config.sbc.media;
    if config.sbc.media == MediaWorkers::default() {
        return None;
    }
    let workers = match cores.as_slice() {
        [] => "one media worker a core".to_owned(),
        [core] => format!("one media worker, on core {core}"),
        cores => {
            let numbers: Vec<_> = cores.iter().map(u16::to_string).collect();
            format!("media workers on cores {}, one each", numbers.join(", "))
        }
    };
    Some(format!(
        "  In user space: {workers}, priority {}, gathering for up to {} ms.",
        priority.label(),
        gather.as_millis()
    ))
}

/// Empty for "auto".
fn cores(value: &Value<'_, '_>, report: &mut Report) -> Option<Vec<u16>> {
    let wrong = |found: &str| Fault::Value {
        key: value.key,
        found: shown(found),
        expected: CORES.to_owned(),
    };
    let items = match value.value {
        DeValue::String(text) if text.as_ref() == "auto" => return Some(Vec::new()),
        DeValue::String(text) => {
            report.add(value.at.clone(), wrong(text));
            return None;
        }
        DeValue::Array(items) => items,
        _ => {
            report.add(value.at.clone(), value.mistyped(CORES));
            return None;
        }
    };
    let mut cores = Vec::new();
    for item in items {
        let DeValue::Integer(number) = item.get_ref() else {
            report.add(item.span(), value.mistyped(CORES));
            return None;
        };
        let core = u16::from_str_radix(number.as_str(), number.radix()).ok();
        match core.filter(|core| *core <= MAX_CORE && !cores.contains(core)) {
            Some(core) => cores.push(core),
            None => {
                report.add(item.span(), wrong(number.as_str()));
                return None;
            }
        }
    }
    if cores.is_empty() || cores.len() > MAX_CORES {
        report.add(
            value.at.clone(),
            wrong(&format!("a list of {}", cores.len())),
        );
        return None;
    }
    Some(cores)
}

fn priority(value: &Value<'_, '_>, report: &mut Report) -> Option<MediaPriority> {
    let text = value.text(report)?;
    let all = [
        MediaPriority::High,
        MediaPriority::Normal,
        MediaPriority::RealTime,
    ];
    let found = all.into_iter().find(|one| one.label() == text.text);
    if found.is_none() {
        unfit(value, text.text, PRIORITIES, report);
    }
    found
}

fn gather(value: &Value<'_, '_>, report: &mut Report) -> Option<Duration> {
    let text = value.text(report)?;
    let number = text.text.strip_suffix("ms").map(str::as_bytes);
    let found = match number {
        Some([digit @ b'0'..=b'5']) => Some(Duration::from_millis(u64::from(digit - b'0'))),
        _ => None,
    };
    if found.is_none() {
        unfit(value, text.text, GATHERS, report);
    }
    found
}

fn unfit(value: &Value<'_, '_>, found: &str, expected: &str, report: &mut Report) {
    let fault = Fault::Value {
        key: value.key,
        found: shown(found),
        expected: expected.to_owned(),
    };
    report.add(value.at.clone(), fault);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, NoSecrets};

    fn parse(keys: &str) -> Result<Config, String> {
        let text = format!(
            "[sbc]\n{keys}\n[network.lan]\naddress = [\"192.0.2.1\"]\nsip = [\"udp:5060\"]\n"
        );
        Config::parse(&text, "t.toml", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn who_says_nothing_has_the_usual() {
        let config = parse("").unwrap();
        assert_eq!(config.sbc.media, MediaWorkers::default());
        assert_eq!(told(&config), None);
        let same = "media_cores = \"auto\"\nmedia_priority = \"high\"\nmedia_gather = \"5ms\"";
        assert_eq!(parse(same).unwrap().sbc.media, MediaWorkers::default());
    }

    #[test]
    fn cores_priority_and_window_are_read_and_told() {
        let config =
            parse("media_cores = [3, 1]\nmedia_priority = \"real-time\"\nmedia_gather = \"0ms\"")
                .unwrap();
        let expected = MediaWorkers {
            cores: vec![3, 1],
            priority: MediaPriority::RealTime,
            gather: Duration::ZERO,
        };
        assert_eq!(config.sbc.media, expected);
        let text = "In user space: media workers on cores 3, 1, one each, priority real-time, gathering for up to 0 ms.";
        let said = config::describe(&config);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(text), "{said}");
        let config = parse("media_cores = [0]\nmedia_priority = \"normal\"").unwrap();
        assert!(
            told(&config)
                .unwrap()
                .contains("one media worker, on core 0, priority normal")
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        for (keys, error) in [
            ("media_cores = \"all\"", "`all`"),
            ("media_cores = []", "a list of 0"),
            ("media_cores = [1, 1]", "`1`"),
            ("media_cores = [-1]", "`-1`"),
            ("media_cores = [9999]", "`9999`"),
            ("media_cores = [\"1\"]", "media_cores"),
            ("media_cores = 1", "media_cores"),
            ("media_priority = \"low\"", PRIORITIES),
            ("media_priority = 1", "media_priority"),
            ("media_gather = \"6ms\"", GATHERS),
            ("media_gather = \"1s\"", GATHERS),
            ("media_gather = 5", "media_gather"),
            ("media_priority = \"real-time\"", "media_cores = [1]"),
            (
                "media_cores = \"auto\"\nmedia_priority = \"real-time\"",
                "while media workers may be on any core",
            ),
        ] {
            let found = parse(keys).unwrap_err();
            assert!(found.contains(error), "{keys}: {found}");
        }
    }
}
