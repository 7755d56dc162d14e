//! Starts as users write them: files, arguments, standard input, and every way to get them wrong.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::base::config::Config;

/// A folder of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pinion-load-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path.canonicalize().expect("it exists"))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a writable folder");
        path.to_str().expect("a plain path").to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(args: &[&str]) -> Result<Loaded, StartError> {
    load_with(args.iter().map(OsString::from), &mut io::empty())
}

fn config(args: &[&str]) -> Config {
    start(args).unwrap_or_else(|error| panic!("{args:?}: {error}")).store.current
}

/// The error of a start, which is one line.
fn fault(args: &[&str]) -> String {
    let error = start(args).expect_err("a faulty start");
    assert!(error.code == 1 && !error.text.contains('\n'), "{error}");
    error.text
}

#[test]
fn arguments_are_taken_as_redis_server_takes_them() {
    assert_eq!(config(&[]).port, 6379);
    assert_eq!(config(&["--port", "0"]).port, 0);
    assert_eq!(config(&["--PORT", "7", "--Hz", "20"]).hz, 20);
    assert_eq!(config(&["--port 7", "--hz", "20"]).port, 7);
    assert_eq!(config(&["", "--port", "7"]).port, 7);
    assert_eq!(config(&["--port", "7", "--", "--hz", "20"]).hz, 20);
    assert_eq!(config(&["--port", "7", "--", "hz", "20"]).hz, 20);
    assert_eq!(config(&["--bind", "127.0.0.1", "::1"]).bind, ["127.0.0.1", "::1"]);
    assert_eq!(config(&["--bind", "127.0.0.1 -::1"]).bind, ["127.0.0.1", "-::1"]);
    assert_eq!(config(&["--requirepass", "--abc", "--hz", "20"]).requirepass, b"--abc");
    assert_eq!(config(&["--requirepass", "a b\"c"]).requirepass, b"a b\"c");
    assert_eq!(config(&["--requirepass", ""]).requirepass, b"");
    assert_eq!(config(&["--client-output-buffer-limit", "normal", "1", "2", "3"]).output_limits.0[0].soft, 2);
    assert_eq!(config(&["--rename-command", "DEBUG", ""]).rename_command, [("debug".to_string(), String::new())]);
}

#[test]
fn turning_persistence_off_works_in_every_spelling() {
    for args in [
        &["--save", "", "--appendonly", "no"][..],
        &["--save", "--appendonly", "no"],
        &["--appendonly", "no", "--save"],
        &["--save \"\"", "--appendonly no"],
        &["--save", "900 1", "--save", ""],
        &["--save", "", "--appendonly", "yes", "--appendonly", "no"],
    ] {
        let config = config(args);
        assert!(config.save.is_empty() && !config.appendonly, "{args:?}");
    }
}

#[test]
fn a_last_or_first_dash_reads_standard_input_between_file_and_arguments() {
    let folder = Folder::new("stdin");
    let file = folder.write("a.conf", "hz 11\ntimeout 11\nmaxclients 11\n");
    for (args, expected) in [
        (&[file.as_str(), "--maxclients", "33", "-"][..], (22, 22, 33)),
        (&["-", "--maxclients", "33"], (22, 22, 33)),
        (&["--maxclients", "33", "-"], (22, 22, 33)),
        (&["-"], (22, 22, 22)),
    ] {
        let stdin = "hz 22\n# a comment\ntimeout 22\nmaxclients 22";
        let loaded = load_with(args.iter().map(OsString::from), &mut stdin.as_bytes()).expect("valid");
        let config = loaded.store.current;
        assert_eq!((config.hz, config.timeout_s, config.maxclients), expected, "{args:?}");
    }
    assert_eq!(
        fault(&["--requirepass", "-", "--hz", "x"]),
        "Fatal config error, command line: 'hz \"x\"': argument couldn't be parsed into an integer"
    );
}

#[test]
fn a_file_is_read_line_by_line() {
    let folder = Folder::new("file");
    let text = "# comment\n\n  port 7000  \r\nrequirepass \"a\\x41 #b\"\nbind 127.0.0.1 'x y'\n\
        hash-max-ziplist-entries 5\nactiverehashing no\nlist-max-ziplist-value 64\nslave-read-only yes\n\
        rename-command FLUSHALL \"\"\nsave \"\"\ntimeout 1\ntimeout 2\n";
    let file = folder.write("a.conf", text);
    let loaded = start(&[&file]).expect("valid");
    let config = &loaded.store.current;
    assert_eq!((config.port, config.timeout_s, config.hash_max_listpack_entries), (7000, 2, 5));
    assert_eq!(config.requirepass, b"aA #b");
    assert_eq!(config.bind, ["127.0.0.1", "x y"]);
    assert_eq!(config.rename_command, [("flushall".to_string(), String::new())]);
    assert_eq!(loaded.store.file.as_deref(), Some(Path::new(&file)));
    assert_eq!(loaded.notes.len(), 1, "{:?}", loaded.notes);
    assert!(loaded.notes[0].starts_with("'activerehashing' has no effect: "));
}

