//! Publish/subscribe. Data only: channels are no keys, so the functions live with the connections, above this layer.

use crate::commands::spec::flag::*;
use crate::commands::spec::{CommandSpec, Group, KeySpec, Plan, key};

/// A channel that slots are chosen by, and no key.
const SHARD_CHANNEL: &[KeySpec] = &[KeySpec::one(key::NOT_KEY, 1)];
/// See [`SHARD_CHANNEL`].
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(key::NOT_KEY, 1, -1, 1)];

/// Subcommands of PUBSUB.
const PUBSUB_SUB: &[CommandSpec] =
    &[
        CommandSpec::new("pubsub|channels", -2, Group::PubSub, "2.8.0", Plan::Session)
            .flags(PUBSUB | LOADING | STALE)
            .docs("Lists the channels that have subscribers.", "O(N) with N the channels", "[pattern:pattern]"),
        CommandSpec::new("pubsub|help", 2, Group::PubSub, "6.2.0", Plan::Session)
            .flags(LOADING | STALE)
            .not_acl(crate::commands::spec::acl::PUBSUB)
            .docs("Lists the subcommands.", "O(1)", ""),
        CommandSpec::new("pubsub|numpat", 2, Group::PubSub, "2.8.0", Plan::Session)
            .flags(PUBSUB | LOADING | STALE)
            .docs("Counts the patterns that are subscribed to.", "O(1)", ""),
        CommandSpec::new("pubsub|numsub", -2, Group::PubSub, "2.8.0", Plan::Session)
            .flags(PUBSUB | LOADING | STALE)
            .docs("Counts the subscribers of channels.", "O(N) with N the channels named", "[channel...]"),
        CommandSpec::new("pubsub|shardchannels", -2, Group::PubSub, "7.0.0", Plan::Session)
            .flags(PUBSUB | LOADING | STALE)
            .docs("Lists the shard channels that have subscribers.", "O(N) with N the channels", "[pattern:pattern]"),
        CommandSpec::new("pubsub|shardnumsub", -2, Group::PubSub, "7.0.0", Plan::Session)
            .flags(PUBSUB | LOADING | STALE)
            .docs("Counts the subscribers of shard channels.", "O(N) with N the channels named", "[shardchannel...]"),
    ];

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("psubscribe", -2, Group::PubSub, "2.0.0", Plan::Session)
        .flags(PUBSUB | NOSCRIPT | LOADING | STALE)
        .docs("Listens to all channels that match patterns.", "O(N) with N the patterns", "pattern:pattern..."),
    CommandSpec::new("publish", 3, Group::PubSub, "2.0.0", Plan::Session)
        .flags(PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE)
        .docs(
            "Sends a message to a channel.",
            "O(N+M) with N the channel's subscribers, M all patterns",
            "channel message",
        ),
    CommandSpec::container(
        "pubsub",
        Group::PubSub,
        "2.8.0",
        "Container: looks at channels and their subscribers.",
        PUBSUB_SUB,
    ),
    CommandSpec::new("punsubscribe", -1, Group::PubSub, "2.0.0", Plan::Session)
        .flags(PUBSUB | NOSCRIPT | LOADING | STALE)
        .docs("Stops listening to patterns, or to all of them.", "O(N) with N the patterns", "[pattern:pattern...]"),
    CommandSpec::new("spublish", 3, Group::PubSub, "7.0.0", Plan::Session)
        .flags(PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE)
        .key_specs(SHARD_CHANNEL)
        .docs("Sends a message to a shard channel.", "O(N) with N the channel's subscribers", "shardchannel message"),
    CommandSpec::new("ssubscribe", -2, Group::PubSub, "7.0.0", Plan::Session)
        .flags(PUBSUB | NOSCRIPT | LOADING | STALE)
        .key_specs(SHARD_CHANNELS)
        .docs("Listens to shard channels.", "O(N) with N the channels", "shardchannel..."),
    CommandSpec::new("subscribe", -2, Group::PubSub, "2.0.0", Plan::Session)
        .flags(PUBSUB | NOSCRIPT | LOADING | STALE)
        .docs("Listens to channels.", "O(N) with N the channels", "channel..."),
    CommandSpec::new("sunsubscribe", -1, Group::PubSub, "7.0.0", Plan::Session)
        .flags(PUBSUB | NOSCRIPT | LOADING | STALE)
        .key_specs(SHARD_CHANNELS)
        .docs("Stops listening to shard channels, or to all of them.", "O(N) with N the channels", "[shardchannel...]"),
    CommandSpec::new("unsubscribe", -1, Group::PubSub, "2.0.0", Plan::Session)
        .flags(PUBSUB | NOSCRIPT | LOADING | STALE)
        .docs("Stops listening to channels, or to all of them.", "O(N) with N the channels", "[channel...]"),
];
