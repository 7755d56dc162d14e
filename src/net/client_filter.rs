//! The filters of CLIENT LIST and CLIENT KILL: parsing them, and telling whether a connection is meant.

use crate::base::text;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::net::client;
use crate::net::connection::Conn;
use crate::txn::message::{ClientFilter, ClientKind};

/// Flags that CLIENT LIST may show of a client, of this server or another.
const FLAGS: &[u8] = b"bcdeirtuxABEIMNOPRSTU";
/// Capabilities: `r` for redirect.
const CAPA: &[u8] = b"r";

/// CLIENT LIST [option value ...]
pub fn parse_list(args: &Args<'_>, databases: usize) -> Result<ClientFilter, String> {
    let mut filter = ClientFilter::default();
    let mut i = 2;
    while i < args.len() {
        // LIST's ID takes every argument up to the end, as older clients send it
        if args[i].eq_ignore_ascii_case(b"id") && i + 1 < args.len() {
            let mut count = 0;
            for arg in args.from(i + 1) {
                match text::parse_i64(arg) {
                    // an id that nobody has matches nobody
                    Some(id) => filter.ids.push(u64::try_from(id).unwrap_or(0)),
                    None if count > 0 && is_option(args, i + 1 + count, databases) => break,
                    None => return Err("ERR Invalid client ID".to_string()),
                }
                count += 1;
            }
            i += 1 + count;
            continue;
        }
        i = option(&mut filter, args, i, None, databases)?;
    }
    Ok(filter)
}

/// Whether an option that there is stands at this index, with a value behind it.
fn is_option(args: &Args<'_>, at: usize, databases: usize) -> bool {
    option(&mut ClientFilter::default(), args, at, None, databases).err().is_none_or(|why| why != errors::SYNTAX)
}

/// CLIENT KILL option value [option value ...]
pub fn parse_kill(args: &Args<'_>, asker: u64, databases: usize) -> Result<ClientFilter, String> {
    let mut filter = ClientFilter { skip: Some(asker), ..ClientFilter::default() };
    let mut i = 2;
    while i < args.len() {
        i = option(&mut filter, args, i, Some(asker), databases)?;
    }
    Ok(filter)
}

fn parse_id(arg: &[u8]) -> Result<u64, String> {
    match text::parse_i64(arg) {
        Some(id) if id > 0 => Ok(id as u64),
        _ => Err("ERR client-id should be greater than 0".to_string()),
    }
}

fn parse_kind(arg: &[u8]) -> Result<ClientKind, String> {
    let kinds: [(&str, ClientKind); 6] = [
        ("normal", ClientKind::Normal),
        ("master", ClientKind::Master),
        ("primary", ClientKind::Master),
        ("slave", ClientKind::Replica),
        ("replica", ClientKind::Replica),
        ("pubsub", ClientKind::Pubsub),
    ];
    let found = kinds.iter().find(|(name, _)| arg.eq_ignore_ascii_case(name.as_bytes()));
    let unknown = || format!("ERR Unknown client type '{}'", String::from_utf8_lossy(arg));
    found.map(|(_, kind)| *kind).ok_or_else(unknown)
}

fn seconds(arg: &[u8], what: &str) -> Result<u64, String> {
    match text::parse_i64(arg) {
        Some(s) if s > 0 => Ok(s as u64),
        Some(_) => Err(format!("ERR {what} should be greater than 0")),
        None => Err(format!("ERR {what} is not an integer or out of range")),
    }
}

fn user(arg: &[u8]) -> Result<Vec<u8>, String> {
    if arg == b"default" {
        return Ok(arg.to_vec());
    }
    Err(format!("ERR No such user '{}'", String::from_utf8_lossy(arg)))
}

fn db(arg: &[u8], databases: usize) -> Result<u16, String> {
    let number = text::parse_i64(arg).ok_or("ERR DB is not an integer or out of range")?;
    let known = u16::try_from(number).ok().filter(|n| usize::from(*n) < databases);
    known.ok_or_else(|| format!("ERR DB number should be between 0 and {}", databases - 1))
}

/// Letters out of those that there are; `what` names them in the error.
fn letters(arg: &[u8], known: &[u8], what: &str) -> Result<Option<Vec<u8>>, String> {
    if arg.iter().all(|letter| known.contains(letter)) {
        return Ok(Some(arg.to_vec()));
    }
    Err(format!("ERR Unknown {what} found in the provided filter: {}", String::from_utf8_lossy(arg)))
}

