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
use std::sync::LazyLock;

use regex::Regex;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As expected, expected failures included.
    Pass,
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
    pub(crate) verdict: Verdict,
    /// The reason for a skip, or what a failure printed.
    pub(crate) detail: String,
}

impl Case {
    pub(crate) fn full_name(&self) -> String {
        format!("{} {}", self.group, self.name)
            .trim_end()
            .to_owned()
    }
}

/// What the tests of one boot gave.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The cases of all programs or suites.
    pub(crate) cases: Vec<Case>,
    /// What is wrong with the run as a whole: its end is missing, the kernel complained.
    pub(crate) trouble: Vec<String>,
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
        let said = wrong.map(|case| format!("{}: {}", case.full_name(), case.detail));
        said.collect()
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
struct Line<'a> {
    number: &'a str,
    name: &'a str,
    verdict: Verdict,
    reason: &'a str,
}

static RESULT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(not )?ok(?: +(\d+))?(?: +(?:- )?([^#]*?))?\s*(?:#\s*(.*?))?\s*$")
        .expect("a constant")
});

fn result(line: &str) -> Option<Line<'_>> {
    let found = RESULT.captures(line)?;
    let part = |at| found.get(at).map_or("", |part| part.as_str());
    let reason = part(4);
    let word = reason.split([' ', ':']).next().unwrap_or_default();
    let verdict = match (part(1), word.to_ascii_uppercase().as_str()) {
        (_, "SKIP") => Verdict::Skip,
        ("", _) | (_, "XFAIL" | "TODO") => Verdict::Pass,
        _ => Verdict::Fail,
    };
    Some(Line {
        number: part(2),
        name: part(3),
        verdict,
        reason,
    })
}

/// `1..N`, or `1..0 # SKIP reason`.
fn plan(line: &str) -> Option<usize> {
    line.strip_prefix("1..")?.split(' ').next()?.parse().ok()
}

/// What is wrong with a stream that planned so many parts and reported so many.
fn unreported(who: &str, planned: Option<usize>, reported: usize) -> Option<String> {
    match planned {
        None => Some(format!("{who} printed no plan: did it run?")),
        Some(0) => Some(format!("{who} ran no test")),
        Some(count) => (count != reported)
            .then(|| format!("{who} planned {count} programs or suites and reported {reported}")),
    }
}

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
            let said = std::mem::take(&mut self.said);
            self.cases.push(Case {
                group: String::new(),
                name: match found.name {
                    "" => format!("#{}", found.number),
                    name => name.to_owned(),
                },
                verdict: found.verdict,
                detail: match found.verdict {
                    Verdict::Fail => said.join("\n"),
                    _ => found.reason.to_owned(),
                },
            });
        } else if !line.is_empty() && !line.trim_start_matches('K').starts_with("TAP version") {
            self.said.push(line.to_owned());
        }
    }

    /// Ends the program with its own result.
    fn end(mut self, group: &str, verdict: Verdict, reason: &str) -> Vec<Case> {
        let said = self.said.join("\n");
        let (count, planned) = (self.cases.len(), self.plan.unwrap_or(0));
        let failed = self.cases.iter().any(|case| case.verdict == Verdict::Fail);
        let own = match verdict {
            Verdict::Fail if count == 0 => Some(("", verdict, format!("{reason}\n{said}"))),
            // A program may find out after its plan that it can test nothing.
            Verdict::Skip if count == 0 => Some(("", verdict, reason.to_owned())),
            _ if planned > count => {
                let detail = format!("{count} of {planned} cases reported\n{said}");
                Some(("(plan)", Verdict::Fail, detail))
            }
            Verdict::Pass if count == 0 => Some(("", verdict, reason.to_owned())),
            Verdict::Fail if !failed => {
                let detail = format!("every case passed but the program failed: {reason}\n{said}");
                Some(("(exit)", Verdict::Fail, detail))
            }
            _ => None,
        };
        self.cases.extend(own.map(|(name, verdict, detail)| Case {
            group: String::new(),
            name: name.to_owned(),
            verdict,
            detail,
        }));
        // Cases of the same name are told apart by their order.
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for case in &mut self.cases {
            case.group = group.to_owned();
            let count = seen.entry(case.name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                case.name = format!("{} ({count})", case.name);
            }
        }
        self.cases
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
        let inner = line.strip_prefix("# ").or((line == "#").then_some(""));
        if let Some(inner) = inner {
            if let Some(name) = program_name(inner)
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
            && let Some(name) = program_name(found.name)
        {
            programs += 1;
            cases.extend(std::mem::take(&mut program).end(&name, found.verdict, found.reason));
            group.clear();
        } else if !group.is_empty() {
            // A program may write past the runner's prefix (to the console, say).
            program.said.push(line.to_owned());
        }
    }
    if !group.is_empty() {
        cases.extend(program.end(&group, Verdict::Fail, "the program did not end"));
    }
    (cases, unreported("run_kselftest.sh", planned, programs))
}

/// `filesystems/openat2:openat2_test`, from `selftests: filesystems/openat2: openat2_test`.
fn program_name(text: &str) -> Option<String> {
    let (dir, program) = text.strip_prefix("selftests: ")?.split_once(": ")?;
    Some(format!("{dir}:{}", program.split_whitespace().next()?))
}

