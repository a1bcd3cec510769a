//! Keeping key bytes out of core dumps.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior,
    setrlimit,
};

/// What [`harden_process`] achieved, as read back from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// A crash writes no core file, and the limit can no longer be raised.
    pub core_files_off: bool,
    /// No core dump by any route, and other processes of the same user cannot attach or read the memory.
    pub not_dumpable: bool,
}

impl Hardening {
    /// All of it holds.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.core_files_off && self.not_dumpable
    }
}

/// Turns core dumps off for this process. Call it before a key is unlocked.
///
/// A process that is not dumpable cannot be looked into with a debugger or profiler by its own user either.
#[must_use]
pub fn harden_process() -> Hardening {
    // What failed shows when it is read back, which is what counts.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    let limit = getrlimit(Resource::Core);
    Hardening {
        core_files_off: limit.current == Some(0) && limit.maximum == Some(0),
        not_dumpable: dumpable_behavior().is_ok_and(|now| now == DumpableBehavior::NotDumpable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_has_no_core_limit_and_is_not_dumpable() {
        assert!(harden_process().is_complete());
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    }
}
