//! LOLWUT: a drawing of what the server is named after, a pinion that drives a wheel, and the version line that clients
//! look for. Knows nothing of the server.

use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::resp::reply::Reply;
use std::f64::consts::TAU;

/// The drawing's width and height in characters; each is two dots wide and four high.
const COLUMNS: usize = 56;
/// See [`COLUMNS`].
const ROWS: usize = 15;
/// Dots of the first Braille character, bit by bit: column and row.
const DOTS: [(usize, usize); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];

/// Answers LOLWUT [VERSION n ...]. There is one drawing whatever the version asked for; `seed` chooses how many teeth
/// and where they stand. `version` is the server's, without a name.
pub fn lolwut(args: &Args<'_>, seed: u64, version: &str, reply: &mut Reply<'_>) {
    let asks_version = args.len() >= 3 && args[1].eq_ignore_ascii_case(b"version");
    if asks_version && args.from(2).any(|number| parse_i64(number).is_none()) {
        return reply.error(errors::NOT_INTEGER);
    }
    let (pinion, wheel) = gears(seed);
    let mut text = draw(pinion, wheel);
    text.push_str(&format!("\nA pinion of {} teeth drives a wheel of {}.\n", pinion.teeth, wheel.teeth));
    text.push_str(&format!("Pinion ver. {version}\n"));
    reply.verbatim("txt", text.as_bytes());
}

/// A gear wheel in the plane of the dots.
#[derive(Debug, Clone, Copy)]
struct Gear {
    x: f64,
    y: f64,
    /// Half way up the teeth, dots.
    radius: f64,
    /// Height of a tooth, dots.
    tooth: f64,
    teeth: u32,
    /// How far it is turned, in teeth.
    turned: f64,
}

impl Gear {
    fn covers(&self, x: f64, y: f64) -> bool {
        let (dx, dy) = (x - self.x, y - self.y);
        let distance = dx.hypot(dy);
        let around = dy.atan2(dx) / TAU * f64::from(self.teeth) + self.turned;
        // In the middle of a tooth 0, in the middle of a gap 0.5; teeth grow narrower outwards.
        let from_tooth = (around - around.round()).abs();
        let height = (distance - self.radius) / self.tooth;
        let hub = (self.radius * 0.28).max(2.0);
        let spoke = distance < self.radius - 2.2 * self.tooth && distance > hub + 2.0 && self.radius > 18.0;
        let cut_out = spoke && (dy.atan2(dx) / TAU * 5.0 + 0.25).rem_euclid(1.0) > 0.22;
        distance > hub && !cut_out && (height < -0.5 || height < 0.5 && from_tooth < 0.24 - 0.1 * height)
    }
}

/// Two gears that fit the page and each other.
fn gears(seed: u64) -> (Gear, Gear) {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (small, large) = (8 + (mixed >> 60) as u32 % 5, 18 + (mixed >> 52) as u32 % 7);
    let turned = ((mixed >> 32) & 0xff) as f64 / 256.0;
    let (width, height) = ((COLUMNS * 2) as f64, (ROWS * 4) as f64);
    // Dots between two teeth along the pitch circle, over pi: both wheels have the same, and fit the page.
    let tall = (height - 2.0) / f64::from(large + 2);
    let module = tall.min((width - 2.0) / f64::from(small + large + 2));
    let radius = |teeth: u32| f64::from(teeth) * module / 2.0;
    let left = (width - 2.0 * (radius(small) + radius(large))) / 2.0;
    let (x, y) = (left + radius(small), height / 2.0);
    let gear = |x, teeth, turned| Gear { x, y, radius: radius(teeth), tooth: 2.0 * module, teeth, turned };
    let pinion = gear(x, small, turned);
    // Where they touch, the pinion's angle is 0 and the wheel's half a turn; they turn against each other, and a tooth
    // meets a gap.
    let wheel = gear(x + radius(small) + radius(large), large, 0.5 - turned - f64::from(large) / 2.0);
    (pinion, wheel)
}

fn draw(pinion: Gear, wheel: Gear) -> String {
    let mut text = String::with_capacity(ROWS * (COLUMNS * 3 + 1));
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let set = DOTS.iter().enumerate().filter(|(_, (dx, dy))| {
                let (x, y) = ((column * 2 + dx) as f64 + 0.5, (row * 4 + dy) as f64 + 0.5);
                pinion.covers(x, y) || wheel.covers(x, y)
            });
            let bits = set.fold(0u32, |bits, (bit, _)| bits | 1 << bit);
            text.extend(char::from_u32(0x2800 + bits));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::OutBuf;
    use crate::commands::args::lay_out;
    use crate::resp::reply::Proto;

    fn ask(line: &str, seed: u64) -> String {
        let (buffer, spans) = lay_out(&line.split(' ').collect::<Vec<_>>());
        let mut out = OutBuf::default();
        let args = Args::new(&buffer, &spans);
        lolwut(&args, seed, "1.2.3", &mut Reply { out: &mut out, proto: Proto::Resp3 });
        String::from_utf8(out.bytes).expect("UTF-8")
    }

    #[test]
    fn a_verbatim_text_that_ends_in_the_version() {
        for line in ["lolwut", "lolwut version 5", "LOLWUT VERSION 5 10 20", "lolwut x y", "lolwut version"] {
            let reply = ask(line, 7);
            assert!(reply.starts_with('=') && reply.contains("\r\ntxt:"), "{reply}");
            assert!(reply.ends_with("\nPinion ver. 1.2.3\n\r\n"), "{reply}");
        }
        for line in ["lolwut version x", "lolwut version 5 x", "lolwut version 1.5"] {
            assert_eq!(ask(line, 7), "-ERR value is not an integer or out of range\r\n");
        }
    }

    #[test]
    fn the_wheels_fit_the_page_and_each_other() {
        for seed in 0..500 {
            let (pinion, wheel) = gears(seed);
            let apart = wheel.x - pinion.x;
            assert!((apart - pinion.radius - wheel.radius).abs() < 1e-9);
            let tip = |gear: Gear| gear.radius + gear.tooth / 2.0;
            assert!(pinion.x - tip(pinion) >= 0.0 && wheel.x + tip(wheel) <= (COLUMNS * 2) as f64);
            assert!(wheel.y - tip(wheel) >= 0.0 && wheel.y + tip(wheel) <= (ROWS * 4) as f64);
            // On the line through both centres one has a tooth where the other has a gap.
            let at_touch = |gear: Gear, half_turns: f64| f64::from(gear.teeth) * half_turns / 2.0 + gear.turned;
            let sum = (at_touch(pinion, 0.0) + at_touch(wheel, 1.0)).rem_euclid(1.0);
            assert!((sum - 0.5).abs() < 1e-9, "{sum}");
        }
    }

    #[test]
    fn the_drawing_is_a_page_of_braille() {
        let (pinion, wheel) = gears(1);
        let lines: Vec<String> = draw(pinion, wheel).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), ROWS);
        assert!(lines.iter().all(|line| line.chars().count() == COLUMNS));
    }
}
