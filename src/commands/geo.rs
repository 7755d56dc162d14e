//! The geospatial commands: a geospatial index is a sorted set whose scores are geohashes. The family's table ends the
//! file.

pub(crate) mod hash;
pub(crate) mod search;

use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::key_args::KeyArg;
use crate::commands::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::commands::spec::{BeginSearch, CommandSpec, FindKeys, Group, HOME_IS_LAST_KEY, KeySpec, Plan, key};
use crate::commands::zsets::add::zadd_pairs;
use crate::commands::zsets::{Refusal, read};
use crate::resp::reply::{Proto, Reply};
use crate::types::zset::Zset;
use hash::Point;
use search::{georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore};

const NO_SUCH_UNIT: Refusal = "ERR unsupported unit provided. please use M, KM, FT, MI";

/// Metres of a unit.
fn unit(name: &[u8]) -> Result<f64, Refusal> {
    match name.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(NO_SUCH_UNIT),
    }
}

/// Where a member is.
fn point_at(zset: &Zset, member: &[u8]) -> Option<Point> {
    zset.score(member).map(Point::of_score)
}

/// A distance with four decimals.
fn distance_text(reply: &mut Reply<'_>, distance: f64) {
    reply.bulk_fmt(format_args!("{distance:.4}"));
}

