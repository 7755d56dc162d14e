//! Finding the members inside a circle, a box or a polygon: the options of GEOSEARCH and of its older forms, the walk
//! through the cells that cover the area, and the replies.

use super::hash::{self, Area, Point};
use super::{distance_text, human, point_at, unit};
use crate::base::text::{parse_f64, parse_i64};
use crate::commands::args::Args;
use crate::commands::context::Context;
use crate::commands::errors;
use crate::commands::zsets::{limits, source, store};
use crate::resp::reply::Reply;
use crate::types::hash::PackLimits;
use crate::types::zset::{ScoreRange, Zset};

/// A refusal whose text may quote the client.
pub(super) type Refused = String;

/// What is searched.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// Radius, metres.
    Circle(f64),
    /// Width and height, metres.
    Box(f64, f64),
    /// Corners.
    Polygon(Vec<Point>),
}

/// What a command says by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// GEORADIUS: longitude, latitude, radius, unit.
    Radius,
    /// GEORADIUSBYMEMBER: member, radius, unit.
    ByMember,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    Store,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    None,
    Nearest,
    Farthest,
}

/// The search as it was asked for. Everything is read before a missing key is answered, as in Redis.
#[derive(Debug)]
struct Wanted<'a> {
    center: Option<Point>,
    shape: Option<Shape>,
    /// Metres of the unit in which distances are answered.
    unit: f64,
    from_member: bool,
    from_point: bool,
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    order: Order,
    count: usize,
    any: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// What was found.
#[derive(Debug)]
struct Found {
    member: Vec<u8>,
    score: f64,
    point: Point,
    distance: f64,
}

/// A distance that is not negative and its unit, at `at` and the argument behind it.
fn length(args: &Args<'_>, at: usize, name: &str) -> Result<f64, Refused> {
    parse_f64(&args[at]).ok_or_else(|| format!("ERR need numeric {name}"))
}

/// Longitude and latitude at `at`.
pub(super) fn point(args: &Args<'_>, at: usize) -> Result<Point, Refused> {
    let number = |at: usize| parse_f64(&args[at]).ok_or_else(|| errors::NOT_FLOAT.to_owned());
    let point = Point { longitude: number(at)?, latitude: number(at + 1)? };
    if point.is_valid() {
        return Ok(point);
    }
    Err(format!("ERR invalid longitude,latitude pair {:.6},{:.6}", point.longitude, point.latitude))
}

fn circle(args: &Args<'_>, at: usize) -> Result<(Shape, f64), Refused> {
    let radius = length(args, at, "radius")?;
    if radius < 0.0 {
        return Err("ERR radius cannot be negative".into());
    }
    let unit = unit(&args[at + 1])?;
    Ok((Shape::Circle(radius * unit), unit))
}

fn rectangle(args: &Args<'_>, at: usize) -> Result<(Shape, f64), Refused> {
    let (width, height) = (length(args, at, "width")?, length(args, at + 1, "height")?);
    if width < 0.0 || height < 0.0 {
        return Err("ERR height or width cannot be negative".into());
    }
    let unit = unit(&args[at + 2])?;
    Ok((Shape::Box(width * unit, height * unit), unit))
}

/// `count` corners; answers the arguments that takes.
fn polygon(args: &Args<'_>, at: usize) -> Result<(Shape, usize), Refused> {
    let count = parse_i64(&args[at]).ok_or("ERR invalid number of vertices")?;
    if count < 3 {
        return Err("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices".into());
    }
    let corners = usize::try_from(count).ok().filter(|count| *count <= (args.len() - at - 1) / 2);
    let corners = corners.ok_or(errors::SYNTAX)?;
    let corners: Result<Vec<Point>, Refused> = (0..corners).map(|nth| point(args, at + 1 + 2 * nth)).collect();
    let corners = corners?;
    let taken = 1 + 2 * corners.len();
    Ok((Shape::Polygon(corners), taken))
}

