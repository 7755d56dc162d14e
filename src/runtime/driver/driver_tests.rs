//! Both drivers, the same behaviour, over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

fn run_until(driver: &mut Driver, mut on_event: impl FnMut(&mut Driver, Event) -> bool) {
    loop {
        let wait = Wait { timeout: Some(Duration::from_secs(10)), spin: Duration::ZERO };
        driver.submit_and_reap(wait, &|| false).unwrap();
        let mut done = false;
        while let Some(event) = driver.next_event() {
            done |= on_event(driver, event);
        }
        if done {
            return;
        }
    }
}

#[test]
fn echoes() {
    let (seeds, _bells, ..) = prepare(1, DriverKind::Epoll).unwrap();
    let mut driver = seeds.into_iter().next().unwrap().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    driver.listen(0, listener.into());
    let client = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
        let mut got = [0; 5];
        client.read_exact(&mut got).unwrap();
        got
    });
    run_until(&mut driver, |driver, event| match event {
        Event::Accepted { listener: 0, socket } => {
            driver.register(Token(3), socket);
            false
        }
        Event::Received { conn, buffer } => {
            let reply = OutBuf { bytes: buffer.to_vec(), bigs: Vec::new() };
            driver.recycle(buffer);
            driver.send(conn, reply);
            false
        }
        Event::Sent { result, .. } => result.is_err(),
        Event::ReceiveEnded { conn, .. } => {
            driver.close(conn);
            false
        }
        Event::Closed { .. } => true,
        other => panic!("{other:?}"),
    });
    assert_eq!(&client.join().unwrap(), b"hello");
}
