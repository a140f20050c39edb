// SPDX-License-Identifier: GPL-2.0

//! The compilers, and make set up to use them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::ctx::Ctx;
use crate::proc;
use crate::results::version;

/// The suffix of Debian's LLVM tools, as the kernel's `LLVM=` takes it.
pub(crate) const LLVM: &str = "-19";

/// Where Debian's ccache puts compilers that go through it.
const CCACHE_BIN: &str = "/usr/lib/ccache";

/// What a kernel is built for, and how its guests differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arch {
    /// What the kernel's make calls it.
    pub(crate) name: &'static str,
    /// Its directory below the kernel's `arch`.
    pub(crate) dir: &'static str,
    pub(crate) debian: &'static str,
    /// How the names of GCC and binutils for it begin.
    gcc_prefix: &'static str,
    /// The file below scripts/config with what guest.config leaves to the machine.
    pub(crate) fragment: &'static str,
    /// The image that qemu boots: make's target, and a file in the architecture's `boot`.
    pub(crate) image: &'static str,
    /// qemu's name, and the options that choose the machine.
    pub(crate) qemu: (&'static str, [&'static str; 4]),
    /// The kernel's words for where its messages go.
    pub(crate) console: &'static str,
}

/// The host's own. Of five levels of pages, KASAN takes addresses for wild while identify_cpu() runs.
pub(crate) const X86: Arch = Arch {
    name: "x86_64",
    dir: "x86",
    debian: "amd64",
    gcc_prefix: "",
    fragment: "x86.config",
    image: "bzImage",
    qemu: (
        "qemu-system-x86_64",
        ["-machine", "q35", "-cpu", "max,la57=off"],
    ),
    console: "console=ttyS0 earlyprintk=ttyS0",
};

/// Built by LLVM, which needs no other compiler for it.
pub(crate) const ARM64: Arch = Arch {
    name: "arm64",
    dir: "arm64",
    debian: "arm64",
    gcc_prefix: "aarch64-linux-gnu-",
    fragment: "arm64.config",
    image: "Image",
    // Without its own way to sign pointers, qemu spends its time on theirs.
    qemu: (
        "qemu-system-aarch64",
        ["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
    ),
    console: "console=ttyAMA0 earlycon",
};

/// Likewise.
pub(crate) const RISCV64: Arch = Arch {
    name: "riscv",
    dir: "riscv",
    debian: "riscv64",
    gcc_prefix: "riscv64-linux-gnu-",
    fragment: "riscv64.config",
    image: "Image",
    qemu: ("qemu-system-riscv64", ["-machine", "virt", "-cpu", "rv64"]),
    console: "console=ttyS0 earlycon",
};

/// What compiles the kernel's C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Llvm,
    /// GCC and binutils.
    Gcc,
}

/// Compilers and settings that every kernel build uses.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// Versions of everything that takes part, one a line.
    pub(crate) versions: String,
    pub(crate) arch: Arch,
    by: By,
    path: String,
    rust_lib_src: Option<PathBuf>,
    root: PathBuf,
}

impl Toolchain {
    pub(crate) fn find(ctx: &Ctx) -> Result<Self> {
        let path = format!("{CCACHE_BIN}:{}", std::env::var("PATH")?);
        let clang = format!("clang{LLVM}");
        if !Path::new(CCACHE_BIN).join(&clang).exists() {
            bail!("{CCACHE_BIN}/{clang} is missing: scripts/setup.sh installs ccache and {clang}");
        }
        let versions = versions([&clang, &format!("ld.lld{LLVM}")])?;
        Ok(Self {
            rust_lib_src: rust_library(ctx, &versions),
            versions,
            arch: X86,
            by: By::Llvm,
            path,
            root: ctx.root.clone(),
        })
    }

    /// The same for another machine or by other compilers.
    pub(crate) fn of(&self, arch: Arch, by: By) -> Result<Self> {
        let mut tools = self.clone();
        (tools.arch, tools.by) = (arch, by);
        if by == By::Gcc {
            let [gcc, ld] = ["gcc", "ld"].map(|tool| format!("{}{tool}", arch.gcc_prefix));
            tools.versions = versions([&gcc, &ld])?;
        }
        Ok(tools)
    }

