//! Settings of transports other than plain sockets: TLS and RDMA.

use super::{NO_TLS, Setting};
use super::{count, int, one_of, port, secret, text, yes_no};

const NO_RDMA: &str = "there is no RDMA transport";

pub(super) const ROWS: &[Setting] = &[
    port("tls-port", "0").refused(NO_TLS),
    yes_no("tls-cluster", "no").refused(NO_TLS),
    yes_no("tls-replication", "no").refused(NO_TLS),
    one_of("tls-auth-clients", &["no", "yes", "optional"], "yes").no_effect(NO_TLS),
    one_of("tls-auth-clients-user", &["CN", "URI", "off"], "off").no_effect(NO_TLS),
    count("tls-auto-reload-interval", "0").no_effect(NO_TLS),
    text("tls-ca-cert-dir", "").no_effect(NO_TLS),
    text("tls-ca-cert-file", "").no_effect(NO_TLS),
    text("tls-cert-file", "").no_effect(NO_TLS),
    text("tls-ciphers", "").no_effect(NO_TLS),
    text("tls-ciphersuites", "").no_effect(NO_TLS),
    text("tls-client-cert-file", "").no_effect(NO_TLS),
    text("tls-client-key-file", "").no_effect(NO_TLS),
    secret("tls-client-key-file-pass").no_effect(NO_TLS),
    text("tls-dh-params-file", "").no_effect(NO_TLS),
    text("tls-key-file", "").no_effect(NO_TLS),
    secret("tls-key-file-pass").no_effect(NO_TLS),
    yes_no("tls-prefer-server-ciphers", "no").no_effect(NO_TLS),
    text("tls-protocols", "").no_effect(NO_TLS),
    count("tls-session-cache-size", "20480").no_effect(NO_TLS),
    count("tls-session-cache-timeout", "300").no_effect(NO_TLS),
    yes_no("tls-session-caching", "yes").no_effect(NO_TLS),
    text("rdma-bind", "").refused(NO_RDMA),
    port("rdma-port", "0").refused(NO_RDMA),
    int("rdma-completion-vector", -1, 1024, "-1").no_effect(NO_RDMA).at_start(),
    int("rdma-rx-size", 65536, 16_777_216, "1048576").no_effect(NO_RDMA).at_start(),
];
