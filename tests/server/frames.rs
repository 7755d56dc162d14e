//! What a malformed frame gets, and that the connection stays in step or is closed, as in Redis.

use crate::common::{Launch, Value, each_setup};

#[test]
#[ignore = "until the server lands"]
fn ping() {
    each_setup(|setup| {
        let server = Launch::new(setup).start();
        assert_eq!(server.client().run("PING"), Value::Simple(b"PONG".to_vec()));
    });
}
