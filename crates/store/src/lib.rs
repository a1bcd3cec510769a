//! The only crate with SQL: journal and tables.
