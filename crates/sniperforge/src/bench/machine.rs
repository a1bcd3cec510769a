//! Where figures come from.

use std::borrow::Cow;
use std::fmt;

use procfs::Current as _;
use serde::{Deserialize, Serialize};

/// The machine, as far as it tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    cpu: Option<String>,
    cores: usize,
    memory_mb: Option<u64>,
    system: Option<String>,
    /// Of the last minute: above the number of cores, times say more about what else runs.
    load: Option<f32>,
    /// How this program was built; figures of another than `release` mean nothing.
    build: Cow<'static, str>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cpu = procfs::CpuInfo::current().ok();
        let cpu = cpu.and_then(|cpu| cpu.model_name(0).map(str::to_owned));
        let memory = procfs::Meminfo::current().ok();
        let system = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: memory.map(|memory| memory.mem_total / 1_000_000),
            system: system.map(|release| format!("Linux {}", release.trim())),
            load: procfs::LoadAverage::current().ok().map(|load| load.one),
            build: Cow::Borrowed(BUILD),
        }
    }
}

/// How this program was built.
const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

impl Machine {
    /// Figures of it can be compared with those of this program.
    pub(crate) fn is_same_build(&self) -> bool {
        self.build == BUILD
    }

    /// It is this machine, as far as they can be told apart.
    pub(crate) fn is_this(&self) -> bool {
        let this = Self::this();
        (&self.cpu, self.cores, self.memory_mb) == (&this.cpu, this.cores, this.memory_mb)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, memory_mb, system, load, build } = self;
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        write!(f, "{cores} cores of {}, ", text(cpu))?;
        if let Some(megabytes) = memory_mb {
            write!(f, "{megabytes} MB, ")?;
        }
        write!(f, "{}, load {}, {build} build", text(system), load.unwrap_or_default())
    }
}
