//! Whom a client's certificate names.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A client's certificate for which a trusted authority vouches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// Whom it names: its common name, else its first alternative name.
    pub name: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Until when it holds: a connection may last longer.
    pub until: SystemTime,
}

/// A certificate that names nobody, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its structure is not that of a certificate.
    #[error("the client's certificate cannot be read")]
    Malformed,
    /// It has neither a common name nor an alternative one that is text.
    #[error("the client's certificate names nobody: it has neither a common name nor an alternative one")]
    Nameless,
}

impl ClientCertificate {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable::Malformed)?;
        let name = common_name(&certificate).or_else(|| alternative_name(&certificate));
        let name = name.ok_or(Unreadable::Nameless)?;
        let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Ok(Self { name, fingerprint: hexadecimal(&Sha256::digest(der)), until })
    }

    /// Whether it still holds. That it did when the connection was opened, TLS has seen to.
    pub fn holds(&self) -> bool {
        SystemTime::now() <= self.until
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let first = names.next().filter(|name| !name.trim().is_empty())?;
    // Of several the reader would choose: an identity is one name.
    names.next().is_none().then(|| first.to_owned())
}

fn alternative_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned()).filter(|name| !name.trim().is_empty())
        }
        _ => None,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(names: &[&str], common: Option<&str>) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_goes_before_the_first_alternative_one() {
        let name = |der: &[u8]| ClientCertificate::read(der).map(|certificate| certificate.name);
        assert_eq!(name(&certificate(&["a.example"], Some("alice"))), Ok("alice".to_owned()));
        assert_eq!(name(&certificate(&["a.example", "b.example"], None)), Ok("a.example".to_owned()));
        assert_eq!(name(&certificate(&["a.example"], Some(" "))), Ok("a.example".to_owned()));
        assert_eq!(name(&certificate(&[], None)), Err(Unreadable::Nameless));
        assert_eq!(name(b"no certificate"), Err(Unreadable::Malformed));
    }

    #[test]
    fn a_fingerprint_is_64_digits_of_the_very_certificate() {
        let der = certificate(&[], Some("alice"));
        let read = ClientCertificate::read(&der).unwrap();
        assert_eq!(read.fingerprint.len(), 64);
        assert_eq!(read.fingerprint, hexadecimal(&Sha256::digest(&der)));
        let other = ClientCertificate::read(&certificate(&[], Some("alice"))).unwrap();
        assert_ne!(read.fingerprint, other.fingerprint);
    }

    #[test]
    fn it_holds_until_it_has_expired() {
        let of = |year| {
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
            ClientCertificate::read(&der).unwrap()
        };
        assert!(of(9000).holds() && !of(2021).holds());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientCertificate::read(&bytes);
        }
    }
}
