// SPDX-License-Identifier: GPL-2.0

//! The size of the kernel's code and what the policy's own code looks like.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Bytes of the kernel's text, by System.map.
pub(crate) fn text_bytes(map: &str) -> Result<i64> {
    let at = |wanted| {
        let mut found = symbols(map).filter(|(_, name)| *name == wanted);
        let found = found
            .next()
            .with_context(|| format!("System.map has no {wanted}"));
        found.map(|(address, _)| address)
    };
    Ok(at("_etext")? - at("_stext")?)
}

/// The functions whose size differs, with the bytes that they add to the text,
/// alignment included.
pub(crate) fn grown(base: &str, tip: &str) -> Vec<(String, i64)> {
    let mut sizes = BTreeMap::new();
    for (map, sign) in [(base, -1), (tip, 1)] {
        for (name, size) in functions(map) {
            *sizes.entry(name).or_insert(0) += sign * size;
        }
    }
    let mut grown: Vec<(String, i64)> = sizes.into_iter().filter(|(_, size)| *size != 0).collect();
    grown.sort_by_key(|(name, size)| (-size.abs(), name.clone()));
    grown
}

/// Address and name of each symbol.
fn symbols(map: &str) -> impl Iterator<Item = (i64, &str)> {
    map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        // Kernel addresses are negative; differences are all that counts.
        let address = u64::from_str_radix(words.next()?, 16).ok()?.cast_signed();
        Some((address, words.nth(1)?))
    })
}

/// The size of each function in the text: up to the next one.
fn functions(map: &str) -> BTreeMap<String, i64> {
    let mut text: Vec<(i64, &str)> = Vec::new();
    let mut end = None;
    for (address, name) in symbols(map) {
        match name {
            "_stext" => text.clear(),
            "_etext" => {
                end = Some(address);
                break;
            }
            // Of two names for one address the first counts; a symbol of kallsyms'
            // sort order has no say.
            _ if text.last().is_none_or(|&(last, _)| last < address) => text.push((address, name)),
            _ => {}
        }
    }
    let mut sizes = BTreeMap::new();
    let ends = text.iter().skip(1).map(|&(address, _)| address).chain(end);
    for (&(start, name), end) in text.iter().zip(ends) {
        // Local functions of different files have the same name.
        *sizes.entry(plain_name(name)).or_insert(0) += end - start;
    }
    sizes
}

/// A symbol without what a compiler adds to it: hashes of crates, numbers of clones.
fn plain_name(name: &str) -> String {
    let name = name.split('.').next().unwrap_or(name);
    format!("{:#}", rustc_demangle::demangle(name))
}

/// A function in llvm-objdump's words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Function {
    /// Bytes of the stack that it takes, the return address included.
    pub(crate) stack: i64,
    /// Instructions with a LOCK prefix, and XCHG with memory, which implies it.
    pub(crate) locked: i64,
}

/// Reads the disassembly of one function; nothing if it is not there.
pub(crate) fn disassembly(text: &str, name: &str) -> Option<Function> {
    let head = format!("<{name}>:");
    let mut lines = text.lines().skip_while(|line| !line.ends_with(&head));
    lines.next()?;
    let mut found = Function {
        stack: 8,
        locked: 0,
    };
    for line in lines.take_while(|line| !line.trim().is_empty()) {
        let Some((_, code)) = line.split_once(":") else {
            continue;
        };
        let words: Vec<&str> = code.split_whitespace().collect();
        match words.as_slice() {
            ["pushq", ..] => found.stack += 8,
            ["subq", amount, "%rsp", ..] => {
                let amount = amount.trim_start_matches('$').trim_end_matches(',');
                found.stack += match amount.strip_prefix("0x") {
                    Some(hex) => i64::from_str_radix(hex, 16).ok()?,
                    None => amount.parse().ok()?,
                };
            }
            ["lock", ..] => found.locked += 1,
            [xchg, operands @ ..] if xchg.starts_with("xchg") => {
                found.locked += i64::from(operands.iter().any(|word| word.contains('(')));
            }
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "ffffffff81000000 T _stext\nffffffff81000000 T open\n\
                        ffffffff81000040 t helper\nffffffff81000060 T _etext\n\
                        ffffffff81200000 R data\n";
    const TIP: &str = "ffffffff81000000 T _stext\nffffffff81000000 T open\n\
                       ffffffff81000050 t helper\nffffffff81000070 t _RNvCs1_7mayexec6decide\n\
                       ffffffff81000090 T _etext\n";

    #[test]
    fn the_text_grows_by_what_its_functions_grow() {
        assert_eq!(text_bytes(BASE).unwrap(), 0x60);
        assert_eq!(text_bytes(TIP).unwrap(), 0x90);
        assert_eq!(
            grown(BASE, TIP),
            [
                ("mayexec::decide".to_owned(), 0x20),
                ("open".to_owned(), 0x10)
            ]
        );
        assert!(text_bytes("").is_err());
    }

    #[test]
    fn names_lose_their_hashes() {
        assert_eq!(
            plain_name("_RNvMNtCs1EKtwoKEMO2_6kernel5errorNtB2_5Error8to_errno"),
            "<kernel::error::Error>::to_errno"
        );
        assert_eq!(plain_name("do_open.llvm.123"), "do_open");
    }

    #[test]
    fn a_function_s_frame_is_read() {
        let text = "0000 <other>:\n  1: pushq %rbx\n\n0010 <mayexec_permission>:\n\
                    \x20   14b0:      \tpushq\t%rbx\n    14b1:      \tsubq\t$0x10, %rsp\n\
                    \x20   14b5:      \tlock\t\torl\t$1, (%rax)\n    14b9:      \txchgq\t%rax, (%rbx)\n\
                    \x20   14bb:      \txchgq\t%rax, %rbx\n    14f1:      \tretq\n\n0020 <next>:\n  20: pushq %rax\n";
        let found = disassembly(text, "mayexec_permission").unwrap();
        assert_eq!((found.stack, found.locked), (32, 2));
        assert_eq!(disassembly(text, "missing"), None);
    }
}
