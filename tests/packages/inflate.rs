//! Reads deflate (RFC 1951) and gzip (RFC 1952): slowly, and independently of who wrote it.

/// Codes of each length, and the symbols in their order.
struct Huffman {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Huffman {
    fn new(lengths: &[u8]) -> Huffman {
        let mut counts = [0; 16];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let mut symbols: Vec<(u8, u16)> = lengths
            .iter()
            .zip(0u16..)
            .filter(|(length, _)| **length > 0)
            .map(|(length, symbol)| (*length, symbol))
            .collect();
        symbols.sort_unstable();
        Huffman { counts, symbols: symbols.into_iter().map(|(_, symbol)| symbol).collect() }
    }
}

struct Bits<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> u16 {
        let octet = self.octets.get(self.at / 8).expect("the deflate stream ends too early");
        let bit = octet >> (self.at % 8) & 1;
        self.at += 1;
        bit.into()
    }

    fn number(&mut self, bits: u8) -> u16 {
        (0..bits).fold(0, |number, place| number | self.bit() << place)
    }

    fn symbol(&mut self, huffman: &Huffman) -> u16 {
        let (mut code, mut first, mut index) = (0u16, 0u16, 0u16);
        for count in &huffman.counts[1..] {
            code |= self.bit();
            if code < first + count {
                return huffman.symbols[usize::from(index + code - first)];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code");
    }
}

const LENGTHS: [u16; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What was compressed, and how many octets the compressed stream has.
pub fn deflate(octets: &[u8]) -> (Vec<u8>, usize) {
    let (mut bits, mut out) = (Bits { octets, at: 0 }, Vec::new());
    loop {
        let last = bits.bit() == 1;
        match bits.number(2) {
            0 => {
                let at = bits.at.div_ceil(8);
                let length = usize::from(u16::from_le_bytes([octets[at], octets[at + 1]]));
                out.extend(&octets[at + 4..at + 4 + length]);
                bits.at = (at + 4 + length) * 8;
            }
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|n| [8, 9, 7, 8][usize::from(n > 143) + usize::from(n > 255) + usize::from(n > 279)])
                    .collect();
                block(&mut bits, &mut out, &Huffman::new(&lengths), &Huffman::new(&[5; 30]));
            }
            2 => {
                let (literals, distances) = (usize::from(bits.number(5)) + 257, usize::from(bits.number(5)) + 1);
                let mut lengths = [0; 19];
                for place in &ORDER[..usize::from(bits.number(4)) + 4] {
                    lengths[*place] = bits.number(3) as u8;
                }
                let codes = Huffman::new(&lengths);
                let mut lengths = Vec::new();
                while lengths.len() < literals + distances {
                    let (length, times) = match bits.symbol(&codes) {
                        16 => (*lengths.last().unwrap(), 3 + bits.number(2)),
                        17 => (0, 3 + bits.number(3)),
                        18 => (0, 11 + bits.number(7)),
                        length => (length as u8, 1),
                    };
                    lengths.extend(std::iter::repeat_n(length, times.into()));
                }
                let (literals, distances) = lengths.split_at(literals);
                block(&mut bits, &mut out, &Huffman::new(literals), &Huffman::new(distances));
            }
            _ => panic!("no such kind of block"),
        }
        if last {
            return (out, bits.at.div_ceil(8));
        }
    }
}

fn block(bits: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Huffman, distances: &Huffman) {
    loop {
        match bits.symbol(literals) {
            256 => return,
            literal @ 0..256 => out.push(literal as u8),
            symbol => {
                let symbol = usize::from(symbol - 257);
                let length = LENGTHS[symbol] + bits.number(LENGTH_BITS[symbol]);
                let symbol = usize::from(bits.symbol(distances));
                let extra = (symbol / 2).saturating_sub(1) as u8;
                let from = out.len() - usize::from(DISTANCES[symbol]) - usize::from(bits.number(extra));
                for place in from..from + usize::from(length) {
                    out.push(out[place]);
                }
            }
        }
    }
}

/// What is in a gzip file that names neither time nor file; its checksum and length are compared.
pub fn gzip(octets: &[u8]) -> Vec<u8> {
    assert_eq!(octets[..4], [0x1f, 0x8b, 8, 0], "gzip without a name");
    assert_eq!(octets[4..8], [0; 4], "and without a time");
    let (out, length) = deflate(&octets[10..]);
    let trailer = &octets[10 + length..];
    assert_eq!(trailer.len(), 8, "nothing after it");
    let crc = out.iter().fold(!0u32, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    });
    assert_eq!(trailer[..4], (!crc).to_le_bytes(), "its checksum");
    assert_eq!(trailer[4..], (out.len() as u32).to_le_bytes(), "its length");
    out
}
