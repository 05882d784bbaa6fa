//! How sites are made: [`open`] opens what they are given, and a [`Builder`] compiles and links them.
//!
//! All sites whose components are of one edition of WASI share one engine, the pool of its instances, and the code of equal
//! components. A generation that does not fit the pool gets an engine of its own.

use super::route::{Names, Router};
use super::sites::{Generations, Sites};
use super::{About, App, Shared, Slots, with_kept};
use crate::component::interface::Edition;
use crate::component::{Digest, Guest, Purpose};
use crate::config::{Executor, Instances, Serve, site};
use crate::engine::sizes::Sizes;
use crate::engine::{self, Resources};
use crate::inspect;
use crate::instance::{FileMemory, Stdio, Template};
use crate::link::direct::module::Renewal;
use crate::link::{Code, Linkers};
use crate::prepare::{self, Opened};
use crate::report::metrics::Metrics;
use anyhow::{Context as _, Error, Result, bail};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::Engine;

/// A site for which everything is open.
#[derive(Debug)]
pub struct OpenedSite {
    config: site::Site,
    /// Its component, and what that is given.
    pub guest: Opened,
}

impl OpenedSite {
    /// Says what its component imports and is not granted, if there is such a thing.
    pub fn ungranted(&self) -> Option<String> {
        inspect::ungranted(&self.guest.guest, &self.config.grants)
    }
}

/// Opens what the sites are given. A component that several sites name is read once.
pub fn open(config: &Serve) -> Result<Vec<OpenedSite>> {
    let mut guests: HashMap<Option<PathBuf>, Arc<Guest>> = HashMap::new();
    let sites = config.sites.iter().map(|site| {
        let mut open = || {
            let guest = match guests.entry(site.guest.clone()) {
                Entry::Occupied(entry) => Arc::clone(entry.get()),
                Entry::Vacant(entry) => {
                    Arc::clone(entry.insert(Arc::new(Guest::read(site.guest.as_deref())?)))
                }
            };
            prepare::give(guest, Purpose::Serve, &site.grants, &site.limits)
        };
        let guest = of_site(config.named, site, open())?;
        Ok(OpenedSite { config: site.clone(), guest })
    });
    sites.collect()
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
    slots: Arc<Slots>,
    instances: u32,
    files: Arc<FileMemory>,
    generations: Generations,
    /// Counts the requests and instances of sites, with `--admin`.
    metrics: Option<Arc<Metrics>>,
}

/// An engine and what was compiled for it.
struct Machine {
    edition: Edition,
    engine: Engine,
    sizes: Sizes,
    linkers: Linkers,
    /// The code of the last two generations, so that to go back to the last component takes no time.
    codes: HashMap<Key, Kept>,
}

/// What code is compiled from.
type Key = (Digest, Executor);

struct Kept {
    code: Arc<Code>,
    /// Generations since it was used.
    age: u32,
}

/// How long code is kept that no site uses, in generations.
const MAX_CODE_AGE: u32 = 1;

