//! The only holder of secrets.
