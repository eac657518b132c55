//! Whole handshakes: captured ones, and ones computed by others.

use super::*;
use crate::mac::MacAddr;
use crate::secret::Passphrase;
use crate::wire::eapol::EapolError;
use crate::wire::rsn::Suite;

/// A handshake with all that a NAS tells about it, and the passphrase it was made with.
#[derive(Clone)]
struct Sample {
    passphrase: &'static str,
    ssid: Vec<u8>,
    ap: [u8; 6],
    sta: [u8; 6],
    akm: Akm,
    anonce: [u8; 32],
    eapol: Vec<u8>,
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

impl Sample {
    fn new(akm: Akm, key: [&'static str; 2], ends: [&str; 2], anonce: &str, eapol: &str) -> Sample {
        let [passphrase, ssid] = key;
        let [ap, sta] = ends.map(|mac| mac.parse::<MacAddr>().unwrap().0);
        let anonce = hex(anonce).try_into().unwrap();
        Sample { passphrase, ssid: ssid.into(), ap, sta, akm, anonce, eapol: hex(eapol) }
    }

    fn parse_with(&self, akm: Option<u32>) -> Result<Handshake, HandshakeError> {
        Handshake::parse(MacAddr(self.ap), MacAddr(self.sta), &self.ssid, akm, &self.anonce, &self.eapol)
    }

    fn parse(&self) -> Result<Handshake, HandshakeError> {
        self.parse_with(Some(self.akm.suite().0))
    }

    fn error(&self) -> String {
        self.parse().unwrap_err().to_string()
    }

    fn candidate(&self) -> Candidate {
        Candidate::new(pmk::derive(&Passphrase::new(self.passphrase).unwrap(), &self.ssid))
    }

    fn verifies(&self, candidate: &Candidate) -> bool {
        self.parse().is_ok_and(|handshake| handshake.verify(candidate))
    }
}

/// Captures of real stations, from the public test files of aircrack-ng: CCMP twice, TKIP of WPA twice, PSK-SHA256.
fn captured() -> [Sample; 5] {
    [
        Sample::new(
            Akm::Psk,
            ["12345678", "Harkonen"],
            ["00:14:6c:7e:40:80", "00:13:46:fe:32:0c"],
            "225854b0444de3af06d1492b852984f04cf6274c0e3218b8681756864db7a055",
            "0103007502010a0010000000000000000159168bc3a5df18d71efb6423f340088dab9e1ba2bbc58659e07b3764b0de8570\
             0000000000000000000000000000000000000000000000000000000000000000d5355382b8a9b806dcaf99cdaf564eb6\
             001630140100000fac040100000fac040100000fac020100",
        ),
        Sample::new(
            Akm::Psk,
            ["dictionary", "linksys"],
            ["00:0b:86:c2:a4:85", "00:13:ce:55:98:ef"],
            "ae12a150652e9bc22063720c5081e9eb74077fb19fffe871dc4ca1e6f448af85",
            "0103007502010a00000000000000000001e8dfa16b8769957d8249a4ec68d2b7641d3782162ef0dc37b014cc48343e8dd2\
             000000000000000000000000000000000000000000000000000000000000000056f98b98da5d55e3be396b43c7eb012a\
             001630140100000fac040100000fac040100000fac022800",
        ),
        Sample::new(
            Akm::Psk,
            ["biscotte", "test"],
            ["00:0d:93:eb:b0:8c", "00:09:5b:91:53:5d"],
            "54adc644966dc8423d44364a1de9ec22415522bd0555ee718f8a53b8d679470c",
            "01030077fe010900200000000000000000fe5f0c5b5423815f35fe606720bbb9466d8601a8b4493af4cf5a0317f38c8387\
             000000000000000000000000000000000000000000000000000000000000000028a8c895b717e57227b6a7eee3e53445\
             0018dd160050f20101000050f20201000050f20201000050f202",
        ),
        Sample::new(
            Akm::Psk,
            ["dictionary", "linksys"],
            ["00:0b:86:c2:a4:85", "00:13:ce:55:98:ef"],
            "579bfba6d15d24e1dbed0f45c2620927fa0f62df66c79b17001414ad08549c0f",
            "01030079fe010900000000000000000001e8dfa16b8769957d8249a4ec68d2b7641d3782162ef0dc37b014cc48343e8dd6\
             00000000000000000000000000000000000000000000000000000000000000006d45f3538ead8eca5598c260eefe6f51\
             001add180050f20101000050f20201000050f20201000050f2022a00",
        ),
        Sample::new(
            Akm::PskSha256,
            ["bo$$password", "Neheb"],
            ["b0:b9:8a:56:8d:ea", "2c:f0:a2:dd:bc:d0"],
            "0218c7b64ecef40c4f15915fbceb19c8d62608387eb6b986d9599a8bd70dc85d",
            "0203007502010b001000000000000000036467233e730767c33e1df875c3ad0eb58a51ad704a3fae06b818c0c5fcebf3af\
             00000000000000000000000000000000000000000000000000000000000000002e13c40ca1c2e4e2037f99a2da18a46b\
             001630140100000fac040100000fac040100000fac068c00",
        ),
    ]
}

/// Computed twice with the same result: with hostapd's functions (wpa_pmk_to_ptk, wpa_derive_pmk_r0,
/// wpa_derive_pmk_r1, wpa_pmk_r1_to_ptk, wpa_eapol_key_mic) and with Python's hashlib and OpenSSL's CMAC by the words
/// of IEEE 802.11-2020. One nonce pair for all; `tail` is MIC, key data length and key data.
fn computed(akm: Akm, version: u8, tail: &str) -> Sample {
    let tail_len = tail.chars().filter(|c| !c.is_whitespace()).count() / 2;
    let eapol = format!(
        "0103{:04x}0201{version:02x}00000000000000000001\
         d134b36c426b47ca02506a7338c84a795266d35369179c19ab7c9458636dfd41{}{tail}",
        81 - 4 + tail_len,
        "00".repeat(32)
    );
    let anonce = "211ae3ffaf68dfb2cacd3699a462efd44791e07bc8023d0083e40fe57633eade";
    Sample::new(akm, ["correct horse battery", "Home"], ["02:00:00:00:01:00", "02:00:00:00:02:00"], anonce, &eapol)
}

/// FT-PSK with MDID a1b2, R0KH-ID "ap1.example.net", R1KH-ID 02:00:00:00:01:00.
fn ft_psk_with(mic: &str, cipher: &str) -> Sample {
    let rsne = format!("30260100000fac040100000fac{cipher}0100000fac0480000100114c2ca7a6283ac93cf963178f0f99d9");
    let fte = format!("376b{}0106020000000100030f6170312e6578616d706c652e6e6574", "00".repeat(2 + 16 + 32 + 32));
    computed(Akm::FtPsk, 0x0b, &format!("{mic}009a{rsne}3603a1b201{fte}"))
}

/// The one with CCMP-128.
fn ft_psk() -> Sample {
    ft_psk_with("8bc145bbe7f757cd87b2e1f621596201", "04")
}

fn all() -> Vec<Sample> {
    let rsne =
        |mic: &str, cipher: &str, akm: &str| format!("{mic}001630140100000fac040100000fac{cipher}0100000fac{akm}8000");
    let psk_sha256 = |mic, cipher| computed(Akm::PskSha256, 0x0b, &rsne(mic, cipher, "06"));
    let mut samples = captured().to_vec();
    samples.extend([
        computed(Akm::Psk, 0x0a, &rsne("f73e312e3fc2c555b1ebf55a89a06922", "04", "02")),
        computed(Akm::Psk, 0x09, &rsne("752271284941b7451fb1870f688a1514", "02", "02")),
        psk_sha256("5aa250ca96796285776cc594c568d35e", "04"),
        psk_sha256("92c79147ee01505eb8f88eec96d138b0", "0a"),
        psk_sha256("be802f1755ee110b035cecc2acd78b0d", "09"),
        psk_sha256("e0d0fe514facffcaeb69b72baaa9b6a6", "02"),
        ft_psk(),
        ft_psk_with("011ba161a4f4e08f1ed3bc1454acba91", "09"),
    ]);
    samples
}

#[test]
fn the_right_key_verifies_and_no_other() {
    for sample in all() {
        let handshake = sample.parse().unwrap();
        assert_eq!((handshake.akm(), handshake.sta()), (sample.akm, MacAddr(sample.sta)));
        assert_eq!(handshake.snonce(), &sample.eapol[17..49]);
        let right = sample.candidate();
        assert!(handshake.verify(&right), "{handshake:?}");
        let mut almost = *right.pmk().expose();
        almost[31] ^= 1;
        assert!(!handshake.verify(&Candidate::new(crate::secret::Pmk::new(almost))), "{handshake:?}");
        let other_ssid = Sample { ssid: [&sample.ssid[..], b"x"].concat(), ..sample.clone() };
        assert!(!handshake.verify(&other_ssid.candidate()));
    }
}

#[test]
fn one_flipped_bit_is_noticed() {
    for sample in all() {
        let right = sample.candidate();
        for bit in 0..8 * sample.eapol.len() {
            let mut changed = sample.clone();
            changed.eapol[bit / 8] ^= 1 << (bit % 8);
            assert!(!changed.verifies(&right), "{} EAPOL octet {}", sample.akm, bit / 8);
        }
        for bit in 0..8 * 32 {
            let mut changed = sample.clone();
            changed.anonce[bit / 8] ^= 1 << (bit % 8);
            assert!(!changed.verifies(&right), "{} ANonce octet {}", sample.akm, bit / 8);
        }
        for bit in 0..8 * 6 {
            let mut changed = sample.clone();
            changed.ap[bit / 8] ^= 1 << (bit % 8);
            assert!(!changed.verifies(&right), "{} AP octet {}", sample.akm, bit / 8);
            changed = sample.clone();
            changed.sta[bit / 8] ^= 1 << (bit % 8);
            assert!(!changed.verifies(&right), "{} station octet {}", sample.akm, bit / 8);
        }
    }
    let right = ft_psk().candidate();
    for bit in 0..8 * 4 {
        let mut changed = ft_psk();
        changed.ssid[bit / 8] ^= 1 << (bit % 8);
        assert!(!changed.verifies(&right));
    }
}

#[test]
fn the_search_finds_the_position() {
    let sample = &captured()[0];
    let handshake = sample.parse().unwrap();
    let mut candidates: Vec<_> = (0..100).map(|n| Candidate::new(crate::secret::Pmk::new([n; 32]))).collect();
    assert_eq!(search(&handshake, &candidates), None);
    candidates.insert(70, sample.candidate());
    candidates.push(sample.candidate());
    assert_eq!(search(&handshake, &candidates), Some(70));
    assert_eq!(search(&handshake, candidates.iter().rev()), Some(0));
    assert_eq!(search(&handshake, []), None);
}

#[test]
fn without_the_attribute_the_key_data_name_the_akm() {
    for sample in all() {
        let handshake = sample.parse_with(None).unwrap();
        assert_eq!(handshake.akm(), sample.akm);
        assert!(handshake.verify(&sample.candidate()));
    }
    let wpa_number = captured()[2].parse_with(Some(0x0050_f202)).unwrap();
    assert!(wpa_number.verify(&captured()[2].candidate()));
}

/// A NAS without the attribute and a station without RSNE: one vendor KDE as key data.
#[test]
fn without_both_the_descriptor_version_does() {
    let bare = |info: u8| computed(Akm::Psk, info, &format!("{}0006dd0400000000", "00".repeat(16)));
    for (info, akm) in [(0x09, Akm::Psk), (0x0a, Akm::Psk)] {
        assert_eq!(bare(info).parse_with(None).unwrap().akm(), akm);
    }
    let missing = HandshakeError::Missing { akm: Akm::PskSha256, what: "RSNE" };
    assert_eq!(bare(0x0b).parse_with(None).unwrap_err(), missing);
    assert_eq!(bare(0x08).parse_with(None).unwrap_err(), HandshakeError::NoAkm);
}

#[test]
fn broken_key_data_do_not_stop_wpa_psk() {
    let mut sample = captured()[0].clone();
    sample.eapol[100] = 0xff;
    assert_eq!(sample.parse().unwrap().akm(), Akm::Psk);
    let error = sample.parse_with(None).unwrap_err().to_string();
    assert_eq!(
        error,
        "key data of message 2: element 48 at octet 0 of the key data has length 255, but only 20 octets follow"
    );
}

#[test]
fn what_cannot_be_searched_says_why() {
    let wpa2 = &captured()[0];
    assert!(wpa2.parse_with(Some(0x000f_ac08)).unwrap_err().to_string().contains("00-0F-AC:8 (SAE)"));
    assert!(matches!(
        wpa2.parse_with(Some(0x000f_ac01)),
        Err(HandshakeError::Akm(AkmError { suite: Suite(0x000f_ac01), .. }))
    ));
    let error = wpa2.parse_with(Some(0x000f_ac06)).unwrap_err().to_string();
    assert_eq!(error, "key descriptor version 2 does not go with WPA-PSK-SHA256: expected 3 (AES-128-CMAC)");
    let error = captured()[4].parse_with(Some(0x000f_ac02)).unwrap_err().to_string();
    assert_eq!(error, "key descriptor version 3 does not go with WPA-PSK: expected 1 (HMAC-MD5) or 2 (HMAC-SHA1)");

    assert_eq!(Sample { ssid: Vec::new(), ..wpa2.clone() }.parse().unwrap_err(), HandshakeError::Ssid(0));
    assert_eq!(Sample { ssid: vec![b'x'; 33], ..wpa2.clone() }.parse().unwrap_err(), HandshakeError::Ssid(33));

    let mut message_3 = wpa2.clone();
    message_3.eapol[6] |= 0x80;
    assert!(matches!(message_3.parse(), Err(HandshakeError::Eapol(EapolError::NotMessage2 { .. }))));
    assert!(message_3.error().contains("Ack"));
}

#[test]
fn what_ft_psk_needs() {
    let base = ft_psk();
    // Key data: RSNE at 99 (40 octets), MDE at 139 (5), FTE at 144 with its sub-elements at 228 (8) and 236 (17).
    let renamed = |at: usize, id: u8| {
        let mut sample = base.clone();
        sample.eapol[at] = id;
        sample
    };
    for (at, what) in [(99, "RSNE"), (139, "mobility domain"), (144, "fast BSS"), (228, "R1KH-ID"), (236, "R0KH-ID")] {
        let error = renamed(at, 200).error();
        assert!(error.starts_with("FT-PSK: message 2 has no") && error.contains(what), "{error}");
    }
    let mut encrypted = base.clone();
    encrypted.eapol[5] |= 0x10;
    assert_eq!(encrypted.parse().unwrap_err(), HandshakeError::Encrypted { akm: Akm::FtPsk });
    let mut wep = base.clone();
    wep.eapol[99 + 13] = 5;
    assert_eq!(wep.error(), "FT-PSK: pairwise cipher 00-0F-AC:5 is not supported: use CCMP or GCMP");
}

#[test]
fn debug_shows_no_nonce_and_no_mic() {
    let shown = format!("{:?}", captured()[0].parse().unwrap());
    assert_eq!(shown, "Handshake { sta: 00:13:46:fe:32:0c, akm: Psk, .. }");
}

/// The files of the fuzz corpus: none of them panics, and the good ones are read.
#[test]
fn the_corpus_of_the_fuzz_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/handshake");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 5, "{files} files in {folder}");
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(data: Vec<u8>, cut in 0usize..300, at in 0usize..253, octet: u8, which in 0usize..13) {
        fuzz(&data);
        let mut sample = all().swap_remove(which);
        if let Some(place) = sample.eapol.get_mut(at) {
            *place = octet;
        }
        sample.eapol.truncate(cut);
        for akm in [None, Some(0x000f_ac02), Some(0x000f_ac04), Some(0x000f_ac06)] {
            let _ = sample.parse_with(akm).map(|handshake| handshake.verify(&Candidate::new(crate::secret::Pmk::new([7; 32]))));
        }
        sample.eapol.extend(&data);
        let _ = sample.parse();
    }
}

/// `cargo test --release -- --ignored --nocapture candidates_per_second`: one core, 10,000 keys, none of them right.
#[test]
#[ignore = "a measurement, for the release profile"]
fn candidates_per_second() {
    let candidates: Vec<_> = (0..10_000u32)
        .map(|n| {
            let mut pmk = [0x5a; 32];
            pmk[..4].copy_from_slice(&n.to_be_bytes());
            Candidate::new(crate::secret::Pmk::new(pmk))
        })
        .collect();
    for sample in [&captured()[0], &captured()[2], &captured()[4], &ft_psk()] {
        let handshake = sample.parse().unwrap();
        let mut best = 0.0f64;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            assert_eq!(search(&handshake, &candidates), None);
            best = best.max(10_000.0 / start.elapsed().as_secs_f64());
        }
        println!("{} version {}: {best:.0} candidates/s", handshake.akm(), sample.eapol[6] & 7);
    }
}
