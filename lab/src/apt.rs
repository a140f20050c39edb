// SPDX-License-Identifier: GPL-2.0

//! Debian's packages through apt's ordinary client, beside the host's own state.
//!
//! The host's sources stay as they are: a private list of sources, with its own
//! lists and cache below `build/`, names the host's mirror with one more suite.
//! apt verifies the signatures as always.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ctx::{Ctx, write_whole};
use crate::proc::{self, Logged};
use crate::ui::{self, Stage};

/// The suite that carries kernel sources and Rust of this series' age.
const SUITE: &str = "trixie-backports";
/// Those that may have a kernel of another age, newer ones included.
const KERNEL_SUITES: &str = "trixie trixie-backports forky sid experimental";
/// The one that it goes with.
const MAIN_SUITE: &str = "trixie";
/// Where sources are newest. They do not stay: what is fetched is what is there that day.
const UNSTABLE_SUITE: &str = "sid";
/// The one that the tools are made for, with its kernel.
const STABLE_SUITE: &str = "bookworm";
/// How the names of the directories begin.
const DIR: &str = "apt";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A private apt configuration.
pub(crate) struct Apt<'a> {
    ctx: &'a Ctx,
    dir: PathBuf,
    log: PathBuf,
    arch: Option<&'static str>,
}

impl<'a> Apt<'a> {
    /// Sets up the private sources and fetches their lists.
    pub(crate) fn open(ctx: &'a Ctx) -> Result<Self> {
        Self::set_up(ctx, None, "deb", SUITE, None)
    }

    /// As [`Apt::open`], for packages of another architecture than the host's.
    pub(crate) fn of_arch(ctx: &'a Ctx, arch: &'static str) -> Result<Self> {
        Self::set_up(ctx, Some(arch), "deb", MAIN_SUITE, Some(arch))
    }

    /// As [`Apt::open`], for the kernel sources of every suite.
    pub(crate) fn of_kernels(ctx: &'a Ctx) -> Result<Self> {
        Self::set_up(ctx, Some("kernels"), "deb", KERNEL_SUITES, None)
    }

    /// As [`Apt::open`], for the newest sources.
    pub(crate) fn of_unstable_sources(ctx: &'a Ctx) -> Result<Self> {
        Self::set_up(ctx, Some("unstable"), "deb-src", UNSTABLE_SUITE, None)
    }

    /// As [`Apt::open`], for packages of the release after Debian 12.
    pub(crate) fn of_next(ctx: &'a Ctx) -> Result<Self> {
        Self::set_up(ctx, Some("next"), "deb", MAIN_SUITE, None)
    }

    /// As [`Apt::open`], for packages of Debian 12, whatever the host is.
    pub(crate) fn of_stable(ctx: &'a Ctx) -> Result<Self> {
        Self::set_up(ctx, Some("stable"), "deb", STABLE_SUITE, None)
    }

