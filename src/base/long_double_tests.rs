//! Sums and texts as redis-server's INCRBYFLOAT gave them on x86-64.

use super::*;

fn sum(a: &str, b: &str) -> Option<String> {
    let sum = LongDouble::parse(a.as_bytes())?.checked_add(LongDouble::parse(b.as_bytes())?)?;
    Some(String::from_utf8(sum.human().to_vec()).unwrap())
}

#[test]
fn sums() {
    for (a, b, want) in
        [("0.1", "0.2", "0.3"), ("10.50", "0.1", "10.6"), ("5.0e3", "2.0e2", "5200"), ("3.0e3", "5", "3005")]
    {
        assert_eq!(sum(a, b).as_deref(), Some(want));
    }
}
