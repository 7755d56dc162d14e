//! The door of this layer's tests: a request in, its reply out with a blank for each line's end.

use crate::base::bytes::OutBuf;
use crate::commands::args::{Args, lay_out};
use crate::commands::spec::{CommandId, CommandTable};
use crate::commands::table::Resolved;
use crate::resp::reply::{Proto, Reply};

/// Resolves `line` (words with one blank between them) in the server's own table and answers it in RESP2.
pub(crate) fn ask(line: &str, answer: impl FnOnce(&CommandTable, CommandId, &mut Args<'_>, &mut Reply<'_>)) -> String {
    let table = CommandTable::new();
    let (buffer, spans) = lay_out(&line.split(' ').collect::<Vec<_>>());
    let mut args = Args::new(&buffer, &spans);
    let mut out = OutBuf::default();
    match table.resolve(&args) {
        Resolved::Command(id) => answer(&table, id, &mut args, &mut Reply::new(&mut out, Proto::Resp2)),
        other => panic!("{line}: {other:?}"),
    }
    String::from_utf8(out.bytes).expect("text").replace("\r\n", " ").trim_end().to_string()
}
