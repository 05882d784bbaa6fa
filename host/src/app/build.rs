//! How sites are made: [`open`] opens what they are given, and a [`Builder`] compiles and links them.
//!
//! All sites whose components are of one edition of WASI share one engine, the pool of its instances, and the code of equal
//! components. A generation that does not fit the pool gets an engine of its own.

use super::route::{Names, Router};
use super::sites::{Generation, Generations, Sites};
use super::{About, App, Shared, Slots, with_kept};
use crate::component::interface::Edition;
use crate::component::load::Loader;
use crate::component::location::Location;
use crate::component::{Digest, Guest, Purpose, Role};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::config::{Executor, Instances, Serve, site};
use crate::engine::sizes::Sizes;
use crate::engine::{self, Resources};
use crate::inspect;
use crate::instance::{FileMemory, Stdio, Template};
use crate::link::direct::module::Renewal;
use crate::link::{Code, Linkers};
use crate::login::{Desk, Logins, Users};
use crate::prepare::{self, Opened};
use crate::report::metrics::Metrics;
use crate::report::tag::Label;
use crate::sandbox::check_stores;
use crate::site::published;
use crate::wasi::sidecars::Compressor;
use anyhow::{Context as _, Error, Result, bail};
use guest::config::{COMPRESSED_ARCHIVES, Settings};
use guest::guard::Guard;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::Engine;

/// A site for which everything is open.
#[derive(Debug)]
pub struct OpenedSite {
    config: site::Site,
    /// Components before it, the one that clients reach first.
    middlewares: Vec<Opened>,
    /// Its component, and what that is given.
    guest: Opened,
    /// Whose passwords are known.
    users: Option<Arc<Users>>,
}

impl OpenedSite {
    /// Its components, the one that clients reach first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &Opened> {
        self.middlewares.iter().chain([&self.guest])
    }

    /// Says what its components import and are not granted, for each where there is such a thing.
    pub fn ungranted(&self) -> impl Iterator<Item = String> {
        let components = self.components().zip(self.config.all_grants());
        components.filter_map(|(opened, grants)| inspect::ungranted(&opened.guest, grants))
    }

    /// How many components clients reach before its guest.
    fn depth(&self) -> usize {
        self.middlewares.len()
    }
}

/// Where a component comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source<'a> {
    /// This program.
    BuiltIn { markdown: bool },
    /// A file or a registry.
    At(&'a Location, Role),
}

impl Source<'_> {
    /// The component, which is loaded unless it was before.
    fn load(self, loader: &Loader, guests: &mut HashMap<Self, Arc<Guest>>) -> Result<Arc<Guest>> {
        Ok(match guests.entry(self) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => {
                let guest = match self {
                    Self::BuiltIn { markdown } => Guest::built_in(markdown)?,
                    Self::At(location, role) => loader.load(location, role)?,
                };
                Arc::clone(entry.insert(Arc::new(guest)))
            }
        })
    }
}

/// Opens what the sites are given. A component that several sites name is loaded once.
pub fn open(config: &Serve, loader: &Loader) -> Result<Vec<OpenedSite>> {
    let mut guests = HashMap::new();
    let sites = config.sites.iter().map(|site| {
        let mut open = || {
            let readers = || config.sites.iter().flat_map(site::Site::all_grants);
            site.all_grants().try_for_each(|grants| check_stores(grants, readers()))?;
            let mut give = |source, grants, limits| {
                prepare::give(Source::load(source, loader, &mut guests)?, Purpose::Serve, grants, limits)
            };
            // Middlewares answer one request at a time.
            let handles = site.limits.handles.saturating_mul(site.concurrent);
            let limits = Limits { handles, ..site.limits };
            let source = match &site.guest {
                Some(location) => Source::At(location, Role::Guest),
                None => Source::BuiltIn { markdown: site.asked.markdown },
            };
            let mut guest = give(source, &site.grants, &limits)?;
            if site.asked.archives {
                guest.sandbox.tell(COMPRESSED_ARCHIVES, "on");
            }
            let middlewares = site.middlewares.iter();
            let middlewares = middlewares
                .map(|it| give(Source::At(&it.location, Role::Middleware), &it.grants, &site.limits));
            let users = users(config, site, &guest.guest)?;
            anyhow::Ok((middlewares.collect::<Result<_>>()?, guest, users))
        };
        let (middlewares, guest, users) = of_site(config.named, site, open())?;
        Ok(OpenedSite { config: site.clone(), middlewares, guest, users })
    });
    sites.collect()
}

