// SPDX-License-Identifier: GPL-2.0

//! Interpreters and the dynamic loader that open by the library: every way of running code
//! that the table in `userspace/mayexec/INTERPRETERS.md` names.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::mount::mount_bind;

use crate::Checks;
use crate::scene::{Policy, Scene, put, table};

/// Debian's, which no other may hide.
const PYTHON: &str = "/usr/bin/python3";

/// A way of running code, what it prints if the code runs, and if the code is refused.
type Way = (&'static str, &'static str, &'static str);

const PYTHON_WAYS: [Way; 10] = [
    ("import", "module", "refused"),
    ("import of a package", "package/__init__", "refused"),
    ("import of a .pyc", "sourceless", "refused"),
    ("import with a cached .pyc", "cached", "source"),
    ("import from a zip", "zipped", "refused"),
    // The loader's matter; it does not load from a noexec mount, whatever the policy.
    ("import of a .so", "extension", "extension"),
    ("runpy", "script", "refused"),
    ("exec of io.open_code", "module", "refused"),
    // Not covered: what the bytes are for is not known when they are read.
    ("exec of open", "module", "module"),
    ("exec of a string", "string", "string"),
];

const LUA_WAYS: [Way; 6] = [
    ("require", "module", "refused"),
    ("dofile", "module", "refused"),
    ("loadfile", "module", "refused"),
    // Under every policy: there are no C modules.
    ("require of a .so", "refused", "refused"),
    ("load of io.open", "module", "module"),
    ("load of a string", "string", "string"),
];

/// What is put beside the scripts that may always run.
const FILES: [(&str, &str); 5] = [
    (
        "site/mayexec/__init__.py",
        include_str!("../../../../../userspace/mayexec-python/python/mayexec/__init__.py"),
    ),
    (
        "site/mayexec/__main__.py",
        include_str!("../../../../../userspace/mayexec-python/python/mayexec/__main__.py"),
    ),
    ("setup.py", include_str!("setup.py")),
    ("ways.py", include_str!("ways.py")),
    ("ways.lua", include_str!("ways.lua")),
];

/// A script.
const MAIN: &str = "print('main')\n";

/// What it prints.
const MAIN_SAYS: &str = "main\n";

/// Where Debian's Python looks for the packages of the system, and their .pth files.
const PACKAGES: &str = "/usr/lib/python3/dist-packages";

/// Where there is code.
struct Place {
    dir: PathBuf,
    noexec: bool,
    /// Of the files.
    mode: u32,
}

/// A program that runs scripts.
struct Interpreter<'a> {
    name: &'static str,
    /// The end of its scripts' names.
    language: &'static str,
    ways: &'static [Way],
    command: Box<dyn Fn() -> Command + 'a>,
}

/// Copies a file.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// What all the tests use.
struct Stage<'a> {
    scene: &'a Scene,
    /// Where this program and the others were built.
    bin: PathBuf,
    /// For scripts that may always run.
    dir: PathBuf,
    places: [Place; 3],
}

/// Runs a command; what it prints, and whether it ends well.
fn say(command: &mut Command, input: &str) -> Result<(String, bool)> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    // A program that refuses its input does not read it.
    let _ = child
        .stdin
        .take()
        .context("a pipe")?
        .write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((text, output.status.success()))
}

/// Every way, under every policy.
pub(crate) fn all(scene: &Scene, policies: &[Policy], checks: &mut Checks) -> Result<()> {
    let stage = Stage::set(scene)?;
    for &policy in policies {
        for interpreter in [stage.python(), stage.launcher(), stage.lua()] {
            stage.interpret(&interpreter, policy, checks)?;
        }
        stage.start_of_python(policy, checks)?;
        stage.start_of_lua(policy, checks)?;
        stage.loader(policy, checks)?;
    }
    Ok(())
}

