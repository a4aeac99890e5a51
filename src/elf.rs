//! The headers of an ELF64 core file: which file bytes lie at which addresses.

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::error::{Error, Result};

/// The machine that the dumped process ran on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64
    X64,
    /// aarch64
    Arm64,
}

impl Machine {
    /// The name .NET uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }
}

/// One `PT_LOAD` as the headers promise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub address: u64,
    /// Bytes that the headers say are in the file (a truncated file has fewer).
    pub size_in_file: u64,
    /// Bytes of address space; what goes beyond `size_in_file` was not dumped.
    pub size_in_memory: u64,
    /// Where the bytes begin in the file.
    pub file_offset: u64,
    /// `PF_R`, `PF_W`, `PF_X`.
    pub flags: u32,
}

/// What the headers say of a core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The processor.
    pub machine: Machine,
    /// All `PT_LOAD`, ascending by address.
    pub segments: Vec<Segment>,
    /// (file offset, size) of each `PT_NOTE`.
    pub notes: Vec<(u64, u64)>,
    /// End of the last byte that the headers promise.
    pub expected_size: u64,
}

/// Read the headers of a core file.
///
/// # Errors
/// `Dump` with one sentence that says what the file is instead, or where its headers break.
pub fn read_headers(data: &[u8]) -> Result<Headers> {
    check_identification(data)?;
    let header = elf::FileHeader64::<LE>::parse(data).map_err(|_| Error::Dump(cut_short("ELF header", data)))?;
    check_type(header)?;
    let machine = machine_of(header)?;
    let table = header.program_headers(LE, data).map_err(|_| Error::Dump(cut_short("program headers", data)))?;
    if table.is_empty() {
        return Err(Error::Dump("is an ELF core without program headers: it holds no memory".into()));
    }
    let mut headers = Headers { machine, segments: Vec::new(), notes: Vec::new(), expected_size: 0 };
    for (index, entry) in table.iter().enumerate() {
        add_program_header(&mut headers, index, entry)?;
    }
    headers.segments.sort_by_key(|segment| (segment.address, segment.file_offset));
    Ok(headers)
}

fn cut_short(what: &str, data: &[u8]) -> String {
    format!("is cut short: its {what} lie past the end of the file ({} bytes)", data.len())
}

fn check_identification(data: &[u8]) -> Result<()> {
    let sentence = if data.is_empty() {
        "is empty".to_owned()
    } else if !data.starts_with(&elf::ELFMAG) {
        "is not an ELF file, so not a Linux core dump".to_owned()
    } else if data.len() < size_of::<elf::FileHeader64<LE>>() {
        cut_short("ELF header", data)
    } else if elf::FileClass(data[4]) == elf::ELFCLASS32 {
        let machine = elf::Machine(u16::from_le_bytes([data[18], data[19]]));
        format!("is a 32-bit ELF file ({}); only 64-bit cores of x64 and arm64 can be read", machine_name(machine))
    } else if elf::FileClass(data[4]) != elf::ELFCLASS64 {
        format!("has an unknown ELF class ({})", data[4])
    } else if elf::DataEncoding(data[5]) != elf::ELFDATA2LSB {
        "is a big-endian ELF file; only little-endian cores of x64 and arm64 can be read".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::Dump(sentence))
}

fn check_type(header: &elf::FileHeader64<LE>) -> Result<()> {
    let what = match header.e_type(LE) {
        elf::ET_CORE => return Ok(()),
        elf::ET_EXEC => "an executable".to_owned(),
        elf::ET_DYN => "an executable or shared library".to_owned(),
        elf::ET_REL => "an object file".to_owned(),
        other => format!("of ELF type {}", other.0),
    };
    Err(Error::Dump(format!("is an ELF file but no core dump: it is {what}")))
}

fn machine_of(header: &elf::FileHeader64<LE>) -> Result<Machine> {
    match header.e_machine(LE) {
        elf::EM_X86_64 => Ok(Machine::X64),
        elf::EM_AARCH64 => Ok(Machine::Arm64),
        other => Err(Error::Dump(format!("is a core of {}; only x64 and arm64 can be read", machine_name(other)))),
    }
}

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_ARM => "arm32".into(),
        elf::EM_386 => "x86".into(),
        elf::EM_X86_64 => "x64".into(),
        elf::EM_AARCH64 => "arm64".into(),
        elf::EM_RISCV => "risc-v".into(),
        elf::EM_S390 => "s390x".into(),
        elf::EM_PPC64 => "ppc64".into(),
        elf::EM_LOONGARCH => "loongarch".into(),
        other => format!("machine {}", other.0),
    }
}

fn add_program_header(headers: &mut Headers, index: usize, entry: &elf::ProgramHeader64<LE>) -> Result<()> {
    let kind = entry.p_type(LE);
    if kind != elf::PT_LOAD && kind != elf::PT_NOTE {
        return Ok(());
    }
    let (offset, size) = (entry.p_offset(LE), entry.p_filesz(LE));
    let end = offset.checked_add(size).ok_or_else(|| impossible(index, "file offset"))?;
    headers.expected_size = headers.expected_size.max(end);
    if kind == elf::PT_NOTE {
        headers.notes.push((offset, size));
        return Ok(());
    }
    let (address, size_in_memory) = (entry.p_vaddr(LE), entry.p_memsz(LE));
    address.checked_add(size_in_memory.max(size)).ok_or_else(|| impossible(index, "address"))?;
    headers.segments.push(Segment {
        address,
        size_in_file: size,
        size_in_memory,
        file_offset: offset,
        flags: entry.p_flags(LE).0,
    });
    Ok(())
}

fn impossible(index: usize, what: &str) -> Error {
    Error::Dump(format!("has an impossible program header {index}: its {what} plus its size passes 2^64"))
}
