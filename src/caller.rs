//! One frame of native code undone: the caller's registers by the rules of [`crate::call_frames`].

use gimli::{EvaluationResult, Expression, LittleEndian, Location, Value};

use crate::call_frames::{FrameAddress, Row, Rule};
use crate::elf::Machine;
use crate::error::{Error, Result};
use crate::image::Image;

/// Operations of one expression; those that compilers and libraries write have some twenty.
const MAXIMUM_OPERATIONS: u32 = 1000;
/// Bits of an address of a process of arm64 that are not its signature (48-bit address spaces).
const ADDRESS_BITS: u64 = (1 << 48) - 1;

/// Registers by DWARF number; `None` where the value is not known.
pub type Registers = Vec<Option<u64>>;

/// What is known of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The stack pointer and the instruction pointer are among them.
    pub registers: Registers,
    /// (register, address of the stack) of those that were read from there.
    pub saved_at: Vec<(u16, u64)>,
    /// Whether there is no caller: the information says so of the first function of a thread.
    pub outermost: bool,
}

/// DWARF numbers of one machine's registers: System V x64 psABI, figure 3.36; DWARF for the Arm 64-bit Architecture, section 4.1.
struct Numbers {
    count: usize,
    stack_pointer: u16,
    instruction_pointer: u16,
    kept: fn(u16) -> bool,
}

fn numbers(machine: Machine) -> Numbers {
    match machine {
        Machine::X64 => Numbers {
            count: 17,
            stack_pointer: 7,
            instruction_pointer: 16,
            kept: |number| matches!(number, 3 | 6 | 12..=15),
        },
        Machine::Arm64 => {
            Numbers { count: 33, stack_pointer: 31, instruction_pointer: 32, kept: |number| matches!(number, 19..=30) }
        }
    }
}

/// The caller's registers, by the rules at the instruction that `registers` stand at.
///
/// # Errors
/// `Unreadable`; `Malformed` where a rule needs what is not known.
pub fn caller(image: &Image, row: &Row, registers: &[Option<u64>]) -> Result<Caller> {
    let numbers = numbers(image.machine());
    let frame = Frame { image, row, registers };
    let frame_address = frame.address()?;
    let kept = |number: u16| if (numbers.kept)(number) { known(registers, number) } else { None };
    let mut found = Caller {
        registers: (0..numbers.count).map(|number| kept(u16::try_from(number).unwrap_or(u16::MAX))).collect(),
        saved_at: Vec::new(),
        outermost: false,
    };
    found.registers[usize::from(numbers.stack_pointer)] = Some(frame_address);
    for (number, rule) in &row.registers {
        let Some(slot) = found.registers.get_mut(usize::from(*number)) else { continue };
        let at = frame.place(frame_address, rule)?;
        if let Some(address) = at {
            found.saved_at.push((*number, address));
        }
        *slot = match at {
            Some(address) => Some(image.u64(address)?),
            None => frame.value(frame_address, *number, rule)?,
        };
    }
    let rule = row.registers.iter().find(|(number, _)| *number == row.return_address).map(|(_, rule)| rule);
    found.outermost = rule == Some(&Rule::Lost);
    let target = found.registers.get(usize::from(row.return_address)).copied().flatten();
    // Where nothing is said of it, a register that holds the return address has it still; x64 has no such register.
    let target = target.filter(|_| rule.is_some() || (numbers.kept)(row.return_address));
    if target.is_none() && !found.outermost {
        return Err(Error::Malformed("the function does not say where its return address is".into()));
    }
    let plain = |address: u64| if row.signed { address & ADDRESS_BITS } else { address };
    found.registers[usize::from(numbers.instruction_pointer)] = target.map(plain);
    Ok(found)
}

fn known(registers: &[Option<u64>], number: u16) -> Option<u64> {
    registers.get(usize::from(number)).copied().flatten()
}

struct Frame<'a> {
    image: &'a Image,
    row: &'a Row,
    registers: &'a [Option<u64>],
}

impl Frame<'_> {
    fn address(&self) -> Result<u64> {
        match &self.row.frame_address {
            FrameAddress::Register(number, offset) => Ok(self.register(*number)?.wrapping_add_signed(*offset)),
            FrameAddress::Expression(bytes) => self.evaluate(bytes, None),
        }
    }

    /// Where a value lies, for rules that say that it lies in memory.
    fn place(&self, frame_address: u64, rule: &Rule) -> Result<Option<u64>> {
        match rule {
            Rule::At(offset) => Ok(Some(frame_address.wrapping_add_signed(*offset))),
            Rule::AtExpression(bytes) => self.evaluate(bytes, Some(frame_address)).map(Some),
            _ => Ok(None),
        }
    }

    fn value(&self, frame_address: u64, number: u16, rule: &Rule) -> Result<Option<u64>> {
        match rule {
            Rule::Same => Ok(known(self.registers, number)),
            Rule::In(other) => Ok(known(self.registers, *other)),
            Rule::Is(offset) => Ok(Some(frame_address.wrapping_add_signed(*offset))),
            Rule::IsExpression(bytes) => self.evaluate(bytes, Some(frame_address)).map(Some),
            _ => Ok(None),
        }
    }

    fn register(&self, number: u16) -> Result<u64> {
        let missing =
            || Error::Malformed(format!("register {number} is not known, and the frame below is found by it"));
        known(self.registers, number).ok_or_else(missing)
    }

    /// The value of an expression, whose stack begins with `pushed`.
    fn evaluate(&self, bytes: &[u8], pushed: Option<u64>) -> Result<u64> {
        let wrong = |error: gimli::Error| Error::Malformed(format!("a call frame expression makes no sense: {error}"));
        let expression = Expression(gimli::EndianSlice::new(bytes, LittleEndian));
        let mut evaluation = expression.evaluation(self.row.encoding);
        evaluation.set_max_iterations(MAXIMUM_OPERATIONS);
        if let Some(value) = pushed {
            evaluation.set_initial_value(value);
        }
        let mut state = evaluation.evaluate().map_err(wrong)?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register.0)?))
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    evaluation.resume_with_memory(Value::Generic(self.word(address, size)?))
                }
                _ => return Err(Error::Malformed("a call frame expression asks for what no frame has".into())),
            }
            .map_err(wrong)?;
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Ok(address),
                _ => Err(Error::Malformed("a call frame expression leaves no address".into())),
            },
            _ => Err(Error::Malformed("a call frame expression leaves nothing".into())),
        }
    }

    fn word(&self, address: u64, size: u8) -> Result<u64> {
        let mut bytes = [0; 8];
        let wanted = bytes.get_mut(..usize::from(size));
        self.image.read_into(address, wanted.ok_or_else(|| Error::Malformed(format!("a word of {size} bytes")))?)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
