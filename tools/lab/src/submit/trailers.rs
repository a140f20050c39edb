//! What must be true of a series before it may be sent.

/// Words that a cover letter has while somebody still means to write there.
const PLACEHOLDERS: [&str; 6] = ["EDITME", "TODO", "FIXME", "XXX", "TBD", "@example."];

/// Domains that RFC 2606 and RFC 6761 keep from ever receiving mail.
const NOWHERE: [&str; 6] = [
    "@example.org",
    "@example.com",
    "@example.net",
    ".example>",
    ".invalid>",
    "@localhost",
];

/// A line of a commit message's last paragraph: its key, in lower case, and its value.
#[derive(Debug, PartialEq, Eq)]
struct Trailer<'a> {
    key: String,
    value: &'a str,
}

/// What keeps the commit `message` from being sent by `sender`, both identities being
/// `Name <address>`.
pub(super) fn message_problems(message: &str, author: &str, sender: &str) -> Vec<String> {
    let trailers = trailers(message);
    let mut problems = Vec::new();
    for (what, who) in [("author", author), ("sender", sender)] {
        if is_nowhere(who) {
            problems.push(format!("the {what} is a placeholder: {who}"));
        }
    }
    let signed: Vec<&str> = trailers
        .iter()
        .filter(|trailer| trailer.key == "signed-off-by")
        .map(|trailer| trailer.value)
        .collect();
    let has_signed = |who: &str| signed.iter().any(|value| same_address(value, who));
    if !has_signed(sender) {
        problems.push(format!("no Signed-off-by: {sender}"));
    } else if !signed.last().is_some_and(|last| same_address(last, sender)) {
        problems.push(format!(
            "{sender} sends, so that Signed-off-by must be the last one"
        ));
    }
    if !same_address(author, sender) && !has_signed(author) {
        problems.push(format!("the author has not signed off: {author}"));
    }
    for (at, trailer) in trailers.iter().enumerate() {
        if trailer.key != "co-developed-by" {
            continue;
        }
        let next = trailers.get(at + 1);
        if !next.is_some_and(|next| {
            next.key == "signed-off-by" && same_address(next.value, trailer.value)
        }) {
            problems.push(format!(
                "Co-developed-by: {} is not directly before that person's Signed-off-by",
                trailer.value
            ));
        }
        if same_address(trailer.value, author) {
            problems.push(format!("Co-developed-by: {} is the author", trailer.value));
        }
    }
    problems
}

/// What keeps a cover letter from being sent.
pub(super) fn cover_problems(cover: &str) -> Vec<String> {
    let mut problems: Vec<String> = cover
        .lines()
        .enumerate()
        .flat_map(|(at, line)| {
            PLACEHOLDERS
                .iter()
                .filter(move |word| line.contains(**word))
                .map(move |word| format!("cover letter, line {}: {word}: {line}", at + 1))
        })
        .collect();
    if cover.trim().is_empty() {
        problems.push("the cover letter is empty".to_owned());
    }
    problems
}

/// Whether mail to `who` goes nowhere, or to the machine that it is written on.
pub(super) fn is_nowhere(who: &str) -> bool {
    let who = who.to_ascii_lowercase();
    NOWHERE.iter().any(|domain| who.contains(domain))
}

/// The trailers of the last paragraph; none if it has other text as well.
fn trailers(message: &str) -> Vec<Trailer<'_>> {
    let message = message.trim_end();
    let last = message
        .rsplit_once("\n\n")
        .map_or("", |(_, paragraph)| paragraph);
    let parsed: Option<Vec<Trailer<'_>>> = last.lines().map(trailer).collect();
    parsed.unwrap_or_default()
}

fn trailer(line: &str) -> Option<Trailer<'_>> {
    let (key, value) = line.split_once(": ")?;
    let is_key = !key.is_empty()
        && key
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    is_key.then(|| Trailer {
        key: key.to_ascii_lowercase(),
        value: value.trim(),
    })
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
        message_problems(&format!("fs: x\n\nWhy.\n\n{trailers}"), author, ME)
    }

    #[test]
    fn the_sender_signs_off_last() {
        let mine = format!("Signed-off-by: {ME}\n");
        assert!(problems(ME, &mine).is_empty());
        assert!(problems(ME, "Signed-off-by: Other Name <A@kernel.test>\n").is_empty());
        assert_eq!(problems(ME, ""), [format!("no Signed-off-by: {ME}")]);
        assert_eq!(problems(ME, &format!("Signed-off-by: {YOU}\n")).len(), 1);
        let not_last = problems(YOU, &format!("{mine}Signed-off-by: {YOU}\n"));
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
        assert_eq!(
            problems(ME, &format!("Co-developed-by: {YOU}\n{mine}")).len(),
            1
        );
        let apart = format!("Co-developed-by: {YOU}\nLink: x\nSigned-off-by: {YOU}\n{mine}");
        assert_eq!(problems(ME, &apart).len(), 1);
        let oneself = format!("Co-developed-by: {ME}\n{mine}");
        assert_eq!(
            problems(ME, &oneself),
            [format!("Co-developed-by: {ME} is the author")]
        );
    }

    #[test]
    fn only_the_last_paragraph_has_trailers() {
        let before = format!("fs: x\n\nSigned-off-by: {ME}\n\nMore text.\n");
        assert_eq!(message_problems(&before, ME, ME).len(), 1);
        let mixed = format!("fs: x\n\nsome text\nSigned-off-by: {ME}\n");
        assert_eq!(message_problems(&mixed, ME, ME).len(), 1);
        // A subject is no trailer, whatever it looks like.
        assert!(trailers("fs: x\n").is_empty());
    }

    #[test]
    fn nobody_sends_under_a_placeholder() {
        for who in ["D <d@example.org>", "D <d@x.invalid>", "D <d@localhost>"] {
            let found = message_problems(
                &format!("fs: x\n\nWhy.\n\nSigned-off-by: {who}\n"),
                who,
                who,
            );
            assert_eq!(found.len(), 2, "{found:?}");
        }
    }

    #[test]
    fn a_cover_letter_is_finished() {
        assert!(cover_problems("fs: x\n\nText about an example.\n").is_empty());
        assert_eq!(cover_problems("fs: x\n\nEDITME: say why\n").len(), 1);
        assert_eq!(cover_problems("TODO\nTBD\n").len(), 2);
        assert_eq!(cover_problems(" \n").len(), 1);
    }
}
