// SPDX-License-Identifier: GPL-2.0

//! A Debian system that can be changed: the guest's root below an overlay in memory, with
//! a web server, a package and cron jobs, and the mounts of the examples of a rollout.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, unmount};
use rustix::process::pivot_root;

use crate::scene::put;
use crate::watch::traceable;

/// The examples of a rollout, each with its place in the system.
const EXAMPLES: [(&str, &str); 4] = [
    (
        "/etc/tmpfiles.d/upload.conf",
        include_str!("../../../../../userspace/rollout/tmpfiles.d/upload.conf"),
    ),
    (
        "/etc/systemd/system/tmp.mount.d/noexec.conf",
        include_str!("../../../../../userspace/rollout/systemd/tmp.mount.d/noexec.conf"),
    ),
    (
        "/etc/systemd/system/var-tmp.mount",
        include_str!("../../../../../userspace/rollout/systemd/var-tmp.mount"),
    ),
    (
        "/etc/systemd/system/srv-www-upload.mount",
        include_str!("../../../../../userspace/rollout/systemd/srv-www-upload.mount"),
    ),
];

/// systemd's unit for /tmp, as Debian has it.
const TMP_MOUNT: [&str; 2] = [
    "/usr/share/systemd/tmp.mount",
    "/usr/lib/systemd/system/tmp.mount",
];

/// The example that puts the system's policy in force.
pub(crate) const SYSCTL_CONF: (&str, &str) = (
    "/etc/sysctl.d/60-mayexec.conf",
    include_str!("../../../../../userspace/rollout/sysctl.d/60-mayexec.conf"),
);

/// The example of a service.
pub(crate) const UNIT: &str =
    include_str!("../../../../../userspace/rollout/systemd/report.service");

/// Where the examples expect the command.
pub(crate) const MAYEXEC: &str = "/usr/local/bin/mayexec";

/// The value of a key in a unit; `%%` stands for `%`.
pub(crate) fn value(unit: &str, key: &str) -> Result<String> {
    unit.lines()
        .rev()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.replace("%%", "%"))
        .with_context(|| format!("the unit has no {key}="))
}

/// Runs a command that sets the system up.
pub(crate) fn succeed(program: &str, args: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{program} {}: {status}", args.join(" "));
    }
    Ok(())
}

/// Mounts what a unit, and a drop-in after it, say.
fn mount_unit(unit: &str) -> Result<()> {
    let [kind, options, what, place] =
        ["Type", "Options", "What", "Where"].map(|key| value(unit, key));
    succeed("mount", &["-t", &kind?, "-o", &options?, &what?, &place?])
}

/// Makes the overlay the root of this process, with the directories in memory where the
/// host's own content would be in the way.
pub(crate) fn enter() -> Result<()> {
    let own = std::env::current_exe()?.with_file_name("mayexec");
    let top = Path::new("/run/rollout");
    fs::create_dir_all(top)?;
    mount("tmpfs", top, "tmpfs", MountFlags::empty(), c"mode=0755")?;
    let root = top.join("root");
    for dir in ["upper", "work", "root"] {
        fs::create_dir(top.join(dir))?;
    }
    mount(
        "overlay",
        &root,
        "overlay",
        MountFlags::empty(),
        c"lowerdir=/,upperdir=/run/rollout/upper,workdir=/run/rollout/work",
    )
    .context("cannot mount the overlay")?;
    for dir in ["dev", "proc", "sys", "run"] {
        mount_bind_recursive(Path::new("/").join(dir), root.join(dir))
            .with_context(|| format!("cannot bind /{dir}"))?;
    }
    // Below chroot(2), there would be no user namespaces.
    std::env::set_current_dir(&root)?;
    pivot_root(".", ".").context("cannot enter the overlay")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    // Not every kernel can.
    let _ = traceable();
    for (dir, data) in [
        ("/tmp", c"mode=1777"),
        ("/var/tmp", c"mode=1777"),
        ("/srv", c"mode=0755"),
    ] {
        mount("tmpfs", dir, "tmpfs", MountFlags::empty(), data)
            .with_context(|| format!("cannot mount {dir}"))?;
    }
    // The host's package manager may be at work on what lies below the overlay.
    succeed("cp", &["-a", "/var/lib/dpkg", "/run/dpkg"])?;
    mount_bind("/run/dpkg", "/var/lib/dpkg").context("cannot bind the packages")?;
    fs::create_dir_all("/usr/local/bin")?;
    fs::copy(own, MAYEXEC).context("cannot install the command")?;
    Ok(())
}

