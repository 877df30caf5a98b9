//! `docs/turns.md` is made here: every turn that a call can take.
//!
//! `SBC_WRITE=1` writes the page. To look into something red: `SBC_ROW=text` runs only the rows whose name has that text, `SBC_STORY=1` shows the
//! last messages of what went wrong.

use std::path::Path;

use sbc_tests::matrix::page;

#[test]
fn the_page_of_all_turns_says_what_happens() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/turns.md");
    let table = page();
    for red in &table.red {
        eprintln!("{red}");
    }
    if std::env::var_os("SBC_ROW").is_some() {
        return assert!(table.red.is_empty(), "{} are red", table.red.len());
    }
    if std::env::var_os("SBC_WRITE").is_some() {
        return std::fs::write(path, table.text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == table.text,
        "docs/turns.md says something else: SBC_WRITE=1 writes it anew"
    );
}
