//! Call frame information of an image (`.eh_frame`): how the caller of the function at an address is found.
//!
//! Formats: Linux Standard Base, "Exception Frames"; DWARF 5, section 6.4, which `gimli` interprets. Of the section only the two records that
//! describe one function are read, because a dump may hold no more of it.

use gimli::{
    AArch64, CfaRule, EhFrame, LittleEndian, Register, RegisterRule, UnwindContext, UnwindContextStorage,
    UnwindExpression, UnwindSection, UnwindTableRow, Vendor,
};

use crate::elf::Machine;
use crate::error::{Error, Result};
use crate::image::Image;

/// Bytes of one record; the longest known functions have some thousands.
const MAXIMUM_RECORD: u64 = 1 << 20;
/// `.eh_frame_hdr`: version 1, then how its table is written: a count of 4 bytes, pairs of 4 bytes relative to the table's start.
const VERSION: u8 = 1;
const COUNT_ENCODING: u8 = 0x03;
const TABLE_ENCODING: u8 = 0x3b;

type Slice<'a> = gimli::EndianSlice<'a, LittleEndian>;
type Section<'a> = EhFrame<Slice<'a>>;

/// Room for one row of rules. Compilers nest `DW_CFA_remember_state` once or twice.
#[derive(Debug, PartialEq, Eq)]
struct Rows;

impl UnwindContextStorage<usize> for Rows {
    type Rules = [(Register, RegisterRule<usize>); 192];
    type Stack = Box<[UnwindTableRow<usize, Self>; 32]>;
}

/// How one value of the caller is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It is lost.
    Lost,
    /// The callee left it alone.
    Same,
    /// It lies at the canonical frame address plus an offset.
    At(i64),
    /// It is the canonical frame address plus an offset.
    Is(i64),
    /// It lies in another register.
    In(u16),
    /// It lies where an expression says.
    AtExpression(Vec<u8>),
    /// It is what an expression says.
    IsExpression(Vec<u8>),
}

/// How the canonical frame address (the caller's stack pointer) is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameAddress {
    /// A register plus an offset.
    Register(u16, i64),
    /// What an expression says.
    Expression(Vec<u8>),
}

/// The rules that hold at one instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where the caller's stack pointer is.
    pub frame_address: FrameAddress,
    /// Registers that a rule is given for, by DWARF number.
    pub registers: Vec<(u16, Rule)>,
    /// The register that stands for the return address.
    pub return_address: u16,
    /// Whether the function is the one that a signal handler returns to, so that its caller was interrupted.
    pub signal: bool,
    /// Whether the return address carries a signature in its upper bits (arm64).
    pub signed: bool,
    /// How expressions are written.
    pub encoding: gimli::Encoding,
}

/// The rules at `place` by the image whose `.eh_frame_hdr` lies at `header`.
///
/// # Errors
/// `Unreadable`; `Malformed` where no function covers `place`, or the information makes no sense.
pub fn find_row(image: &Image, header: u64, place: u64) -> Result<Row> {
    let frame = search(image, header, place)?;
    let function = record(image, frame)?;
    let back = function.get(4..8).and_then(|bytes| bytes.first_chunk()).copied().map(u32::from_le_bytes);
    let back = u64::from(back.filter(|&back| back != 0).ok_or_else(|| broken(place, "its entry names no common one"))?);
    let common = record(image, frame.wrapping_add(4).wrapping_sub(back))?;
    read_row(image.machine(), frame, &common, &function, place)
}

