//! The files of a guest in each language. They are in `templates/`, complete but for the interfaces of WASI, which come
//! from `wit/` of this repository, by the link in `host/package/`.

use crate::cli::{Language, Wasi};

/// The name that stands for the guest's in the files.
const NAME: &str = "guest-name";
/// The same as an identifier.
const IDENTIFIER: &str = "guest_name";

/// The version of the interfaces in `wit/deps`.
const RELEASE: &str = "0.2.12";
/// The version that the engine of componentize-js exports its handler in.
const ENGINE_RELEASE: &str = "0.2.10";

/// A path below the directory of the guest, and its content.
pub(super) type File = (String, String);

/// How a guest is written in one language, for one version of WASI.
pub(super) struct Template {
    /// The files that are its own: each a path and its content.
    own: &'static [(&'static str, &'static str)],
    /// The interfaces of WASI, below `wit/deps`.
    interfaces: &'static [(&'static str, &'static str)],
    /// The version of these that it is written for.
    release: &'static str,
    /// The file to begin with.
    pub(super) source: &'static str,
    /// The command that prepares the directory once, if there is one.
    pub(super) setup: Option<&'static str>,
    /// The command that builds the component.
    build: &'static str,
    /// The component.
    component: &'static str,
}

/// The files of one template.
macro_rules! files {
    ($directory:literal: $($path:literal = $file:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("templates/", $directory, "/", $file)))),+]
    };
}

/// Files of `wit/`.
macro_rules! interfaces {
    ($directory:literal: $($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../package/wit/", $directory, "/", $file)))),+]
    };
}

const V02: &[(&str, &str)] = interfaces!(
    "deps": "cli.wit", "clocks.wit", "filesystem.wit", "http.wit", "io.wit", "random.wit", "sockets.wit",
);

const V03: &[(&str, &str)] = interfaces!(
    "p3/deps": "cli.wit", "clocks.wit", "filesystem.wit", "http.wit", "random.wit", "sockets.wit",
);

const RUST_V02: Template = Template {
    own: files!("rust-0.2":
        "Cargo.toml" = "Cargo.toml.in",
        ".cargo/config.toml" = "config.toml",
        ".gitignore" = "gitignore",
        "README.md" = "README.md",
        "src/lib.rs" = "lib.rs",
        "wit/world.wit" = "world.wit",
    ),
    interfaces: V02,
    release: RELEASE,
    source: "src/lib.rs",
    setup: None,
    build: "cargo build --release",
    component: "target/wasm32-wasip2/release/guest_name.wasm",
};

const RUST_V03: Template = Template {
    own: files!("rust-0.3":
        "Cargo.toml" = "Cargo.toml.in",
        ".cargo/config.toml" = "../rust-0.2/config.toml",
        ".gitignore" = "../rust-0.2/gitignore",
        "README.md" = "README.md",
        "src/lib.rs" = "lib.rs",
        "wit/world.wit" = "world.wit",
    ),
    interfaces: V03,
    ..RUST_V02
};

const JAVASCRIPT: Template = Template {
    own: files!("javascript":
        "package.json" = "package.json",
        ".gitignore" = "gitignore",
        "README.md" = "README.md",
        "app.js" = "app.js",
        "wit/world.wit" = "world.wit",
    ),
    interfaces: V02,
    release: ENGINE_RELEASE,
    source: "app.js",
    setup: Some("npm install"),
    build: "npm run build",
    component: "guest-name.wasm",
};

const PYTHON: Template = Template {
    own: files!("python":
        "requirements.txt" = "requirements.txt",
        ".gitignore" = "gitignore",
        "README.md" = "README.md",
        "app.py" = "app.py",
        "wit/world.wit" = "../rust-0.2/world.wit",
    ),
    interfaces: V02,
    release: RELEASE,
    source: "app.py",
    setup: Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
    build: ".venv/bin/componentize-py -d wit -w guest componentize app -o guest-name.wasm",
    component: "guest-name.wasm",
};

const C: Template = Template {
    own: files!("c":
        "Makefile" = "Makefile",
        ".gitignore" = "gitignore",
        "README.md" = "README.md",
        "app.c" = "app.c",
        "wit/world.wit" = "../rust-0.2/world.wit",
    ),
    interfaces: V02,
    release: RELEASE,
    source: "app.c",
    setup: None,
    build: "make",
    component: "guest-name.wasm",
};

impl Template {
    /// The template for a language that has this version of WASI.
    pub(super) fn of(language: Language, wasi: Wasi) -> Self {
        match (language, wasi) {
            (Language::Rust, Wasi::V02) => RUST_V02,
            (Language::Rust, Wasi::V03) => RUST_V03,
            (Language::Js, _) => JAVASCRIPT,
            (Language::Python, _) => PYTHON,
            (Language::C, _) => C,
        }
    }

    /// Its files, for a guest of this name.
    pub(super) fn files(&self, name: &str) -> Vec<File> {
        let own = self.own.iter().map(|(path, text)| ((*path).to_owned(), named(text, name)));
        let interfaces = self.interfaces.iter().map(|(file, text)| {
            let text = if self.release == RELEASE {
                (*text).to_owned()
            } else {
                text.replace(RELEASE, self.release)
            };
            (format!("wit/deps/{file}"), text)
        });
        own.chain(interfaces).collect()
    }

    /// The command that builds the component of a guest of this name.
    pub(super) fn build(&self, name: &str) -> String {
        named(self.build, name)
    }

    /// The component of a guest of this name, below its directory.
    pub(super) fn component(&self, name: &str) -> String {
        named(self.component, name)
    }
}

fn named(text: &str, name: &str) -> String {
    text.replace(NAME, name).replace(IDENTIFIER, &name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::{C, IDENTIFIER, JAVASCRIPT, NAME, PYTHON, RUST_V02, RUST_V03, Template};
    use wit_parser::Resolve;

    const ALL: [(&str, Template); 5] = [
        ("rust-0.2", RUST_V02),
        ("rust-0.3", RUST_V03),
        ("javascript", JAVASCRIPT),
        ("python", PYTHON),
        ("c", C),
    ];

    #[test]
    fn no_file_keeps_the_name_of_the_template() {
        for (which, template) in ALL {
            for (path, text) in template.files("my-hello") {
                assert!(!text.contains(NAME) && !text.contains(IDENTIFIER), "{which}: {path}");
                assert!(text.ends_with('\n'), "{which}: {path}");
            }
            let component = template.component("my-hello");
            assert!(
                component.ends_with("my-hello.wasm") || component.ends_with("my_hello.wasm"),
                "{component}"
            );
        }
    }

    #[test]
    fn the_interfaces_of_each_are_complete() {
        for (which, template) in ALL {
            let directory = tempfile::tempdir().unwrap();
            for (path, text) in template.files("hello") {
                let path = directory.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let mut resolve = Resolve::default();
            let (package, _) = resolve.push_dir(directory.path().join("wit")).unwrap();
            let world = resolve.select_world(&[package], Some("guest")).unwrap();
            assert!(!resolve.worlds[world].exports.is_empty(), "{which}");
        }
    }

    #[test]
    fn the_readme_has_the_commands() {
        for (which, template) in ALL {
            let files = template.files("my-hello");
            let (_, readme) = files.iter().find(|(path, _)| path == "README.md").unwrap();
            for command in [template.build("my-hello"), template.component("my-hello")] {
                assert!(readme.contains(&command), "{which}: {command}");
            }
            assert!(template.setup.is_none_or(|setup| readme.contains(setup)), "{which}");
        }
    }
}