    /// `make`, for the tree `src` with its objects in `obj`.
    pub(crate) fn make(&self, src: &Path, obj: &Path) -> Command {
        let mut cmd = Command::new("make");
        cmd.arg("-C").arg(src).arg(format!("O={}", obj.display()));
        let cpus = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        cmd.arg(format!("-j{cpus}"));
        self.environment(&mut cmd);
        cmd
    }

    /// Settings that the kernel's make and its scripts read from the environment.
    pub(crate) fn environment(&self, cmd: &mut Command) {
        cmd.envs([
            ("PATH", self.path.as_str()),
            ("ARCH", self.arch.name),
            ("LC_ALL", "C.UTF-8"),
            // The same input gives the same kernel.
            ("KBUILD_BUILD_TIMESTAMP", "@0"),
            ("KBUILD_BUILD_USER", "mayexec"),
            ("KBUILD_BUILD_HOST", "localhost"),
            ("KBUILD_BUILD_VERSION", "1"),
            // Checkouts at other paths find the same objects.
            ("CCACHE_NOHASHDIR", "1"),
        ]);
        cmd.env("CCACHE_BASEDIR", &self.root);
        // A line more in a header that all files include compiles none of them again.
        cmd.env("CCACHE_PREFIX_CPP", self.root.join("scripts/ccache-cpp.sh"));
        cmd.envs(self.rust_lib_src.as_ref().map(|dir| ("RUST_LIB_SRC", dir)));
        // make hands these down; a caller's must not change the kernel's build.
        const CALLERS: &str = "MAKEFLAGS MFLAGS MAKELEVEL CROSS_COMPILE KBUILD_OUTPUT KCPPFLAGS \
            KAFLAGS KCFLAGS KRUSTFLAGS CFLAGS CPPFLAGS LDFLAGS USERCFLAGS USERLDFLAGS BASE KDIR W C V";
        for name in CALLERS.split(' ') {
            cmd.env_remove(name);
        }
        match self.by {
            By::Llvm => cmd.env("LLVM", LLVM),
            By::Gcc => cmd
                .env_remove("LLVM")
                .env("CROSS_COMPILE", self.arch.gcc_prefix),
        };
    }
}

/// What the C tools and Rust's print as their versions.
fn versions([cc, ld]: [&str; 2]) -> Result<String> {
    // With the version of LLVM.
    let rustc = proc::capture(Command::new("rustc").arg("-vV"))?;
    let [clippy, bindgen] = [version("clippy-driver")?, version("bindgen")?];
    let lines = [version(cc)?, version(ld)?, rustc, clippy, bindgen];
    let lines = lines.iter().map(|said| format!("{}\n", said.trim()));
    Ok(lines.collect())
}

/// The source of Rust's library, if scripts/setup.sh has fetched it: rustc has none where the kernel
/// looks.
fn rust_library(ctx: &Ctx, versions: &str) -> Option<PathBuf> {
    let mut lines = versions.lines();
    let rustc = lines.find_map(|line| line.strip_prefix("rustc "))?;
    let version = rustc.split(' ').next()?;
    let fetched = ctx.build.join(format!("rust-src-{version}/library"));
    Some(fetched).filter(|dir| dir.is_dir())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    #[test]
    fn ccache_compares_lines_that_are_in_objects() {
        let dir = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/ccache-cpp.sh");
        #[rustfmt::skip]
        let codes = [
            (true, "-O2", "int a;"),
            (false, "-g", "int a;"),
            (false, "-O2", "int a = __LINE__;"),
            (true, "-O2", r#"asm("" : : [line] "i" (__LINE__));"#),
            (false, "-O2", r#"asm("%c[line]" : : [line] "i" (__LINE__));"#),
        ];
        for (same, option, code) in codes {
            let [one, other] = ["", "#define X\n\n"].map(|before| {
                fs::write(dir.path().join("a.h"), format!("{before}{code}\n")).unwrap();
                fs::write(dir.path().join("a.c"), "#include \"a.h\"\nint b;\n").unwrap();
                let mut cmd = super::Command::new(script);
                cmd.args(["cc", "-E", option, "-o", "a.i", "a.c"]);
                super::proc::capture(cmd.current_dir(&dir)).unwrap();
                fs::read(dir.path().join("a.i")).unwrap()
            });
            assert_eq!(one == other, same, "{option} {code}");
        }
    }
}
