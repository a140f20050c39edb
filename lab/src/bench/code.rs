// SPDX-License-Identifier: GPL-2.0

//! The size of the kernel's code and what the policy's own code looks like.

use anyhow::{Context, Result};

/// Bytes of the kernel's text, by System.map.
pub(crate) fn text_bytes(map: &str) -> Result<i64> {
    let at = |wanted| {
        let mut symbols = map.lines().map(|line| line.split(' '));
        let address = symbols.find_map(|mut words| {
            let address = words.next()?;
            (words.nth(1)? == wanted).then_some(address)
        });
        let address = address.with_context(|| format!("System.map has no {wanted}"))?;
        // Kernel addresses are negative; the difference is all that counts.
        anyhow::Ok(u64::from_str_radix(address, 16)?.cast_signed())
    };
    Ok(at("_etext")? - at("_stext")?)
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

    #[test]
    fn the_text_is_as_long_as_its_ends_say() {
        let map = "ffffffff81000000 T _stext\nffffffff81000040 t helper\n\
                   ffffffff81000060 T _etext\nffffffff81200000 R data\n";
        assert_eq!(text_bytes(map).unwrap(), 0x60);
        assert!(text_bytes("").is_err());
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