/// Reads the passwords of a site.
fn users(config: &Serve, site: &site::Site, guest: &Guest) -> Result<Option<Arc<Users>>> {
    let Some(file) = &site.login.file else { return Ok(None) };
    if !guest.is_file_server() {
        bail!(
            "--auth-file is for the file server, and {} would not ask for passwords; put a component that does before it \
             with --middleware",
            guest.name()
        );
    }
    if let Some(directory) = published(file, &config.sites) {
        bail!(
            "the passwords {} are in {}, which the guest may read and serve; put them elsewhere",
            file.display(),
            directory.display()
        );
    }
    let users = Users::read(file)?;
    let settings = Settings::checked(&site.grants.environment)?;
    let mut names = settings.guards.iter().flat_map(Guard::names);
    if let Some(name) = names.find(|name| !users.contain(name)) {
        bail!(
            "--auth names the user `{}`, whom {} does not have; add one with `wasi-httpd password`",
            name.escape_debug(),
            file.display()
        );
    }
    Ok(Some(Arc::new(users)))
}

/// Says which of several sites an error is about.
pub fn of_site<T, E: Into<Error>>(named: bool, site: &site::Site, outcome: Result<T, E>) -> Result<T> {
    outcome.map_err(
        |error| if named { error.into().context(format!("site {}", site.label)) } else { error.into() },
    )
}

/// What a builder has made.
pub struct Built {
    /// The sites.
    pub sites: Sites,
    /// How each of them runs, for the operator.
    pub how: Vec<String>,
}

/// Makes generations of sites.
pub struct Builder {
    /// For WASI 0.2 and 0.3, where there is a component of it.
    machines: Vec<Machine>,
    /// Whether engines that are made from now on tick at once.
    is_ticking: bool,
    /// Those of guests, and then those of components with one more behind them each. A request takes them in the opposite order,
    /// so that no two requests wait for each other.
    slots: Vec<Arc<Slots>>,
    instances: u32,
    /// How long a request waits for an instance.
    queue: Duration,
    files: Arc<FileMemory>,
    generations: Generations,
    /// Counts the requests and instances of sites, with `--admin`.
    metrics: Option<Arc<Metrics>>,
    /// Where passwords are looked at.
    desk: Arc<Desk>,
}

/// An engine and what was compiled for it.
struct Machine {
    edition: Edition,
    engine: Engine,
    sizes: Sizes,
    /// How many instances fit into its pool.
    instances: u32,
    linkers: Linkers,
    /// The files that its instances have open.
    files: Arc<FileMemory>,
    /// The code of the last two generations, so that to go back to the last component takes no time.
    codes: HashMap<Key, Kept>,
}

/// What code is compiled from.
type Key = (Digest, Executor, Renewal);

struct Kept {
    code: Arc<Code>,
    /// Generations since it was used.
    age: u32,
}

/// How long code is kept that no site uses, in generations.
const MAX_CODE_AGE: u32 = 1;

impl Builder {
    /// Makes the engines for these sites. This starts threads. File servers get what `compressor` makes of their files.
    pub fn new(
        config: &Serve,
        sites: &[OpenedSite],
        resources: &Resources,
        metrics: Option<Arc<Metrics>>,
        compressor: Option<Arc<Compressor>>,
    ) -> Result<Self> {
        let files = Arc::new(FileMemory::new(compressor));
        let machine = |edition| -> Result<Option<Machine>> {
            let Some(needed) = enough_for(edition, sites) else { return Ok(None) };
            let instances = instances_of(config.instances, sites);
            let engine = engine::first(edition, instances, &needed, resources)?;
            Machine::new(edition, engine, needed, instances, Arc::clone(&files)).map(Some)
        };
        let machines = [machine(Edition::V02)?, machine(Edition::V03)?].into_iter().flatten().collect();
        Ok(Self {
            machines,
            is_ticking: false,
            slots: Vec::new(),
            instances: config.instances,
            queue: config.queue,
            files,
            generations: Generations::default(),
            metrics,
            desk: Arc::default(),
        })
    }