impl Builder {
    /// Makes the engines for these sites. This starts threads.
    pub fn new(
        config: &Serve,
        sites: &[OpenedSite],
        resources: &Resources,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self> {
        let machine = |edition| -> Result<Option<Machine>> {
            let Some(needed) = enough_for(edition, sites) else { return Ok(None) };
            let engine = engine::first(edition, with_kept(config.instances), &needed, resources)?;
            Machine::new(edition, engine, needed).map(Some)
        };
        let machines = [machine(Edition::V02)?, machine(Edition::V03)?].into_iter().flatten().collect();
        Ok(Self {
            machines,
            is_ticking: false,
            slots: Arc::new(Slots::new(config.instances, config.queue)),
            instances: config.instances,
            files: Arc::default(),
            generations: Generations::default(),
            metrics,
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
        for OpenedSite { config: site, guest } in sites {
            let shared = Shared {
                slots: Arc::clone(&self.slots),
                instances: self.instances,
                generation: Arc::clone(&generation),
                metrics: self.metrics.as_ref().map(|metrics| metrics.site(&site.label)),
            };
            let files = Arc::clone(&self.files);
            let edition = guest.guest.edition(Purpose::Serve);
            let machine = self.machines.iter_mut().find(|machine| machine.edition == edition);
            // A component of another edition is no server.
            let machine = machine.context("there is no engine for the component")?;
            let (app, runs) = of_site(config.named, &site, machine.app(&site, guest, shared, files))?;
            apps.push(Arc::new(app));
            let start =
                if config.named { format!("Site {}: running", site.label) } else { "Running".to_owned() };
            how.push(format!("{start} {runs}"));
        }
        self.machines.iter_mut().for_each(Machine::forget);
        let router = if config.named {
            Router::named(config.sites.iter().map(|site| (site.names.as_slice(), site.prefix.as_str())))
        } else {
            Router::single(Names::new(config.sites.iter().flat_map(|site| site.names.clone()).collect()))
        };
        Ok(Built { sites: Sites::new(router, apps), how })
    }

    /// Makes a new engine for components of this edition, if there is none that is large enough for them.
    fn make_room(&mut self, edition: Edition, sites: &[OpenedSite]) -> Result<()> {
        let Some(needed) = enough_for(edition, sites) else { return Ok(()) };
        let mut machines = self.machines.iter();
        if machines.any(|machine| machine.edition == edition && machine.sizes.or(needed) == machine.sizes) {
            return Ok(());
        }
        let engine = engine::new(edition, with_kept(self.instances), &needed, None)?;
        if self.is_ticking {
            engine::start_ticking(&engine)?;
        }
        let machine = Machine::new(edition, engine, needed)?;
        self.machines.retain(|machine| machine.edition != edition);
        self.machines.push(machine);
        Ok(())
    }
}

/// What is enough for each of the sites whose components are of this edition; `None` where there are none.
fn enough_for(edition: Edition, sites: &[OpenedSite]) -> Option<Sizes> {
    let opened = sites.iter().map(|site| &site.guest);
    let of_edition = opened.filter(|opened| opened.guest.edition(Purpose::Serve) == edition);
    of_edition.map(|opened| opened.sizes).reduce(Sizes::or)
}

impl Machine {
    fn new(edition: Edition, engine: Engine, sizes: Sizes) -> Result<Self> {
        let linkers = Linkers::new(edition, &engine)?;
        Ok(Self { edition, engine, sizes, linkers, codes: HashMap::new() })
    }

    /// Compiles and links a site. The second value names its component and says how that runs.
    fn app(
        &mut self,
        site: &site::Site,
        Opened { guest, sandbox, .. }: Opened,
        shared: Shared,
        files: Arc<FileMemory>,
    ) -> Result<(App, String)> {
        if site.concurrent > 1 && self.edition != Edition::V03 {
            bail!(
                "--reuse-concurrent is for components of WASI 0.3, and {} is of {}; leave it out, or use --reuse",
                guest.name(),
                self.edition
            );
        }
        let code = self.code(&guest, site.executor)?;
        let template = Arc::new(Template::new(sandbox, Stdio::Marked, files));
        let renewal = match site.instances {
            _ if site.reuse > 1 => Renewal::Reused,
            Instances::Auto => Renewal::Restored,
            Instances::New => Renewal::New,
        };
        let (linked, how) = self.linkers.link(&guest, &code, &template, renewal)?;
        let runs = format!("{} {how}", guest.name());
        let about = About { component: guest.name(), executor: how };
        Ok((App::new(linked, template, site, shared, about)?, runs))
    }

    fn code(&mut self, guest: &Guest, executor: Executor) -> Result<Arc<Code>> {
        let key = (guest.digest, executor);
        if let Some(kept) = self.codes.get_mut(&key) {
            kept.age = 0;
            return Ok(Arc::clone(&kept.code));
        }
        let code = Arc::new(self.linkers.code(guest, executor)?);
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