#[test]
fn a_list_may_have_its_name_alone() {
    let folder = Folder::new("bare");
    let text = "save 5 1\nsave \nclient-output-buffer-limit\nlatency-tracking-info-percentiles\nbind\n";
    let loaded = start(&[&folder.write("a.conf", text)]).expect("valid");
    let config = &loaded.store.current;
    assert!(config.save.is_empty() && config.bind.is_empty(), "{:?} {:?}", config.save, config.bind);
    assert_eq!(config.output_limits, Config::default().output_limits);
    for name in ["oom-score-adj-values", "dir", "hz"] {
        let file = folder.write("b.conf", name);
        assert!(start(&[&file]).expect_err("refused").to_string().ends_with("wrong number of arguments"), "{name}");
    }
}

#[test]
fn a_faulty_line_is_named_with_file_number_and_reason() {
    let folder = Folder::new("faults");
    for (text, line, directive, why) in [
        ("port 0\nfoo bar\n", 2, "foo bar", "Bad directive or wrong number of arguments"),
        ("port 0\nsave \"3600\n", 2, "save \"3600", "Unbalanced quotes in configuration line"),
        ("port\n", 1, "port", "wrong number of arguments"),
        ("port 0 1\n", 1, "port 0 1", "wrong number of arguments"),
        ("port 0 # tail\n", 1, "port 0 # tail", "wrong number of arguments"),
        ("\n\nhz x\r\n", 3, "hz x", "argument couldn't be parsed into an integer"),
        ("port 70000", 1, "port 70000", "argument must be between 0 and 65535 inclusive"),
        ("unixsocketperm 1000", 1, "unixsocketperm 1000", "argument must be between 0 and 777 inclusive"),
        ("unixsocketperm 08", 1, "unixsocketperm 08", "argument couldn't be parsed as an octal number"),
        ("maxmemory 1xb", 1, "maxmemory 1xb", "argument must be a memory value"),
        ("dir /nonexistent", 1, "dir /nonexistent", "No such file or directory"),
        ("dbfilename a/b", 1, "dbfilename a/b", "dbfilename can't be a path, just a filename"),
        ("rename-command GET", 1, "rename-command GET", "Bad directive or wrong number of arguments"),
        ("rename-command get B\nrename-command GET C", 2, "rename-command GET C", "No such command in rename-command"),
        ("rename-command get SET", 1, "rename-command get SET", "Target command name already exists"),
        ("sentinel monitor a b 1 2", 1, "sentinel monitor a b 1 2", "sentinel directive while not in sentinel mode"),
        ("include", 1, "include", "Bad directive or wrong number of arguments"),
        ("user x on", 1, "user x on", "there are no ACL users yet, only requirepass"),
        ("loadmodule x.so", 1, "loadmodule x.so", "Pinion loads no modules"),
        ("requirepass two words", 1, "requirepass", "wrong number of arguments"),
        ("hz \u{7}", 1, "hz ?", "argument couldn't be parsed into an integer"),
        (
            "proc-title-template {x}",
            1,
            "proc-title-template {x}",
            "template format is invalid or contains unknown variables",
        ),
    ] {
        let file = folder.write("a.conf", text);
        assert_eq!(fault(&[&file]), format!("Fatal config error, {file} at line {line}: '{directive}': {why}"));
    }
}

#[test]
fn faulty_arguments_are_named() {
    for (args, directive, why) in [
        (&["--port"][..], "port", "wrong number of arguments"),
        (&["--port", "--hz", "5"], "port \"--hz\" \"5\"", "wrong number of arguments"),
        (&["--port", "0", "hz", "5"], "port \"0\" \"hz\" \"5\"", "wrong number of arguments"),
        (&["--foo", "bar"], "foo \"bar\"", "Bad directive or wrong number of arguments"),
        (&["--port=0"], "port=0", "Bad directive or wrong number of arguments"),
        (&["--port", "0", "---hz", "x"], "-hz \"x\"", "Bad directive or wrong number of arguments"),
        (&["-x"], "\"-x\"", "Bad directive or wrong number of arguments"),
        (&["--a \"b"], "a \"b", "Unbalanced quotes in configuration line"),
    ] {
        assert_eq!(fault(args), format!("Fatal config error, command line: '{directive}': {why}"));
    }
    assert_eq!(
        fault(&["/nonexistent/x.conf"]),
        "Fatal error, can't open config file '/nonexistent/x.conf': No such file or directory"
    );
    assert_eq!(fault(&["/"]), "Fatal error, can't open config file '/': Is a directory");
}

