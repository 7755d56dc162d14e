//! Which arguments are secrets, for the logs of commands and for MONITOR. Never changes what a command gets to see.

use crate::commands::args::Args;
use smallvec::SmallVec;

/// What stands in place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// Settings whose value is a secret.
const SECRET_SETTINGS: [&[u8]; 7] = [
    b"requirepass",
    b"masterauth",
    b"masteruser",
    b"primaryauth",
    b"primaryuser",
    b"tls-key-file-pass",
    b"tls-client-key-file-pass",
];

/// Indices of the arguments that are secrets, ascending; `command` is what the table calls the command (its client may
/// call it otherwise), `args` are the whole request. As in Redis, a wrong number of arguments hides nothing.
pub fn secrets(command: &str, args: &Args<'_>) -> SmallVec<[usize; 2]> {
    let is = |at: usize, word: &[u8]| args.get(at).is_some_and(|a| a.eq_ignore_ascii_case(word));
    let mut found = SmallVec::new();
    if command == "auth" && args.len() <= 3 {
        found.extend(1..args.len());
    } else if command == "hello" {
        let mut at = 2;
        while at < args.len() {
            if is(at, b"auth") && at + 2 < args.len() {
                found.extend([at + 1, at + 2]);
                at += 3;
            } else {
                at += 2;
            }
        }
    } else if command == "config|set" {
        let names = (2..args.len()).step_by(2).filter(|name| name + 1 < args.len());
        found.extend(names.filter(|n| SECRET_SETTINGS.iter().any(|secret| is(*n, secret))).map(|name| name + 1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::words;
    use crate::commands::args::lay_out;
    use crate::commands::table::{CommandTable, Resolved};

    fn shown(line: &str) -> String {
        let (bytes, spans) = lay_out(&words::split(line.as_bytes()).expect("words"));
        let args = Args::new(&bytes, &spans);
        let table = CommandTable::new();
        let Resolved::Command(id) = table.resolve(&args) else { panic!("no command: {line}") };
        let hidden = secrets(table.get(id).name, &args);
        let words = (0..args.len()).map(|i| if hidden.contains(&i) { REDACTED } else { &args[i] });
        words.map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn passwords_are_hidden_as_redis_hides_them() {
        assert_eq!(shown("AUTH pw"), "AUTH (redacted)");
        assert_eq!(shown("auth user pw"), "auth (redacted) (redacted)");
        assert_eq!(shown("AUTH a b c"), "AUTH a b c");
        assert_eq!(shown("HELLO 3 AUTH user pw SETNAME x"), "HELLO 3 AUTH (redacted) (redacted) SETNAME x");
        assert_eq!(shown("HELLO 3 SETNAME auth AUTH u p"), "HELLO 3 SETNAME auth AUTH (redacted) (redacted)");
        assert_eq!(shown("HELLO 2 AUTH user"), "HELLO 2 AUTH user");
        assert_eq!(shown("CONFIG SET hz 10 RequirePass pw"), "CONFIG SET hz 10 RequirePass (redacted)");
        assert_eq!(shown("CONFIG SET maxmemory requirepass"), "CONFIG SET maxmemory requirepass");
        assert_eq!(shown("CONFIG SET requirepass"), "CONFIG SET requirepass");
        assert_eq!(shown("SET auth pw"), "SET auth pw");
    }
}