/// A coordinate with up to 17 decimals, without zeros at its end.
fn human(reply: &mut Reply<'_>, value: f64) {
    let text = format!("{value:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if text == "-0" { "0" } else { text };
    match reply.proto {
        Proto::Resp2 => reply.bulk(text.as_bytes()),
        Proto::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
    }
}

/// `GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]`.
pub(crate) fn geoadd(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let (mut nx, mut xx, mut ch, mut first) = (false, false, false, 2);
    while let Some(word) = args.get(first) {
        let option = match word.to_ascii_lowercase().as_slice() {
            b"nx" => &mut nx,
            b"xx" => &mut xx,
            b"ch" => &mut ch,
            _ => break,
        };
        *option = true;
        first += 1;
    }
    if !(args.len() - first).is_multiple_of(3) || (nx && xx) || first == args.len() {
        return reply.error(errors::SYNTAX);
    }
    let places: Result<Vec<Point>, _> = (first..args.len()).step_by(3).map(|at| search::point(args, at)).collect();
    match places {
        Ok(places) => {
            let pairs = places.iter().enumerate().map(|(nth, place)| (place.score(), first + 3 * nth + 2));
            zadd_pairs(ctx, args, [nx, xx, ch], pairs, reply);
        }
        Err(refusal) => reply.error(&refusal),
    }
}

/// `GEODIST key member1 member2 [unit]`.
pub(crate) fn geodist(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let unit = match args.get(4).map(unit) {
        _ if args.len() > 5 => return reply.error(errors::SYNTAX),
        None => 1.0,
        Some(Ok(unit)) => unit,
        Some(Err(refusal)) => return reply.error(refusal),
    };
    let found = read(ctx, &args[1], |zset| point_at(zset, &args[2]).zip(point_at(zset, &args[3])));
    match found {
        Ok(Some(Some((a, b)))) => distance_text(reply, hash::distance(a, b) / unit),
        Ok(_) => reply.null(),
        Err(refusal) => reply.error(refusal),
    }
}

/// Answers something for each member from argument 2 on, `none` for those that are not there.
fn each(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    some: fn(&mut Reply<'_>, Point),
    none: fn(&mut Reply<'_>),
) {
    let found = read(ctx, &args[1], |zset| {
        reply.array(args.len() - 2);
        for member in args.from(2) {
            match point_at(zset, member) {
                Some(point) => some(reply, point),
                None => none(reply),
            }
        }
    });
    match found {
        Ok(Some(())) => {}
        Ok(None) => {
            reply.array(args.len() - 2);
            (2..args.len()).for_each(|_| none(reply));
        }
        Err(refusal) => reply.error(refusal),
    }
}

/// `GEOHASH key [member ...]`.
pub(crate) fn geohash(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    each(ctx, args, reply, |reply, point| reply.bulk(&point.text()), |reply| reply.null());
}

/// `GEOPOS key [member ...]`.
pub(crate) fn geopos(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    let some = |reply: &mut Reply<'_>, point: Point| {
        reply.array(2);
        human(reply, point.longitude);
        human(reply, point.latitude);
    };
    each(ctx, args, reply, some, |reply| reply.null_array());
}

/// The source of GEORADIUS and its destinations, the last of which counts; the options begin at argument `options`.
fn radius_keys(args: &Args<'_>, options: usize) -> Vec<KeyArg> {
    let mut keys = vec![KeyArg { index: 1, flags: key::RO | key::ACCESS }];
    let mut at = options;
    while at + 1 < args.len() {
        let is = |name: &[u8]| args[at].eq_ignore_ascii_case(name);
        if is(b"store") || is(b"storedist") {
            keys.push(KeyArg { index: at + 1, flags: key::OW | key::UPDATE });
            at += 1;
        }
        at += 1;
    }
    keys
}

/// The key behind a keyword.
const fn behind(word: &'static str, from: i16) -> KeySpec {
    KeySpec {
        flags: key::OW | key::UPDATE,
        notes: "",
        begin: BeginSearch::Keyword { word, from },
        find: FindKeys::Range { last: 0, step: 1, limit: 0 },
    }
}

/// The family.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("geoadd", -5, Group::Geo, "3.2.0", Plan::OneShard(geoadd))
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .docs(
            "Adds members with longitude and latitude to a geospatial index.",
            "O(log(N)) for each member, with N the members",
            "key#0 [condition=(NX|XX)] [change=CH] data={longitude:double latitude:double member}...",
        ),
    CommandSpec::new("geodist", -4, Group::Geo, "3.2.0", Plan::OneShard(geodist))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the distance of two members.", "O(1)", "key#0 member1 member2 [unit=(M|KM|FT|MI)]"),
    CommandSpec::new("geohash", -2, Group::Geo, "3.2.0", Plan::OneShard(geohash))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns the positions of members as geohash strings.", "O(1) for each member", "key#0 [member...]"),
    CommandSpec::new("geopos", -2, Group::Geo, "3.2.0", Plan::OneShard(geopos))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs("Returns longitude and latitude of members.", "O(1) for each member", "key#0 [member...]"),
    CommandSpec::new("georadius", -6, Group::Geo, "3.2.0", Plan::TwoPhase { run: georadius, home: HOME_IS_LAST_KEY })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1), behind("STORE", 6), behind("STOREDIST", 6)])
        .keys_by(|args| radius_keys(args, 6))
        .docs(
            "Finds the members within a distance of a point and may store them.",
            "O(N+log(M)) with N the members near the area and M those inside",
            "key#0 longitude:double latitude:double radius:double unit=(M|KM|FT|MI) [WITHCOORD] \
                [WITHDIST] [WITHHASH] [count-block={COUNT count:int [ANY]}] [order=(ASC|DESC)] \
                [store=(STORE storekey#1/key/|STOREDIST storedistkey#2/key/)]",
        )
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    CommandSpec::new("georadius_ro", -6, Group::Geo, "3.2.10", Plan::OneShard(georadius_ro))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Finds the members within a distance of a point.",
            "O(N+log(M)) with N the members near the area and M those inside",
            "key#0 longitude:double latitude:double radius:double unit=(M|KM|FT|MI) [WITHCOORD] \
                [WITHDIST] [WITHHASH] [count-block={COUNT count:int [ANY]}] [order=(ASC|DESC)]",
        )
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    CommandSpec::new(
        "georadiusbymember",
        -5,
        Group::Geo,
        "3.2.0",
        Plan::TwoPhase { run: georadiusbymember, home: HOME_IS_LAST_KEY },
    )
    .flags(WRITE | DENYOOM)
    .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1), behind("STORE", 5), behind("STOREDIST", 5)])
    .keys_by(|args| radius_keys(args, 5))
    .docs(
        "Finds the members within a distance of another and may store them.",
        "O(N+log(M)) with N the members near the area and M those inside",
        "key#0 member radius:double unit=(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
                [count-block={COUNT count:int [ANY]}] [order=(ASC|DESC)] [store=(STORE \
                storekey#1/key/|STOREDIST storedistkey#2/key/)]",
    )
    .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    CommandSpec::new("georadiusbymember_ro", -5, Group::Geo, "3.2.10", Plan::OneShard(georadiusbymember_ro))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Finds the members within a distance of another.",
            "O(N+log(M)) with N the members near the area and M those inside",
            "key#0 member radius:double unit=(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
                [count-block={COUNT count:int [ANY]}] [order=(ASC|DESC)]",
        )
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    CommandSpec::new("geosearch", -7, Group::Geo, "6.2.0", Plan::OneShard(geosearch))
        .flags(READONLY)
        .key_specs(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .docs(
            "Finds the members inside a circle, a box or a polygon.",
            "O(N+log(M)) with N the members near the area and M those inside",
            "key#0 [from=(FROMMEMBER member|FROMLONLAT fromlonlat={longitude:double \
                latitude:double})] by=(circle={BYRADIUS radius:double unit=(M|KM|FT|MI)}|box={BYBOX \
                width:double height:double unit=(M|KM|FT|MI)}|polygon={BYPOLYGON num-vertices:int \
                vertices={longitude:double latitude:double}...}) [order=(ASC|DESC)] \
                [count-block={COUNT count:int [ANY]}] [WITHCOORD] [WITHDIST] [WITHHASH]",
        ),
    CommandSpec::new("geosearchstore", -8, Group::Geo, "6.2.0", Plan::TwoPhase { run: geosearchstore, home: 1 })
        .flags(WRITE | DENYOOM)
        .key_specs(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::one(key::RO | key::ACCESS, 2)])
        .docs(
            "Stores the members inside a circle, a box or a polygon.",
            "O(N+log(M)) with N the members near the area and M those inside",
            "destination#0 source#1 [from=(FROMMEMBER member|FROMLONLAT \
                fromlonlat={longitude:double latitude:double})] by=(circle={BYRADIUS radius:double \
                unit=(M|KM|FT|MI)}|box={BYBOX width:double height:double \
                unit=(M|KM|FT|MI)}|polygon={BYPOLYGON num-vertices:int vertices={longitude:double \
                latitude:double}...}) [order=(ASC|DESC)] [count-block={COUNT count:int [ANY]}] \
                [STOREDIST]",
        ),
];

#[cfg(test)]
#[path = "geo_tests.rs"]
mod tests;