/// Puts the mounts of the examples in place, by the tools that a boot uses.
pub(crate) fn close_mounts() -> Result<()> {
    for (path, text) in EXAMPLES {
        let path = Path::new(path);
        fs::create_dir_all(path.parent().context("a path has a directory")?)?;
        put(path, text, 0o644)?;
    }
    let own = TMP_MOUNT
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .context("systemd's tmp.mount is missing")?;
    let [(tmpfiles, _), (_, drop_in), (_, var_tmp), (_, upload)] = EXAMPLES;
    succeed("systemd-tmpfiles", &["--create", tmpfiles])?;
    mount_unit(&format!("{own}\n{drop_in}"))?;
    mount_unit(var_tmp)?;
    mount_unit(upload)
}

/// A script that ends in an answer of the web server.
fn cgi(text: &str) -> String {
    format!("#!/usr/bin/perl\nprint \"Content-type: text/plain\\n\\n{text}\\n\";\n")
}

/// Installs what the system does all day; of what is its own, some is code without the
/// execute bits, and some is where no code may be.
pub(crate) fn furnish() -> Result<()> {
    for dir in [
        "/srv/www/cgi-bin",
        "/srv/report",
        "/run/deb/DEBIAN",
        "/run/deb/usr/share/report",
    ] {
        fs::create_dir_all(dir)?;
    }
    // A web server that runs Perl through the command.
    put(
        "/usr/local/bin/cgi-perl",
        &format!("#!/bin/sh\nexec {MAYEXEC} run perl \"$@\"\n"),
        0o755,
    )?;
    put("/etc/httpd.conf", "*.pl:/usr/local/bin/cgi-perl\n", 0o644)?;
    put("/srv/www/cgi-bin/good.pl", &cgi("good served"), 0o755)?;
    put("/srv/www/cgi-bin/hits.pl", &cgi("hits served"), 0o644)?;
    // A job that keeps its script where everybody may write.
    put("/var/tmp/job.sh", "#!/bin/sh\necho job done\n", 0o755)?;
    put(
        "/srv/report/first.awk",
        "BEGIN { print \"ord\", ord(\"A\") }\n",
        0o755,
    )?;
    // A package with a script of root's that a service runs, and a maintainer script.
    let deb = Path::new("/run/deb");
    put(
        deb.join("DEBIAN/control"),
        "Package: report\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n\
         Description: a report\n",
        0o644,
    )?;
    put(
        deb.join("DEBIAN/postinst"),
        "#!/bin/sh\nset -e\necho \"report is configured\"\n",
        0o755,
    )?;
    put(
        deb.join("usr/share/report/report.py"),
        "import os\nprint('report of', os.getuid())\n",
        0o644,
    )?;
    succeed(
        "dpkg-deb",
        &[
            "--root-owner-group",
            "--build",
            "/run/deb",
            "/run/report.deb",
        ],
    )?;
    install_package()
}

/// Installs the package, again if it is there.
pub(crate) fn install_package() -> Result<()> {
    succeed("dpkg", &["-i", "/run/report.deb"])
}

/// What the web server answers to one request, without the headers: inetd(8) would start it so.
/// `prefix` is put before its command line.
pub(crate) fn served(prefix: &[&str], path: &str) -> Result<String> {
    let server = "busybox httpd -i -h /srv/www -c /etc/httpd.conf".split(' ');
    let words: Vec<&str> = prefix.iter().copied().chain(server).collect();
    let mut server = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut request = server.stdin.take().context("the server has no input")?;
    write!(request, "GET {path} HTTP/1.0\r\n\r\n")?;
    drop(request);
    let answer = server.wait_with_output()?.stdout;
    let answer = String::from_utf8_lossy(&answer).replace("\r\n", "\n");
    let body = answer.split_once("\n\n").map(|(_, body)| body.to_owned());
    Ok(body.unwrap_or_default())
}

/// Puts an attacker's script somewhere.
pub(crate) fn drop_script(path: &Path, mode: u32) -> Result<()> {
    match path.extension().and_then(|name| name.to_str()) {
        Some("pl") => put(path, &cgi("attacker was here"), mode),
        _ => put(path, "echo attacker was here\n", mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_in_s_value_counts() {
        let unit = "[Mount]\nOptions=a\nWhat=x\n[Mount]\nOptions=b,size=50%%\n";
        assert_eq!(value(unit, "Options").unwrap(), "b,size=50%");
        assert_eq!(value(unit, "What").unwrap(), "x");
        assert!(value(unit, "Wh").is_err());
    }
}