    /// Starts the threads that interrupt guests: those of the engines that were made, and of each that is made later.
    pub fn start_ticking(&mut self) -> Result<()> {
        self.is_ticking = true;
        self.machines.iter().try_for_each(|machine| engine::start_ticking(&machine.engine))
    }

    /// How many generations are alive.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Compiles and links sites that were opened with this configuration.
    pub fn build(&mut self, config: &Serve, sites: Vec<OpenedSite>) -> Result<Built> {
        for edition in [Edition::V02, Edition::V03] {
            self.make_room(edition, &sites)?;
        }
        let generation = Arc::new(self.generations.begin());
        let (mut apps, mut how) = (Vec::new(), Vec::new());
        for site in sites {
            let (app, runs) = of_site(config.named, &site.config.clone(), self.chain(site, &generation))?;
            let label = app.label().as_str().to_owned();
            apps.push(app);
            how.extend(runs.into_iter().enumerate().map(|(at, runs)| match (config.named, at) {
                (true, 0) => format!("Site {label}: running {runs}"),
                (true, _) => format!("Site {label}: before it, {runs}"),
                (false, 0) => format!("Running {runs}"),
                (false, _) => format!("Before it, {runs}"),
            }));
        }
        self.machines.iter_mut().for_each(Machine::forget);
        let router = if config.named {
            Router::named(config.sites.iter().map(|site| (site.names.as_slice(), site.prefix.as_str())))
        } else {
            Router::single(Names::new(config.sites.iter().flat_map(|site| site.names.clone()).collect()))
        };
        Ok(Built { sites: Sites::new(router, apps), how })
    }

    /// Compiles and links the components of a site, the guest first. Gives the one that clients reach, and says of each how it runs.
    fn chain(&mut self, opened: OpenedSite, generation: &Arc<Generation>) -> Result<(Arc<App>, Vec<String>)> {
        let OpenedSite { config: site, middlewares, guest, users } = opened;
        let logins = site.has_logins().then(|| Logins {
            users,
            in_clear: site.login.in_clear,
            site: Label::new(&site.label),
            desk: Arc::clone(&self.desk),
        });
        // Middlewares are used for one request each: what one instance knows of several requests could be passed on for the wrong one.
        let before = site::Site { reuse: 1, concurrent: 1, ..site.clone() };
        let count = middlewares.len();
        let (mut behind, mut how) = (None, Vec::new());
        let components = std::iter::once(guest).chain(middlewares.into_iter().rev());
        for (at, (opened, grants)) in components.zip(site.all_grants().rev()).enumerate() {
            if self.slots.len() == at {
                self.slots.push(Arc::new(Slots::new(self.instances, self.queue)));
            }
            let shared = Shared {
                slots: Arc::clone(&self.slots[at]),
                instances: self.instances,
                generation: Arc::clone(generation),
                metrics: self.metrics.as_ref().map(|metrics| metrics.site(&site.label)),
                behind: behind.take(),
                is_first: at == count,
                logins: logins.clone().filter(|_| at == count),
            };
            let edition = opened.guest.edition(Purpose::Serve);
            let machine = self.machines.iter_mut().find(|machine| machine.edition == edition);
            // A component of another edition is no server.
            let machine = machine.context("there is no engine for the component")?;
            let (app, runs) = machine.app(if at == 0 { &site } else { &before }, opened, grants, shared)?;
            behind = Some(Arc::new(app));
            how.push(runs);
        }
        Ok((behind.context("a site has no component")?, how))
    }

