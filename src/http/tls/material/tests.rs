use super::*;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

/// A certificate and its key in a folder.
fn pair(folder: &TempDir, name: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let [at_cert, at_key] = ["pem", "key"].map(|end| folder.path().join(format!("{name}.{end}")));
    std::fs::write(&at_cert, cert.pem()).unwrap();
    std::fs::write(&at_key, key.serialize_pem()).unwrap();
    (at_cert, at_key)
}

fn told(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<(), String> {
    let spec = TlsSpec {
        cert: cert.to_owned(),
        key: key.to_owned(),
        client_ca: client_ca.map(Path::to_owned),
        client_auth: ClientAuth::Required,
    };
    Material::read(&spec)
        .and_then(|material| material.config(&spec))
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name_and_what_to_do() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = pair(&folder, "a");
    let (_, other) = pair(&folder, "b");
    assert_eq!(told(&cert, &key, None), Ok(()));
    assert_eq!(told(&cert, &key, Some(&cert)), Ok(()), "whoever vouches for himself is an authority");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let der = write("der", "0\u{1}");
    let sealed =
        write("sealed", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let sealed_long_ago = write("old", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
    let garbled = write("garbled", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = folder.path().join("missing");
    for (cert, key, client_ca, words) in [
        (&missing, &key, None, ["the certificate", "missing cannot be read"]),
        (&cert, &missing, None, ["the key", "missing cannot be read"]),
        (&cert, &key, Some(&missing), ["the client CA", "missing cannot be read"]),
        (&der, &key, None, ["der holds no certificate in PEM", "openssl x509"]),
        (&key, &key, None, ["a.key holds no certificate in PEM", "BEGIN CERTIFICATE"]),
        (&cert, &der, None, ["der holds no private key in PEM", "openssl pkey"]),
        (&cert, &cert, None, ["a.pem holds no private key in PEM", "BEGIN PRIVATE KEY"]),
        (&cert, &sealed, None, ["sealed is encrypted", "openssl pkey -in FILE -out PLAIN"]),
        (&cert, &sealed_long_ago, None, ["old is encrypted", "openssl pkey"]),
        (&cert, &other, None, ["b.key does not fit", "a.pem"]),
        (&garbled, &key, None, ["garbled", "cannot be used"]),
        (&cert, &key, Some(&der), ["der holds no certificate", "the authorities of clients"]),
    ] {
        let told = told(cert, key, client_ca.map(PathBuf::as_path)).unwrap_err();
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_everybody_may_read_is_odd() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let (cert, key) = pair(&folder, "a");
    let spec = TlsSpec { cert, key: key.clone(), client_ca: None, client_auth: ClientAuth::Required };
    let warnings = |mode| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        Material::read(&spec).unwrap().warnings(&spec)
    };
    assert_eq!(warnings(0o640), [""; 0]);
    let open = warnings(0o644);
    assert!(open.len() == 1 && open[0].contains("chmod o-r"), "{open:?}");
}

#[test]
fn a_certificate_that_is_not_valid_now_is_odd() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = pair(&folder, "a");
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    std::fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let spec = TlsSpec { cert, key, client_ca: None, client_auth: ClientAuth::Required };
    let material = Material::read(&spec).unwrap();
    assert!(material.config(&spec).is_ok(), "it is served all the same");
    let warnings = material.warnings(&spec);
    assert!(warnings.iter().any(|warning| warning.contains("which is not now")), "{warnings:?}");
}
