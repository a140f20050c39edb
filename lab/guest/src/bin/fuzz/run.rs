// SPDX-License-Identifier: GPL-2.0

//! Runs blocks of calls, each in a process of its own, and collects what they report.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use guest::fuzz::call::{Call, Generator};
use guest::fuzz::shrink::shrink;
use guest::fuzz::trace::{BLOCK, Block, Tally, Trace, short_digest};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::set_no_new_privs;

use crate::caller::{Caller, Descriptors};
use crate::fixture::Fixture;
use crate::opener::{Names, Opener};
use crate::oracle::{Oracle, WAITED};

/// How long a caller may be silent.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a caller says before it asks what its call has changed.
const ASK: &str = "changed?";
/// What a caller says before its report.
const DONE: &str = "done ";
/// What a caller says before what went wrong.
const TROUBLE: &str = "trouble ";

/// How a caller gets SECBIT_EXEC_RESTRICT_FILE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Securebit {
    /// The caller does not.
    No,
    /// The caller sets it as it is: the bit counts if the caller has CAP_SETPCAP.
    Plain,
    /// The caller sets no_new_privs first: the bit counts.
    NoNewPrivs,
}

/// The policy of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The sysctl's value.
    pub(crate) system: u32,
    /// The caller's part.
    pub(crate) securebit: Securebit,
}

impl Policy {
    /// No policy.
    const NONE: Self = Self {
        system: 0,
        securebit: Securebit::No,
    };

    /// The numbers of callers, of the sysctl's values and of ways to the securebit have no
    /// common divisor: as many blocks as their product meet each combination once.
    fn of_block(number: u64) -> Self {
        let ways = Securebit::value_variants();
        Self {
            system: u32::try_from(number % 8).unwrap_or(0),
            securebit: ways[usize::try_from(number).unwrap_or(0) % ways.len()],
        }
    }

    /// The checks that are enforced for a caller, by the table of the sysctl's values: what
    /// is only logged refuses nothing, and a securebit that does not count means nothing.
    fn enforced(self, caller: Caller) -> u32 {
        let counts = match self.securebit {
            Securebit::No => false,
            Securebit::Plain => caller.has_setpcap(),
            Securebit::NoNewPrivs => true,
        };
        match self.system {
            _ if counts => uapi::ENFORCE_MOUNT | uapi::ENFORCE_FILE,
            0 | 4..8 => 0,
            checks => checks,
        }
    }

    /// Puts the caller's part in force.
    fn restrict_caller(self) -> Result<()> {
        if self.securebit == Securebit::NoNewPrivs {
            set_no_new_privs(true).context("prctl(PR_SET_NO_NEW_PRIVS)")?;
        }
        if self.securebit != Securebit::No {
            let bits = uapi::securebits()?;
            uapi::set_securebits(bits | uapi::SECBIT_EXEC_RESTRICT_FILE)
                .context("prctl(PR_SET_SECUREBITS)")?;
        }
        Ok(())
    }

    /// Puts the system's part in force.
    fn set(self) -> Result<()> {
        fs::write(uapi::SYSCTL, self.system.to_string())
            .with_context(|| format!("cannot set {}", uapi::SYSCTL))
    }
}

/// The caller's end of the line to the process that watches the tree.
struct Line {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Line {
    fn new(stream: UnixStream) -> Result<Self> {
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
        })
    }

    fn say(&mut self, word: &str) -> Result<()> {
        // One write, one switch between the processes.
        self.writer.write_all(format!("{word}\n").as_bytes())?;
        Ok(())
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the other process ended");
        }
        line.truncate(line.trim_end_matches('\n').len());
        Ok(line)
    }

    /// What the last call has changed in the tree; that is undone then.
    fn ask(&mut self) -> Result<String> {
        self.say(ASK)?;
        self.hear()
    }
}

/// Runs `work` in a new process and returns its report.
fn in_child(
    fixture: &Fixture,
    what: &str,
    work: impl FnOnce(&mut Line) -> Result<String>,
) -> Result<String> {
    let (ours, theirs) = UnixStream::pair()?;
    let Some(child) = uapi::fork()? else {
        drop(ours);
        let told = Line::new(theirs).and_then(|mut line| {
            let report = match work(&mut line) {
                Ok(report) => format!("{DONE}{report}"),
                Err(error) => format!("{TROUBLE}{error:#}"),
            };
            line.say(&report)
        });
        // Nothing of the parent's is to be cleaned up here.
        std::process::exit(i32::from(told.is_err()));
    };
    drop(theirs);
    ours.set_read_timeout(Some(PATIENCE))?;
    let heard = attend(fixture, &mut Line::new(ours)?);
    end(child)?;
    heard.with_context(|| what.to_owned())
}

