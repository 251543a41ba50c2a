//! Fields of a program that XLA's builder can set and the `xla` crate does not expose, written into the finished
//! program: an `HloModuleProto` of XLA's `hlo.proto`.

use crate::error::{Error, Result};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost::{DecodeError, Message};
use std::collections::HashMap;
use xla::{HloModuleProto, XlaComputation};

/// The fields of the messages in `hlo.proto`.
const COMPUTATIONS: u32 = 3;
const INSTRUCTIONS: u32 = 2;

/// The id that XLA assigns to every module.
const ID: u32 = 5;

/// The fields read from an instruction.
#[derive(Message)]
pub(super) struct Instruction {
    #[prost(string, tag = "2")]
    pub opcode: String,
    #[prost(string, tag = "28")]
    pub custom_call_target: String,
}

/// A call, as much of it as is written again.
#[derive(Clone, Message)]
struct Call {
    #[prost(string, tag = "2")]
    opcode: String,
    #[prost(string, tag = "28")]
    custom_call_target: String,
    #[prost(int64, tag = "35")]
    id: i64,
    #[prost(int64, repeated, tag = "36")]
    operand_ids: Vec<i64>,
    #[prost(bytes = "vec", tag = "43")]
    backend_config: Vec<u8>,
    #[prost(message, repeated, tag = "74")]
    output_operand_aliasing: Vec<Aliasing>,
    #[prost(int32, tag = "77")]
    custom_call_api_version: i32,
}

const OPCODE: u32 = 2;
const OPERAND_IDS: u32 = 36;

/// The results that take over the memory of operands.
#[derive(Clone, Message)]
struct Aliasing {
    #[prost(int64, repeated, tag = "1")]
    output_shape_index: Vec<i64>,
    #[prost(int64, tag = "2")]
    operand_index: i64,
}

/// The same program, with the fields that `more` returns for an instruction added to it.
pub(super) fn with_fields<M: Message>(
    computation: &XlaComputation,
    more: impl Fn(&Instruction) -> Option<M>,
) -> Result<XlaComputation> {
    edited(computation, |program| rewrite(program, &more))
}

/// The program whose bytes `f` makes.
pub(super) fn edited(
    computation: &XlaComputation,
    f: impl Fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
) -> Result<XlaComputation> {
    let refused = |error| Error::xla("build the program", &error);
    let program = computation.proto().to_bytes().map_err(refused)?;
    let program = f(&program).map_err(|error| Error::Xla {
        action: "build the program",
        message: format!("expected an HloModuleProto, got other bytes ({error})"),
        cause: None,
    })?;
    let proto = HloModuleProto::parse_proto(&program, true).map_err(refused)?;
    Ok(XlaComputation::from_proto(&proto))
}

/// The program as bytes, without the id of the module: the same each time that it is built.
pub(crate) fn without_id(computation: &XlaComputation) -> Option<Vec<u8>> {
    without(&computation.proto().to_bytes().ok()?, &[ID]).ok()
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
            Ok(Some(result))
        })
        .map(Some)
    })
}

/// The same program, in which every tuple that begins with a call of `target` is that call: the crate `xla` makes calls
/// of one result only. The other elements of the tuple are the call's first operands, in whose memory its results lie.
pub(super) fn with_results(module: &[u8], target: &str) -> Result<Vec<u8>, DecodeError> {
    edit(module, COMPUTATIONS, |computation| {
        let mut calls = HashMap::new();
        for field in fields(computation)?.iter().filter(|field| field.tag == INSTRUCTIONS) {
            let call = Call::decode(field.contents)?;
            if call.custom_call_target == target {
                calls.insert(call.id, call);
            }
        }
        edit(computation, INSTRUCTIONS, |instruction| {
            let tuple = Call::decode(instruction)?;
            if calls.contains_key(&tuple.id) {
                return Ok(None);
            }
            let Some(call) = tuple.operand_ids.first().and_then(|first| calls.get(first)) else {
                return Ok(Some(instruction.to_vec()));
            };
            let aliasing = (1..tuple.operand_ids.len() as i64)
                .map(|result| Aliasing { output_shape_index: vec![result], operand_index: result - 1 });
            let call = Call { id: tuple.id, output_operand_aliasing: aliasing.collect(), ..call.clone() };
            let mut result = without(instruction, &[OPCODE, OPERAND_IDS])?;
            result.extend(call.encode_to_vec());
            Ok(Some(result))
        })
        .map(Some)
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
        [tag, within @ ..] => edit(message, *tag, |contents| edit_at(contents, within, f).map(Some)),
    }
}

/// A message in which `f` rewrites each message in the field `tag`, or drops it by returning `None`. All other fields
/// are copied, including unknown ones.
fn edit(
    message: &[u8],
    tag: u32,
    f: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, DecodeError>,
) -> Result<Vec<u8>, DecodeError> {
    let mut edited = Vec::with_capacity(message.len() + message.len() / 8);
    for field in fields(message)? {
        if field.tag == tag && field.wire_type == WireType::LengthDelimited {
            let Some(contents) = f(field.contents)? else { continue };
            encode_key(tag, field.wire_type, &mut edited);
            encode_varint(contents.len() as u64, &mut edited);
            edited.extend(contents);
        } else {
            edited.extend(field.whole);
        }
    }
    Ok(edited)
}

/// A message without the fields `tags`.
fn without(message: &[u8], tags: &[u32]) -> Result<Vec<u8>, DecodeError> {
    let kept = fields(message)?.into_iter().filter(|field| !tags.contains(&field.tag));
    Ok(kept.flat_map(|field| field.whole).copied().collect())
}

struct Field<'a> {
    tag: u32,
    wire_type: WireType,
    whole: &'a [u8],
    /// Its contents if it has a length.
    contents: &'a [u8],
}

/// The fields of a message, one after the other.
fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, DecodeError> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let whole = rest;
        let (tag, wire_type) = decode_key(&mut rest)?;
        let mut contents = rest;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        contents = &contents[..contents.len() - rest.len()];
        if wire_type == WireType::LengthDelimited {
            // `skip_field` has checked the length.
            decode_varint(&mut contents)?;
        }
        fields.push(Field { tag, wire_type, whole: &whole[..whole.len() - rest.len()], contents });
    }
    Ok(fields)
}
