//! EAPOL-Key frames (IEEE 802.11-2020, 12.7.2), the carriers of the 4-way handshake.
//!
//! ```text
//!  0  protocol version          17  key nonce (32)          97  key data length
//!  1  packet type, 3            49  key IV (16)             99  key data
//!  2  body length               65  key RSC (8)
//!  4  descriptor type           73  reserved (8)
//!  5  key information           81  key MIC (16)
//!  7  key length
//!  9  key replay counter (8)
//! ```
//!
//! The MIC has 16 octets with every AKM that has a pre-shared key and SHA-1 or SHA-256; the frames of the
//! SHA-384 AKMs have a longer one and fail here on their key data length.

/// The longest frame taken, in octets, with the 4 octets of the IEEE 802.1X header. A message 2 has 120 to 300.
pub const MAX_FRAME: usize = 1024;

/// Octets up to and with the key data length: the shortest EAPOL-Key frame.
const FIXED: usize = 99;
/// Where the MIC begins.
const MIC_AT: usize = 81;
/// Octets of the MIC.
const MIC_LEN: usize = 16;

/// Why octets are not an EAPOL-Key frame that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EapolError {
    /// Ends before the key data.
    #[error("EAPOL-Key frame cut off: {have} octets, at least {FIXED} are needed")]
    Short {
        /// Octets there are.
        have: usize,
    },
    /// Longer than [`MAX_FRAME`].
    #[error("EAPOL-Key frame too long: {have} octets, at most {MAX_FRAME} are taken")]
    Long {
        /// Octets there are.
        have: usize,
    },
    /// An EAPOL frame of another kind.
    #[error("EAPOL packet type {0} (octet 1): expected 3, EAPOL-Key")]
    PacketType(u8),
    /// The IEEE 802.1X header promises more than came, or too little for an EAPOL-Key frame.
    #[error("EAPOL body length {declared} (octets 2-3) does not fit: {have} octets follow, at least 95 are needed")]
    BodyLength {
        /// What the header says.
        declared: usize,
        /// Octets after the header.
        have: usize,
    },
    /// Neither 2 (RSN) nor 254 (WPA).
    #[error("EAPOL-Key descriptor type {0} (octet 4): expected 2 (RSN) or 254 (WPA)")]
    DescriptorType(u8),
    /// The key data reach over the end of the frame.
    #[error("key data length {declared} (octets 97-98) does not fit: {have} octets follow")]
    KeyDataLength {
        /// What the field says.
        declared: usize,
        /// Octets after the field.
        have: usize,
    },
    /// A frame that is whole, but not message 2 of a 4-way handshake.
    #[error("not message 2 of a 4-way handshake: key information {info:#06x} (octets 5-6), {why}")]
    NotMessage2 {
        /// The key information field.
        info: u16,
        /// What speaks against it.
        why: &'static str,
    },
}

/// The descriptor type: which generation of WPA speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// 2: RSN, which is WPA2 and WPA3.
    Rsn,
    /// 254: WPA of 2003. Some stations send it in RSN handshakes too.
    Wpa,
}

/// The key information field (IEEE 802.11-2020, 12.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyInfo(pub u16);

impl KeyInfo {
    /// Which algorithms: 1 HMAC-MD5 and RC4, 2 HMAC-SHA1-128 and AES, 3 AES-128-CMAC and AES, 0 as the AKM says.
    pub fn version(self) -> u16 {
        self.0 & 0x0007
    }

    /// A pairwise key (the 4-way handshake), not a group key.
    pub fn pairwise(self) -> bool {
        self.0 & 0x0008 != 0
    }

    /// The receiver has to answer: set by the authenticator only.
    pub fn ack(self) -> bool {
        self.0 & 0x0080 != 0
    }

    /// The MIC field holds a MIC.
    pub fn mic(self) -> bool {
        self.0 & 0x0100 != 0
    }

    /// The initial key exchange is over.
    pub fn secure(self) -> bool {
        self.0 & 0x0200 != 0
    }

    /// The station asks for a new handshake.
    pub fn request(self) -> bool {
        self.0 & 0x0800 != 0
    }

    /// The key data are encrypted with the KEK.
    pub fn encrypted(self) -> bool {
        self.0 & 0x1000 != 0
    }

    /// An SMK message (peer keys, withdrawn from the standard).
    pub fn smk(self) -> bool {
        self.0 & 0x2000 != 0
    }
}