#[test]
fn what_is_not_there_yet_is_refused_with_its_line() {
    let folder = Folder::new("refused");
    let file = folder.write("a.conf", "port 0\nlog-format json\n");
    let expected = format!("Fatal config error, {file} at line 2: 'log-format json': log lines are plain text");
    assert_eq!(fault(&[&file]), expected);
    config(&[&file, "--log-format", "legacy"]);
    for args in [
        ["--cluster-enabled", "yes"],
        ["--replicaof", "127.0.0.1 6379"],
        ["--slaveof", "127.0.0.1 6379"],
        ["--tls-port", "6380"],
        ["--aclfile", "/etc/users.acl"],
        ["--min-replicas-to-write", "1"],
        ["--daemonize", "yes"],
        ["--supervised", "systemd"],
    ] {
        assert!(fault(&args).starts_with("Fatal config error, command line: '"), "{args:?}");
    }
    config(&["--supervised", "auto", "--daemonize", "no", "--replicaof", "no", "one"]);
}

#[test]
fn questions_are_answered_without_a_start() {
    for args in [["-v"], ["--version"], ["-h"], ["--help"]] {
        let answer = start(&args).expect_err("no start");
        assert_eq!(answer.code, 0);
        assert!(answer.text.contains("inion"));
    }
    let settings = start(&["--settings"]).expect_err("no start").text;
    for line in ["`databases`*", "- there is no TLS yet: `tls-cluster`, `tls-port`, `tls-replication`", "`maxclients`,"]
    {
        assert!(settings.contains(line), "{line}");
    }
    assert!(fault(&["--test-memory", "4"]).contains("memtest86+"));
    assert!(fault(&["--check-system"]).contains("tuning/"));
}

#[test]
fn includes_are_read_in_order_and_may_be_globs() {
    let folder = Folder::new("include");
    let base = folder.0.display();
    folder.write("b-1.inc", "hz 1\ntimeout 1\n");
    folder.write("b-2.inc", "hz 2\n");
    folder.write(".b-3.inc", "hz 3\n");
    let file = folder
        .write("a.conf", &format!("timeout 9\ninclude {base}/b-*.inc\ninclude {base}/none-*.inc\nmaxclients 5\n"));
    let config = config(&[&file]);
    assert_eq!((config.hz, config.timeout_s, config.maxclients), (2, 1, 5));

    let missing = folder.write("c.conf", &format!("include {base}/none.inc\n"));
    assert_eq!(
        fault(&[&missing]),
        format!("Fatal error, can't open config file '{base}/none.inc': No such file or directory")
    );

    let faulty = folder.write("d.inc", "hz x\n");
    let outer = folder.write("d.conf", &format!("\ninclude {faulty}\n"));
    assert_eq!(
        fault(&[&outer]),
        format!("Fatal config error, {faulty} at line 1: 'hz x': argument couldn't be parsed into an integer")
    );
}

#[test]
fn files_that_include_each_other_end() {
    let folder = Folder::new("loop");
    let file = folder.0.join("loop.conf").display().to_string();
    folder.write("loop.conf", &format!("include {file}\n"));
    assert!(fault(&[&file]).ends_with("too many files include each other"));
    let wide = folder.write("wide.conf", &format!("include {0}\ninclude {0}\n", folder.0.join("wide.conf").display()));
    assert!(fault(&[&wide]).contains("too many files"));
}

#[test]
fn an_endless_input_is_not_read_to_its_end() {
    let error = load_with([OsString::from("-")].into_iter(), &mut io::repeat(b'#')).expect_err("no end");
    assert_eq!(error.text, "Can't read stdin: longer than 16777216 bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_input_is_taken_or_refused_without_a_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load_with([OsString::from("-")].into_iter(), &mut &input[..]);
    }

    #[test]
    fn any_values_of_real_settings_are_taken_or_refused_without_a_panic(
        lines in prop::collection::vec((0..settings().len(), "[-0-9a-zA-Z%\" ]{0,12}"), 0..20),
    ) {
        let text: String = lines.iter().map(|(index, rest)| format!("{} {rest}\n", settings()[*index].name)).collect();
        let _ = load_with([OsString::from("-")].into_iter(), &mut text.as_bytes());
    }

    #[test]
    fn any_arguments_are_taken_or_refused_without_a_panic(
        args in prop::collection::vec("(--)?[a-z0-9\" -]{0,10}", 1..8),
    ) {
        // Without a file: the first argument begins with a dash.
        let args = std::iter::once("--port 0".to_string()).chain(args).map(OsString::from);
        let _ = load_with(args, &mut io::empty());
    }
}