/// Reads KUnit's results from the kernel's messages.
///
/// Returns the cases, and what is wrong with the stream as a whole if anything is.
pub(crate) fn kunit(console: &str) -> (Vec<Case>, Option<String>) {
    let lines = console.lines().map(strip_stamp);
    let lines = lines.skip_while(|line| line.trim_start() != "KTAP version 1");
    let mut planned = None;
    let mut suites = 0;
    let mut cases = Vec::new();
    let mut open = Program::default();
    for line in lines.skip(1) {
        let text = line.trim_start_matches(' ');
        match (line.len() - text.len(), plan(text), result(text)) {
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
    if !open.cases.is_empty() {
        cases.extend(open.end("(suite that did not end)", Verdict::Fail, ""));
    }
    (cases, unreported("KUnit", planned, suites))
}

/// A kernel message without its time stamp.
fn strip_stamp(line: &str) -> &str {
    let line = line.trim_end();
    let parts = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let is_time = |stamp: &str| stamp.trim().chars().all(|c| c.is_ascii_digit() || c == '.');
    parts
        .filter(|(stamp, _)| is_time(stamp))
        .map_or(line, |(_, text)| text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn case(group: &str, name: &str, verdict: Verdict) -> Case {
        Case {
            group: group.to_owned(),
            name: name.to_owned(),
            verdict,
            detail: String::new(),
        }
    }

    fn brief(cases: &[Case]) -> Vec<String> {
        let brief = |case: &Case| format!("{}: {:?}", case.full_name(), case.verdict);
        cases.iter().map(brief).collect()
    }

    #[test]
    fn a_list_shorter_than_its_plan_is_trouble() {
        let text = "TAP version 13\n1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no flag\n";
        let (cases, trouble) = program("g", text);
        assert_eq!(brief(&cases), ["g a: Pass", "g b: Fail", "g c: Skip"]);
        assert_eq!(trouble, None);
        for cut in ["", "1..2\nok 1 - a\n", "ok 1 - a\n", "1..0 # SKIP\n"] {
            assert!(program("g", cut).1.is_some(), "{cut}");
        }
    }

    #[test]
    fn result_lines() {
        for (line, number, name, verdict) in [
            (
                "ok 3 name of it # SKIP no such flag",
                "3",
                "name of it",
                Verdict::Skip,
            ),
            ("not ok 1 - x", "1", "x", Verdict::Fail),
            ("not ok 1 x # XFAIL known", "1", "x", Verdict::Pass),
            ("ok 1 # SKIP", "1", "", Verdict::Skip),
            ("not ok 2 x # exit=1", "2", "x", Verdict::Fail),
            ("ok 3d x", "", "3d x", Verdict::Pass),
            ("ok", "", "", Verdict::Pass),
        ] {
            let found = result(line).unwrap();
            assert_eq!(
                (found.number, found.name, found.verdict),
                (number, name, verdict)
            );
        }
        for line in ["okay 1 x", "# ok 1 x", ""] {
            assert!(result(line).is_none(), "{line}");
        }
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
                "filesystems/openat2:a_test global.one: Pass",
                "filesystems/openat2:a_test global.two: Fail",
                "exec:plain: Pass",
                "exec:skipped: Skip",
            ]
        );
        assert!(cases[1].detail.contains("Expected 1 (1) == 2 (2)"));
    }

    #[test]
    fn a_run_that_was_cut_is_no_success() {
        let cut = RUN.split("not ok 2").next().unwrap();
        let (cases, trouble) = kselftest(cut);
        let said = "run_kselftest.sh planned 3 programs or suites and reported 0";
        assert_eq!(trouble.as_deref(), Some(said));
        assert_eq!(cases.last().unwrap().verdict, Verdict::Fail);
        for text in ["", "TAP version 13\n1..0\n", "\u{0}\u{1}ok\n# #\nnot ok"] {
            assert!(kselftest(text).1.is_some(), "{text}");
        }
    }

    #[test]
    fn a_program_keeps_what_it_promised() {
        for (inner, result, cases) in [
            // A plan without a case is no success.
            (
                "# 1..5\n",
                "ok 1 selftests: exec: t",
                &["exec:t (plan): Fail"][..],
            ),
            // A program may find out after its plan that it can test nothing.
            (
                "# 1..5\n",
                "ok 1 selftests: exec: t # SKIP",
                &["exec:t: Skip"],
            ),
            (
                "# 1..3\n# ok 1 a\n",
                "not ok 1 selftests: exec: t # exit=139",
                &["exec:t a: Pass", "exec:t (plan): Fail"],
            ),
            (
                "# 1..1\n# ok 1 a\n",
                "not ok 1 selftests: exec: t # TIMEOUT 45 seconds",
                &["exec:t a: Pass", "exec:t (exit): Fail"],
            ),
            (
                "# ok 1 a\n# ok 2 a\n",
                "ok 1 selftests: exec: t",
                &["exec:t a: Pass", "exec:t a (2): Pass"],
            ),
        ] {
            let text = format!("1..1\n# selftests: exec: t\n{inner}{result}\n");
            assert_eq!(brief(&kselftest(&text).0), cases);
        }
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
                "mayexec_policy table: Pass",
                "mayexec_policy errno: Fail",
                "other one: Skip"
            ]
        );
        assert!(cases[1].detail.contains("ASSERTION FAILED"));
    }

    #[test]
    fn kunit_that_did_not_run_or_end() {
        assert!(kunit("Linux version\nVFS: Mounted root\n").1.is_some());
        let (cases, trouble) = kunit(KUNIT.split("[    0.5] not ok 1").next().unwrap());
        assert!(
            trouble
                .unwrap()
                .contains("planned 2 programs or suites and reported 0")
        );
        assert!(cases.iter().any(|case| case.verdict == Verdict::Fail));
        assert!(kunit("KTAP version 1\n1..0\n").1.is_some());
    }
}