impl<'a> Wanted<'a> {
    fn new() -> Self {
        Wanted {
            center: None,
            shape: None,
            unit: 1.0,
            from_member: false,
            from_point: false,
            with_distance: false,
            with_hash: false,
            with_point: false,
            order: Order::None,
            count: 0,
            any: false,
            store: None,
            store_distance: false,
        }
    }

    /// Takes a member's place as the center; without a key it is only noted.
    fn take_member(&mut self, zset: Option<&Zset>, member: &[u8]) -> Result<(), Refused> {
        self.from_member = true;
        if let Some(zset) = zset {
            let found = point_at(zset, member);
            self.center = Some(found.ok_or("ERR could not decode requested zset member")?);
        }
        Ok(())
    }

    fn take_shape(&mut self, (shape, unit): (Shape, f64)) {
        self.shape = Some(shape);
        self.unit = unit;
    }

    fn parse(args: &'a Args<'_>, form: Form, read_only: bool, zset: Option<&Zset>) -> Result<Self, Refused> {
        let mut wanted = Wanted::new();
        let mut at = match form {
            Form::Radius => {
                wanted.center = Some(point(args, 2)?);
                wanted.take_shape(circle(args, 4)?);
                6
            }
            Form::ByMember => {
                wanted.take_member(zset, &args[2])?;
                if zset.is_some() {
                    wanted.take_shape(circle(args, 3)?);
                }
                5
            }
            Form::Search => 2,
            Form::Store => {
                wanted.store = Some(&args[1]);
                3
            }
        };
        while at < args.len() {
            at += wanted.option(args, at, form, read_only, zset)?;
        }
        wanted.check(args, form)
    }

    /// Reads the option at `at`; answers how many arguments it took.
    fn option(
        &mut self,
        args: &'a Args<'_>,
        at: usize,
        form: Form,
        read_only: bool,
        zset: Option<&Zset>,
    ) -> Result<usize, Refused> {
        let behind = args.len() - at - 1;
        let searches = form == Form::Search || form == Form::Store;
        let stores = !searches && !read_only;
        let is_box = matches!(self.shape, Some(Shape::Box(..)));
        let is_circle = matches!(self.shape, Some(Shape::Circle(_)));
        let is_polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        match args[at].to_ascii_lowercase().as_slice() {
            b"withdist" => self.with_distance = true,
            b"withhash" => self.with_hash = true,
            b"withcoord" => self.with_point = true,
            b"any" => self.any = true,
            b"asc" => self.order = Order::Nearest,
            b"desc" => self.order = Order::Farthest,
            b"count" if behind >= 1 => {
                let count = parse_i64(&args[at + 1]).ok_or(errors::NOT_INTEGER)?;
                self.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or("ERR COUNT must be > 0")?;
                return Ok(2);
            }
            word @ (b"store" | b"storedist") if stores && behind >= 1 => {
                self.store = Some(&args[at + 1]);
                self.store_distance = word == b"storedist";
                return Ok(2);
            }
            b"storedist" if form == Form::Store => self.store_distance = true,
            b"frommember" if searches && behind >= 1 && !self.from_point && !is_polygon => {
                self.take_member(zset, &args[at + 1])?;
                return Ok(2);
            }
            b"fromlonlat" if searches && behind >= 2 && !self.from_member && !is_polygon => {
                self.center = Some(point(args, at + 1)?);
                self.from_point = true;
                return Ok(3);
            }
            b"byradius" if searches && behind >= 2 && !is_box && !is_polygon => {
                self.take_shape(circle(args, at + 1)?);
                return Ok(3);
            }
            b"bybox" if searches && behind >= 3 && !is_circle && !is_polygon => {
                self.take_shape(rectangle(args, at + 1)?);
                return Ok(4);
            }
            b"bypolygon" if searches && behind >= 1 && !is_circle && !is_box => {
                if self.from_member || self.from_point {
                    return Err(errors::SYNTAX.into());
                }
                let (shape, taken) = polygon(args, at + 1)?;
                self.shape = Some(shape);
                return Ok(1 + taken);
            }
            _ => return Err(errors::SYNTAX.into()),
        }
        Ok(1)
    }

