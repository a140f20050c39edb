// SPDX-License-Identifier: GPL-2.0

//! What the place of a file says of it, by the rules of `scan.conf` and of the administrator.

use std::fs;

use anyhow::{Context, Result, bail};

/// The rules that the command brings.
const BUILT_IN: &str = include_str!("../scan.conf");

/// Where an administrator puts more.
const DIR: &str = "/etc/mayexec/scan.d";

/// What a rule says of the files that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Says {
    /// This interpreter reads them.
    Interpreter(String),
    /// They are counted apart, under this reason.
    Apart(String),
}

/// A rule: directories, names in them, and what it says.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `**` is none.
    dirs: Vec<Option<Vec<u8>>>,
    name: Vec<u8>,
    says: Says,
}

/// All rules; the last that matches decides.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the rules of the command and those of the administrator.
    pub(crate) fn read() -> Result<Self> {
        let mut rules = Self::default();
        rules.add(BUILT_IN, "the built-in rules")?;
        let mut files = Vec::new();
        match fs::read_dir(DIR) {
            Ok(entries) => {
                for entry in entries {
                    files.push(entry.context(DIR)?.path());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(DIR),
        }
        files.retain(|file| file.extension().is_some_and(|end| end == "conf"));
        files.sort();
        for file in files {
            let name = file.display().to_string();
            let text = fs::read_to_string(&file).with_context(|| name.clone())?;
            rules.add(&text, &name)?;
        }
        Ok(rules)
    }

    fn add(&mut self, text: &str, from: &str) -> Result<()> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(rule) = Rule::parse(line) else {
                bail!("{from}: line {number} is no pattern with a word after it: {line}");
            };
            self.0.push(rule);
        }
        Ok(())
    }

    /// The directory with this path, of which a scan begins: rules hold for what is below as
    /// seen from / and as seen from there.
    pub(crate) fn top(&self, path: &[u8]) -> Place<'_> {
        let start = |reached: &mut Vec<_>| {
            for rule in 0..self.0.len() {
                self.reach(reached, rule, 0);
            }
        };
        let mut reached = Vec::new();
        start(&mut reached);
        let mut place = Place::new(self, reached);
        for name in names(path) {
            place = place.below(name);
        }
        start(&mut place.reached);
        Place::new(self, place.reached)
    }

    /// Notes that the first `done` directories of a rule are matched; `**` matches none, too.
    fn reach(&self, reached: &mut Vec<(usize, usize)>, rule: usize, done: usize) {
        reached.push((rule, done));
        if let Some(None) = self.0[rule].dirs.get(done) {
            self.reach(reached, rule, done + 1);
        }
    }
}

/// A directory, as the rules see it.
#[derive(Debug)]
pub(crate) struct Place<'r> {
    rules: &'r Rules,
    /// Rules by their number, and how many of their directories the path has matched.
    reached: Vec<(usize, usize)>,
    /// The rules for the files here.
    here: Vec<&'r Rule>,
}

impl<'r> Place<'r> {
    fn new(rules: &'r Rules, mut reached: Vec<(usize, usize)>) -> Self {
        reached.sort_unstable();
        reached.dedup();
        let here = |&(rule, done): &(usize, usize)| {
            let rule = &rules.0[rule];
            (rule.dirs.len() == done).then_some(rule)
        };
        Self {
            rules,
            here: reached.iter().filter_map(here).collect(),
            reached,
        }
    }

    /// The directory of this name in it.
    pub(crate) fn below(&self, name: &[u8]) -> Self {
        let mut reached = Vec::with_capacity(self.reached.len());
        for &(rule, done) in &self.reached {
            match self.rules.0[rule].dirs.get(done) {
                Some(None) => self.rules.reach(&mut reached, rule, done),
                Some(Some(dir)) if name_matches(dir, name) => {
                    self.rules.reach(&mut reached, rule, done + 1);
                }
                _ => {}
            }
        }
        Self::new(self.rules, reached)
    }

