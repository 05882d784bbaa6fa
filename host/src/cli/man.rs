//! The manual page, made of the command line: a section for each subcommand, and what no flag says.

use super::Line;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// When the page was last changed other than by its flags. A page without a date is a warning of `mandoc -T lint`.
const DATE: &str = "2026-11-27";

/// The page, in roff.
pub fn man() -> io::Result<Vec<u8>> {
    // Its version is one line here, and the page has a name before its description.
    let mut command = Line::command().version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = command.get_about().map(ToString::to_string) {
        command = command.about(about.trim_start_matches("wasi-httpd: ").to_owned());
    }
    // Without this, subcommands lack the flags that clap adds.
    command.build();
    let page =
        |command: &Command| Man::new(command.clone()).title("WASI-HTTPD").date(DATE).manual("User Commands");
    let mut out = Vec::new();
    let main = page(&command);
    main.render_title(&mut out)?;
    main.render_name_section(&mut out)?;
    main.render_synopsis_section(&mut out)?;
    main.render_description_section(&mut out)?;
    main.render_options_section(&mut out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let name = subcommand.get_name().to_uppercase();
        out.extend_from_slice(format!(".SH \"COMMAND {name}\"\n").as_bytes());
        let one = page(subcommand);
        one.render_description_section(&mut out)?;
        one.render_synopsis_section(&mut out)?;
        one.render_options_section(&mut out)?;
    }
    remarks().to_writer(&mut out)?;
    main.render_version_section(&mut out)?;
    Ok(out)
}

/// The sections about what the command line does not say.
fn remarks() -> Roff {
    let mut roff = Roff::new();
    section(
        &mut roff,
        "EXIT STATUS",
        &[
            ("0", "Stopped by a signal; with check, nothing to report."),
            (
                "1",
                "A failure, with the reason in one line on standard error; with check, something to report.",
            ),
            ("2", "A wrong command line or setting, with the reason in one line on standard error."),
        ],
    );
    roff.control("PP", []).text([roman(
        "The command run has the exit status of its component, and precompress 128 plus the number of the signal that ended it.",
    )]);
    section(
        &mut roff,
        "SIGNALS",
        &[
            ("SIGINT, SIGTERM", "Stop: finish the answers under way, and end. The second one ends at once."),
            ("SIGHUP", "Read again what may change while the server runs, such as certificates."),
        ],
    );
    section(
        &mut roff,
        "ENVIRONMENT",
        &[
            ("LISTEN_FDS, LISTEN_PID", "Sockets that a service manager passes; they are listeners."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Where a service manager is told that the server is ready and alive.",
            ),
            (
                "XDG_CACHE_HOME",
                "Where compiled components are kept, and those from registries; ~/.cache without it.",
            ),
            (
                "DOCKER_CONFIG",
                "The directory of config.json, which has passwords of registries; ~/.docker without it.",
            ),
            ("XDG_DATA_HOME", "Where the certificate of --tls-dev is kept; ~/.local/share without it."),
        ],
    );
    roff
}

fn section(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, text) in entries {
        roff.control("TP", []).text([bold(*name)]).text([roman(*text)]);
    }
}