    fn check(mut self, args: &Args<'_>, form: Form) -> Result<Self, Refused> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_point) {
            let who = if form == Form::Store { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(format!("ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"));
        }
        let name = String::from_utf8_lossy(&args[0]);
        if form == Form::Search || form == Form::Store {
            let is_polygon = matches!(self.shape, Some(Shape::Polygon(_)));
            if !(self.from_member || self.from_point || is_polygon) {
                return Err(format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"));
            }
            if self.shape.is_none() {
                return Err(format!("ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for {name}"));
            }
        }
        if self.any && self.count == 0 {
            return Err("ERR the ANY argument requires COUNT argument".into());
        }
        // The nearest ones are meant where some are to be left out.
        if self.count > 0 && self.order == Order::None && !self.any {
            self.order = Order::Nearest;
        }
        Ok(self)
    }

    /// Everything that is inside, in the order asked for.
    fn run(&self, zset: &Zset) -> Vec<Found> {
        let Some(search) = Search::new(self) else { return Vec::new() };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        let mut last = None;
        for cell in hash::cover(search.center, &search.bounds, search.radius) {
            // Where the area is most of the map, neighbours may be the same cell.
            if last == Some(cell) {
                continue;
            }
            last = Some(cell);
            let (min, max) = cell.scores();
            let range = ScoreRange { min, min_excluded: false, max, max_excluded: true };
            for (member, score) in zset.range(zset.score_ranks(&range), false) {
                if found.len() >= enough {
                    break;
                }
                let point = Point::of_score(score);
                if let Some(distance) = search.distance(point) {
                    found.push(Found { member: member.to_vec(), score, point, distance });
                }
            }
        }
        match self.order {
            Order::None => {}
            Order::Nearest => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Order::Farthest => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    fn write(&self, found: &[Found], reply: &mut Reply<'_>) {
        let options = [self.with_distance, self.with_hash, self.with_point].into_iter().filter(|with| *with).count();
        reply.array(found.len());
        for one in found {
            if options > 0 {
                reply.array(1 + options);
            }
            reply.bulk(&one.member);
            if self.with_distance {
                distance_text(reply, one.distance / self.unit);
            }
            if self.with_hash {
                reply.integer(one.score as i64);
            }
            if self.with_point {
                reply.array(2);
                human(reply, one.point.longitude);
                human(reply, one.point.latitude);
            }
        }
    }

    fn to_zset(&self, found: &[Found], limits: PackLimits) -> Zset {
        let mut zset = Zset::new();
        for one in found {
            let score = if self.store_distance { one.distance / self.unit } else { one.score };
            zset.insert(&one.member, score, limits);
        }
        zset
    }
}

/// A shape with what is derived from it once.
struct Search<'a> {
    shape: &'a Shape,
    center: Point,
    bounds: Area,
    /// Farthest that anything inside can be from the center, metres.
    radius: f64,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a Wanted<'_>) -> Option<Self> {
        let shape = wanted.shape.as_ref()?;
        let (center, bounds, radius) = match shape {
            Shape::Circle(radius) => {
                let center = wanted.center?;
                (center, hash::bounds(center, *radius, *radius), *radius)
            }
            Shape::Box(width, height) => {
                let center = wanted.center?;
                let (x, y) = (width / 2.0, height / 2.0);
                (center, hash::bounds(center, x, y), (x * x + y * y).sqrt())
            }
            Shape::Polygon(corners) => around(corners),
        };
        Some(Search { shape, center, bounds, radius })
    }

    /// The distance from the center if `point` is inside.
    fn distance(&self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle(radius) => {
                let distance = hash::distance(self.center, point);
                (distance <= *radius).then_some(distance)
            }
            Shape::Box(width, height) => {
                if hash::latitude_distance(point.latitude, self.center.latitude) > height / 2.0 {
                    return None;
                }
                let beside = Point { latitude: point.latitude, ..self.center };
                if hash::distance(point, beside) > width / 2.0 {
                    return None;
                }
                Some(hash::distance(self.center, point))
            }
            Shape::Polygon(corners) => is_inside(corners, point).then(|| hash::distance(self.center, point)),
        }
    }
}

