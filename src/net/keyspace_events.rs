//! Keyspace events on their way to subscribers: `__keyspace@<db>__:<key>` carries the event,
//! `__keyevent@<db>__:<event>` the key. Takes what the shard collected; never decides what an event is.

use crate::net::pubsub::publication;
use crate::net::worker::Worker;
use crate::shard::events::{Happening, class};
use crate::txn::news::{ChannelKind, Payload};

impl Worker {
    /// Publishes the events that the shard has collected, in their order, and has clients forget the keys that
    /// changed. To be called where commands ran or keys expired; two tests if there is nothing.
    #[inline]
    pub fn publish_events(&mut self) {
        if !self.router.shard.events.happened.is_empty() {
            self.publish_collected();
        }
        if !self.router.shard.events.tracking.noted.is_empty() {
            self.settle_tracking();
        }
    }

    #[cold]
    fn publish_collected(&mut self) {
        let mut happened = std::mem::take(&mut self.router.shard.events.happened);
        let wanted = self.router.shard.events.wanted;
        for Happening { event, db, key, .. } in happened.drain(..) {
            if wanted & class::KEYSPACE != 0 {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                let payload = Payload::Small(event.as_bytes().to_vec());
                self.announce(publication(ChannelKind::Channel, &channel, payload));
            }
            if wanted & class::KEYEVENT != 0 {
                let channel = format!("__keyevent@{db}__:{event}");
                let payload = Payload::new(&key, None);
                self.announce(publication(ChannelKind::Channel, channel.as_bytes(), payload));
            }
        }
        self.router.shard.events.happened = happened;
    }
}
