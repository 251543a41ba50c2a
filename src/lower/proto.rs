//! What XLA's builder can say and the `xla` crate does not pass on, written into the finished program: an `HloModuleProto`
//! of XLA's `hlo.proto`.

use crate::error::{Error, Result};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost::{DecodeError, Message};
use xla::{HloModuleProto, XlaComputation};

/// The fields of the messages in `hlo.proto`.
const COMPUTATIONS: u32 = 3;
const INSTRUCTIONS: u32 = 2;

/// The number that XLA gives every module that it makes.
const ID: u32 = 5;

/// What is read of an instruction.
#[derive(Message)]
pub(super) struct Instruction {
    #[prost(string, tag = "2")]
    pub opcode: String,
    #[prost(string, tag = "28")]
    pub custom_call_target: String,
}

/// The same program, with the fields that `more` gives for an instruction added to it.
pub(super) fn with_fields<M: Message>(
    computation: &XlaComputation,
    more: impl Fn(&Instruction) -> Option<M>,
) -> Result<XlaComputation> {
    let refused = |error| Error::xla("build the program", &error);
    let program = computation.proto().to_bytes().map_err(refused)?;
    let program = rewrite(&program, more).map_err(|error| Error::Xla {
        action: "build the program",
        message: format!("expected an HloModuleProto, got other bytes ({error})"),
    })?;
    let proto = HloModuleProto::parse_proto(&program, true).map_err(refused)?;
    Ok(XlaComputation::from_proto(&proto))
}

/// The program as bytes, without the id of the module: the same each time that it is built.
pub(crate) fn without_id(computation: &XlaComputation) -> Option<Vec<u8>> {
    let program = computation.proto().to_bytes().ok()?;
    let mut written = Vec::with_capacity(program.len());
    let mut rest = &program[..];
    while !rest.is_empty() {
        let field = rest;
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).ok()?;
        if tag != ID {
            written.extend(&field[..field.len() - rest.len()]);
        }
    }
    Some(written)
}

pub(super) fn rewrite<M: Message>(
    module: &[u8],
    more: impl Fn(&Instruction) -> Option<M>,
) -> Result<Vec<u8>, DecodeError> {
    edit(module, COMPUTATIONS, |computation| {
        edit(computation, INSTRUCTIONS, |instruction| {
            let mut result = instruction.to_vec();
            if let Some(fields) = more(&Instruction::decode(instruction)?) {
                result.extend(fields.encode_to_vec());
            }
            Ok(result)
        })
    })
}

/// A message in which `f` has replaced the contents of the field at the path `tags`.
pub(crate) fn edit_at(
    message: &[u8],
    tags: &[u32],
    f: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Result<Vec<u8>, DecodeError> {
    match tags {
        [] => Ok(f(message)),
        [tag, within @ ..] => edit(message, *tag, |contents| edit_at(contents, within, f)),
    }
}

/// A message with what `f` makes of each message in its field `tag`. The other fields are copied, those that nothing here
/// knows among them.
fn edit(
    message: &[u8],
    tag: u32,
    f: impl Fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
) -> Result<Vec<u8>, DecodeError> {
    let mut edited = Vec::with_capacity(message.len() + message.len() / 8);
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        let (field_tag, wire_type) = decode_key(&mut rest)?;
        let contents = rest;
        skip_field(wire_type, field_tag, &mut rest, DecodeContext::default())?;
        if field_tag == tag && wire_type == WireType::LengthDelimited {
            // `skip_field` has seen that the length is there and right.
            let mut contents = &contents[..contents.len() - rest.len()];
            decode_varint(&mut contents)?;
            let contents = f(contents)?;
            encode_key(tag, wire_type, &mut edited);
            encode_varint(contents.len() as u64, &mut edited);
            edited.extend(contents);
        } else {
            edited.extend(&field[..field.len() - rest.len()]);
        }
    }
    Ok(edited)
}