    /// Makes a new engine for components of this edition, if there is none that is large enough for them.
    fn make_room(&mut self, edition: Edition, sites: &[OpenedSite]) -> Result<()> {
        let Some(needed) = enough_for(edition, sites) else { return Ok(()) };
        let instances = instances_of(self.instances, sites);
        let mut machines = self.machines.iter();
        if machines.any(|machine| {
            machine.edition == edition
                && machine.sizes.or(needed) == machine.sizes
                && machine.instances >= instances
        }) {
            return Ok(());
        }
        let engine = engine::new(edition, instances, &needed, None)?;
        if self.is_ticking {
            engine::start_ticking(&engine)?;
        }
        let machine = Machine::new(edition, engine, needed, instances, Arc::clone(&self.files))?;
        self.machines.retain(|machine| machine.edition != edition);
        self.machines.push(machine);
        Ok(())
    }
}

/// What is enough for each of the sites whose components are of this edition; `None` where there are none.
fn enough_for(edition: Edition, sites: &[OpenedSite]) -> Option<Sizes> {
    let opened = sites.iter().flat_map(OpenedSite::components);
    let of_edition = opened.filter(|opened| opened.guest.edition(Purpose::Serve) == edition);
    of_edition.map(|opened| opened.sizes).reduce(Sizes::or)
}

/// How many instances there are at a time where guests have so many: a request has one of each component of its site.
fn instances_of(guests: u32, sites: &[OpenedSite]) -> u32 {
    let depth = sites.iter().map(OpenedSite::depth).max().unwrap_or(0);
    let others = guests.saturating_mul(u32::try_from(depth).unwrap_or(u32::MAX));
    with_kept(guests).saturating_add(others)
}

impl Machine {
    fn new(
        edition: Edition,
        engine: Engine,
        sizes: Sizes,
        instances: u32,
        files: Arc<FileMemory>,
    ) -> Result<Self> {
        let linkers = Linkers::new(edition, &engine)?;
        Ok(Self { edition, engine, sizes, instances, linkers, files, codes: HashMap::new() })
    }

    /// Compiles and links a site. The second value names its component and says how that runs.
    fn app(
        &mut self,
        site: &site::Site,
        Opened { guest, sandbox, .. }: Opened,
        grants: &Grants,
        shared: Shared,
    ) -> Result<(App, String)> {
        if site.concurrent > 1 && self.edition != Edition::V03 {
            bail!(
                "--reuse-concurrent is for components of WASI 0.3, and {} is of {}; leave it out, or use --reuse",
                guest.name(),
                self.edition
            );
        }
        let template = Template::new(sandbox, Stdio::Marked, Arc::clone(&self.files));
        let template =
            Arc::new(if guest.is_built_in() { template.with_sidecars(site.asked.digests) } else { template });
        let renewal = match site.instances {
            _ if site.reuse > 1 => Renewal::Reused,
            Instances::Auto => Renewal::Restored,
            Instances::New => Renewal::New,
        };
        let code = self.code(&guest, site.executor, renewal)?;
        let (linked, how) = self.linkers.link(&guest, &code, &template, renewal)?;
        let runs = format!("{} {how}", guest.name());
        let about = About { component: guest.name(), executor: how, grants: grants.summary() };
        Ok((App::new(linked, template, site, shared, about)?, runs))
    }

    fn code(&mut self, guest: &Guest, executor: Executor, renewal: Renewal) -> Result<Arc<Code>> {
        let key = (guest.digest, executor, renewal);
        if let Some(kept) = self.codes.get_mut(&key) {
            kept.age = 0;
            return Ok(Arc::clone(&kept.code));
        }
        let code = Arc::new(self.linkers.code(guest, executor, renewal)?);
        self.codes.insert(key, Kept { code: Arc::clone(&code), age: 0 });
        Ok(code)
    }

    /// Drops code that was not used for a while.
    fn forget(&mut self) {
        self.codes.retain(|_, kept| kept.age <= MAX_CODE_AGE);
        for kept in self.codes.values_mut() {
            kept.age += 1;
        }
    }
}
