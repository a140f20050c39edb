// SPDX-License-Identifier: GPL-2.0

//! The size of the kernel's code and what the policy's own code looks like.

use anyhow::{Context, Result};
use regex::Regex;

/// Bytes of the kernel's text, by System.map.
pub(crate) fn text_bytes(map: &str) -> Result<i64> {
    let at = |symbol: &str| {
        let line = Regex::new(&format!("(?m)^([0-9a-f]+) . {symbol}$"))?;
        let found = line.captures(map);
        let found = found.with_context(|| format!("System.map has no {symbol}"))?;
        // Kernel addresses are negative; the difference is all that counts.
        anyhow::Ok(u64::from_str_radix(&found[1], 16)?.cast_signed())
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

/// Reads the disassembly of one function, with numbers in hex; nothing if it is not there.
pub(crate) fn disassembly(text: &str, name: &str) -> Option<Function> {
    let (_, rest) = text.split_once(&format!("<{name}>:\n"))?;
    let code = rest.split("\n\n").next()?;
    let instructions = |pattern: &str| {
        let pattern = Regex::new(&format!(r"(?m):\s+{pattern}")).expect("a constant");
        let found = pattern.captures_iter(code);
        let operands = found.map(|found| found.get(1).map_or("", |group| group.as_str()));
        Vec::from_iter(operands)
    };
    let mut found = Function {
        stack: 8 + 8 * i64::try_from(instructions("pushq").len()).ok()?,
        locked: i64::try_from(instructions(r"(?:lock\b|xchg.*\()").len()).ok()?,
    };
    for size in instructions(r"subq\s+\$0x([0-9a-f]+), %rsp") {
        found.stack += i64::from_str_radix(size, 16).ok()?;
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
