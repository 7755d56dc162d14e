//! The simulated driver keeps the promises of every driver.

use super::*;

fn world(weather: Weather) -> (SimNet, Driver) {
    let (net, mut drivers, _) = network(1, 7, weather).unwrap();
    (net, drivers.remove(0))
}

/// Ticks until `done` says so after an event.
fn until(driver: &mut Driver, mut done: impl FnMut(&mut Driver, Event) -> bool) {
    for _ in 0..10_000 {
        driver.submit_and_reap(Wait::POLL, &|| false).unwrap();
        let mut over = false;
        while let Some(event) = driver.next_event() {
            over |= done(driver, event);
        }
        if over {
            return;
        }
    }
    panic!("nothing happened for a long time");
}

fn accepted(net: &SimNet, driver: &mut Driver, token: Token) -> StreamId {
    let stream = net.connect(0, 0);
    until(driver, |driver, event| match event {
        Event::Accepted { listener: 0, socket } => {
            driver.register(token, socket);
            true
        }
        Event::AcceptFailed { .. } => false,
        other => panic!("{other:?}"),
    });
    stream
}

#[test]
fn bytes_arrive_torn_but_whole_and_in_order() {
    let (net, mut driver) = world(Weather { stall: 50, tear: 90, accept_fails: 50, disk_stall: 0 });
    let stream = accepted(&net, &mut driver, Token(3));
    let sent: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
    net.send(stream, &sent);
    let (mut got, mut pieces) = (Vec::new(), 0);
    until(&mut driver, |driver, event| {
        let Event::Received { conn: Token(3), buffer } = event else { panic!("{event:?}") };
        got.extend_from_slice(&buffer);
        pieces += 1;
        driver.recycle(buffer);
        got.len() == sent.len()
    });
    assert!(got == sent && pieces > 5, "{pieces} pieces");

    let big = std::sync::Arc::new(vec![b'x'; 9000]);
    driver.send(Token(3), OutBuf { bytes: b"$9000\r\n\r\n".to_vec(), bigs: vec![(7, big.into())] });
    until(&mut driver, |_, event| matches!(event, Event::Sent { result: Ok(()), .. }));
    let reply = net.receive(stream);
    assert!(reply.len() == 9009 && reply.starts_with(b"$9000\r\nxx") && reply.ends_with(b"x\r\n"));
}

#[test]
fn a_client_that_goes_is_noticed_after_its_bytes() {
    let (net, mut driver) = world(Weather::FAIR);
    let stream = accepted(&net, &mut driver, Token(0));
    net.send(stream, b"PING");
    net.close(stream, false);
    let mut order = Vec::new();
    until(&mut driver, |driver, event| match event {
        Event::Received { buffer, .. } => {
            order.push(buffer.to_vec());
            driver.recycle(buffer);
            false
        }
        Event::ReceiveEnded { error: None, .. } => true,
        other => panic!("{other:?}"),
    });
    assert_eq!(order, [b"PING"]);
    driver.send(Token(0), OutBuf { bytes: b"+PONG\r\n".to_vec(), bigs: Vec::new() });
    until(&mut driver, |_, event| matches!(event, Event::Sent { result: Err(_), .. }));
    let reset = accepted(&net, &mut driver, Token(1));
    net.send(reset, b"GET");
    net.close(reset, true);
    until(&mut driver, |_, event| matches!(event, Event::ReceiveEnded { conn: Token(1), error: Some(_) }));
}

#[test]
fn after_close_come_the_send_and_one_closed() {
    let (net, mut driver) = world(Weather { stall: 70, tear: 0, accept_fails: 0, disk_stall: 0 });
    let stream = accepted(&net, &mut driver, Token(2));
    net.send(stream, b"never read");
    driver.send(Token(2), OutBuf { bytes: b"+OK\r\n".to_vec(), bigs: Vec::new() });
    driver.close(Token(2));
    assert!(net.is_closed_by_server(stream) && driver.raw_fd(Token(2)).is_none());
    let mut sent = false;
    until(&mut driver, |_, event| match event {
        Event::Sent { result: Err(_), .. } => {
            sent = true;
            false
        }
        Event::Closed { conn: Token(2) } => true,
        other => panic!("{other:?}"),
    });
    let Driver::Sim(sim) = &driver else { panic!() };
    assert!(sent && !sim.has_work());
    driver.ring(0);
    until(&mut driver, |_, event| matches!(event, Event::Doorbell));
}
