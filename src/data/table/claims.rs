//! Checks an Arrow file's description of its buffers against its bytes and the memory.

use arrow_ipc::{MessageHeader, RecordBatch, root_as_footer, root_as_message};

/// The marker before a message in the current format.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Bytes after a file's footer: the footer's length, and `ARROW1`.
const END: usize = 10;

/// Finds the damage that the decoder does not check for. The decoder allocates the length at the start of a compressed
/// buffer unchecked, which aborts the process if it exceeds memory; it panics at a buffer beyond its message; and it
/// takes a stream that was cut between two batches for a whole one.
///
/// Unreadable contents pass, as the decoder refuses them with its own message.
///
/// # Errors
///
/// A message that names the damage.
pub(super) fn check(contents: &[u8], with_footer: bool) -> Result<(), String> {
    if with_footer { check_file(contents) } else { check_stream(contents) }
}

/// Checks the batches that the footer names.
fn check_file(contents: &[u8]) -> Result<(), String> {
    let footer = || {
        let (before, end) = contents.split_at_checked(contents.len().checked_sub(END)?)?;
        let length = u32::from_le_bytes(*end.first_chunk()?) as usize;
        root_as_footer(&before[before.len().checked_sub(length)?..]).ok()
    };
    let Some(footer) = footer() else { return Ok(()) };
    let message = |block: &arrow_ipc::Block| {
        let rest = contents.get(usize::try_from(block.offset()).ok()?..)?;
        let (metadata, body) = rest.split_at_checked(usize::try_from(block.metaDataLength()).ok()?)?;
        let body = body.get(..usize::try_from(block.bodyLength()).ok()?)?;
        Some((metadata.get(if metadata.starts_with(&CONTINUATION) { 8 } else { 4 }..)?, body))
    };
    for block in [footer.dictionaries(), footer.recordBatches()].into_iter().flatten().flatten() {
        let (metadata, body) = message(block).ok_or("a batch lies beyond the end of the file")?;
        check_message(metadata, body)?;
    }
    Ok(())
}

/// Checks the batches one after the other, and that the end marker of the stream follows them.
fn check_stream(mut rest: &[u8]) -> Result<(), String> {
    let cut = || "the file is cut: its stream has no end".to_string();
    loop {
        rest = rest.strip_prefix(&CONTINUATION).unwrap_or(rest);
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = i32::from_le_bytes(*length);
        if length == 0 {
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| format!("a message of {length} bytes"))?;
        let (metadata, body) = after.split_at_checked(length).ok_or_else(cut)?;
        let Ok(message) = root_as_message(metadata) else { return Ok(()) };
        let length = usize::try_from(message.bodyLength()).map_err(|_| cut())?;
        let (body, after) = body.split_at_checked(length).ok_or_else(cut)?;
        check_message(metadata, body)?;
        rest = after;
    }
}

/// Checks the buffers of one message.
fn check_message(metadata: &[u8], body: &[u8]) -> Result<(), String> {
    let batch = || -> Option<RecordBatch<'_>> {
        let message = root_as_message(metadata).ok()?;
        match message.header_type() {
            MessageHeader::DictionaryBatch => message.header_as_dictionary_batch()?.data(),
            _ => message.header_as_record_batch(),
        }
    };
    let Some(batch) = batch() else { return Ok(()) };
    let compressed = batch.compression().is_some();
    for buffer in batch.buffers().into_iter().flatten() {
        let bytes = || {
            let start = usize::try_from(buffer.offset()).ok()?;
            body.get(start..)?.get(..usize::try_from(buffer.length()).ok()?)
        };
        let bytes = bytes().ok_or("a buffer lies beyond the end of its batch")?;
        // Minus one means that the buffer is not compressed, and the decoder refuses other negative numbers.
        let Some(length) = bytes.first_chunk().filter(|_| compressed) else { continue };
        let length = i64::from_le_bytes(*length).max(0);
        if Vec::<u8>::new().try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX)).is_err() {
            return Err(format!("a buffer of {length} bytes is more than memory holds"));
        }
    }
    Ok(())
}