    /// What the rules say of a file of this name in it.
    pub(crate) fn says(&self, name: &[u8]) -> Option<&'r Says> {
        let mut rules = self.here.iter().rev();
        rules
            .find(|rule| name_matches(&rule.name, name))
            .map(|rule| &rule.says)
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        let (pattern, word) = line.rsplit_once(char::is_whitespace)?;
        let pattern = pattern.trim_end();
        if !pattern.starts_with('/') && !pattern.starts_with("**/") {
            return None;
        }
        let (dirs, name) = pattern.rsplit_once('/')?;
        if name.is_empty() || name == "**" {
            return None;
        }
        let dirs = names(dirs.as_bytes())
            .into_iter()
            .map(|dir| (dir != b"**").then(|| dir.to_vec()))
            .collect();
        let says = match word.strip_prefix("not:") {
            Some("") => return None,
            Some(reason) => Says::Apart(reason.to_owned()),
            None => Says::Interpreter(word.to_owned()),
        };
        Some(Self {
            dirs,
            name: name.into(),
            says,
        })
    }
}

/// The names in a path.
fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect()
}

/// Whether a name is as a pattern, in which * stands for anything.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.iter().position(|&byte| byte == b'*') {
        None => pattern == name,
        Some(star) => {
            let (before, rest) = (&pattern[..star], &pattern[star + 1..]);
            name.strip_prefix(before).is_some_and(|name| {
                if rest.contains(&b'*') {
                    (0..=name.len()).any(|skip| name_matches(rest, &name[skip..]))
                } else {
                    name.ends_with(rest)
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file of this path below a directory.
    fn said(top: &str, path: &str) -> Option<String> {
        let mut rules = Rules::default();
        rules.add(BUILT_IN, "").unwrap();
        rules.add("/opt/*/hooks/** x\n", "").unwrap_err();
        rules
            .add(
                "# more\n/opt/*/hooks/**/on-*  tcsh\n/opt/a b/c x\n/opt/x*a*y/**/a*b*c star\n",
                "",
            )
            .unwrap();
        let mut place = rules.top(top.as_bytes());
        let (dirs, name) = path.rsplit_once('/').unwrap();
        for dir in names(dirs.as_bytes()) {
            place = place.below(dir);
        }
        place.says(name.as_bytes()).map(|says| match says {
            Says::Interpreter(word) => word.clone(),
            Says::Apart(reason) => format!("not:{reason}"),
        })
    }

    #[test]
    fn a_place_says_what_a_file_is() {
        for (path, word) in [
            ("/etc/profile", Some("sh")),
            ("/etc/profiles", None),
            ("/etc/x/profile", None),
            ("/etc/bash.bashrc", Some("bash")),
            ("/home/me/.bashrc", Some("bash")),
            ("/root/.profile", Some("sh")),
            ("/etc/default/cron", Some("sh")),
            ("/usr/lib/lsb/init-functions", Some("sh")),
            ("/usr/share/debconf/confmodule", Some("sh")),
            ("/usr/share/bash-completion/completions/git", Some("bash")),
            ("/usr/lib/debug/.build-id/aa/x.debug", Some("not:debug")),
            ("/usr/share/doc/x/examples/y.pl", Some("not:documentation")),
            ("/var/www/html/app/x.mjs", Some("not:web")),
            ("/usr/share/javascript/jquery/jquery.js", Some("not:web")),
            ("/usr/share/nodejs/x/index.js", None),
            ("/usr/lib/python3/__pycache__/x.pyc", Some("not:cache")),
            ("/opt/a/hooks/on-start", Some("tcsh")),
            ("/opt/a/hooks/b/c/on-", Some("tcsh")),
            ("/opt/a/b/hooks/on-start", None),
            ("/opt/a b/c", Some("x")),
            ("/var/www/a/www/b.js", Some("not:web")),
            ("/opt/xay/b/ab-c", Some("star")),
            ("/opt/xy/b/b-c", None),
        ] {
            assert_eq!(said("/", path).as_deref(), word, "{path}");
            // The scan begins there.
            let (top, name) = path.rsplit_once('/').unwrap();
            assert_eq!(said(top, &format!("/{name}")).as_deref(), word, "{path}");
            // An image of a system.
            assert_eq!(said("/mnt", path).as_deref(), word, "{path}");
        }
    }

    #[test]
    fn a_rule_that_says_nothing_is_told() {
        for line in ["/etc/profile", "etc/profile sh", "/etc/ sh", "/etc/x not:"] {
            let error = Rules::default().add(line, "x.conf").unwrap_err();
            assert!(error.to_string().starts_with("x.conf: line 1 "), "{error}");
        }
    }
}
