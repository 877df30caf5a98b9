//! Which packages a program needs, by what it is linked with: as dpkg-shlibdeps would say it, for the two libraries that there are.

use anyhow::{Result, ensure};

/// In order.
pub(super) fn needed(program: &[u8]) -> Result<Vec<String>> {
    let libc = newest(program, b"GLIBC_");
    let gcc = newest(program, b"GCC_");
    ensure!(
        libc.is_some(),
        "the program is not linked with the GNU C library: a static one needs another `control`"
    );
    let mut packages = Vec::new();
    packages.extend(libc.map(|version| format!("libc6 (>= {})", dotted(&version))));
    packages.extend(gcc.map(|version| format!("libgcc-s1 (>= {})", dotted(&version))));
    Ok(packages)
}

/// The newest version of that name which symbols are bound to: `GLIBC_2.34` and the like stand among the program's strings.
fn newest(program: &[u8], name: &[u8]) -> Option<Vec<u32>> {
    let starts = program
        .windows(name.len())
        .enumerate()
        .filter(|(at, window)| {
            // A whole word, after the zero that ends the one before.
            *window == name && at.checked_sub(1).is_none_or(|before| program[before] == 0)
        });
    let versions = starts.filter_map(|(at, _)| {
        let text = program
            .get(at + name.len()..)?
            .split(|byte| *byte == 0)
            .next()?;
        let text = std::str::from_utf8(text).ok()?;
        let numbers = text.split('.').map(str::parse);
        numbers.collect::<Result<Vec<u32>, _>>().ok()
    });
    versions.max()
}

fn dotted(version: &[u32]) -> String {
    let each: Vec<String> = version.iter().map(u32::to_string).collect();
    each.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_versions_are_needed() {
        let program =
            b"\x7fELF\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.3.4\0GLIBC_PRIVATE\0see GLIBC_9.9\0GCC_3.0\0GCC_4.2.0\0";
        assert_eq!(
            needed(program).unwrap(),
            ["libc6 (>= 2.34)", "libgcc-s1 (>= 4.2.0)"]
        );
        needed(b"\x7fELF\0static\0").unwrap_err();
    }

    #[test]
    fn this_test_needs_them_too() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let packages = needed(&program).unwrap();
        assert!(packages[0].starts_with("libc6 (>= 2."), "{packages:?}");
    }
}
