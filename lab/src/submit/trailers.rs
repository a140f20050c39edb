// SPDX-License-Identifier: GPL-2.0

//! What must be true of a series before it may be sent.

/// Words that a cover letter has while somebody still means to write there.
const PLACEHOLDERS: [&str; 6] = ["EDITME", "TODO", "FIXME", "XXX", "TBD", "@example."];

/// Ends of addresses that RFC 2606 and RFC 6761 keep from ever receiving mail.
const NOWHERE: [&str; 6] = [
    "@example.org>",
    "@example.com>",
    "@example.net>",
    ".example>",
    ".invalid>",
    "@localhost>",
];

/// What keeps a commit with these `trailers`, one a line, from being sent by `sender`.
/// Both identities are `Name <address>`.
pub(super) fn commit_problems(trailers: &str, author: &str, sender: &str) -> Vec<String> {
    let trailers: Vec<(String, &str)> = trailers
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.trim()))
        .collect();
    let signed: Vec<&str> = trailers
        .iter()
        .filter(|(key, _)| key == "signed-off-by")
        .map(|(_, who)| *who)
        .collect();
    let has_signed = |who: &str| signed.iter().any(|other| same_address(other, who));
    let mut problems = Vec::new();
    for who in &signed {
        if is_nowhere(who) {
            problems.push(format!("a placeholder has signed off: {who}"));
        }
    }
    if !has_signed(sender) {
        problems.push(format!("no Signed-off-by: {sender}"));
    } else if !signed.last().is_some_and(|last| same_address(last, sender)) {
        problems.push(format!(
            "{sender} sends, so that Signed-off-by must be the last one"
        ));
    }
    if is_nowhere(author) {
        problems.push(format!("the author is a placeholder: {author}"));
    } else if !same_address(author, sender) && !has_signed(author) {
        problems.push(format!("the author has not signed off: {author}"));
    }
    for (at, (key, who)) in trailers.iter().enumerate() {
        if key != "co-developed-by" {
            continue;
        }
        let is_pair = trailers
            .get(at + 1)
            .is_some_and(|(key, next)| key == "signed-off-by" && same_address(next, who));
        if !is_pair {
            problems.push(format!(
                "Co-developed-by: {who} is not directly before that person's Signed-off-by"
            ));
        }
        if same_address(who, author) {
            problems.push(format!("Co-developed-by: {who} is the author"));
        }
    }
    problems
}

/// What keeps the cover letter of this `revision` from being sent.
pub(super) fn cover_problems(cover: &str, revision: u32) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, line) in cover.lines().enumerate() {
        for word in PLACEHOLDERS.iter().filter(|word| line.contains(**word)) {
            problems.push(format!("cover letter, line {}, has {word}: {line}", at + 1));
        }
    }
    if cover.trim().is_empty() {
        problems.push("the cover letter is empty".to_owned());
    }
    let heading = format!("changes in v{revision}:");
    let says_what_changed = cover
        .lines()
        .any(|line| line.to_ascii_lowercase().starts_with(&heading));
    if revision > 1 && !says_what_changed {
        problems.push(format!(
            "the cover letter has no line `Changes in v{revision}:`"
        ));
    }
    problems
}

/// Whether mail to `who` goes nowhere, or to the machine that it is written on.
pub(super) fn is_nowhere(who: &str) -> bool {
    let who = who.to_ascii_lowercase();
    NOWHERE.iter().any(|end| who.ends_with(end))
}

fn same_address(one: &str, other: &str) -> bool {
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

fn address(who: &str) -> Option<&str> {
    let (_, rest) = who.split_once('<')?;
    rest.split_once('>').map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "A Sender <a@kernel.test>";
    const YOU: &str = "B Author <b@kernel.test>";

    fn problems(author: &str, trailers: &str) -> Vec<String> {
        commit_problems(trailers, author, ME)
    }

    #[test]
    fn the_sender_signs_off_last() {
        let mine = format!("Signed-off-by: {ME}\n");
        assert!(problems(ME, &mine).is_empty());
        assert!(problems(ME, "signed-off-by: Other Name <A@kernel.test>\n").is_empty());
        assert_eq!(problems(ME, ""), [format!("no Signed-off-by: {ME}")]);
        assert_eq!(problems(ME, &format!("Signed-off-by: {YOU}\n")).len(), 1);
        let not_last = problems(YOU, &format!("{mine}Signed-off-by: {YOU}\n"));
        assert_eq!(not_last.len(), 1);
        assert!(not_last[0].contains("must be the last"), "{not_last:?}");
        // Other people's trailers may follow: b4 appends what it collects.
        assert!(problems(ME, &format!("{mine}Reviewed-by: {YOU}\n")).is_empty());
    }

    #[test]
    fn the_author_signs_off_too() {
        assert!(problems(YOU, &format!("Signed-off-by: {YOU}\nSigned-off-by: {ME}\n")).is_empty());
        let alone = problems(YOU, &format!("Signed-off-by: {ME}\n"));
        assert_eq!(alone, [format!("the author has not signed off: {YOU}")]);
    }

    #[test]
    fn a_co_developer_s_trailers_are_a_pair() {
        let mine = format!("Signed-off-by: {ME}\n");
        let pair = format!("Co-developed-by: {YOU}\nSigned-off-by: {YOU}\n");
        assert!(problems(ME, &format!("{pair}{mine}")).is_empty());
        let alone = format!("Co-developed-by: {YOU}\n{mine}");
        assert_eq!(problems(ME, &alone).len(), 1);
        let apart = format!("Co-developed-by: {YOU}\nLink: x\nSigned-off-by: {YOU}\n{mine}");
        assert_eq!(problems(ME, &apart).len(), 1);
        let last = format!("{mine}Co-developed-by: {YOU}\n");
        assert_eq!(problems(ME, &last).len(), 1);
        let oneself = format!("Co-developed-by: {ME}\n{mine}");
        assert_eq!(
            problems(ME, &oneself),
            [format!("Co-developed-by: {ME} is the author")]
        );
    }

    #[test]
    fn a_placeholder_neither_writes_nor_signs() {
        for who in [
            "D <d@example.org>",
            "D <d@x.invalid>",
            "D <d@localhost>",
            "D <d@users.noreply.example>",
        ] {
            let found = commit_problems(&format!("Signed-off-by: {who}\n"), who, who);
            assert_eq!(found.len(), 2, "{found:?}");
        }
        assert!(!is_nowhere("D <d@example.org.test>"));
    }

    #[test]
    fn a_cover_letter_is_finished() {
        assert!(cover_problems("fs: x\n\nText about an example.\n", 1).is_empty());
        assert_eq!(cover_problems("fs: x\n\nEDITME: say why\n", 1).len(), 1);
        assert_eq!(cover_problems("TODO\nTBD\n", 1).len(), 2);
        assert_eq!(cover_problems(" \n", 1).len(), 1);
    }

    #[test]
    fn a_later_version_says_what_changed() {
        let cover = "fs: x\n\nChanges in v2:\n- y\n\nChanges in v10:\n- z\n";
        assert!(cover_problems(cover, 2).is_empty());
        assert!(cover_problems(cover, 10).is_empty());
        assert_eq!(
            cover_problems(cover, 3),
            ["the cover letter has no line `Changes in v3:`"]
        );
    }
}
