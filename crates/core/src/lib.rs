//! The deterministic trading core: everything that decides.
