//! A conversation of hostapd 2.10 and eapol_test 2.10 (RFC 4764 has no test vectors).

use crate::secret::EapPskKey;
use std::sync::LazyLock;

pub static PSK: LazyLock<EapPskKey> = LazyLock::new(|| EapPskKey::new(hex("000102030405060708090a0b0c0d0e0f")));
pub const ID_S: &[u8] = b"hostapd-test";
pub const ID_P: &[u8] = b"dev1@psk.example";
pub static RAND_S: LazyLock<[u8; 16]> = LazyLock::new(|| hex("682c84fbdf435fa1421ee920641d8ed1"));
pub static RAND_P: LazyLock<[u8; 16]> = LazyLock::new(|| hex("669677735ac8d38068518dcc18ba33e9"));
pub static MSK: LazyLock<[u8; 64]> = LazyLock::new(|| {
    hex("a48567bbc0bfef27989df897e4fd1064e364e91d6abd348625fbee1ae0715aa3\
         4c693933c70226994698c3ba9fecf05891e6c67e9f0c74ffdcdb8e0ea4c01ade")
});
pub const MESSAGE_1: &str = "01c200222f00682c84fbdf435fa1421ee920641d8ed1686f73746170642d74657374";
pub const MESSAGE_2: &str = "02c200462f40682c84fbdf435fa1421ee920641d8ed1669677735ac8d38068518dcc18ba33e9\
                             a2ea1743b3c5eefb85d40b713707b24c646576314070736b2e6578616d706c65";
pub const MESSAGE_3: &str = "01c3003b2f80682c84fbdf435fa1421ee920641d8ed11b2f497967015d527795764953bd96a7\
                             00000000444d00049621c7ecc28e8f06a44200a922";
pub const MESSAGE_4: &str = "02c3002b2fc0682c84fbdf435fa1421ee920641d8ed1000000016f25c973da882356a9d32730fb4ec2bd21";

/// The octets of hexadecimal digits.
pub fn octets(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits}");
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The same for a known length.
pub fn hex<const N: usize>(digits: &str) -> [u8; N] {
    octets(digits).try_into().unwrap()
}
