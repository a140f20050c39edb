// SPDX-License-Identifier: GPL-2.0

//! docs/results.md: a section a verb, each written by its verb alone.

use std::fs;

use anyhow::{Context, Result};

use crate::ctx::{Ctx, write_whole};

/// What the page says before its first section.
const HEAD: &str = "# Results\n";

/// Puts a verb's section into docs/results.md, in the place of the one it wrote before.
pub(crate) fn put(ctx: &Ctx, title: &str, body: &str) -> Result<()> {
    let path = ctx.root.join("docs/results.md");
    let page = match fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => HEAD.to_owned(),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    write_whole(&path, with_section(&page, title, body).as_bytes())
}

/// The page with the section of this title; a new one comes last.
fn with_section(page: &str, title: &str, body: &str) -> String {
    let heading = format!("## {title}");
    let section = format!("{heading}\n\n{}\n", body.trim());
    let mut parts: Vec<String> = Vec::new();
    for line in page.lines() {
        if line.starts_with("## ") || parts.is_empty() {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    match parts
        .iter_mut()
        .find(|part| part.lines().next() == Some(&heading))
    {
        Some(part) => *part = section,
        None => parts.push(section),
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).collect();
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_former_self_alone() {
        let page = with_section(HEAD, "One", "first");
        let page = with_section(&page, "Two", "second\n\n### Part\n\nmore");
        let again = with_section(&page, "One", "changed\n");
        assert_eq!(again, page.replace("first", "changed"));
        assert!(again.ends_with("## Two\n\nsecond\n\n### Part\n\nmore\n"));
        assert_eq!(
            with_section(&again, "Two", "second\n\n### Part\n\nmore"),
            again
        );
    }
}
