// SPDX-License-Identifier: GPL-2.0

//! The size of the kernel's code and of a function's stack.

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

/// Bytes of the stack that a function takes, the return address included, by its disassembly with
/// numbers in hex.
pub(crate) fn stack_bytes(text: &str, name: &str) -> Result<i64> {
    let found = text.split_once(&format!("<{name}>:\n"));
    let (_, rest) = found.with_context(|| format!("the disassembly has no {name}"))?;
    let code = rest.split("\n\n").next().unwrap_or_default();
    let grows = Regex::new(r":\s+(?:pushq|subq\s+\$0x([0-9a-f]+), %rsp)")?;
    let mut bytes = 8;
    for grown in grows.captures_iter(code) {
        bytes += match grown.get(1) {
            Some(size) => i64::from_str_radix(size.as_str(), 16)?,
            None => 8,
        };
    }
    Ok(bytes)
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
                    \x20   14f1:      \tretq\n\n0020 <next>:\n  20: pushq %rax\n";
        assert_eq!(stack_bytes(text, "mayexec_permission").unwrap(), 32);
        assert!(stack_bytes(text, "missing").is_err());
    }
}
