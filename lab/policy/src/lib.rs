// SPDX-License-Identifier: GPL-2.0

//! `fs/mayexec/policy.rs`, the kernel's decision on an `O_MAYEXEC` open, compiled here as it is
//! there, for its tests and for cargo-mutants.

// Only the kernel's build sets what the file asks for, and besides the tests only the kernel calls it.
#[allow(unexpected_cfgs, dead_code)]
#[path = "../../../fs/mayexec/policy.rs"]
mod policy;

#[cfg(test)]
mod tests;
