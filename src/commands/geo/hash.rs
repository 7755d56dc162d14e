//! Geohashes: longitude and latitude as one number of interleaved bits, which a sorted set keeps as a score, and
//! distances on the sphere. The arithmetic follows Redis step by step, so that scores and replies are equal to the bit
//! (Redis documentation, GEOADD; the web Mercator limits of EPSG:3857; the haversine formula). Never sees a key.

/// Bits of each coordinate in a score.
pub(super) const STEP_MAX: u32 = 26;
/// Latitudes beyond cannot be kept.
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half the equator on the Mercator map, metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// Longitude and latitude, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Point {
    /// Whether it can be kept.
    pub(super) fn is_valid(&self) -> bool {
        (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&self.longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&self.latitude)
    }

    /// The score that stands for it.
    pub(super) fn score(&self) -> f64 {
        Cell::of(*self, STEP_MAX).bits as f64
    }

    /// The middle of the cell that a score stands for.
    pub(super) fn of_score(score: f64) -> Self {
        // As the conversion of a double to 64 unsigned bits works on x86-64, negative ones and infinities included.
        const HALF: f64 = 9_223_372_036_854_775_808.0;
        let signed = |score: f64| if (-HALF..HALF).contains(&score) { score as i64 } else { i64::MIN };
        let bits = if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ 1 << 63 };
        let area = Cell { bits, step: STEP_MAX }.area();
        let middle = |min: f64, max: f64, limit: f64| ((min + max) / 2.0).clamp(-limit, limit);
        Point {
            longitude: middle(area.longitude.0, area.longitude.1, LONGITUDE_MAX),
            latitude: middle(area.latitude.0, area.latitude.1, LATITUDE_MAX),
        }
    }

    /// Eleven characters of the usual geohash, which knows latitudes up to the poles.
    pub(super) fn text(&self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = interleaved(*self, 90.0, STEP_MAX);
        let mut text = [ALPHABET[0]; 11];
        // 52 bits are ten characters; the last one is always 0.
        for (at, letter) in text[..10].iter_mut().enumerate() {
            *letter = ALPHABET[(bits >> (52 - (at + 1) * 5)) as usize & 31];
        }
        text
    }
}

/// A rectangle of the map: `step` bits of each coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    step: u32,
}

/// Least and greatest longitude and latitude.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) longitude: (f64, f64),
    pub(super) latitude: (f64, f64),
}

/// Interleaves the first `step` bits of both coordinates, latitude in the even places.
fn interleaved(point: Point, latitude_max: f64, step: u32) -> u64 {
    let scale = (1u64 << step) as f64;
    let latitude = (point.latitude + latitude_max) / (latitude_max - -latitude_max) * scale;
    let longitude = (point.longitude + LONGITUDE_MAX) / (LONGITUDE_MAX - -LONGITUDE_MAX) * scale;
    spread(latitude as u64 as u32) | spread(longitude as u64 as u32) << 1
}

