//! Connections follow the pool's members: where an endpoint has left, nobody listens any more.

use super::WebSocketManager;
use crate::rpc::EndpointName;

impl WebSocketManager {
    /// Moves each connection whose endpoint has left the pool, or has another address now, to one that does not carry
    /// the same part, or, where there is none, to any: two connections to one endpoint carry a part twice until another
    /// endpoint has come, which then takes one of them over. Gives those moved. Cheap: call it about every second.
    pub fn leave_removed_endpoints(&mut self) -> Vec<(usize, EndpointName)> {
        let candidates = self.sources();
        let mut moved = Vec::new();
        for report in self.report() {
            let Some(line) = self.connections.get(report.connection) else { continue };
            let assigned = line.assign.borrow().clone();
            let has_left = !candidates.contains(&assigned);
            let before = self.connections.iter().take(report.connection);
            let is_twin = before
                .filter(|other| other.shard == line.shard)
                .any(|other| other.endpoint == line.endpoint && other.via == line.via);
            if !has_left && !is_twin {
                continue;
            }
            let same = || candidates.iter().find(|other| other.is_named_as(&assigned));
            let any = || same().or(candidates.first()).filter(|_| has_left).cloned();
            let Some(other) = self.better_than(&report).or_else(any) else { continue };
            let (from, to, via) = (&report.endpoint, other.endpoint.name(), other.via);
            tracing::warn!(%from, %to, %via, has_left, "the endpoints have changed, moving a feed connection");
            moved.extend(self.move_to(report.connection, other));
        }
        moved
    }
}