/// The address of the entry that the sorted table has for `place`: that of the last function that begins at or before it.
fn search(image: &Image, header: u64, place: u64) -> Result<u64> {
    let [version, pointer, count_encoding, table_encoding] = image.array(header)?;
    if (version, pointer & 0x0f, count_encoding, table_encoding) != (VERSION, 0x0b, COUNT_ENCODING, TABLE_ENCODING) {
        return Err(Error::Malformed(format!("the table of call frames at {header:#x} is written as no linker does")));
    }
    let entry = |index: u64| header.wrapping_add(12 + 8 * index);
    let target = |at: u64| image.u32(at).map(|offset| header.wrapping_add_signed(i64::from(offset.cast_signed())));
    let (mut low, mut high) = (0, u64::from(image.u32(header.wrapping_add(8))?));
    while low < high {
        let middle = low.midpoint(high);
        if target(entry(middle))? <= place {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if low == 0 {
        return Err(Error::Malformed(format!("{place:#x} lies before the first function of its image")));
    }
    target(entry(low - 1).wrapping_add(4))
}

/// One record with its length in front.
fn record(image: &Image, address: u64) -> Result<Vec<u8>> {
    let size = u64::from(image.u32(address)?);
    if !(4..=MAXIMUM_RECORD).contains(&size) {
        return Err(Error::Malformed(format!("the call frame record at {address:#x} claims {size} bytes")));
    }
    image.read(address, size + 4)
}

/// Interpret two records. They are laid one behind the other, so that the function's entry stands where its own addresses count from.
fn read_row(machine: Machine, frame: u64, common: &[u8], function: &[u8], place: u64) -> Result<Row> {
    let distance = common.len() as u64;
    let back = u32::try_from(distance + 4).map_err(|_| broken(place, "its common entry is too long"))?;
    let mut bytes = [common, function].concat();
    bytes[common.len() + 4..common.len() + 8].copy_from_slice(&back.to_le_bytes());
    let mut section = EhFrame::new(&bytes, LittleEndian);
    section.set_address_size(8);
    if machine == Machine::Arm64 {
        section.set_vendor(Vendor::AArch64);
    }
    let bases = gimli::BaseAddresses::default().set_eh_frame(frame.wrapping_sub(distance));
    let wrong = |error: gimli::Error| broken(place, &error.to_string());
    let entry = section.fde_from_offset(&bases, common.len().into(), EhFrame::cie_from_offset).map_err(wrong)?;
    if !entry.contains(place) {
        return Err(Error::Malformed(format!("no call frame information covers {place:#x}")));
    }
    let mut context = UnwindContext::<usize, Rows>::new_in();
    let row = entry.unwind_info_for_address(&section, &bases, &mut context, place).map_err(wrong)?;
    let signed = row.register(AArch64::RA_SIGN_STATE) == Some(RegisterRule::Constant(1));
    Ok(Row {
        frame_address: match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => FrameAddress::Register(register.0, *offset),
            CfaRule::Expression(expression) => FrameAddress::Expression(copy(&section, expression).map_err(wrong)?),
        },
        registers: row
            .registers()
            .filter(|(register, _)| *register != AArch64::RA_SIGN_STATE || machine != Machine::Arm64)
            .map(|(register, rule)| Ok((register.0, read_rule(&section, rule)?)))
            .collect::<gimli::Result<_>>()
            .map_err(wrong)?,
        return_address: entry.cie().return_address_register().0,
        signal: entry.is_signal_trampoline(),
        signed: machine == Machine::Arm64 && signed,
        encoding: entry.cie().encoding(),
    })
}

fn read_rule(section: &Section<'_>, rule: &RegisterRule<usize>) -> gimli::Result<Rule> {
    Ok(match rule {
        RegisterRule::SameValue => Rule::Same,
        RegisterRule::Offset(offset) => Rule::At(*offset),
        RegisterRule::ValOffset(offset) => Rule::Is(*offset),
        RegisterRule::Register(register) => Rule::In(register.0),
        RegisterRule::Expression(expression) => Rule::AtExpression(copy(section, expression)?),
        RegisterRule::ValExpression(expression) => Rule::IsExpression(copy(section, expression)?),
        _ => Rule::Lost,
    })
}

fn copy(section: &Section<'_>, expression: &UnwindExpression<usize>) -> gimli::Result<Vec<u8>> {
    Ok(expression.get(section)?.0.slice().to_vec())
}

fn broken(place: u64, why: &str) -> Error {
    Error::Malformed(format!("the call frame information of the function at {place:#x} makes no sense: {why}"))
}
