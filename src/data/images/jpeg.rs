//! Checks that a JPEG file is whole. Its decoder fills missing parts with gray.

const END: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// Whether the end marker of the picture is present, ITU-T T.81, annex B. Markers within segments do not count: a
/// thumbnail in the metadata has its own end.
pub(super) fn is_whole(contents: &[u8]) -> bool {
    // After the marker that starts the picture.
    let mut at = 2;
    loop {
        // Any number of bytes ff may come before a marker.
        while contents.get(at) == Some(&0xFF) && contents.get(at + 1) == Some(&0xFF) {
            at += 1;
        }
        let (Some(0xFF), Some(&marker)) = (contents.get(at), contents.get(at + 1)) else {
            return false;
        };
        at += 2;
        match marker {
            END => return true,
            // Without a segment.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let Some(&[high, low]) = contents.get(at..).and_then(|rest| rest.first_chunk::<2>()) else {
            return false;
        };
        at += usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            // Coded data: ff is followed by 00 there, or by a restart marker.
            let is_marker = |two: &[u8]| two[0] == 0xFF && !matches!(two[1], 0x00 | 0xD0..=0xD7);
            let data = contents.get(at..).unwrap_or_default();
            let Some(length) = data.windows(2).position(is_marker) else { return false };
            at += length;
        }
    }
}