impl<'a> Stage<'a> {
    fn set(scene: &'a Scene) -> Result<Self> {
        let place = |root: &Path, noexec, mode| Place {
            dir: root.join(format!("ways-{mode:o}")),
            noexec,
            mode,
        };
        let stage = Self {
            scene,
            bin: scene.mayexec.parent().context("a directory")?.to_owned(),
            dir: scene.exec.join("stage"),
            places: [
                place(&scene.exec, false, 0o755),
                place(&scene.exec, false, 0o644),
                place(&scene.noexec, true, 0o755),
            ],
        };
        for dir in ["site/mayexec", "lib", "packages"] {
            fs::create_dir_all(stage.dir.join(dir))?;
        }
        for (name, text) in FILES {
            put(stage.dir.join(name), text, 0o755)?;
        }
        let hook = stage.dir.join("site/mayexec/_hook.abi3.so");
        copy(&stage.bin.join("libmayexec_python.so"), &hook, 0o755)?;
        for program in [Path::new(PYTHON), &scene.mayexec] {
            stage.copy_libraries(program)?;
        }
        let stdlib = stage.dir.join("stdlib");
        let mut setup = Command::new(PYTHON);
        setup.arg("-I").arg(stage.dir.join("setup.py"));
        setup.args([&stdlib, &hook]);
        for place in &stage.places {
            setup.arg(&place.dir).arg(format!("{:o}", place.mode));
        }
        let (original, fine) = say(&mut setup, "")?;
        ensure!(fine, "setup.py failed");
        mount_bind(&stdlib, original.trim_end()).context("cannot mount the standard library")?;
        mount_bind(stage.dir.join("packages"), PACKAGES).context("cannot mount the packages")?;
        for Place { dir, mode, .. } in &stage.places {
            put(dir.join("main.py"), MAIN, *mode)?;
            put(dir.join("main.lua"), MAIN, *mode)?;
            put(dir.join("module.lua"), "return 'module'\n", *mode)?;
            for (from, to) in [
                ("shared.so", "shared.so"),
                ("libmayexec_rtld.so", "libways.so"),
            ] {
                copy(&stage.bin.join(from), &dir.join(to), *mode)?;
            }
        }
        Ok(stage)
    }

    /// A program beside this one.
    fn program(&self, name: &str) -> Command {
        Command::new(self.bin.join(name))
    }

    /// Runs a command under a policy; what it prints, and whether it ends well.
    fn run(&self, policy: Policy, command: &mut Command, input: &str) -> Result<(String, bool)> {
        self.scene.under(policy, || say(command, input))?
    }

