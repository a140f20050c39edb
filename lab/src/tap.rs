// SPDX-License-Identifier: GPL-2.0

//! Reading TAP and KTAP: the guest's selftests and KUnit's suites.
//!
//! Both formats nest. run_kselftest.sh prints one result per test program and
//! before it the program's own TAP, each line behind `# `. KUnit prints a suite's
//! results indented by four spaces before the suite's own result. What a stream
//! promised (its plan) and did not deliver counts as failed: a test that dies
//! half-way must not pass.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// How one case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As expected, expected failures included.
    Pass,
    /// Not as expected.
    Fail,
    /// Not run, for a stated reason.
    Skip,
}

/// One case of a test program or suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    /// `program` or `suite`.
    pub(crate) group: String,
    /// The case's own name; empty for a program without cases.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// The reason for a skip, or what a failure printed.
    pub(crate) detail: String,
}

impl Case {
    /// The group and the name.
    pub(crate) fn full_name(&self) -> String {
        if self.name.is_empty() {
            self.group.clone()
        } else {
            format!("{} {}", self.group, self.name)
        }
    }
}

/// What the tests of one boot gave.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The cases of all programs or suites.
    pub(crate) cases: Vec<Case>,
    /// What is wrong with the run as a whole: its end is missing, the kernel complained.
    pub(crate) trouble: Vec<String>,
    /// The tests' output.
    pub(crate) log: PathBuf,
}

impl Run {
    /// The run with only those cases whose group is one of the `wanted`.
    pub(crate) fn of(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let mut run = self.clone();
        run.cases.retain(|case| wanted(&case.group));
        run
    }

    /// The cases that did not end in a `fine` way, with what they printed.
    pub(crate) fn wrong(&self, fine: &[Verdict]) -> Vec<String> {
        let wrong = self
            .cases
            .iter()
            .filter(|case| !fine.contains(&case.verdict));
        wrong
            .map(|case| format!("{}: {}", case.full_name(), case.detail))
            .collect()
    }

    /// Everything that is wrong with the run; that no case passed is wrong, too.
    pub(crate) fn problems(&self, fine: &[Verdict]) -> Vec<String> {
        let mut problems = self.wrong(fine);
        problems.extend_from_slice(&self.trouble);
        if self.count(Verdict::Pass) == 0 {
            problems.push("no case passed".to_owned());
        }
        problems
    }

    /// `7 cases (2 skipped)`.
    pub(crate) fn counted(&self) -> String {
        match self.count(Verdict::Skip) {
            0 => format!("{} cases", self.cases.len()),
            skipped => format!("{} cases ({skipped} skipped)", self.cases.len()),
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        let ended = |case: &&Case| case.verdict == verdict;
        self.cases.iter().filter(ended).count()
    }
}

/// A result line: `ok 1 name # SKIP reason`.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    number: Option<usize>,
    name: &'a str,
    verdict: Verdict,
    reason: &'a str,
}

fn result(line: &str) -> Option<Line<'_>> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, rest) = if digits > 0 && rest[digits..].chars().next().is_none_or(|c| c == ' ') {
        (rest[..digits].parse().ok(), rest[digits..].trim_start())
    } else {
        (None, rest)
    };
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (name, directive) = match rest.split_once('#') {
        Some((name, directive)) => (name.trim_end(), directive.trim()),
        None => (rest.trim_end(), ""),
    };
    let word = directive.split([' ', ':']).next().unwrap_or_default();
    let verdict = match (ok, word.to_ascii_uppercase().as_str()) {
        (_, "SKIP") => Verdict::Skip,
        (_, "XFAIL") | (false, "TODO") => Verdict::Pass,
        (true, _) => Verdict::Pass,
        (false, _) => Verdict::Fail,
    };
    Some(Line {
        number,
        name,
        verdict,
        reason: directive,
    })
}