    /// Whether a directory of `build/` with this name is one of these.
    pub(crate) fn owns(name: &str) -> bool {
        name.strip_prefix(DIR)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    fn set_up(
        ctx: &'a Ctx,
        name: Option<&str>,
        types: &str,
        suite: &str,
        arch: Option<&'static str>,
    ) -> Result<Self> {
        if !Path::new(KEYRING).is_file() {
            bail!(
                "{KEYRING} is missing, so Debian's packages cannot be verified\n\
                 install debian-archive-keyring, or give your own kernel tree: KDIR=/path/to/linux"
            );
        }
        let name = name.map_or(DIR.to_owned(), |name| format!("{DIR}-{name}"));
        let apt = Self {
            ctx,
            dir: ctx.build.join(&name),
            log: ctx.fresh_log(&name)?,
            arch,
        };
        let listing = proc::capture(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
        ]))?;
        let mirror = mirror(&listing).context(
            "apt's configuration names no Debian mirror (`apt-get indextargets` lists its sources)\n\
             give your own kernel tree instead: KDIR=/path/to/linux",
        )?;
        write_whole(
            &apt.dir.join("parts/base.sources"),
            format!("Types: {types}\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n").as_bytes(),
        )?;
        for sub in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(apt.dir.join(sub))?;
        }
        let mut update = apt.cmd("apt-get");
        ui::step(
            &format!("list Debian's {suite}"),
            &apt.log,
            600,
            update.arg("update"),
        )
        .with_context(|| {
            "cannot list Debian's packages: is the network up? What is already below build/ stays\n\
                 and is not fetched again; KDIR=/path/to/linux needs no download of the kernel"
        })?;
        Ok(apt)
    }

    fn cmd(&self, tool: &str) -> Command {
        let mut cmd = Command::new(tool);
        let opt = |name: &str, value: &str| format!("{name}={value}");
        let at = |sub: &str| self.dir.join(sub).to_string_lossy().into_owned();
        cmd.env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        for option in [
            opt("Dir::Etc::SourceList", "/dev/null"),
            opt("Dir::Etc::SourceParts", &at("parts")),
            opt("Dir::State::Lists", &at("lists")),
            opt("Dir::Cache", &at("")),
            opt("Dir::Cache::Archives", &at("archives")),
            // A root user's download goes to a directory that _apt cannot enter.
            opt("APT::Sandbox::User", "root"),
            opt("Acquire::Retries", "3"),
            // An update that fetched nothing exits 0 unless told otherwise.
            opt("APT::Update::Error-Mode", "any"),
        ] {
            cmd.arg("-o").arg(option);
        }
        if let Some(arch) = self.arch {
            for name in ["APT::Architecture", "APT::Architectures"] {
                cmd.arg("-o").arg(opt(name, arch));
            }
        }
        cmd
    }

    /// The versions of `package`, newest first.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let out = proc::capture(self.cmd("apt-cache").args(["madison", package]))?;
        Ok(madison(&out, package))
    }

    /// Names that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let out = proc::capture(self.cmd("apt-cache").args(["pkgnames", prefix]))?;
        let mut names: Vec<String> = out.lines().map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// The package and all that it depends on.
    pub(crate) fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        let only = "--recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances";
        let mut cmd = self.cmd("apt-cache");
        cmd.arg("depends").args(only.split(' ')).arg(package);
        let out = proc::capture(&mut cmd)?;
        Ok(packages(&out))
    }

    /// Downloads the newest version of `package`, which must be there.
    pub(crate) fn download_newest(&self, package: &str) -> Result<PathBuf> {
        let Some(version) = self.versions(package)?.into_iter().next() else {
            bail!(
                "Debian has no package {package}; log: {}",
                self.ctx.show(&self.log)
            );
        };
        self.download(package, &version)
    }

    /// Downloads one package into `build/dl`; the path of the .deb.
    pub(crate) fn download(&self, package: &str, version: &str) -> Result<PathBuf> {
        let dl = self.ctx.build.join("dl");
        fs::create_dir_all(&dl)?;
        let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&dl)?;
        let stage = Stage::begin(&format!("download {package} {version}"), Some(&self.log));
        self.fetch(part.path(), &[format!("{package}={version}")], &stage)?;
        let deb = only_file(part.path())?;
        let name = deb.file_name().context("a package without a name")?;
        let kept = dl.join(name);
        fs::rename(&deb, &kept)?;
        stage.done(&format!("{} MB", fs::metadata(&kept)?.len() / 1_000_000));
        Ok(kept)
    }

    /// Downloads the newest versions of packages into `dir`, all at once.
    pub(crate) fn download_into(&self, dir: &Path, packages: &[String]) -> Result<()> {
        let what = format!("download {} packages", packages.len());
        let stage = Stage::begin(&what, Some(&self.log));
        self.fetch(dir, packages, &stage)?;
        stage.done("");
        Ok(())
    }

    fn fetch(&self, dir: &Path, packages: &[String], stage: &Stage) -> Result<()> {
        Logged::new("apt-get download", &self.log)
            .limit(Duration::from_secs(3600))
            .run(
                self.cmd("apt-get")
                    .arg("download")
                    .args(packages)
                    .current_dir(dir),
                |_| stage.at(&format!("{} MB", size(dir) / 1_000_000)),
            )
    }

    /// Downloads what upstream released, without Debian's changes, as `kept`.
    pub(crate) fn download_upstream(
        &self,
        package: &str,
        version: &str,
        kept: &Path,
    ) -> Result<()> {
        let dl = kept.parent().context("a file path without a directory")?;
        fs::create_dir_all(dl)?;
        let part = tempfile::Builder::new().prefix(".part-").tempdir_in(dl)?;
        let mut cmd = self.cmd("apt-get");
        cmd.args(["source", "--download-only", "--tar-only"])
            .arg(format!("{package}={version}"))
            .current_dir(part.path());
        let what = format!("download the source of {package} {version}");
        ui::step(&what, &self.log, 600, &mut cmd)?;
        let name = kept.file_name().context("a file path without a name")?;
        fs::rename(part.path().join(name), kept).with_context(|| {
            format!(
                "{package} {version} came without {}",
                name.to_string_lossy()
            )
        })
    }
}