    /// `python3 -m mayexec`.
    fn python(&self) -> Interpreter<'_> {
        let command = || {
            let mut command = Command::new(PYTHON);
            command.env("PYTHONPATH", self.dir.join("site"));
            command.args(["-B", "-m", "mayexec"]);
            command
        };
        Interpreter {
            name: "python3 -m mayexec",
            language: "py",
            ways: &PYTHON_WAYS,
            command: Box::new(command),
        }
    }

    fn launcher(&self) -> Interpreter<'_> {
        Interpreter {
            name: "mayexec-python",
            command: Box::new(|| self.program("mayexec-python")),
            ..self.python()
        }
    }

    fn lua(&self) -> Interpreter<'_> {
        Interpreter {
            name: "mayexec-lua",
            language: "lua",
            ways: &LUA_WAYS,
            command: Box::new(|| self.program("mayexec-lua")),
        }
    }

    /// Whatever an interpreter runs.
    fn interpret(
        &self,
        interpreter: &Interpreter<'_>,
        policy: Policy,
        checks: &mut Checks,
    ) -> Result<()> {
        let Interpreter {
            name,
            language,
            ways,
            command,
        } = interpreter;
        for Place { dir, noexec, mode } in &self.places {
            let refused = table(policy.bits(), *noexec, *mode).is_some();
            let what = format!("{policy:?}, {name}, {}", dir.display());
            let mut all = command();
            all.arg(self.dir.join(format!("ways.{language}"))).arg(dir);
            let (found, _) = self.run(policy, &mut all, "")?;
            let mut lines = found.lines();
            for (way, runs, otherwise) in *ways {
                let right = match (refused, *way) {
                    // The kernel does not map code from there, whatever the policy.
                    (_, "import of a .so") if *noexec => "refused",
                    // Its source is there too.
                    (true, "import with a cached .pyc") if *noexec => "refused",
                    (true, _) => otherwise,
                    (false, _) => runs,
                };
                let right = format!("{way}: {right}");
                checks.equal(
                    &format!("{what}, {way}"),
                    lines.next().unwrap_or_default(),
                    &right,
                );
            }
            let mut script = command();
            script.arg(dir.join(format!("main.{language}")));
            let right = if refused { "" } else { "main\n" };
            checks.equal(
                &format!("{what}, a script"),
                self.run(policy, &mut script, "")?,
                (right.to_owned(), !refused),
            );
        }
        let mut pipe = command();
        pipe.arg("/proc/self/fd/0");
        let runs = policy.bits() == 0;
        // runpy opens a script twice, and finds nothing the second time.
        let main = if *language == "py" { "" } else { "main\n" };
        checks.equal(
            &format!("{policy:?}, {name}, a script on a pipe"),
            self.run(policy, &mut pipe, MAIN)?,
            (if runs { main } else { "" }.to_owned(), runs),
        );
        for option in ["-", "-c", "-e", "-m"] {
            let mut option_first = command();
            option_first.args([option, MAIN]);
            checks.equal(
                &format!("{policy:?}, {name}, {option}"),
                self.run(policy, &mut option_first, MAIN)?,
                (String::new(), false),
            );
        }
        Ok(())
    }

    /// What Python runs before the script.
    fn start_of_python(&self, policy: Policy, checks: &mut Checks) -> Result<()> {
        let site = self.dir.join("stdlib/sitecustomize.py");
        let main = self.dir.join("main.py");
        put(&main, MAIN, 0o755)?;
        for mode in [0o755, 0o644] {
            put(&site, "print('site')\n", mode)?;
            let refused = table(policy.bits(), false, mode).is_some();
            for (interpreter, covered) in [(self.python(), false), (self.launcher(), true)] {
                let mut command = (interpreter.command)();
                command.arg(&main);
                let right = if refused && covered {
                    "main\n"
                } else {
                    "site\nmain\n"
                };
                checks.equal(
                    &format!(
                        "{policy:?}, {}, sitecustomize of mode {mode:o}",
                        interpreter.name
                    ),
                    self.run(policy, &mut command, "")?,
                    (right.to_owned(), true),
                );
            }
        }
        fs::remove_file(site)?;
        self.surroundings_of_python(policy, &main, checks)
    }

    /// What the environment and the user's files have Python run, none of it executable.
    fn surroundings_of_python(
        &self,
        policy: Policy,
        main: &Path,
        checks: &mut Checks,
    ) -> Result<()> {
        let (evil, base) = (self.dir.join("evil"), self.dir.join("base"));
        let mut ask = Command::new(PYTHON);
        ask.env("PYTHONUSERBASE", &base).args([
            "-S",
            "-c",
            "import site; print(site.getusersitepackages())",
        ]);
        let user = PathBuf::from(say(&mut ask, "")?.0.trim_end());
        for dir in [&evil, &user] {
            fs::create_dir_all(dir)?;
        }
        for (path, text) in [
            (evil.join("sitecustomize.py"), "print('site')\n"),
            (user.join("usercustomize.py"), "print('user')\n"),
            (user.join("evil.pth"), "import sys; print('pth')\n"),
        ] {
            put(path, text, 0o644)?;
        }
        let path = format!("{}:{}", self.dir.join("site").display(), evil.display());
        for (name, value, runs) in [
            ("PYTHONPATH", path.as_ref(), "site\nmain\n"),
            ("PYTHONUSERBASE", base.as_os_str(), "pth\nuser\nmain\n"),
        ] {
            for (interpreter, right) in [(self.python(), runs), (self.launcher(), "main\n")] {
                let mut command = (interpreter.command)();
                command.env(name, value).arg(main);
                checks.equal(
                    &format!("{policy:?}, {}, {name}", interpreter.name),
                    self.run(policy, &mut command, "")?,
                    (right.to_owned(), true),
                );
            }
        }
        // The system's own .pth files do not depend on the environment.
        for mode in [0o755, 0o644] {
            let path = self.dir.join("packages/own.pth");
            put(&path, "import sys; print('pth')\n", mode)?;
            let refused = table(policy.bits(), false, mode).is_some();
            for (interpreter, covered) in [(self.python(), false), (self.launcher(), true)] {
                let mut command = (interpreter.command)();
                command.arg(main);
                let right = if refused && covered {
                    "main\n"
                } else {
                    "pth\nmain\n"
                };
                checks.equal(
                    &format!("{policy:?}, {}, .pth of mode {mode:o}", interpreter.name),
                    self.run(policy, &mut command, "")?,
                    (right.to_owned(), true),
                );
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// What the environment and standard input have Lua run.
    fn start_of_lua(&self, policy: Policy, checks: &mut Checks) -> Result<()> {
        let mut command = self.program("mayexec-lua");
        command
            .env("LUA_INIT", "print('init')")
            .arg(self.places[0].dir.join("main.lua"));
        checks.equal(
            &format!("{policy:?}, mayexec-lua, LUA_INIT"),
            self.run(policy, &mut command, "")?,
            ("main\n".to_owned(), true),
        );
        let script = self.dir.join("require.lua");
        put(&script, "print((require('module')))\n", 0o755)?;
        for Place { dir, noexec, mode } in &self.places {
            let refused = table(policy.bits(), *noexec, *mode).is_some();
            let mut command = self.program("mayexec-lua");
            command.env("LUA_PATH", dir.join("?.lua")).arg(&script);
            let right = if refused { "" } else { "module\n" };
            checks.equal(
                &format!("{policy:?}, mayexec-lua, LUA_PATH to {}", dir.display()),
                self.run(policy, &mut command, "")?,
                (right.to_owned(), !refused),
            );
        }
        let script = self.dir.join("input.lua");
        put(&script, "dofile()\n", 0o755)?;
        let runs = policy.bits() == 0;
        checks.equal(
            &format!("{policy:?}, mayexec-lua, dofile of a pipe"),
            self.run(policy, self.program("mayexec-lua").arg(&script), MAIN)?,
            (if runs { MAIN_SAYS } else { "" }.to_owned(), runs),
        );
        Ok(())
    }

    /// A command with the audit library, and the libraries it needs executable.
    fn audited(&self, mut command: Command) -> Command {
        command
            .env("LD_AUDIT", self.bin.join("libmayexec_rtld.so"))
            .env("LD_LIBRARY_PATH", self.dir.join("lib"));
        command
    }

    /// Makes executable copies of the libraries of `program`.
    fn copy_libraries(&self, program: &Path) -> Result<()> {
        let mut trace = Command::new(program);
        trace.env("LD_TRACE_LOADED_OBJECTS", "1");
        let (text, _) = say(&mut trace, "")?;
        // libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f0000000000)
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some("=>"), Some(path)) = (words.next(), words.next(), words.next())
            {
                copy(Path::new(path), &self.dir.join("lib").join(name), 0o755)?;
            }
        }
        Ok(())
    }

    /// The dynamic loader.
    fn loader(&self, policy: Policy, checks: &mut Checks) -> Result<()> {
        for Place { dir, noexec, mode } in &self.places {
            // The kernel does not map code from there, whatever the policy.
            if *noexec {
                continue;
            }
            let refused = table(policy.bits(), false, *mode).is_some();
            let library = dir.join("libways.so");
            let cat = || {
                let mut command = Command::new("cat");
                command.arg("/proc/self/maps");
                command
            };
            let mut preload = self.audited(cat());
            preload.env("LD_PRELOAD", &library);
            let mut search = self.audited(cat());
            let path = format!("{}:{}", dir.display(), self.dir.join("lib").display());
            search
                .env("LD_PRELOAD", "libways.so")
                .env("LD_LIBRARY_PATH", path);
            let mut unaudited = cat();
            unaudited.env("LD_PRELOAD", &library);
            for (way, mut command, covered) in [
                ("LD_PRELOAD of a path", preload, true),
                ("LD_PRELOAD of a name", search, true),
                ("LD_PRELOAD without LD_AUDIT", unaudited, false),
            ] {
                let (maps, fine) = self.run(policy, &mut command, "")?;
                let loaded = maps.contains(&*library.to_string_lossy());
                checks.equal(
                    &format!("{policy:?}, {}, {way}", library.display()),
                    (loaded, fine),
                    (!(covered && refused), true),
                );
            }
            let mut import = self.audited(Command::new(PYTHON));
            import
                .env("PYTHONPATH", dir)
                .args(["-c", "import _hook; print(_hook.__file__)"]);
            let right = if refused {
                String::new()
            } else {
                format!("{}/_hook.abi3.so\n", dir.display())
            };
            checks.equal(
                &format!("{policy:?}, {}, dlopen", dir.display()),
                self.run(policy, &mut import, "")?,
                (right, !refused),
            );
        }
        self.replaced(policy, checks)?;
        self.loader_is_elsewhere(policy, checks)
    }

    /// A library that is replaced after it was looked at and before the loader opens it.
    fn replaced(&self, policy: Policy, checks: &mut Checks) -> Result<()> {
        let audit = self.bin.join("libmayexec_rtld.so");
        let both = format!(
            "{}:{}",
            audit.display(),
            self.bin.join("libswap.so").display()
        );
        let (good, bad) = (self.dir.join("lib/good.so"), self.dir.join("bad.so"));
        for name in [good.as_os_str(), "good.so".as_ref()] {
            for swapped in [false, true] {
                copy(&audit, &good, 0o755)?;
                copy(&audit, &bad, 0o644)?;
                let mut command = self.audited(Command::new("cat"));
                command
                    .arg("/proc/self/maps")
                    .env("LD_AUDIT", &both)
                    .env("LD_PRELOAD", name)
                    .env("SWAP_TO", &good);
                if swapped {
                    command.env("SWAP_FROM", &bad);
                }
                let (maps, fine) = self.run(policy, &mut command, "")?;
                let loaded = maps.contains(&*good.to_string_lossy());
                checks.equal(
                    &format!(
                        "{policy:?}, preload of {}, replaced: {swapped}",
                        name.display()
                    ),
                    (loaded, fine, bad.exists()),
                    (!swapped, !swapped, !swapped),
                );
            }
        }
        // The loader finds that it is itself what it is to load, and maps nothing.
        let loader = "/lib64/ld-linux-x86-64.so.2";
        let mut command = self.audited(Command::new("true"));
        command.env("LD_PRELOAD", loader);
        let (_, fine) = self.run(policy, &mut command, "")?;
        checks.equal(&format!("{policy:?}, preload of {loader}"), fine, true);
        Ok(())
    }

    /// Programs that the audit library does not reach: their libraries are not executable,
    /// and they run.
    fn loader_is_elsewhere(&self, policy: Policy, checks: &mut Checks) -> Result<()> {
        let setuid = self.dir.join("setuid");
        copy(&self.scene.mayexec, &setuid, 0o4755)?;
        let mut command = Command::new(&setuid);
        command
            .arg("--version")
            .env("LD_AUDIT", self.bin.join("libmayexec_rtld.so"))
            .uid(65534);
        let (_, fine) = self.run(policy, &mut command, "")?;
        checks.equal(&format!("{policy:?}, a setuid program"), fine, true);

        let program = self.dir.join("program");
        copy(&self.scene.mayexec, &program, 0o644)?;
        let mut command = self.audited(Command::new("/lib64/ld-linux-x86-64.so.2"));
        command.arg(&program).arg("--version");
        let (_, fine) = self.run(policy, &mut command, "")?;
        checks.equal(&format!("{policy:?}, the loader as a command"), fine, true);

        let mut command = self.audited(Command::new("busybox"));
        command
            .arg("true")
            .env("LD_PRELOAD", self.places[1].dir.join("libways.so"));
        let (_, fine) = self.run(policy, &mut command, "")?;
        checks.equal(&format!("{policy:?}, a static program"), fine, true);

        // The loader cannot map the audit library from there, and goes on without it.
        let audit = self.places[2].dir.join("libmayexec_rtld.so");
        copy(&self.bin.join("libmayexec_rtld.so"), &audit, 0o755)?;
        let library = self.places[1].dir.join("libways.so");
        let mut command = Command::new("cat");
        command
            .arg("/proc/self/maps")
            .env("LD_AUDIT", &audit)
            .env("LD_PRELOAD", &library);
        let (maps, fine) = self.run(policy, &mut command, "")?;
        let loaded = maps.contains(&*library.to_string_lossy());
        checks.equal(
            &format!("{policy:?}, an audit library on a noexec mount"),
            (loaded, fine),
            (true, true),
        );
        self.origin(policy, checks)
    }

    /// A name that the loader expands only after the audit library has seen it.
    fn origin(&self, policy: Policy, checks: &mut Checks) -> Result<()> {
        // What ctypes needs is not executable.
        if policy.bits() != 0 {
            return Ok(());
        }
        let code = "import ctypes, os, _ctypes\n\
                    ctypes.CDLL('$ORIGIN/' + os.path.basename(_ctypes.__file__))\n\
                    print('loaded')";
        for (audited, right) in [(false, "loaded\n"), (true, "")] {
            let mut command = Command::new(PYTHON);
            if audited {
                command = self.audited(command);
            }
            command.args(["-c", code]);
            checks.equal(
                &format!("dlopen of $ORIGIN, audited: {audited}"),
                self.run(policy, &mut command, "")?,
                (right.to_owned(), !audited),
            );
        }
        Ok(())
    }
}
