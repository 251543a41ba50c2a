//! Random changes to files.

/// Values at which counts and lengths tend to go wrong.
const EDGES: [u64; 12] =
    [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

/// Pieces of the formats of text.
const WORDS: [&[u8]; 25] = [
    b"\n",
    b",",
    b"\t",
    b" ",
    b"\"",
    b";",
    b"nan",
    b"inf",
    b"1e39",
    b"-",
    b"0",
    b"(",
    b")",
    b"[",
    b"]",
    b"{",
    b"}",
    b"'",
    b"\xff",
    b"99999999999999999999",
    b"=",
    b":",
    b"true",
    b"[[]]",
    b"9223372036854775807",
];

pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// One of `inputs`, every other time one of the first `seeds`, with a few changes.
    pub fn mutate(&mut self, inputs: &[Vec<u8>], seeds: usize) -> Vec<u8> {
        let reach = if self.next() & 1 == 0 { seeds } else { inputs.len() };
        let mut input = inputs[self.below(reach)].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, inputs);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        // Half of the changes fall into the first bytes, where headers are.
        let reach = if self.next() & 1 == 0 { input.len().min(128) } else { input.len() };
        let (at, to) = (self.below(reach), self.below(reach + 1));
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.next() as u8,
            2 => {
                let width = 1 << self.below(4);
                let edge = EDGES[self.below(EDGES.len())];
                let big = &edge.to_be_bytes()[8 - width..];
                let little = &edge.to_le_bytes()[..width];
                let value = if self.next() & 1 == 0 { big } else { little };
                if at + width <= input.len() {
                    input[at..at + width].copy_from_slice(value);
                }
            }
            3 => input.truncate(to),
            4 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..at, word.iter().copied());
            }
            5 => {
                input.drain(at.min(to)..at.max(to).min(at.min(to) + 16));
            }
            6 => {
                let piece = input[at.min(to)..at.max(to)].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
