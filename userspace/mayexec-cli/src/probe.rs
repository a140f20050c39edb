// SPDX-License-Identifier: GPL-2.0

//! A question that can kill whoever asks it.

use mayexec::{ExecveCheck, Support};
use rustix::process::{WaitOptions, waitpid};

/// Whether `AT_EXECVE_CHECK` works here. A child asks, as some filters kill for execveat(2).
pub(crate) fn execve_check() -> ExecveCheck {
    const ANSWERS: [(i32, ExecveCheck); 2] = [(1, ExecveCheck::Works), (2, ExecveCheck::Missing)];
    let ask = || Support::get().execve_check();
    match uapi::fork() {
        Ok(Some(child)) => {
            let status = waitpid(Some(child), WaitOptions::empty());
            let code = status
                .ok()
                .flatten()
                .and_then(|(_, status)| status.exit_status());
            ANSWERS
                .into_iter()
                .find(|(answer, _)| Some(*answer) == code)
                .map_or(ExecveCheck::Filtered, |(_, found)| found)
        }
        Ok(None) => {
            let found = ask();
            let code = ANSWERS.iter().find(|(_, answer)| *answer == found);
            std::process::exit(code.map_or(0, |(code, _)| *code))
        }
        // There are other threads, in tests: nothing filters those.
        Err(_) => ask(),
    }
}
