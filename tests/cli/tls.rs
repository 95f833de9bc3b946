//! An agent that speaks TLS, and whom its clients trust.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use perry::model::Config;
use perry::model::config::TlsConfig;
use perry::runtime::fake::Smooth;

use crate::agent::Agent;
use crate::{Told, command, perry};

/// A certificate for this machine alone, and its key, in files.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (cert, key)
}

fn tls(cert: &Path, key: &Path) -> TlsConfig {
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    TlsConfig { cert: text(cert), key: text(key) }
}

fn trusting(agent: &Agent, cert: &Path, args: &[&str]) -> Told {
    let mut command = command(agent.folder.path(), args);
    crate::told(&command.env("SSL_CERT_FILE", cert).stdin(Stdio::null()).output().expect("it starts"))
}

#[test]
fn calls_and_streams_go_over_tls_to_whom_the_machine_trusts_and_to_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path());
    let config = Config { port: 0, tls: Some(tls(&cert, &key)), ..Config::default() };
    let agent = Agent::start_with(Smooth, config);
    let told = trusting(&agent, &cert, &["start", "web"]);
    assert!(told.code == 0 && told.err.ends_with("web is ready\n"), "over a watch: {told:?}");
    let told = trusting(&agent, &cert, &["get", "-o", "name"]);
    assert_eq!((told.code, told.out.as_str()), (0, "web\n"));
    let told = trusting(&agent, &cert, &["dashboard", "--no-open"]);
    assert!(told.out.starts_with("https://127.0.0.1:"), "{told:?}");
    let other = tempfile::tempdir().expect("a folder");
    let (stranger, _) = certificate(other.path());
    let told = trusting(&agent, &stranger, &["get"]);
    assert!(told.code == 5 && told.err.contains("certificate"), "{told:?}");
    let plain =
        std::fs::read_to_string(agent.folder.path().join("client.json")).expect("there").replace("https://", "");
    std::fs::write(agent.folder.path().join("client.json"), plain).expect("written");
    assert_eq!(trusting(&agent, &cert, &["get"]).code, 5, "nothing is said in the clear");
}

/// What `openssl req -x509` makes: it signs itself and says that it is an authority.
fn authority(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pair = rcgen::KeyPair::generate().expect("a key");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, params.self_signed(&pair).expect("a certificate").pem()).expect("written");
    std::fs::write(&key, pair.serialize_pem()).expect("written");
    (cert, key)
}

#[test]
fn a_certificate_that_signs_itself_is_taken_where_the_machine_trusts_that_very_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, code) in [("127.0.0.1", 0), ("192.0.2.1", 5)] {
        let (cert, key) = authority(folder.path(), name);
        let config = Config { port: 0, tls: Some(tls(&cert, &key)), ..Config::default() };
        let agent = Agent::start_with(Smooth, config);
        let told = trusting(&agent, &cert, &["get"]);
        assert_eq!(told.code, code, "for {name}: {told:?}");
        let other = tempfile::tempdir().expect("a folder");
        let told = trusting(&agent, &authority(other.path(), name).0, &["get"]);
        assert!(told.code == 5 && told.err.contains("hint: this machine does not trust the certificate"), "{told:?}");
    }
}

#[test]
fn the_folders_own_agent_is_known_by_the_certificate_of_its_settings_and_nobody_else_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = authority(folder.path(), "desk.example.com");
    let agent = Agent::start_with(Smooth, Config { port: 0, tls: Some(tls(&cert, &key)), ..Config::default() });
    let own = agent.own_folder();
    let lock = std::fs::read_to_string(own.path().join("agent.lock")).expect("there");
    std::fs::write(own.path().join("agent.lock"), lock.replace("127.0.0.1", "https://127.0.0.1")).expect("written");
    assert_eq!(perry(own.path(), &["get"]).code, 5, "its settings name none");
    let settings = |cert: &Path| {
        let config = serde_json::json!({ "tls": { "cert": cert, "key": key } });
        std::fs::write(own.path().join("config.json"), config.to_string()).expect("written");
    };
    settings(&cert);
    let told = perry(own.path(), &["get"]);
    assert_eq!(told.code, 0, "{told:?}");
    let other = tempfile::tempdir().expect("a folder");
    settings(&authority(other.path(), "desk.example.com").0);
    assert_eq!(perry(own.path(), &["get"]).code, 5, "another's certificate");
}

#[tokio::test]
async fn files_that_are_no_certificate_and_key_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path());
    let other = tempfile::tempdir().expect("a folder");
    let (_, strange) = certificate(other.path());
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    for (cert, key, says) in [
        (&folder.path().join("none.pem"), &key, "tls.cert"),
        (&cert, &folder.path().join("none.pem"), "tls.key"),
        (&empty, &key, "holds no certificate"),
        (&cert, &cert, "tls.key"),
        (&cert, &strange, "cannot be used together"),
    ] {
        let config = Config { port: 0, tls: Some(tls(cert, key)), ..Config::default() };
        let error = perry::api::listen(&config).await.expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
    }
}
