//! What is said of a command line that is wrong, in one sentence: what is wrong, what was probably meant, and how that is
//! spelled.

use super::{SUBCOMMANDS, Serve};
use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// How similar two words are, from 0 to 1, for one to be a slip of the other.
const SIMILAR: f64 = 0.8;

/// Flags of other servers, and how this one spells them; `{}` is the value that was given.
const FOREIGN_FLAGS: [(&str, &str); 14] = [
    ("--port", "--addr localhost:{}"),
    ("-p", "--addr localhost:{}"),
    ("--host", "--addr {}:8080"),
    ("--bind", "--addr {}:8080"),
    ("--listen", "--addr {}"),
    ("--address", "--addr {}"),
    ("--root", "--dir {}"),
    ("--directory", "--dir {}"),
    ("-d", "--dir {}"),
    ("--cors-origins", "--cors {}"),
    ("--cert", "--tls-cert {}"),
    ("--key", "--tls-key {}"),
    ("--ssl-cert", "--tls-cert {}"),
    ("--ssl-key", "--tls-key {}"),
];

/// Explains what clap found wrong with these arguments, of which the first is the program's name.
pub(super) fn explain(error: &Error, arguments: &[OsString]) -> String {
    let words: Vec<_> = arguments.iter().skip(1).map(|word| word.to_string_lossy()).collect();
    let subcommand = words.first().filter(|word| SUBCOMMANDS.contains(&word.as_ref()));
    let help =
        subcommand.map_or_else(|| "wasi-httpd --help".to_owned(), |name| format!("wasi-httpd {name} --help"));
    let sentence = sentence(error, &arguments[1.min(arguments.len())..], subcommand.map(AsRef::as_ref));
    format!("{sentence}; `{help}` shows the options")
}

