//! Which client a TLS connection is of: its certificate said so when it was made (RFC 6614, 2.5), not its address.

use crate::sorted::SortedMap;
use std::sync::Arc;

/// The connections that are open.
#[derive(Debug, Default)]
pub struct Connections {
    /// The clients' names.
    open: SortedMap<u32, Arc<str>>,
}

impl Connections {
    /// A connection of this client (its name in the configuration) is open. The number is never given twice.
    pub fn connected(&mut self, id: u32, client: Arc<str>) {
        self.open.insert(id, client);
    }

    /// It is closed. Answers that are still to come for it go nowhere.
    pub fn disconnected(&mut self, id: u32) {
        self.open.remove(&id);
    }

    /// The name of a connection's client.
    pub fn client(&self, id: u32) -> Option<&Arc<str>> {
        self.open.get(&id)
    }

    /// The newest connection of a client.
    pub fn of(&self, client: &str) -> Option<u32> {
        self.open.iter().filter(|(_, name)| ***name == *client).map(|(id, _)| *id).max()
    }

    /// How many connections a client has.
    pub fn count(&self, client: &str) -> usize {
        self.open.values().filter(|name| ***name == *client).count()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_connection_of_a_client_is_found() {
        let mut connections = Connections::default();
        for (id, client) in [(1, "ap1"), (2, "ap2"), (7, "ap1"), (5, "ap1")] {
            connections.connected(id, client.into());
        }
        assert_eq!((connections.of("ap1"), connections.of("ap2"), connections.of("ap3")), (Some(7), Some(2), None));
        assert_eq!((connections.count("ap1"), connections.len()), (3, 4));
        connections.disconnected(7);
        assert_eq!((connections.of("ap1"), connections.client(7)), (Some(5), None));
        assert_eq!(connections.client(2).map(|name| &**name), Some("ap2"));
    }
}