/// The middle of the corners, the rectangle around them, and how far the farthest is.
fn around(corners: &[Point]) -> (Point, Area, f64) {
    let center = hash::middle(corners);
    let ends = |of: fn(&Point) -> f64| {
        let values = corners.iter().map(of);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(value), max.max(value)))
    };
    let bounds = Area { longitude: ends(|corner| corner.longitude), latitude: ends(|corner| corner.latitude) };
    let radius = corners.iter().map(|corner| hash::distance(center, *corner)).fold(0.0, f64::max);
    (center, bounds, radius)
}

/// Whether a ray to the east crosses the polygon's sides an odd number of times.
fn is_inside(corners: &[Point], point: Point) -> bool {
    let mut inside = false;
    let mut before = corners[corners.len() - 1];
    for corner in corners {
        if (corner.latitude > point.latitude) != (before.latitude > point.latitude) {
            let slope = (before.longitude - corner.longitude) / (before.latitude - corner.latitude);
            if point.longitude < corner.longitude + slope * (point.latitude - corner.latitude) {
                inside = !inside;
            }
        }
        before = *corner;
    }
    inside
}

fn search(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, form: Form, read_only: bool) {
    let key = if form == Form::Store { &args[2] } else { &args[1] };
    let limits = limits(ctx);
    let done = source(ctx, key, |zset| {
        let wanted = Wanted::parse(args, form, read_only, Some(zset))?;
        let found = wanted.run(zset);
        let Some(to) = wanted.store else {
            wanted.write(&found, reply);
            return Ok(None);
        };
        Ok(Some((to, wanted.to_zset(&found, limits))))
    });
    let result = match done {
        Err(refusal) => return reply.error(refusal),
        Ok(Some(result)) => result,
        Ok(None) => Wanted::parse(args, form, read_only, None).map(|wanted| match wanted.store {
            Some(to) => Some((to, Zset::new())),
            None => {
                reply.array(0);
                None
            }
        }),
    };
    match result {
        Err(refusal) => reply.error(&refusal),
        Ok(None) => {}
        Ok(Some((to, zset))) => {
            let event = if form == Form::Store { "geosearchstore" } else { "georadiusstore" };
            ctx.shard.changed_many(zset.len());
            reply.integer(store(ctx, to, zset, event));
        }
    }
}

/// `GEORADIUS key longitude latitude radius unit [options] [STORE key|STOREDIST key]`.
pub(crate) fn georadius(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    search(ctx, args, reply, Form::Radius, false);
}

/// `GEORADIUS_RO key longitude latitude radius unit [options]`.
pub(crate) fn georadius_ro(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    search(ctx, args, reply, Form::Radius, true);
}

/// `GEORADIUSBYMEMBER key member radius unit [options] [STORE key|STOREDIST key]`.
pub(crate) fn georadiusbymember(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    search(ctx, args, reply, Form::ByMember, false);
}

/// `GEORADIUSBYMEMBER_RO key member radius unit [options]`.
pub(crate) fn georadiusbymember_ro(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    search(ctx, args, reply, Form::ByMember, true);
}

/// `GEOSEARCH key FROM... BY... [options]`.
pub(crate) fn geosearch(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    search(ctx, args, reply, Form::Search, true);
}

/// `GEOSEARCHSTORE destination source FROM... BY... [options] [STOREDIST]`.
pub(crate) fn geosearchstore(ctx: &mut Context<'_>, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    search(ctx, args, reply, Form::Store, false);
}
