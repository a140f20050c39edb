// SPDX-License-Identifier: GPL-2.0

//! The kernels that are built of the series beside the one that most suites use.

use crate::kernel::Variant;

/// What the sysctl says in [`STATIC`].
pub(crate) const STATIC_VALUE: &str = "3";
/// The policy fixed when the kernel is built, to the strictest.
pub(crate) const STATIC: Variant = Variant {
    lines: &[
        "CONFIG_OPEN_MAYEXEC_STATIC=y",
        "CONFIG_OPEN_MAYEXEC_ENFORCE=3",
    ],
    ..Variant::PLAIN
};
/// The series applied and switched off.
pub(crate) const OFF: Variant = Variant {
    lines: &["CONFIG_OPEN_MAYEXEC=n", "CONFIG_OPEN_MAYEXEC_KUNIT_TEST=n"],
    ..Variant::PLAIN
};
/// A kernel without Rust.
pub(crate) const NO_RUST: Variant = Variant {
    lines: &[
        "CONFIG_RUST=n",
        "CONFIG_OPEN_MAYEXEC=n",
        "CONFIG_OPEN_MAYEXEC_KUNIT_TEST=n",
        "CONFIG_RUST_KUNIT_TESTS=n",
        "CONFIG_RUST_FS_KUNIT_TEST=n",
    ],
    ..Variant::PLAIN
};

/// A kernel with everything that looks at opens, but for BPF programs.
pub(crate) const CONSUMERS: Variant = Variant::new(Some("consumers"), &[]);

/// A kernel with BPF programs, which shares no object with the others.
pub(crate) const BPF: Variant = Variant::new(Some("bpf"), &[]);

/// A kernel that notices its own mistakes and makes its allocations fail on request.
pub(crate) const DEBUG: Variant = Variant::new(Some("debug"), &[]);

/// A kernel as distributions configure it.
pub(crate) const REALISTIC: Variant = Variant::new(Some("bench"), &[]);

/// [`REALISTIC`] without the feature.
pub(crate) const REALISTIC_OFF: Variant = Variant::new(Some("bench"), &["CONFIG_OPEN_MAYEXEC=n"]);
