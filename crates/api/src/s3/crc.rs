//! Cyclic redundancy checks, reflected, of up to 64 bits: eight bytes a step, and joined without their
//! bytes.
//!
//! One table-driven loop serves CRC-32, CRC-32C and CRC-64/NVME: they differ in width and polynomial.
//! All begin with ones and are inverted at the end.

/// A kind of check.
#[derive(Debug)]
pub(super) struct Kind {
    polynomial: u64,
    width: u32,
    tables: [[u64; 256]; 8],
}

pub(super) static CRC32: Kind = Kind::new(0xedb8_8320, 32);
pub(super) static CRC32C: Kind = Kind::new(0x82f6_3b78, 32);
pub(super) static CRC64_NVME: Kind = Kind::new(0x9a6c_9329_ac4b_c9b5, 64);

impl Kind {
    /// A kind by its reflected polynomial.
    const fn new(polynomial: u64, width: u32) -> Self {
        let mut tables = [[0; 256]; 8];
        let mut byte = 0;
        while byte < 256 {
            let mut value = byte as u64;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ polynomial } else { value >> 1 };
                bit += 1;
            }
            tables[0][byte] = value;
            byte += 1;
        }
        let mut step = 1;
        while step < 8 {
            let mut byte = 0;
            while byte < 256 {
                let before = tables[step - 1][byte];
                tables[step][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
                byte += 1;
            }
            step += 1;
        }
        Self { polynomial, width, tables }
    }

    /// Bytes of the check.
    pub(super) fn bytes(&self) -> usize {
        self.width as usize / 8
    }

    fn ones(&self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// The state before the first byte.
    pub(super) fn begin(&self) -> u64 {
        self.ones()
    }

    /// The state after more bytes.
    pub(super) fn update(&self, mut state: u64, bytes: &[u8]) -> u64 {
        let (steps, rest) = bytes.as_chunks::<8>();
        for step in steps {
            let word = (state ^ u64::from_le_bytes(*step)).to_le_bytes();
            state = 0;
            for (byte, table) in word.iter().zip(self.tables.iter().rev()) {
                state ^= table[usize::from(*byte)];
            }
        }
        for byte in rest {
            let [low, ..] = state.to_le_bytes();
            state = (state >> 8) ^ self.tables[0][usize::from(low ^ byte)];
        }
        state
    }

    /// The check of all bytes so far.
    pub(super) fn finish(&self, state: u64) -> u64 {
        state ^ self.ones()
    }

    /// The check of two texts, one behind the other, of which the second has so many bytes.
    pub(super) fn join(&self, first: u64, second: u64, second_bytes: u64) -> u64 {
        self.multiply(first, self.power(second_bytes)) ^ second
    }

    /// x to the power of eight times `bytes`, modulo the polynomial.
    fn power(&self, bytes: u64) -> u64 {
        let one = 1 << (self.width - 1);
        // x to the eighth is one byte.
        let (mut result, mut square) = (one, one >> 8);
        let mut exponent = bytes;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.multiply(result, square);
            }
            square = self.multiply(square, square);
            exponent >>= 1;
        }
        result
    }

    /// The product of two polynomials, the highest bit of which is x to the power of zero.
    fn multiply(&self, a: u64, mut b: u64) -> u64 {
        let mut product = 0;
        let mut bit = 1 << (self.width - 1);
        while bit != 0 {
            if a & bit != 0 {
                product ^= b;
            }
            b = if b & 1 == 1 { (b >> 1) ^ self.polynomial } else { b >> 1 };
            bit >>= 1;
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(kind: &Kind, bytes: &[u8]) -> u64 {
        kind.finish(kind.update(kind.begin(), bytes))
    }

    #[test]
    fn the_checks_are_those_of_the_catalogue() {
        // The check values of the CRC catalogue, for these nine digits.
        let digits = b"123456789";
        assert_eq!(of(&CRC32, digits), 0xcbf4_3926);
        assert_eq!(of(&CRC32C, digits), 0xe306_9283);
        assert_eq!(of(&CRC64_NVME, digits), 0xae8b_1486_0a79_9888);
    }

    proptest! {
        #[test]
        fn pieces_and_parts_come_to_the_same(
            first in proptest::collection::vec(any::<u8>(), 0..100),
            second in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let whole = [first.as_slice(), &second].concat();
            for kind in [&CRC32, &CRC32C, &CRC64_NVME] {
                let in_pieces = kind.update(kind.update(kind.begin(), &first), &second);
                prop_assert_eq!(kind.finish(in_pieces), of(kind, &whole));
                let joined = kind.join(of(kind, &first), of(kind, &second), second.len() as u64);
                prop_assert_eq!(joined, of(kind, &whole));
            }
        }
    }
}