/// Unpacks a package into a directory.
pub(crate) fn unpack(deb: &Path, dir: &Path) -> Result<()> {
    let mut unpack = Command::new("dpkg-deb");
    proc::capture(unpack.arg("-x").arg(deb).arg(dir)).map(|_| ())
}

/// A package that an earlier run downloaded, with its version; apt wrote and
/// verified it under a temporary name, so what has the final name is whole.
pub(crate) fn downloaded(dl: &Path, package: &str) -> Result<Option<(PathBuf, String)>> {
    let prefix = format!("{package}_");
    let mut debs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dl).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".deb") {
            debs.push(path);
        }
    }
    debs.sort();
    for deb in debs.into_iter().rev() {
        let (status, out, _) =
            proc::output(Command::new("dpkg-deb").arg("-f").arg(&deb).arg("Version"))?;
        if status.success() {
            return Ok(Some((deb, out.trim().to_owned())));
        }
    }
    Ok(None)
}

fn size(dir: &Path) -> u64 {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(dir)?;
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file?.path()),
        _ => bail!("apt-get download left no single file in {}", dir.display()),
    }
}

/// The first repository of the host that is Debian's main archive.
fn mirror(listing: &str) -> Option<String> {
    const CODENAMES: [&str; 7] = [
        "bookworm", "trixie", "forky", "stable", "testing", "sid", "unstable",
    ];
    let archives: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(uri, release)| {
            let suite = release.split(['-', '/']).next().unwrap_or_default();
            CODENAMES.contains(&suite)
                && !release.contains("security")
                && !uri.starts_with("cdrom:")
        })
        .map(|(uri, _)| uri)
        .collect();
    archives
        .iter()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .or(archives.first())
        .map(|uri| (*uri).to_owned())
}

/// The packages, of the host's architecture, in the output of `apt-cache depends --recurse`.
fn packages(out: &str) -> Vec<String> {
    out.lines()
        .filter(|line| !line.starts_with([' ', '<']) && !line.contains(':'))
        .map(str::to_owned)
        .collect()
}

/// The versions in the output of `apt-cache madison`.
fn madison(out: &str, package: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for line in out.lines() {
        let mut fields = line.split('|').map(str::trim);
        if fields.next() == Some(package)
            && let Some(version) = fields.next()
            && !versions.iter().any(|known| known == version)
        {
            versions.push(version.to_owned());
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_main_archive() {
        let listing = "http://a.example/debian-security/ bookworm-security\n\
                       http://b.example/node/ nodistro\n\
                       http://c.example/debian/ bookworm-updates\n\
                       http://c.example/debian/ bookworm\n";
        assert_eq!(mirror(listing).as_deref(), Some("http://c.example/debian/"));
        assert_eq!(mirror("http://a.example/ubuntu/ noble\n"), None);
        assert_eq!(mirror(""), None);
    }

    #[test]
    fn dependencies_are_the_lines_at_the_margin() {
        let out = "a\n  Depends: b\nb\n<virtual>\nc:i386\n";
        assert_eq!(packages(out), ["a", "b"]);
    }

    #[test]
    fn versions_are_listed_once_in_order() {
        let out = " rust-src | 1.96.1-1 | http://m x\n rust-src | 1.95.0-2 | http://m x\n rust-src | 1.95.0-2 | http://n x\n other | 1 | y\n";
        assert_eq!(madison(out, "rust-src"), ["1.96.1-1", "1.95.0-2"]);
        assert!(madison("", "rust-src").is_empty());
    }

    #[test]
    fn an_unreadable_package_is_not_taken_for_a_download() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("linux-source-7.3_1_all.deb"), "no package").unwrap();
        assert!(
            downloaded(dir.path(), "linux-source-7.3")
                .unwrap()
                .is_none()
        );
        assert!(
            downloaded(&dir.path().join("missing"), "linux-source-7.3")
                .unwrap()
                .is_none()
        );
    }
}
