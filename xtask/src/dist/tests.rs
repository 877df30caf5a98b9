use super::*;

/// Of the unit, by `systemd-analyze`: 0 is a process that can do nothing, 10 one that can do everything.
const EXPOSURE: u32 = 20;

#[test]
fn the_unit_is_hardened_and_without_mistakes() {
    if !clients::is_installed("systemd-analyze") {
        eprintln!("skipped: the unit is hardened: systemd-analyze is not installed");
        return;
    }
    let unit = top().join("deploy/sbc.service");
    let threshold = format!("--threshold={EXPOSURE}");
    tool::output(
        Command::new("systemd-analyze")
            .args(["--no-pager", "--offline=true", &threshold, "security"])
            .arg(&unit),
    )
    .unwrap();
}

#[test]
fn maintainer_scripts_are_scripts() {
    for name in ["postinst", "prerm", "postrm"] {
        let script = top().join("deploy/debian").join(name);
        tool::output(Command::new("sh").arg("-n").arg(&script)).unwrap();
        let text = fs::read_to_string(&script).unwrap();
        assert!(text.starts_with("#!/bin/sh\nset -e\n"), "{name}");
    }
}
