//! Streaming statistics in floating point.