/// What is wrong with these words, after this subcommand if there is one.
pub(super) fn sentence(error: &Error, words: &[OsString], subcommand: Option<&str>) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let invalid =
        text(error, ContextKind::InvalidArg).or_else(|| text(error, ContextKind::InvalidSubcommand));
    let sentence = match (error.kind(), invalid) {
        (ErrorKind::UnknownArgument, Some(flag)) if flag.starts_with('-') => {
            let at = words.iter().position(|word| word.split('=').next() == Some(flag.as_str()));
            let value = at.and_then(|at| match words[at].split_once('=') {
                Some((_, value)) => Some(value),
                None => words.get(at + 1).map(AsRef::as_ref).filter(|next: &&str| !next.starts_with('-')),
            });
            Some(unknown_flag(
                &flag,
                value,
                text(error, ContextKind::SuggestedArg).as_deref(),
                subcommand.is_some(),
            ))
        }
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, Some(arg)) => {
            text(error, ContextKind::InvalidValue).and_then(|value| wrong_value(&arg, &value))
        }
        (ErrorKind::UnknownArgument | ErrorKind::ArgumentConflict | ErrorKind::InvalidSubcommand, _)
            if subcommand.is_none() =>
        {
            words.first().filter(|word| !word.starts_with('-')).map(|first| further_word(first, &words))
        }
        _ => None,
    };
    sentence.unwrap_or_else(|| {
        // clap says what is wrong in its first paragraph, and repeats the usage below.
        let text = error.to_string();
        let paragraph = text.split("\n\n").next().unwrap_or(&text).trim_start_matches("error: ");
        paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

/// How a flag of another server is spelled here, without dashes and with this value: a flag and its value.
pub(crate) fn foreign(flag: &str, value: &str) -> Option<(&'static str, String)> {
    let (_, ours) = FOREIGN_FLAGS.iter().find(|(foreign, _)| foreign.strip_prefix("--") == Some(flag))?;
    let (ours, pattern) = ours.strip_prefix("--")?.split_once(' ')?;
    Some((ours, pattern.replace("{}", value)))
}

/// The word of several that another is a slip of.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = words.into_iter().map(|known| (strsim::jaro_winkler(word, known), known));
    let (score, best) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (score >= SIMILAR).then_some(best)
}

/// What is wrong with the guest of a line that could be read, if it is none.
pub(super) fn in_guest(serve: &Serve) -> Option<String> {
    let guest = serve.site.guest.as_ref().filter(|guest| !guest.exists())?;
    let word = guest.to_str()?;
    match word {
        "on" | "off" => Some(format!(
            "`{word}` is taken for a guest, and there is no such file; a switch takes its value after `=`, such as \
             --listing={word}"
        )),
        "serve" => Some(NO_SERVE.to_owned()),
        _ => {
            let meant = similar(word)?;
            Some(format!(
                "there is neither a file nor a subcommand `{word}`; did you mean `wasi-httpd {meant}`?"
            ))
        }
    }
}

const NO_SERVE: &str = "`serve` is no subcommand: wasi-httpd serves without one, as in `wasi-httpd GUEST`";

/// The text of a piece of context that clap gives with its error, without the name of a value.
fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

fn unknown_flag(flag: &str, value: Option<&str>, suggestion: Option<&str>, is_subcommand: bool) -> String {
    if let Some((_, ours)) = FOREIGN_FLAGS.iter().find(|(foreign, _)| *foreign == flag) {
        let ours = ours.replace("{}", value.unwrap_or("VALUE"));
        return format!("there is no {flag}; it is spelled {ours}");
    }
    if flag == "--allow-tcp-listen" && !is_subcommand {
        return "only commands may listen, as in `wasi-httpd run --allow-tcp-listen HOST:PORT GUEST`; a server listens \
                by --addr"
            .to_owned();
    }
    match suggestion {
        Some(known) => format!("there is no {flag}; did you mean {known}?"),
        None => format!("there is no {flag}"),
    }
}

/// What is wrong with the value of a flag that takes a number; `arg` is the flag with the name of its value.
fn wrong_value(arg: &str, value: &str) -> Option<String> {
    let (flag, name) = arg.split_once(' ')?;
    let what = match name.trim_matches(['<', '>']) {
        "SECONDS" => "a number of seconds",
        "MIB" => "a number of MiB",
        "COUNT" | "REQUESTS" | "ELEMENTS" => "a number",
        _ => return None,
    };
    let digits: String =
        value.trim_start_matches(['-', '+']).chars().take_while(char::is_ascii_digit).collect();
    let number = digits.parse::<u32>().ok().filter(|&number| number > 0);
    Some(match number {
        Some(number) => format!("{flag} takes {what} above zero, such as {flag} {number}, not `{value}`"),
        None => format!("{flag} takes {what} above zero, not `{value}`"),
    })
}

/// What is wrong with a line of several words of which the first is no subcommand.
fn further_word(first: &str, words: &[std::borrow::Cow<'_, str>]) -> String {
    if first == "serve" {
        return NO_SERVE.to_owned();
    }
    if let Some(meant) = similar(first) {
        return format!("there is no subcommand `{first}`; did you mean `wasi-httpd {meant}`?");
    }
    let second = words.iter().skip(1).find(|word| !word.starts_with('-'));
    match second {
        Some(second) => {
            format!(
                "`{first}` and `{second}` are two guests; a server has one, and a command runs by `wasi-httpd run`"
            )
        }
        None => format!("`{first}` cannot be used here"),
    }
}

/// The subcommand that a word is a slip of.
fn similar(word: &str) -> Option<&'static str> {
    nearest(word, SUBCOMMANDS)
}

#[cfg(test)]
mod tests {
    use crate::cli::{Stop, parse};

    fn mistake(line: &str) -> String {
        match parse(line.split(' ').map(Into::into)) {
            Err(Stop::Usage(message)) => message,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn each_mistake_is_said_with_the_right_spelling() {
        for (line, expected) in [
            ("wasi-httpd serve guest.wasm", "wasi-httpd serves without one"),
            ("wasi-httpd serve", "wasi-httpd serves without one"),
            ("wasi-httpd inspct guest.wasm", "did you mean `wasi-httpd inspect`?"),
            ("wasi-httpd inspct", "did you mean `wasi-httpd inspect`?"),
            ("wasi-httpd a.wasm b.wasm", "`a.wasm` and `b.wasm` are two guests"),
            ("wasi-httpd --listing on", "such as --listing=on"),
            ("wasi-httpd --listng", "did you mean --listing?"),
            ("wasi-httpd --port 8000", "it is spelled --addr localhost:8000"),
            ("wasi-httpd --port=8000", "it is spelled --addr localhost:8000"),
            ("wasi-httpd --host 0.0.0.0", "it is spelled --addr 0.0.0.0:8080"),
            (
                "wasi-httpd --allow-tcp-listen 127.0.0.1:80",
                "`wasi-httpd run --allow-tcp-listen HOST:PORT GUEST`",
            ),
            (
                "wasi-httpd --timeout 30s",
                "--timeout takes a number of seconds above zero, such as --timeout 30, not `30s`",
            ),
            (
                "wasi-httpd --max-instances -5",
                "--max-instances takes a number above zero, such as --max-instances 5, not `-5`",
            ),
            ("wasi-httpd --max-instances many", "--max-instances takes a number above zero, not `many`"),
            (
                "wasi-httpd --max-memory 64MB",
                "--max-memory takes a number of MiB above zero, such as --max-memory 64",
            ),
            ("wasi-httpd run --no-such-flag a.wasm", "there is no --no-such-flag; `wasi-httpd run --help`"),
            ("wasi-httpd run", "required arguments were not provided"),
        ] {
            let message = mistake(line);
            assert!(message.contains(expected), "{line}: {message}");
            assert!(!message.contains('\n') || line == "wasi-httpd run", "{line}: {message}");
        }
    }
}
