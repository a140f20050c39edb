// SPDX-License-Identifier: GPL-2.0

//! What is in force for a value of the sysctl and a securebit is written down three times: in
//! Rust for the kernel's decision, in C for what the kernel must know before it has a file,
//! and in this crate. All are the same for every input.

// The kernel's build sets what the file asks for, and uses the rest of it.
#[allow(unexpected_cfgs, dead_code)]
#[path = "../../../fs/mayexec/policy.rs"]
mod policy;

use std::path::Path;
use std::process::Command;

/// Prints what mayexec_policy() of the kernel's header returns, a line an input.
///
/// The header takes four others of the kernel, which are empty here: what it uses of
/// them is above it.
const PROGRAM: &str = r#"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef uint32_t u32;
#define IS_ENABLED(option)	0
#define READ_ONCE(x)		(x)
#define unlikely(x)		(x)
#define DECLARE_TRACEPOINT(name)	extern int __tracepoint_##name
#define CONFIG_OPEN_MAYEXEC	1
#define CONFIG_OPEN_MAYEXEC_ENFORCE	0

#include "mayexec.h"

int sysctl_open_mayexec_enforce;

int main(void)
{
	for (unsigned int system = 0; system < 8; system++) {
		for (int restricted = 0; restricted < 2; restricted++)
			printf("%u\n", mayexec_policy(system, restricted));
	}
	return 0;
}
"#;

/// The answers of the kernel's C code.
fn in_c() -> Vec<u32> {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include/linux/mayexec.h");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policy_in_force");
    std::fs::create_dir_all(dir.join("linux")).unwrap();
    for name in ["compiler.h", "kconfig.h", "tracepoint-defs.h", "types.h"] {
        std::fs::write(dir.join("linux").join(name), "").unwrap();
    }
    std::fs::copy(header, dir.join("mayexec.h")).unwrap();
    std::fs::write(dir.join("main.c"), PROGRAM).unwrap();
    let compiled = Command::new("cc")
        .args(["-Wall", "-Werror", "-I.", "-o", "main", "main.c"])
        .current_dir(&dir)
        .status()
        .unwrap();
    assert!(compiled.success());
    let output = Command::new(dir.join("main")).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect()
}

#[test]
fn c_and_rust_agree_on_the_policy_in_force() {
    let inputs: Vec<_> = (0..8)
        .flat_map(|system| [(system, false), (system, true)])
        .collect();
    let in_c = in_c();
    assert_eq!(in_c.len(), inputs.len());
    for ((system, securebit), bits) in inputs.into_iter().zip(in_c) {
        let in_rust = policy::Policy::in_force(system, securebit);
        let what = format!("sysctl {system}, securebit {securebit}");
        assert_eq!(policy::Policy::from_bits(bits), in_rust, "{what}");
        // Nothing beside the two sets.
        assert_eq!(bits & !0x303, 0, "{what}");
        let ours = uapi::Policy { system, securebit };
        assert_eq!(ours.enforced(), bits & 3, "{what}");
    }
}