/// Answers a caller until it reports.
fn attend(fixture: &Fixture, line: &mut Line) -> Result<String> {
    loop {
        let word = line.hear().context("a call did not return, or worse")?;
        if word == ASK {
            line.say(&fixture.undo_changes()?)?;
        } else if let Some(report) = word.strip_prefix(DONE) {
            return Ok(report.to_owned());
        } else {
            bail!("{word}");
        }
    }
}

fn end(child: Pid) -> Result<()> {
    // Whoever has reported is about to exit; whoever has not is stuck.
    let _ = kill_process(child, Signal::KILL);
    waitpid(Some(child), WaitOptions::empty())?;
    Ok(())
}

/// Makes the calls of a block without O_MAYEXEC, up to `end`, and records what is
/// observed; `record` gets it in words.
pub(crate) fn differential_block(
    fixture: &Fixture,
    generator: &Generator,
    number: u64,
    end: u64,
    record: Option<&File>,
) -> Result<Block> {
    fixture.renew_overlay()?;
    let (caller, policy) = (Caller::of_block(number), Policy::of_block(number));
    // No policy touches these calls; the base has none.
    if Path::new(uapi::SYSCTL).exists() {
        policy.set()?;
    }
    let what = format!("block {number}");
    let report = in_child(fixture, &what, |line| {
        let mut names = Names::collect()?;
        let _descriptors = Descriptors::open()?;
        names.add_held()?;
        caller.become_it()?;
        policy.restrict_caller()?;
        let mut opener = Opener::new();
        let mut digests = Vec::new();
        let (mut opened, mut changed) = (0, 0);
        let mut record = record.map(BufWriter::new);
        for number in number * BLOCK..end {
            let call = generator.call(number);
            let answer = opener.open(&call)?;
            let seen = names.describe(&answer)?;
            let mut text = seen.words;
            // To look at the whole tree takes its time. A call that neither created nor cut
            // a file has changed nothing, or the end of the block shows it.
            let look = call.may_change()
                && (seen.new || seen.regular && call.may_cut() || record.is_some());
            opened += u64::from(answer.is_ok());
            // The file may be busy as long as it is open.
            let error = answer.err();
            if look {
                let changes = line.ask()?;
                if !changes.is_empty() {
                    changed += 1;
                    text.push_str("; ");
                    text.push_str(&changes);
                }
            }
            digests.push(short_digest(&text));
            if let Some(record) = &mut record {
                let error = error.map_or(String::new(), |error| {
                    format!(": {}", std::io::Error::from(error))
                });
                writeln!(
                    record,
                    "{number} {}: {call} = {text}{error}",
                    value_name(caller)
                )?;
            }
        }
        // What a call changed that cannot change anything.
        let changes = line.ask()?;
        digests.push(short_digest(&changes));
        if let Some(record) = &mut record {
            if !changes.is_empty() {
                writeln!(record, "in the end: {changes}")?;
            }
            record.flush()?;
        }
        let block = Block {
            number,
            calls: end - number * BLOCK,
            opened,
            changed,
            seen: digests,
        };
        Ok(serde_json::to_string(&block)?)
    })?;
    let left = fixture.undo_changes()?;
    ensure!(left.is_empty(), "{what}: the tree is not as it was: {left}");
    Ok(serde_json::from_str(&report)?)
}

/// Makes `calls` calls without O_MAYEXEC.
pub(crate) fn differential(fixture: &Fixture, seed: u64, calls: u64) -> Result<Trace> {
    let generator = Generator::differential(seed);
    let blocks = (0..calls.div_ceil(BLOCK))
        .map(|number| {
            let end = calls.min((number + 1) * BLOCK);
            differential_block(fixture, &generator, number, end, None)
        })
        .collect::<Result<_>>()?;
    Ok(Trace { seed, blocks })
}

/// Makes the calls of a block with O_MAYEXEC and compares the answers with those that
/// the oracle predicts.
fn oracle_block(
    fixture: &Fixture,
    generator: &Generator,
    number: u64,
    end: u64,
    careful: bool,
) -> Result<Tally> {
    let (caller, policy) = (Caller::of_block(number), Policy::of_block(number));
    policy.set()?;
    let report = in_child(fixture, &format!("block {number}"), |line| {
        let (mut oracle, _descriptors) = become_judge(caller, policy)?;
        let mut tally = Tally::default();
        let mut shown = Vec::new();
        for number in number * BLOCK..end {
            let call = generator.call(number);
            if let Some(wrong) = oracle.judge(&call, &mut tally)? {
                // Shrinking would wait at every step.
                let small = if wrong.starts_with(WAITED) {
                    call.clone()
                } else {
                    smallest(&mut oracle, &call)
                };
                // One example of a kind is enough.
                if !shown.contains(&small) {
                    let text = surprise(&mut oracle, number, &small, &wrong, caller, policy)?;
                    tally.surprises.push(text);
                    shown.push(small);
                }
            }
            if careful && call.may_change() {
                let changes = line.ask()?;
                if !changes.is_empty() {
                    tally
                        .surprises
                        .push(format!("call {number}: {call} changed the tree: {changes}"));
                }
            }
        }
        Ok(serde_json::to_string(&tally)?)
    })?;
    let mut tally: Tally = serde_json::from_str(&report)?;
    let changes = fixture.undo_changes()?;
    if !changes.is_empty() {
        tally.surprises.push(format!(
            "block {number} changed the tree: {changes}; again, in a guest: \
             fuzz oracle --seed {} --first {} --calls {BLOCK}",
            generator.seed(),
            number * BLOCK
        ));
        if !careful {
            // Which call was it?
            let again = oracle_block(fixture, generator, number, end, true)?;
            tally.surprises.extend(again.surprises);
        }
    }
    Ok(tally)
}

