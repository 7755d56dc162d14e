//! Order, overflow and wake-ups of the mesh.

use super::*;

#[test]
fn overflow_keeps_order() {
    let mut ends = mesh::<u32>(2, 4);
    let (mut b, mut a) = (ends.pop().unwrap(), ends.pop().unwrap());
    for n in 0..10 {
        a.send(1, n);
    }
    assert_eq!((a.overflow_len(1), a.outbound_len(1)), (6, 10));
    let (mut got, mut rings) = (Vec::new(), 0);
    while got.len() < 10 {
        b.drain(3, |from, n| {
            assert_eq!(from, 0);
            got.push(n);
        });
        a.flush(|_| rings += 1);
    }
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    assert_eq!(rings, 0);
}
