//! One seed: a world drawn from it, clients that come and go, and the history they make.

use crate::check::op::Op;
use crate::check::workload::{Kind, Menu, Sending, Session};
use crate::common::{Random, Value};
use crate::world::{Faults, Peer, World};

/// Steps after which a client that waits for a reply waits for ever.
const STEPS_MAX: u64 = 3_000_000;

/// What a seed's clients do.
pub(crate) fn menu_of(seed: u64) -> Menu {
    let kind = Kind::ALL[(seed % Kind::ALL.len() as u64) as usize];
    let all = Kind::ALL.len() as u64;
    Menu::of(kind, 3 + (seed / all % 6) as usize, seed / (6 * all) % 2 == 1)
}

/// A simulation that is over.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) menu: Menu,
    pub(crate) history: Vec<Op>,
    /// The same for the same seed.
    pub(crate) trace: u64,
    shards: usize,
    faults: Faults,
    steps: u64,
    seconds: f64,
}

/// A client: what it does, over which connection, and what it still waits for.
struct Client {
    session: Session,
    peer: Peer,
    wanted: usize,
    replies: Vec<Value>,
    exchanges_left: usize,
}

impl Client {
    fn send(&mut self, (bytes, count): Sending) {
        self.peer.send(&bytes);
        self.wanted = count;
    }

    /// Takes replies; goes on if it has all of them. Whether it is done for good.
    fn go_on(&mut self, now: u64) -> bool {
        if self.wanted == 0 {
            if self.exchanges_left == 0 {
                return true;
            }
            self.exchanges_left -= 1;
            let first = self.session.begin(now);
            self.send(first);
            return false;
        }
        while self.replies.len() < self.wanted {
            let Some(reply) = self.peer.reply() else { return false };
            self.replies.push(reply);
        }
        self.wanted = 0;
        if let Some(next) = self.session.replied(std::mem::take(&mut self.replies), now) {
            self.send(next);
        }
        false
    }

    /// Goes away without waiting, and comes back by another connection.
    fn drop_out(&mut self, random: &mut Random, world: &World) {
        self.peer.close(random.chance(50));
        self.session.lost();
        self.peer = world.connect(random.below(world.shards()));
        (self.wanted, self.replies) = (0, Vec::new());
    }
}

impl Run {
    /// Runs a seed to its end: every client has done its exchanges, and one more has read everything.
    pub(crate) fn of(seed: u64, menu: Menu) -> Run {
        let mut random = Random(seed ^ 0x0005_1DED_5EED);
        let shards = *random.one(&[2, 3, 4, 5, 8]);
        let faults = if random.chance(10) { Faults::NONE } else { Faults::drawn(&mut random) };
        let order = if menu.strict { "--pipeline-order strict" } else { "" };
        let mut world = World::new(shards, order, faults, random.next());
        let exchanges = if menu.kind.is_searched() { 20 } else { 40 };
        let count = 2 + random.below(6);
        let mut clients: Vec<Client> = (0..count)
            .map(|number| Client {
                session: Session::new(number, menu, seed),
                peer: world.connect(random.below(shards)),
                wanted: 0,
                replies: Vec::new(),
                exchanges_left: exchanges,
            })
            .collect();
        // Operations that nobody knows the end of make the search long, so few clients drop out.
        let mut dropouts = random.below(5);
        while !Self::all_done(&mut clients, &world) {
            world.step();
            assert!(world.steps < STEPS_MAX, "clients wait for ever; {}", Self::waiting(&clients));
            if dropouts > 0 && random.below(1500) == 0 {
                dropouts -= 1;
                let victim = random.below(count);
                clients[victim].drop_out(&mut random, &world);
            }
        }
        clients.iter().for_each(|client| client.peer.close(false));
        let mut history: Vec<Op> = clients.into_iter().flat_map(|client| client.session.ops).collect();
        world.wait_for_quiet();
        history.extend(Self::read_all(&mut world, menu, seed));
        let (trace, steps, seconds) = (world.trace, world.steps, world.time.mono_us() as f64 / 1e6);
        Run { menu, history, trace, shards, faults, steps, seconds }
    }

    fn all_done(clients: &mut [Client], world: &World) -> bool {
        // Every one goes on, also behind one that is not done.
        clients.iter_mut().filter_map(|client| (!client.go_on(world.steps + 1)).then_some(())).count() == 0
    }

    fn waiting(clients: &[Client]) -> String {
        let waiting = clients.iter().enumerate().filter(|(_, client)| client.wanted > 0);
        waiting.map(|(n, client)| format!("client {n}: {:?}\n", client.session.under_way())).collect()
    }

    fn read_all(world: &mut World, menu: Menu, seed: u64) -> Vec<Op> {
        let mut session = Session::new(90, menu, seed);
        let mut peer = world.connect(0);
        let mut next = session.read_all(world.steps + 1);
        while let Some((bytes, _)) = next {
            peer.send(&bytes);
            let reply = loop {
                world.step();
                assert!(world.steps < 2 * STEPS_MAX, "the last client waits for ever");
                if let Some(reply) = peer.reply() {
                    break reply;
                }
            };
            next = session.replied(vec![reply], world.steps + 1);
        }
        session.ops
    }

    /// For people.
    pub(crate) fn summary(&self) -> String {
        let ops: Vec<String> = self.history.iter().map(Op::text).collect();
        format!(
            "{}\n{:?}, {} shards, {:?}: {} steps, {:.3} simulated seconds",
            ops.join("\n"),
            self.menu,
            self.shards,
            self.faults,
            self.steps,
            self.seconds
        )
    }
}