/// Makes the calling process a caller under a policy.
fn become_judge(caller: Caller, policy: Policy) -> Result<(Oracle, Descriptors)> {
    // The oracle has descriptors too, which must not take the numbers of these.
    let descriptors = Descriptors::open()?;
    let oracle = Oracle::new(policy.enforced(caller))?;
    caller.become_it()?;
    policy.restrict_caller()?;
    Ok((oracle, descriptors))
}

/// The smallest call that shows a surprise as `call` does; `call` itself if it does so
/// no more.
fn smallest(oracle: &mut Oracle, call: &Call) -> Call {
    shrink(call.clone(), |call| {
        call.flags & uapi::O_MAYEXEC != 0
            && oracle
                .judge(call, &mut Tally::default())
                .is_ok_and(|wrong| wrong.is_some())
    })
}

/// A surprise in words; `wrong` says what it was before the call was shrunk to `small`.
fn surprise(
    oracle: &mut Oracle,
    number: u64,
    small: &Call,
    wrong: &str,
    caller: Caller,
    policy: Policy,
) -> Result<String> {
    let words = match oracle.judge(small, &mut Tally::default())? {
        Some(wrong) => wrong,
        None => format!("{wrong}; but not when called again"),
    };
    let (caller, securebit) = (value_name(caller), value_name(policy.securebit));
    let system = policy.system;
    Ok(format!(
        "call {number} by {caller} under policy {system}, securebit: {securebit}: {small}: \
         {words}; again, in a guest: \
         fuzz one --caller {caller} --policy {system} --securebit {securebit} '{}'",
        serde_json::to_string(small)?
    ))
}

/// The name that the command line takes for a value.
fn value_name(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// How many surprises are enough.
const ENOUGH: usize = 20;

/// Makes `calls` calls with O_MAYEXEC, from call `first` on.
pub(crate) fn oracle(fixture: &Fixture, seed: u64, first: u64, calls: u64) -> Result<Tally> {
    let generator = Generator::oracle(seed);
    let mut tally = Tally::default();
    let end = first + calls;
    for number in first / BLOCK..end.div_ceil(BLOCK) {
        let end = end.min((number + 1) * BLOCK);
        tally.add(oracle_block(fixture, &generator, number, end, false)?);
        if tally.surprises.len() >= ENOUGH {
            break;
        }
    }
    Policy::NONE.set()?;
    Ok(tally)
}

/// Judges one call.
pub(crate) fn one(
    fixture: &Fixture,
    caller: Caller,
    policy: Policy,
    call: &Call,
) -> Result<Option<String>> {
    policy.set()?;
    let report = in_child(fixture, "the call", |_| {
        let (mut oracle, _descriptors) = become_judge(caller, policy)?;
        let wrong = oracle.judge(call, &mut Tally::default())?;
        Ok(serde_json::to_string(&wrong)?)
    })?;
    Ok(serde_json::from_str(&report)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_meets_every_policy() {
        let mut met: Vec<_> = (0..120)
            .map(|number| {
                let Policy { system, securebit } = Policy::of_block(number);
                (Caller::of_block(number) as u8, system, securebit as u8)
            })
            .collect();
        met.sort_unstable();
        met.dedup();
        assert_eq!(met.len(), 5 * 8 * 3);
    }

    #[test]
    fn a_securebit_counts_if_it_was_set_with_the_right_to() {
        let all = |system, securebit| {
            let policy = Policy { system, securebit };
            Caller::value_variants()
                .iter()
                .map(|caller| policy.enforced(*caller))
                .collect::<Vec<_>>()
        };
        for (system, own) in (0..).zip([0, 1, 2, 3, 0, 0, 0, 0]) {
            assert_eq!(all(system, Securebit::No), [own; 5]);
            // Root, without capabilities, user, other file system ids, a namespace's root.
            assert_eq!(all(system, Securebit::Plain), [3, own, own, 3, 3]);
            assert_eq!(all(system, Securebit::NoNewPrivs), [3; 5]);
        }
    }
}
