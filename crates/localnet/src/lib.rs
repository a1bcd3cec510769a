//! A real Solana runtime behind JSON-RPC and PubSub.