/// A checked EAPOL-Key frame. What is kept of it lies in the octets it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFrame<'a> {
    /// The frame from the IEEE 802.1X header on, without anything that followed its declared length.
    octets: &'a [u8],
    /// Descriptor type.
    pub descriptor: Descriptor,
    /// Key information.
    pub info: KeyInfo,
    /// Length of the pairwise temporal key in octets; RSN stations send 0, WPA stations 16 or 32.
    pub key_length: u16,
    /// Copied by the station from the message it answers.
    pub replay_counter: u64,
    /// ANonce or SNonce.
    pub nonce: [u8; 32],
    /// The MIC over the whole frame with this field zero.
    pub mic: [u8; MIC_LEN],
    /// Elements and KDEs; encrypted if [`KeyInfo::encrypted`].
    pub key_data: &'a [u8],
}

/// Takes `N` octets from the front.
fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = input.split_first_chunk::<N>()?;
    *input = tail;
    Some(*head)
}

impl<'a> KeyFrame<'a> {
    /// Checks and reads a frame that begins with its IEEE 802.1X header.
    ///
    /// Octets after the declared body length are left out (padding of short Ethernet frames), octets of the body
    /// after the key data are kept: the MIC covers them.
    pub fn parse(octets: &'a [u8]) -> Result<KeyFrame<'a>, EapolError> {
        let short = EapolError::Short { have: octets.len() };
        if octets.len() > MAX_FRAME {
            return Err(EapolError::Long { have: octets.len() });
        }
        let mut rest = octets;
        let [_version, packet_type, high, low] = take(&mut rest).ok_or(short)?;
        if packet_type != 3 {
            return Err(EapolError::PacketType(packet_type));
        }
        if octets.len() < FIXED {
            return Err(short);
        }
        let declared = usize::from(u16::from_be_bytes([high, low]));
        let mismatch = EapolError::BodyLength { declared, have: rest.len() };
        let frame = octets.get(..declared + 4).filter(|frame| frame.len() >= FIXED).ok_or(mismatch)?;
        rest = rest.get(..declared).ok_or(mismatch)?;

        let descriptor = match take(&mut rest).ok_or(short)? {
            [2] => Descriptor::Rsn,
            [254] => Descriptor::Wpa,
            [other] => return Err(EapolError::DescriptorType(other)),
        };
        let info = KeyInfo(u16::from_be_bytes(take(&mut rest).ok_or(short)?));
        let key_length = u16::from_be_bytes(take(&mut rest).ok_or(short)?);
        let replay_counter = u64::from_be_bytes(take(&mut rest).ok_or(short)?);
        let nonce = take(&mut rest).ok_or(short)?;
        let _iv_rsc_reserved: [u8; 32] = take(&mut rest).ok_or(short)?;
        let mic = take(&mut rest).ok_or(short)?;
        let declared = usize::from(u16::from_be_bytes(take(&mut rest).ok_or(short)?));
        let key_data = rest.get(..declared).ok_or(EapolError::KeyDataLength { declared, have: rest.len() })?;
        Ok(KeyFrame { octets: frame, descriptor, info, key_length, replay_counter, nonce, mic, key_data })
    }

    /// Refuses everything but message 2 of a 4-way handshake (IEEE 802.11-2020, 12.7.6.3): pairwise, with a MIC, from
    /// the station (no Ack), no request, with key data.
    ///
    /// Secure is accepted: it is set when a handshake renews the key, and some stations always set it. Install is
    /// not looked at, and the key length neither: stations differ there.
    pub fn check_message_2(&self) -> Result<(), EapolError> {
        let info = self.info;
        let why = if info.smk() {
            "an SMK message"
        } else if info.request() {
            "the station's request for a new handshake"
        } else if !info.pairwise() {
            "a message of the group key handshake"
        } else if info.ack() {
            "the authenticator's message 1 or 3 (Ack is set)"
        } else if !info.mic() {
            "it has no MIC"
        } else if self.key_data.is_empty() {
            "message 4 (it has no key data)"
        } else {
            return Ok(());
        };
        Err(EapolError::NotMessage2 { info: info.0, why })
    }

    /// The whole frame with its MIC field zero: what the MIC is computed over.
    pub fn octets_without_mic(&self) -> Vec<u8> {
        let mut octets = self.octets.to_vec();
        octets.iter_mut().skip(MIC_AT).take(MIC_LEN).for_each(|octet| *octet = 0);
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Message 2 as a station sent it: CCMP, replay counter 1.
    const MESSAGE_2: &[u8] = b"\x01\x03\x00\x75\x02\x01\x0a\x00\x10\x00\x00\x00\x00\x00\x00\x00\x01\
        \x59\x16\x8b\xc3\xa5\xdf\x18\xd7\x1e\xfb\x64\x23\xf3\x40\x08\x8d\xab\x9e\x1b\xa2\xbb\xc5\x86\x59\xe0\x7b\x37\x64\xb0\xde\x85\x70\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \xd5\x35\x53\x82\xb8\xa9\xb8\x06\xdc\xaf\x99\xcd\xaf\x56\x4e\xb6\x00\x16\
        \x30\x14\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x02\x01\x00";

    /// The message with octets replaced.
    fn with(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut frame = MESSAGE_2.to_vec();
        changes.iter().for_each(|(at, octet)| frame[*at] = *octet);
        frame
    }

    #[test]
    fn message_2_is_read() {
        let frame = KeyFrame::parse(MESSAGE_2).unwrap();
        assert_eq!(frame.descriptor, Descriptor::Rsn);
        assert_eq!(frame.info, KeyInfo(0x010a));
        assert_eq!(frame.info.version(), 2);
        assert!(frame.info.pairwise() && frame.info.mic());
        assert!(!frame.info.ack() && !frame.info.secure() && !frame.info.request());
        assert!(!frame.info.encrypted() && !frame.info.smk());
        assert_eq!(frame.key_length, 16);
        assert_eq!(frame.replay_counter, 1);
        assert_eq!(frame.nonce, MESSAGE_2[17..49]);
        assert_eq!(frame.mic, MESSAGE_2[81..97]);
        assert_eq!(frame.key_data, &MESSAGE_2[99..]);
        assert_eq!(frame.check_message_2(), Ok(()));
    }

    #[test]
    fn the_mic_alone_is_zeroed() {
        let zeroed = KeyFrame::parse(MESSAGE_2).unwrap().octets_without_mic();
        assert_eq!(zeroed.len(), MESSAGE_2.len());
        assert_eq!(zeroed[..81], MESSAGE_2[..81]);
        assert_eq!(zeroed[81..97], [0; 16]);
        assert_eq!(zeroed[97..], MESSAGE_2[97..]);
    }

    #[test]
    fn octets_after_the_declared_length_are_left_out() {
        let padded = [MESSAGE_2, &[0xee; 40]].concat();
        assert_eq!(KeyFrame::parse(&padded), KeyFrame::parse(MESSAGE_2));
    }

    #[test]
    fn octets_after_the_key_data_belong_to_the_frame() {
        let shorter_key_data = with(&[(98, 0x14)]);
        let frame = KeyFrame::parse(&shorter_key_data).unwrap();
        assert_eq!(frame.key_data.len(), 0x14);
        assert_eq!(frame.octets_without_mic().len(), MESSAGE_2.len());
    }

    #[test]
    fn what_is_no_key_frame() {
        let long = vec![1; MAX_FRAME + 1];
        for (octets, error) in [
            (&b""[..], EapolError::Short { have: 0 }),
            (&MESSAGE_2[..3], EapolError::Short { have: 3 }),
            (&MESSAGE_2[..98], EapolError::Short { have: 98 }),
            (&MESSAGE_2[..120], EapolError::BodyLength { declared: 117, have: 116 }),
            (&long, EapolError::Long { have: 1025 }),
            (&with(&[(1, 0)]), EapolError::PacketType(0)),
            (&with(&[(3, 94)]), EapolError::BodyLength { declared: 94, have: 117 }),
            (&with(&[(2, 0xff)]), EapolError::BodyLength { declared: 0xff75, have: 117 }),
            (&with(&[(4, 1)]), EapolError::DescriptorType(1)),
            (&with(&[(98, 0x17)]), EapolError::KeyDataLength { declared: 23, have: 22 }),
            (&with(&[(97, 0xff)]), EapolError::KeyDataLength { declared: 0xff16, have: 22 }),
        ] {
            assert_eq!(KeyFrame::parse(octets), Err(error));
        }
    }

    #[test]
    fn what_is_not_message_2() {
        for (changes, word) in [
            (&[(5, 0x21)][..], "SMK"),
            (&[(5, 0x09)][..], "request"),
            (&[(6, 0x02)][..], "group"),
            (&[(6, 0x8a)][..], "Ack"),
            (&[(5, 0x00)][..], "no MIC"),
            (&[(5, 0x03), (98, 0)][..], "message 4"),
        ] {
            let octets = with(changes);
            let error = KeyFrame::parse(&octets).unwrap().check_message_2().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let rekeying = with(&[(5, 0x03)]);
        assert_eq!(KeyFrame::parse(&rekeying).unwrap().check_message_2(), Ok(()));
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(octets: Vec<u8>, head in 0usize..99) {
            let _ = KeyFrame::parse(&octets);
            let _ = KeyFrame::parse(&[&MESSAGE_2[..head], &octets].concat()).map(|frame| frame.check_message_2());
        }
    }
}