/// `1..N`, or `1..0 # SKIP reason`.
fn plan(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("1..")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// The cases that one program printed.
#[derive(Default)]
struct Program {
    cases: Vec<Case>,
    plan: Option<usize>,
    said: Vec<String>,
}

impl Program {
    fn line(&mut self, line: &str) {
        if let Some(planned) = plan(line) {
            self.plan = Some(self.plan.unwrap_or(0) + planned);
        } else if let Some(found) = result(line) {
            let detail = match found.verdict {
                Verdict::Fail => self.said.join("\n"),
                _ => found.reason.to_owned(),
            };
            self.said.clear();
            self.cases.push(Case {
                group: String::new(),
                name: if found.name.is_empty() {
                    format!("#{}", found.number.unwrap_or(self.cases.len() + 1))
                } else {
                    found.name.to_owned()
                },
                verdict: found.verdict,
                detail,
            });
        } else if !line.is_empty()
            && !line.starts_with("TAP version")
            && !line.starts_with("KTAP version")
        {
            self.said.push(line.to_owned());
        }
    }

    /// Ends the program with its own result.
    fn end(mut self, group: &str, verdict: Verdict, reason: &str) -> Vec<Case> {
        let own = |name: &str, verdict, detail: String| Case {
            group: group.to_owned(),
            name: name.to_owned(),
            verdict,
            detail,
        };
        if self.cases.is_empty() {
            let planned = self.plan.unwrap_or(0);
            return vec![match verdict {
                Verdict::Fail => {
                    let detail = format!("{reason}\n{}", self.said.join("\n"));
                    own("", verdict, detail)
                }
                Verdict::Pass if planned > 0 => {
                    let detail = format!("0 of {planned} cases reported");
                    own("(plan)", Verdict::Fail, detail)
                }
                _ => own("", verdict, reason.to_owned()),
            }];
        }
        let failed = self.cases.iter().any(|case| case.verdict == Verdict::Fail);
        for case in &mut self.cases {
            case.group = group.to_owned();
        }
        if let Some(planned) = self.plan.filter(|&planned| planned > self.cases.len()) {
            let (count, said) = (self.cases.len(), self.said.join("\n"));
            let detail = format!("{count} of {planned} cases reported\n{said}");
            self.cases.push(own("(plan)", Verdict::Fail, detail));
        } else if verdict == Verdict::Fail && !failed {
            let detail = format!(
                "every case passed but the program failed: {reason}\n{}",
                self.said.join("\n")
            );
            self.cases.push(own("(exit)", Verdict::Fail, detail));
        }
        number_repeats(&mut self.cases);
        self.cases
    }
}

/// Tells apart cases of the same name, in their order.
fn number_repeats(cases: &mut [Case]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases {
        let count = seen.entry(case.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            case.name = format!("{} ({count})", case.name);
        }
    }
}

/// The cases of one program that writes KTAP without subtests; a list that is not as long
/// as its plan is trouble.
pub(crate) fn program(group: &str, output: &str) -> (Vec<Case>, Option<String>) {
    let mut program = Program::default();
    output.lines().for_each(|line| program.line(line));
    for case in &mut program.cases {
        case.group = group.to_owned();
    }
    let whole = program.plan == Some(program.cases.len()) && !program.cases.is_empty();
    let trouble = (!whole).then(|| "the tests did not come to their end".to_owned());
    (program.cases, trouble)
}

/// Reads what run_kselftest.sh printed.
///
/// Returns the cases, and what is wrong with the stream as a whole if anything is.
pub(crate) fn kselftest(text: &str) -> (Vec<Case>, Option<String>) {
    let mut cases = Vec::new();
    let mut planned = None;
    let mut programs = 0;
    let mut program = Program::default();
    let mut group = String::new();
    for line in text.lines() {
        if let Some(inner) = line
            .strip_prefix("# ")
            .or_else(|| (line == "#").then_some(""))
        {
            if let Some(name) = inner.strip_prefix("selftests: ").and_then(program_name)
                && group.is_empty()
            {
                group = name;
                program = Program::default();
            } else if !group.is_empty() {
                program.line(inner);
            }
        } else if let Some(count) = plan(line) {
            planned.get_or_insert(count);
        } else if let Some(found) = result(line)
            && let Some(name) = found
                .name
                .strip_prefix("selftests: ")
                .and_then(program_name)
        {
            programs += 1;
            cases.extend(std::mem::take(&mut program).end(&name, found.verdict, found.reason));
            group.clear();
        } else if !group.is_empty() {
            // A program may write past the runner's prefix (to the console, say).
            program.said.push(line.to_owned());
        }
    }
    let trouble = match planned {
        None => Some("run_kselftest.sh printed no plan".to_owned()),
        Some(0) => Some("run_kselftest.sh ran no test".to_owned()),
        Some(count) if count != programs => Some(format!(
            "run_kselftest.sh planned {count} programs and reported {programs}"
        )),
        Some(_) => None,
    };
    if !group.is_empty() {
        cases.extend(program.end(&group, Verdict::Fail, "the program did not end"));
    }
    (cases, trouble)
}

/// `filesystems/openat2:openat2_test`, from `filesystems/openat2: openat2_test`.
fn program_name(rest: &str) -> Option<String> {
    let (dir, program) = rest.split_once(": ")?;
    let program = program.split_whitespace().next()?;
    Some(format!("{dir}:{program}"))
}

/// Reads KUnit's results from the kernel's messages.
///
/// Returns the cases, and what is wrong with the stream as a whole if anything is.
pub(crate) fn kunit(console: &str) -> (Vec<Case>, Option<String>) {
    let mut lines = console.lines().map(strip_stamp);
    if !lines
        .by_ref()
        .any(|line| line.trim_start() == "KTAP version 1")
    {
        return (
            Vec::new(),
            Some("the kernel's messages hold no KTAP: did KUnit run?".to_owned()),
        );
    }
    let mut planned = None;
    let mut suites = 0;
    let mut cases = Vec::new();
    let mut open = Program::default();
    for line in lines {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let text = &line[indent..];
        match (indent, plan(text), result(text)) {
            (0, Some(count), _) => {
                planned.get_or_insert(count);
            }
            (0, _, Some(suite)) if planned.is_some() => {
                suites += 1;
                let open = std::mem::take(&mut open);
                cases.extend(open.end(suite.name, suite.verdict, suite.reason));
            }
            (4, ..) => open.line(text),
            _ => open.said.push(text.to_owned()),
        }
    }
    let trouble = match planned {
        None => Some("KUnit printed no plan".to_owned()),
        Some(count) if count != suites => Some(format!(
            "KUnit planned {count} suites and reported {suites}"
        )),
        Some(_) if cases.is_empty() => Some("KUnit ran no case".to_owned()),
        Some(_) => None,
    };
    if !open.cases.is_empty() {
        cases.extend(open.end("(suite that did not end)", Verdict::Fail, ""));
    }
    (cases, trouble)
}

/// A kernel message without its time stamp.
fn strip_stamp(line: &str) -> &str {
    let line = line.trim_end();
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .filter(|(stamp, _)| stamp.trim().chars().all(|c| c.is_ascii_digit() || c == '.'))
        .map_or(line, |(_, text)| text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A case that said nothing.
    pub(crate) fn case(group: &str, name: &str, verdict: Verdict) -> Case {
        Case {
            group: group.to_owned(),
            name: name.to_owned(),
            verdict,
            detail: String::new(),
        }
    }

    fn brief(cases: &[Case]) -> Vec<(String, Verdict)> {
        cases
            .iter()
            .map(|case| (case.full_name(), case.verdict))
            .collect()
    }

    #[test]
    fn a_list_shorter_than_its_plan_is_trouble() {
        let (cases, trouble) = program(
            "g",
            "TAP version 13\n1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no flag\n",
        );
        let verdicts: Vec<Verdict> = cases.iter().map(|case| case.verdict).collect();
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail, Verdict::Skip]);
        assert_eq!(trouble, None);
        for cut in ["", "1..2\nok 1 - a\n", "ok 1 - a\n", "1..0 # SKIP\n"] {
            assert!(program("g", cut).1.is_some(), "{cut}");
        }
    }

    #[test]
    fn result_lines() {
        let found = result("ok 3 name of it # SKIP no such flag").unwrap();
        assert_eq!(
            (found.number, found.name, found.verdict),
            (Some(3), "name of it", Verdict::Skip)
        );
        assert_eq!(result("not ok 1 - x").unwrap().name, "x");
        assert_eq!(
            result("not ok 1 x # XFAIL known").unwrap().verdict,
            Verdict::Pass
        );
        assert_eq!(
            result("not ok 2 x # exit=1").unwrap().verdict,
            Verdict::Fail
        );
        assert_eq!(result("ok").unwrap().name, "");
        assert!(result("okay 1 x").is_none());
        assert!(result("# ok 1 x").is_none());
        assert!(result("").is_none());
    }

    const RUN: &str = "\
TAP version 13
1..3
# timeout set to 45
# selftests: filesystems/openat2: a_test
# TAP version 13
# 1..2
# # Starting 2 tests from 1 test cases.
# ok 1 global.one
# # a_test.c:10:two:Expected 1 (1) == 2 (2)
# not ok 2 global.two
# # FAILED: 1 / 2 tests passed.
not ok 1 selftests: filesystems/openat2: a_test # exit=1
# timeout set to 45
# selftests: exec: plain
# hello
ok 2 selftests: exec: plain
# timeout set to 45
# selftests: exec: skipped
# 1..0 # SKIP no binfmt_misc
ok 3 selftests: exec: skipped # SKIP
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
";

    #[test]
    fn a_kselftest_run() {
        let (cases, trouble) = kselftest(RUN);
        assert_eq!(trouble, None);
        assert_eq!(
            brief(&cases),
            [
                (
                    "filesystems/openat2:a_test global.one".to_owned(),
                    Verdict::Pass
                ),
                (
                    "filesystems/openat2:a_test global.two".to_owned(),
                    Verdict::Fail
                ),
                ("exec:plain".to_owned(), Verdict::Pass),
                ("exec:skipped".to_owned(), Verdict::Skip),
            ]
        );
        assert!(cases[1].detail.contains("Expected 1 (1) == 2 (2)"));
    }

    #[test]
    fn a_plan_without_a_case_is_no_success() {
        let text =
            "TAP version 13\n1..1\n# selftests: exec: empty\n# 1..5\nok 1 selftests: exec: empty\n";
        let (cases, _) = kselftest(text);
        assert_eq!(
            brief(&cases),
            [("exec:empty (plan)".to_owned(), Verdict::Fail)]
        );
        // A program may find out after its plan that it can test nothing.
        let skipped = text.replace(
            "ok 1 selftests: exec: empty",
            "ok 1 selftests: exec: empty # SKIP",
        );
        assert_eq!(kselftest(&skipped).0[0].verdict, Verdict::Skip);
    }

    #[test]
    fn a_run_that_was_cut_is_no_success() {
        let cut = RUN.split("not ok 2").next().unwrap();
        let (cases, trouble) = kselftest(cut);
        assert_eq!(
            trouble.as_deref(),
            Some("run_kselftest.sh planned 3 programs and reported 0")
        );
        assert_eq!(cases.last().unwrap().verdict, Verdict::Fail);
        assert!(kselftest("").1.is_some());
        assert!(kselftest("TAP version 13\n1..0\n").1.is_some());
        assert!(kselftest("\u{0}\u{1}ok\n# #\nnot ok").1.is_some());
    }

    #[test]
    fn a_program_that_dies_after_some_cases_fails() {
        let text = "1..1\n# selftests: exec: t\n# 1..3\n# ok 1 a\nnot ok 1 selftests: exec: t # exit=139\n";
        let (cases, _) = kselftest(text);
        assert_eq!(
            brief(&cases)[1],
            ("exec:t (plan)".to_owned(), Verdict::Fail)
        );
        let text = "1..1\n# selftests: exec: t\n# 1..1\n# ok 1 a\nnot ok 1 selftests: exec: t # TIMEOUT 45 seconds\n";
        assert_eq!(
            brief(&kselftest(text).0)[1],
            ("exec:t (exit)".to_owned(), Verdict::Fail)
        );
    }

    #[test]
    fn repeated_names_are_told_apart() {
        let text = "1..1\n# selftests: exec: t\n# ok 1 a\n# ok 2 a\nok 1 selftests: exec: t\n";
        assert_eq!(kselftest(text).0[1].name, "a (2)");
    }

    const KUNIT: &str = "\
Linux version 7.3.4
[    0.5] KTAP version 1
[    0.5] 1..2
[    0.5]     KTAP version 1
[    0.5]     # Subtest: mayexec_policy
[    0.5]     # speed: normal
[    0.5]     1..2
workqueue: a message in between
[    0.5]     ok 1 table
[    0.5]     # errno: ASSERTION FAILED at fs/mayexec/policy.rs:1
[    0.5]     not ok 2 errno
[    0.5] # mayexec_policy: pass:1 fail:1 skip:0 total:2
[    0.5] not ok 1 mayexec_policy
[    0.5]     KTAP version 1
[    0.5]     # Subtest: other
[    0.5]     1..1
[    0.5]     ok 1 one # SKIP why
[    0.5] ok 2 other # SKIP
VFS: Mounted root
";

    #[test]
    fn a_run_is_fine_only_if_something_passed() {
        let problems = |verdicts: &[Verdict], trouble: &[&str]| {
            let case = |verdict: &Verdict| Case {
                detail: "why".to_owned(),
                ..case("g", "n", *verdict)
            };
            let run = Run {
                cases: verdicts.iter().map(case).collect(),
                trouble: trouble.iter().map(|&line| line.to_owned()).collect(),
                log: PathBuf::new(),
            };
            run.problems(&[Verdict::Pass, Verdict::Skip])
        };
        let none: [&str; 0] = [];
        assert_eq!(problems(&[Verdict::Pass, Verdict::Skip], &[]), none);
        assert_eq!(problems(&[Verdict::Skip], &[]), ["no case passed"]);
        assert_eq!(problems(&[], &["cut"]), ["cut", "no case passed"]);
        assert_eq!(problems(&[Verdict::Pass, Verdict::Fail], &[]), ["g n: why"]);
        assert_eq!(problems(&[Verdict::Pass], &["BUG: x"]), ["BUG: x"]);
    }

    #[test]
    fn kunit_s_console() {
        let (cases, trouble) = kunit(KUNIT);
        assert_eq!(trouble, None);
        assert_eq!(
            brief(&cases),
            [
                ("mayexec_policy table".to_owned(), Verdict::Pass),
                ("mayexec_policy errno".to_owned(), Verdict::Fail),
                ("other one".to_owned(), Verdict::Skip),
            ]
        );
        assert!(cases[1].detail.contains("ASSERTION FAILED"));
    }

    #[test]
    fn kunit_that_did_not_run_or_end() {
        assert!(kunit("Linux version\nVFS: Mounted root\n").1.is_some());
        let (cases, trouble) = kunit(KUNIT.split("[    0.5] not ok 1").next().unwrap());
        assert!(trouble.unwrap().contains("planned 2 suites and reported 0"));
        assert!(cases.iter().any(|case| case.verdict == Verdict::Fail));
        assert!(kunit("KTAP version 1\n1..0\n").1.is_some());
    }
}
