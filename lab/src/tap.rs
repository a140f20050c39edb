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

/// How the cases of a run may end that is fine, where what is tested may be missing.
pub(crate) const MAY_SKIP: [Verdict; 2] = [Verdict::Pass, Verdict::Skip];

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
    pub(crate) fn new(group: &str, name: &str, verdict: Verdict, detail: &str) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            verdict,
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn full_name(&self) -> String {
        let name = format!("{} {}", self.group, self.name);
        name.trim_end().to_owned()
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

/// The cases of a stream, and what is wrong with it as a whole.
pub(crate) type Stream = (Vec<Case>, Vec<String>);

impl Run {
    /// What a job printed that exited with `code`.
    pub(crate) fn of_job((cases, mut trouble): Stream, code: i32, log: PathBuf) -> Self {
        let failed = cases.iter().any(|case| case.verdict == Verdict::Fail);
        if code != 0 && !failed && trouble.is_empty() {
            trouble.push(format!("the tests exited with {code}"));
        }
        Self {
            cases,
            trouble,
            log,
        }
    }

    /// The run with only those cases whose group is one of the `wanted`.
    pub(crate) fn of(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let mut run = self.clone();
        run.cases.retain(|case| wanted(&case.group));
        run
    }

    /// The cases that did not end in a `fine` way, with what they printed.
    pub(crate) fn wrong(&self, fine: &[Verdict]) -> Vec<String> {
        let is_wrong = |case: &&Case| !fine.contains(&case.verdict);
        let wrong = self.cases.iter().filter(is_wrong);
        let said = wrong.map(|case| format!("{}: {}", case.full_name(), case.detail));
        said.collect()
    }

    /// Everything that is wrong with the run.
    pub(crate) fn problems(&self, fine: &[Verdict]) -> Vec<String> {
        [self.wrong(fine), self.whole()].concat()
    }

    /// What is wrong with the run as a whole; that no case passed is wrong, too.
    pub(crate) fn whole(&self) -> Vec<String> {
        let none = (self.count(Verdict::Pass) == 0).then(|| "no case passed".to_owned());
        self.trouble.iter().cloned().chain(none).collect()
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

static RESULT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(not )?ok(?: +(\d+))?(?: +(?:- )?([^#]*?))?\s*(?:#\s*(.*?))?\s*$")
        .expect("a constant")
});

/// A result line: `ok 1 name # SKIP reason`. The reason is the detail; a case without a name has
/// its number.
fn result(line: &str) -> Option<Case> {
    let found = RESULT.captures(line)?;
    let part = |at| found.get(at).map_or("", |part| part.as_str());
    let reason = part(4);
    let word = reason.split([' ', ':']).next().unwrap_or_default();
    let verdict = match (part(1), word.to_ascii_uppercase().as_str()) {
        (_, "SKIP") => Verdict::Skip,
        ("", _) | (_, "XFAIL" | "TODO") => Verdict::Pass,
        _ => Verdict::Fail,
    };
    let name = match part(3) {
        "" => format!("#{}", part(2)),
        name => name.to_owned(),
    };
    Some(Case::new("", &name, verdict, reason))
}

/// `1..N`, or `1..0 # SKIP reason`.
fn plan(line: &str) -> Option<usize> {
    line.strip_prefix("1..")?.split(' ').next()?.parse().ok()
}

/// What is wrong with a stream that planned so many parts and reported so many.
fn unreported(who: &str, planned: Option<usize>, reported: usize) -> Vec<String> {
    match planned {
        None => vec![format!("{who} printed no plan: did it run?")],
        Some(0) => vec![format!("{who} ran no test")],
        Some(count) if count == reported => Vec::new(),
        Some(count) => vec![format!("{who} planned {count} and reported {reported}")],
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
        } else if let Some(mut case) = result(line) {
            let said = std::mem::take(&mut self.said);
            if case.verdict == Verdict::Fail {
                case.detail = said.join("\n");
            }
            self.cases.push(case);
        } else if !line.is_empty() && !line.trim_start_matches('K').starts_with("TAP version") {
            self.said.push(line.to_owned());
        }
    }

    /// Ends the program with its own result.
    fn end(mut self, group: &str, result: Case) -> Vec<Case> {
        let (said, reason) = (self.said.join("\n"), result.detail.as_str());
        let (count, planned) = (self.cases.len(), self.plan.unwrap_or(0));
        let failed = self.cases.iter().any(|case| case.verdict == Verdict::Fail);
        let own = match result.verdict {
            Verdict::Fail if count == 0 => Some(("", Verdict::Fail, format!("{reason}\n{said}"))),
            // A program may find out after its plan that it can test nothing.
            Verdict::Skip if count == 0 => Some(("", Verdict::Skip, reason.to_owned())),
            _ if planned > count => {
                let detail = format!("{count} of {planned} cases reported\n{said}");
                Some(("(plan)", Verdict::Fail, detail))
            }
            Verdict::Pass if count == 0 => Some(("", Verdict::Pass, reason.to_owned())),
            Verdict::Fail if !failed => {
                let detail = format!("every case passed but the program failed: {reason}\n{said}");
                Some(("(exit)", Verdict::Fail, detail))
            }
            _ => None,
        };
        let case = |(name, verdict, detail): (_, _, String)| Case::new("", name, verdict, &detail);
        self.cases.extend(own.map(case));
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

/// The cases of one program that writes KTAP without subtests.
pub(crate) fn program(group: &str, output: &str) -> Stream {
    let mut program = Program::default();
    output.lines().for_each(|line| program.line(line));
    for case in &mut program.cases {
        case.group = group.to_owned();
    }
    let trouble = unreported(group, program.plan, program.cases.len());
    (program.cases, trouble)
}

/// Whether a line is the failure of a case.
pub(crate) fn is_failure(line: &str) -> bool {
    line.trim_start_matches("# ").starts_with("not ok ")
}

/// Reads a stream of programs: what a program prints is in the lines of which `inner` gives the
/// text, and its result follows them. `begun` and `ended` give its name, where it has begun and from
/// the name of its result.
fn nested<'a>(
    who: &str,
    lines: impl Iterator<Item = &'a str>,
    inner: fn(&str) -> Option<&str>,
    begun: fn(&str) -> Option<String>,
    ended: fn(&str) -> Option<String>,
) -> Stream {
    let (mut cases, mut planned, mut programs) = (Vec::new(), None, 0);
    let mut open: Option<(String, Program)> = None;
    for line in lines {
        if let Some(text) = inner(line) {
            match &mut open {
                Some((_, program)) => program.line(text),
                None => open = begun(text).map(|name| (name, Program::default())),
            }
        } else if let Some(count) = plan(line) {
            planned.get_or_insert(count);
        } else if let Some(found) = result(line)
            && let Some(name) = ended(&found.name)
        {
            programs += 1;
            let (_, program) = open.take().unwrap_or_default();
            cases.extend(program.end(&name, found));
        } else if let Some((_, program)) = &mut open {
            // A program may write past the runner's prefix (to the console, say).
            program.said.push(line.to_owned());
        }
    }
    if let Some((name, program)) = open {
        let unended = Case::new("", "", Verdict::Fail, "it did not end");
        cases.extend(program.end(&name, unended));
    }
    (cases, unreported(who, planned, programs))
}

/// Reads what run_kselftest.sh printed.
pub(crate) fn kselftest(text: &str) -> Stream {
    nested(
        "run_kselftest.sh",
        text.lines(),
        |line| line.strip_prefix("# ").or((line == "#").then_some("")),
        program_name,
        program_name,
    )
}

/// Reads KUnit's results from the kernel's messages, which may have time stamps.
pub(crate) fn kunit(console: &str) -> Stream {
    let stamp = Regex::new(r"(?m)^\[[ \d.]+\] ").expect("a constant");
    let text = stamp.replace_all(console, "");
    let lines = text.lines().map(str::trim_end);
    let lines = lines.skip_while(|line| line.trim_start() != "KTAP version 1");
    nested(
        "KUnit",
        lines.skip(1),
        |line| line.strip_prefix("    "),
        |text| text.strip_prefix("# Subtest: ").map(str::to_owned),
        |name| Some(name.to_owned()),
    )
}

/// `filesystems/openat2:openat2_test`, from `selftests: filesystems/openat2: openat2_test`.
fn program_name(text: &str) -> Option<String> {
    let (dir, program) = text.strip_prefix("selftests: ")?.split_once(": ")?;
    Some(format!("{dir}:{}", program.split_whitespace().next()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn case(group: &str, name: &str, verdict: Verdict) -> Case {
        Case::new(group, name, verdict, "")
    }

    pub(crate) fn brief(cases: &[Case]) -> String {
        let brief = |case: &Case| format!("{}: {:?}", case.full_name(), case.verdict);
        Vec::from_iter(cases.iter().map(brief)).join(", ")
    }

    #[test]
    fn a_list_shorter_than_its_plan_is_trouble() {
        let text = "TAP version 13\n1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no flag\n";
        let (cases, trouble) = program("g", text);
        assert_eq!(brief(&cases), "g a: Pass, g b: Fail, g c: Skip");
        assert_eq!(trouble, [""; 0]);
        for cut in ["", "1..2\nok 1 - a\n", "ok 1 - a\n", "1..0 # SKIP\n"] {
            assert_eq!(program("g", cut).1.len(), 1, "{cut}");
        }
    }

    #[test]
    fn result_lines() {
        for (line, right) in [
            ("ok 3 name # SKIP no such flag", "name: Skip"),
            ("not ok 1 - x", "x: Fail"),
            ("not ok 1 x # XFAIL known", "x: Pass"),
            ("ok 1 # SKIP", "#1: Skip"),
            ("not ok 2 x # exit=1", "x: Fail"),
            ("ok 3d x", "3d x: Pass"),
            ("ok", "#: Pass"),
        ] {
            assert_eq!(brief(&[result(line).unwrap()]).trim_start(), right);
        }
        for line in ["okay 1 x", "# ok 1 x", ""] {
            assert!(result(line).is_none(), "{line}");
        }
        assert!(is_failure("# not ok 4 flags.none"));
        assert!(!is_failure("ok 1 x # SKIP not ok 2"));
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
        assert_eq!(trouble, [""; 0]);
        let a_test = "filesystems/openat2:a_test global";
        let right =
            format!("{a_test}.one: Pass, {a_test}.two: Fail, exec:plain: Pass, exec:skipped: Skip");
        assert_eq!(brief(&cases), right);
        assert!(cases[1].detail.contains("Expected 1 (1) == 2 (2)"));
    }

    #[test]
    fn a_run_that_was_cut_is_no_success() {
        let (cases, trouble) = kselftest(RUN.split("not ok 2").next().unwrap());
        assert_eq!(trouble, ["run_kselftest.sh planned 3 and reported 0"]);
        assert_eq!(cases.last().unwrap().verdict, Verdict::Fail);
        for text in ["", "TAP version 13\n1..0\n", "\u{0}\u{1}ok\n# #\nnot ok"] {
            assert!(!kselftest(text).1.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_program_keeps_what_it_promised() {
        #[rustfmt::skip]
        let programs = [
            // A plan without a case is no success.
            ("1..5", ("ok", ""), "exec:t (plan): Fail"),
            // A program may find out after its plan that it can test nothing.
            ("1..5", ("ok", "SKIP"), "exec:t: Skip"),
            ("1..3\n# ok 1 a", ("not ok", "exit=139"), "exec:t a: Pass, exec:t (plan): Fail"),
            ("1..1\n# ok 1 a", ("not ok", "TIMEOUT 45"), "exec:t a: Pass, exec:t (exit): Fail"),
            ("ok 1 a\n# ok 2 a", ("ok", ""), "exec:t a: Pass, exec:t a (2): Pass"),
        ];
        for (inner, (ok, reason), cases) in programs {
            let name = "selftests: exec: t";
            let text = format!("# {name}\n# {inner}\n{ok} 1 {name} # {reason}");
            assert_eq!(brief(&kselftest(&text).0), cases);
        }
    }

    #[test]
    fn a_run_is_fine_only_if_something_passed() {
        let (pass, skip, fail) = (Verdict::Pass, Verdict::Skip, Verdict::Fail);
        for (verdicts, trouble, code, problems) in [
            (&[pass, skip][..], "", 0, ""),
            (&[skip], "", 0, "no case passed"),
            (&[], "cut", 0, "cut, no case passed"),
            (&[pass, fail], "", 1, "g n: "),
            (&[pass], "BUG: x", 0, "BUG: x"),
            (&[pass], "", 1, "the tests exited with 1"),
        ] {
            let cases = verdicts.iter().map(|verdict| case("g", "n", *verdict));
            let trouble = Vec::from_iter((!trouble.is_empty()).then(|| trouble.to_owned()));
            let run = Run::of_job((cases.collect(), trouble), code, PathBuf::new());
            assert_eq!(run.problems(&[pass, skip]).join(", "), problems);
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
    fn kunit_s_console() {
        let (cases, trouble) = kunit(KUNIT);
        assert_eq!(trouble, [""; 0]);
        let right = "mayexec_policy table: Pass, mayexec_policy errno: Fail, other one: Skip";
        assert_eq!(brief(&cases), right);
        assert!(cases[1].detail.contains("ASSERTION FAILED"));
    }

    #[test]
    fn kunit_that_did_not_run_or_end() {
        let (cases, trouble) = kunit(KUNIT.split("[    0.5] not ok 1").next().unwrap());
        assert_eq!(trouble, ["KUnit planned 2 and reported 0"]);
        assert!(cases.iter().any(|case| case.verdict == Verdict::Fail));
        for text in ["Linux version\nVFS: root\n", "KTAP version 1\n1..0\n"] {
            assert!(!kunit(text).1.is_empty(), "{text}");
        }
    }
}
