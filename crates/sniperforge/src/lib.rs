//! A trading engine for Solana's decentralised exchanges.
