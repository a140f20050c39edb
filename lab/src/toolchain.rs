// SPDX-License-Identifier: GPL-2.0

//! The compilers, and make set up to use them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ctx::Ctx;
use crate::proc;
use crate::ui;

/// The suffix of Debian's LLVM tools, as the kernel's `LLVM=` takes it.
pub(crate) const LLVM: &str = "-19";

/// Where Debian's ccache puts compilers that go through it.
const CCACHE_BIN: &str = "/usr/lib/ccache";

/// What a kernel is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    /// The host's own.
    X86,
    /// Built by LLVM, which needs no other compiler for it.
    Arm64,
    /// Likewise.
    Riscv64,
}

impl Arch {
    /// What the kernel's make calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv",
        }
    }

    /// Its directory below the kernel's `arch`.
    pub(crate) const fn dir(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv",
        }
    }

    /// What Debian calls it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// How the names of GCC and binutils for it begin.
    pub(crate) const fn gcc_prefix(self) -> &'static str {
        match self {
            Self::X86 => "",
            Self::Arm64 => "aarch64-linux-gnu-",
            Self::Riscv64 => "riscv64-linux-gnu-",
        }
    }

    /// The file below scripts/config with what guest.config leaves to the machine.
    pub(crate) const fn fragment(self) -> &'static str {
        match self {
            Self::X86 => "x86.config",
            Self::Arm64 => "arm64.config",
            Self::Riscv64 => "riscv64.config",
        }
    }

    /// The image that qemu boots: make's target, and a file in the architecture's
    /// `boot`.
    pub(crate) const fn image(self) -> &'static str {
        match self {
            Self::X86 => "bzImage",
            Self::Arm64 | Self::Riscv64 => "Image",
        }
    }
}

/// What compiles the kernel's C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compiler {
    Clang,
    Gcc,
}

/// Compilers and settings that every kernel build uses.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// Versions of everything that takes part, one a line.
    pub(crate) versions: String,
    /// What is built for.
    pub(crate) arch: Arch,
    compiler: Compiler,
    path: String,
    rust_lib_src: Option<PathBuf>,
    root: PathBuf,
}

impl Toolchain {
    /// Finds the tools and Rust's library source.
    pub(crate) fn find(ctx: &Ctx) -> Result<Self> {
        let mut path = CCACHE_BIN.to_owned();
        if let Ok(inherited) = std::env::var("PATH") {
            path.push(':');
            path.push_str(&inherited);
        }
        let clang = format!("clang{LLVM}");
        if !Path::new(CCACHE_BIN).join(&clang).exists() {
            bail!("{CCACHE_BIN}/{clang} is missing: scripts/setup.sh installs ccache and {clang}");
        }
        let versions = versions(&path, [&clang, &format!("ld.lld{LLVM}")])?;
        Ok(Self {
            rust_lib_src: rust_library(ctx)?,
            versions,
            arch: Arch::X86,
            compiler: Compiler::Clang,
            path,
            root: ctx.root.clone(),
        })
    }

    /// The same compilers, for another architecture.
    pub(crate) fn cross(&self, arch: Arch) -> Self {
        Self {
            arch,
            ..self.clone()
        }
    }

    /// GCC and binutils instead of LLVM.
    pub(crate) fn gcc(&self, arch: Arch) -> Result<Self> {
        let tools = ["gcc", "ld"].map(|tool| format!("{}{tool}", arch.gcc_prefix()));
        let versions = versions(&self.path, [&tools[0], &tools[1]])?;
        Ok(Self {
            versions,
            compiler: Compiler::Gcc,
            arch,
            ..self.clone()
        })
    }

    /// The words on make's command line that choose the C compiler.
    pub(crate) fn make_options(&self) -> Vec<String> {
        match self.compiler {
            Compiler::Clang => vec![format!("LLVM={LLVM}")],
            Compiler::Gcc => Vec::new(),
        }
    }

    /// `make`, for the tree `src` with its objects in `obj`.
    pub(crate) fn make(&self, src: &Path, obj: &Path) -> Command {
        let mut cmd = Command::new("make");
        cmd.arg("-C").arg(src).arg(format!("O={}", obj.display()));
        cmd.arg(format!("-j{}", jobs()));
        self.environment(&mut cmd);
        cmd
    }

    /// Settings that the kernel's make and its scripts read from the environment.
    pub(crate) fn environment(&self, cmd: &mut Command) {
        for (name, value) in [
            ("PATH", self.path.as_str()),
            ("ARCH", self.arch.name()),
            ("LC_ALL", "C.UTF-8"),
            // The same input gives the same kernel.
            ("KBUILD_BUILD_TIMESTAMP", "@0"),
            ("KBUILD_BUILD_USER", "mayexec"),
            ("KBUILD_BUILD_HOST", "localhost"),
            ("KBUILD_BUILD_VERSION", "1"),
            // Checkouts at other paths find the same objects.
            ("CCACHE_NOHASHDIR", "1"),
        ] {
            cmd.env(name, value);
        }
        cmd.env("CCACHE_BASEDIR", &self.root);
        if let Some(dir) = &self.rust_lib_src {
            cmd.env("RUST_LIB_SRC", dir);
        }
        // make hands these down; a caller's must not change the kernel's build.
        const CALLERS: &str = "MAKEFLAGS MFLAGS MAKELEVEL CROSS_COMPILE KBUILD_OUTPUT KCFLAGS \
            KRUSTFLAGS BASE KDIR W C V";
        for name in CALLERS.split(' ') {
            cmd.env_remove(name);
        }
        match self.compiler {
            Compiler::Clang => cmd.env("LLVM", LLVM),
            Compiler::Gcc => cmd
                .env_remove("LLVM")
                .env("CROSS_COMPILE", self.arch.gcc_prefix()),
        };
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_") || name == "RUSTFLAGS" {
                cmd.env_remove(&name);
            }
        }
    }
}

/// How many compilers run at once.
pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// The first lines of what the C tools and Rust's print as their versions.
fn versions(path: &str, c: [&str; 2]) -> Result<String> {
    let mut versions = String::new();
    for tool in c.into_iter().chain(["rustc", "clippy-driver", "bindgen"]) {
        // clang and lld add lines on where they are installed, which is no version.
        let (arg, lines) = match tool {
            "rustc" => ("-vV", 10),
            _ => ("--version", 1),
        };
        let out = proc::capture(Command::new(tool).arg(arg).env("PATH", path))?;
        for line in out.lines().take(lines) {
            versions.push_str(line.trim());
            versions.push('\n');
        }
    }
    Ok(versions)
}

fn rustc(args: &[&str]) -> Result<String> {
    proc::capture(Command::new("rustc").args(args)).map(|out| out.trim().to_owned())
}

/// The source of Rust's library: nothing if rustc has it where the kernel looks.
fn rust_library(ctx: &Ctx) -> Result<Option<PathBuf>> {
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?);
    let own = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if own.is_file() {
        return Ok(None);
    }
    let version = rustc(&["-V"])?
        .split_whitespace()
        .nth(1)
        .context("rustc -V names no version")?
        .to_owned();
    let fetched = ctx.build.join(format!("rust-src-{version}"));
    if fetched.join("library").is_dir() {
        return Ok(Some(fetched.join("library")));
    }

    let log = ctx.fresh_log("rust-src")?;
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rust-src"]);
    let added = ui::step("add rust-src with rustup", &log, 120, &mut rustup);
    if added.is_ok() && own.is_file() {
        return Ok(None);
    }
    ui::fetched(ctx, &["rust-src", &version], &fetched)?;
    Ok(Some(fetched.join("library")))
}