/// A zero bit before each bit.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// The even bits, side by side.
fn gather(bits: u64) -> u32 {
    let mut x = bits & EVEN;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = EVEN << 1;

impl Cell {
    /// The cell that holds a point.
    pub(super) fn of(point: Point, step: u32) -> Self {
        Cell { bits: interleaved(point, LATITUDE_MAX, step), step }
    }

    pub(super) fn area(&self) -> Area {
        let scale = (1u64 << self.step) as f64;
        let range = |at: u32, max: f64| {
            let side = |at: f64| -max + at / scale * (max - -max);
            (side(f64::from(at)), side((u64::from(at) + 1) as f64))
        };
        Area {
            longitude: range(gather(self.bits >> 1), LONGITUDE_MAX),
            latitude: range(gather(self.bits), LATITUDE_MAX),
        }
    }

    /// Scores in it: from the first up to, and without, the second.
    pub(super) fn scores(&self) -> (f64, f64) {
        let shift = 2 * (STEP_MAX - self.step);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    /// The cell so many cells east and north of it.
    pub(super) fn neighbour(&self, east: i32, north: i32) -> Self {
        let shift = 64 - 2 * self.step;
        let (x, y) = (self.bits & ODD, self.bits & EVEN);
        // The bits of the other coordinate are filled, so that a carry runs through them.
        let x = moved(x, EVEN >> shift, east) & (ODD >> shift);
        let y = moved(y, ODD >> shift, north) & (EVEN >> shift);
        Cell { bits: x | y, step: self.step }
    }
}

fn moved(bits: u64, others: u64, by: i32) -> u64 {
    match by {
        1 => bits.wrapping_add(others + 1),
        -1 => (bits | others).wrapping_sub(others + 1),
        _ => bits,
    }
}

/// Metres along a meridian.
pub(super) fn latitude_distance(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_M * (radians(to) - radians(from)).abs()
}

/// Metres on the great circle.
pub(super) fn distance(a: Point, b: Point) -> f64 {
    let v = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if v == 0.0 {
        return latitude_distance(a.latitude, b.latitude);
    }
    let (from, to) = (radians(a.latitude), radians(b.latitude));
    let u = ((to - from) / 2.0).sin();
    let a = u * u + from.cos() * to.cos() * v * v;
    2.0 * EARTH_RADIUS_M * a.sqrt().asin()
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// The middle of places on the sphere: where the mean of their vectors from its center points to.
pub(super) fn middle(places: &[Point]) -> Point {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for place in places {
        let (longitude, latitude) = (radians(place.longitude), radians(place.latitude));
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    Point { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2(x.hypot(y))) }
}

/// The rectangle around `center` that reaches `width` metres to the east and west, `height` to the north and south.
pub(super) fn bounds(center: Point, width: f64, height: f64) -> Area {
    let latitude_delta = degrees(height / EARTH_RADIUS_M);
    let reach = |latitude: f64| degrees(width / EARTH_RADIUS_M / radians(latitude).cos());
    // Towards the nearer pole a degree of longitude is shorter.
    let longitude_delta = if center.latitude < 0.0 {
        reach(center.latitude - latitude_delta)
    } else {
        reach(center.latitude + latitude_delta)
    };
    Area {
        longitude: (center.longitude - longitude_delta, center.longitude + longitude_delta),
        latitude: (center.latitude - latitude_delta, center.latitude + latitude_delta),
    }
}

/// Bits of each coordinate at which a cell and its neighbours cover `radius` metres.
fn step_for(radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return STEP_MAX;
    }
    let (mut radius, mut step) = (radius, 1i32);
    while radius < MERCATOR_MAX {
        radius *= 2.0;
        step += 1;
    }
    step -= 2;
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, STEP_MAX as i32) as u32
}

/// The cells that together cover `bounds`, no point of which is farther than `radius` metres from `center`: that of the
/// center first, then its neighbours in Redis's order. Useless ones are left out; one may come twice.
pub(super) fn cover(center: Point, bounds: &Area, radius: f64) -> Vec<Cell> {
    let mut step = step_for(radius, center.latitude);
    let around = |step| {
        let middle = Cell::of(center, step);
        let cell = |(east, north): (i32, i32)| middle.neighbour(east, north);
        (middle, [cell((0, 1)), cell((0, -1)), cell((1, 0)), cell((-1, 0))])
    };
    let (_, [north, south, east, west]) = around(step);
    let too_small = north.area().latitude.1 < bounds.latitude.1
        || south.area().latitude.0 > bounds.latitude.0
        || east.area().longitude.1 < bounds.longitude.1
        || west.area().longitude.0 > bounds.longitude.0;
    if step > 1 && too_small {
        step -= 1;
    }
    let (middle, _) = around(step);
    let area = middle.area();
    let useless = |east: i32, north: i32| {
        step >= 2
            && ((north < 0 && area.latitude.0 < bounds.latitude.0)
                || (north > 0 && area.latitude.1 > bounds.latitude.1)
                || (east < 0 && area.longitude.0 < bounds.longitude.0)
                || (east > 0 && area.longitude.1 > bounds.longitude.1))
    };
    let places = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    places.into_iter().filter(|(e, n)| !useless(*e, *n)).map(|(e, n)| middle.neighbour(e, n)).collect()
}
