//! The door of this layer's tests: a request in, its reply out with a blank for each line's end.

use crate::base::bytes::OutBuf;
use crate::commands::args::Args;
use crate::commands::spec::{CommandId, CommandTable};
use crate::commands::table::Resolved;
use crate::resp::parse::Span;
use crate::resp::reply::{Proto, Reply};

/// Resolves `line` (words with one blank between them) in the server's own table and answers it in RESP2.
pub(crate) fn ask(line: &str, answer: impl FnOnce(&CommandTable, CommandId, &mut Args<'_>, &mut Reply<'_>)) -> String {
    let table = CommandTable::new();
    let mut spans = Vec::new();
    let mut at = 0;
    for word in line.split(' ') {
        spans.push(Span { start: at, len: word.len() as u32 });
        at += word.len() as u32 + 1;
    }
    let mut args = Args::new(line.as_bytes(), &spans);
    let mut out = OutBuf::default();
    match table.resolve(&args) {
        Resolved::Command(id) => answer(&table, id, &mut args, &mut Reply::new(&mut out, Proto::Resp2)),
        other => panic!("{line}: {other:?}"),
    }
    String::from_utf8(out.bytes).expect("text").replace("\r\n", " ").trim_end().to_string()
}