/// One option and its value; the index behind them.
fn option(
    filter: &mut ClientFilter,
    args: &Args<'_>,
    i: usize,
    asker: Option<u64>,
    databases: usize,
) -> Result<usize, String> {
    let Some(value) = args.get(i + 1) else { return Err(errors::SYNTAX.to_string()) };
    let own = || Some(value.to_vec());
    match args[i].to_ascii_lowercase().as_slice() {
        b"id" => filter.ids.push(parse_id(value)?),
        b"not-id" => filter.not_ids.push(parse_id(value)?),
        b"type" => filter.kind = Some(parse_kind(value)?),
        b"not-type" => filter.not_kind = Some(parse_kind(value)?),
        b"addr" => filter.addr = own(),
        b"not-addr" => filter.not_addr = own(),
        b"laddr" => filter.laddr = own(),
        b"not-laddr" => filter.not_laddr = own(),
        b"user" => filter.user = Some(user(value)?),
        b"not-user" => filter.not_user = Some(user(value)?),
        b"maxage" => filter.age_min_s = Some(seconds(value, "maxage")?),
        b"idle" => filter.idle_min_s = Some(seconds(value, "idle")?),
        b"flags" => filter.flags = letters(value, FLAGS, "flags")?,
        b"not-flags" => filter.not_flags = letters(value, FLAGS, "flags")?,
        b"name" => filter.name = own(),
        b"not-name" => filter.not_name = own(),
        b"lib-name" => filter.lib_name = own(),
        b"not-lib-name" => filter.not_lib_name = own(),
        b"lib-ver" => filter.lib_ver = own(),
        b"not-lib-ver" => filter.not_lib_ver = own(),
        b"db" => filter.db = Some(db(value, databases)?),
        b"not-db" => filter.not_db = Some(db(value, databases)?),
        b"capa" => filter.capa = letters(value, CAPA, "capa")?,
        b"not-capa" => filter.not_capa = letters(value, CAPA, "capa")?,
        b"ip" => filter.ip = own(),
        b"not-ip" => filter.not_ip = own(),
        b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skip = asker,
        b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skip = None,
        _ => return Err(errors::SYNTAX.to_string()),
    }
    Ok(i + 2)
}

/// Whether the filter means this connection.
pub fn matches(filter: &ClientFilter, conn: &Conn, now_ms: u64) -> bool {
    let is = |wanted: &Option<Vec<u8>>, have: &[u8]| wanted.as_deref().is_none_or(|w| w == have);
    let is_not = |refused: &Option<Vec<u8>>, have: &[u8]| refused.as_deref() != Some(have);
    let (addr, laddr, session) = (conn.addr.as_bytes(), conn.laddr.as_bytes(), &conn.session);
    let ip = addr.rsplitn(2, |b| *b == b':').last().unwrap_or(addr);
    let shown = client::flags(conn);
    let has_all =
        |wanted: &Option<Vec<u8>>| wanted.as_deref().is_none_or(|w| w.iter().all(|f| shown.as_bytes().contains(f)));
    let age_s = now_ms.saturating_sub(conn.created_ms) / 1000;
    let idle_s = now_ms.saturating_sub(conn.active_ms) / 1000;
    let kind = client::kind(conn);
    filter.skip != Some(conn.client_id)
        && (filter.ids.is_empty() || filter.ids.contains(&conn.client_id))
        && !filter.not_ids.contains(&conn.client_id)
        && is(&filter.addr, addr)
        && is_not(&filter.not_addr, addr)
        && is(&filter.laddr, laddr)
        && is_not(&filter.not_laddr, laddr)
        && is(&filter.ip, ip)
        && is_not(&filter.not_ip, ip)
        && is(&filter.name, &session.name)
        && is_not(&filter.not_name, &session.name)
        && is(&filter.lib_name, &session.lib_name)
        && is_not(&filter.not_lib_name, &session.lib_name)
        && is(&filter.lib_ver, &session.lib_ver)
        && is_not(&filter.not_lib_ver, &session.lib_ver)
        && filter.capa.as_deref().is_none_or(|c| c.is_empty() || session.capa_redirect)
        && filter.not_capa.as_deref().is_none_or(|c| c.is_empty() || !session.capa_redirect)
        && is(&filter.user, b"default")
        && is_not(&filter.not_user, b"default")
        && filter.db.is_none_or(|db| db == session.db)
        && filter.not_db != Some(session.db)
        && filter.kind.is_none_or(|k| k == kind)
        && filter.not_kind != Some(kind)
        && filter.age_min_s.is_none_or(|s| age_s >= s)
        && filter.idle_min_s.is_none_or(|s| idle_s >= s)
        && has_all(&filter.flags)
        && filter.not_flags.as_deref().is_none_or(|f| !f.iter().all(|f| shown.as_bytes().contains(f)))
}
