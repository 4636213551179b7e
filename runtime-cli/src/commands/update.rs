//! `keel update`: change the limits of a container that is there.

use std::process::ExitCode;

use libcontainer::spec::{BlockIo, Cpu, Memory, Pids, Resources};
use libcontainer::{Error, ErrorKind, Shares};

use crate::args::table::{Command, Example, Flag, ID, Takes, flag, short};
use crate::args::{Flags, Invocation};
use crate::document;
use crate::report::Failure;
use crate::size;

static RESOURCES: Flag = short(
    'r',
    flag("resources", Takes::Text("FILE"), "read linux.resources of config.json, - for stdin"),
);
static BLKIO_WEIGHT: Flag =
    flag("blkio-weight", Takes::Number("N"), "weight for block devices, 10 to 1000");
static CPU_PERIOD: Flag =
    flag("cpu-period", Takes::Number("USEC"), "the period of the CPU quota, in microseconds");
static CPU_QUOTA: Flag = flag(
    "cpu-quota",
    Takes::Integer("USEC"),
    "CPU time in a period, in microseconds, -1: no limit",
);
static CPU_BURST: Flag = flag(
    "cpu-burst",
    Takes::Number("USEC"),
    "CPU time that may be saved up beyond the quota, in microseconds",
);
static CPU_SHARE: Flag =
    flag("cpu-share", Takes::Number("N"), "weight for CPU time, 2 to 262144; the default is 1024");
static CPU_RT_PERIOD: Flag = flag(
    "cpu-rt-period",
    Takes::Number("USEC"),
    "the period of real-time tasks, in microseconds (cgroup v1)",
);
static CPU_RT_RUNTIME: Flag = flag(
    "cpu-rt-runtime",
    Takes::Integer("USEC"),
    "CPU time of real-time tasks in their period, in microseconds (cgroup v1)",
);
static CPU_IDLE: Flag =
    flag("cpu-idle", Takes::Integer("N"), "1 to run only when nobody else wants to, 0 as usual");
static CPUSET_CPUS: Flag = flag("cpuset-cpus", Takes::Text("LIST"), "the CPUs, such as 0-3,7");
static CPUSET_MEMS: Flag =
    flag("cpuset-mems", Takes::Text("LIST"), "the memory nodes, such as 0-1");
static MEMORY: Flag =
    flag("memory", Takes::Text("SIZE"), "most memory, as 512m or 2g, -1: no limit");
static MEMORY_RESERVATION: Flag = flag(
    "memory-reservation",
    Takes::Text("SIZE"),
    "memory that is left when others need it, -1: no limit",
);
static MEMORY_SWAP: Flag =
    flag("memory-swap", Takes::Text("SIZE"), "most memory and swap together, -1: no limit");
static KERNEL_MEMORY: Flag = flag(
    "kernel-memory",
    Takes::Text("SIZE"),
    "most kernel memory; the kernel has given that up, so it warns",
);
static KERNEL_MEMORY_TCP: Flag =
    flag("kernel-memory-tcp", Takes::Text("SIZE"), "most memory for buffers of TCP (cgroup v1)");
static PIDS_LIMIT: Flag =
    flag("pids-limit", Takes::Integer("N"), "most tasks at a time, -1: no limit");
static L3_CACHE_SCHEMA: Flag =
    flag("l3-cache-schema", Takes::Text("SCHEMA"), "the share of the L3 cache, such as L3:0=f;1=3");
static MEM_BW_SCHEMA: Flag =
    flag("mem-bw-schema", Takes::Text("SCHEMA"), "the share of memory bandwidth, such as MB:0=20");

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "update",
    about: "change the limits of a container",
    details: "\
What is not given stays as it is, and 0 is not given. With --resources and other flags, the flags \
win. When a limit cannot be set, all of them are as before. Rules for devices, which only \
--resources can hold, replace those before; the devices that every container has stay allowed. \
Shares of cache and bandwidth (Intel RDT and its like) are those of the container's class of \
resctrl, whoever else is in it; a container without a class gets one of its own.",
    operands: &[ID],
    rest: None,
    flags: &[
        &RESOURCES,
        &BLKIO_WEIGHT,
        &CPU_PERIOD,
        &CPU_QUOTA,
        &CPU_BURST,
        &CPU_SHARE,
        &CPU_RT_PERIOD,
        &CPU_RT_RUNTIME,
        &CPU_IDLE,
        &CPUSET_CPUS,
        &CPUSET_MEMS,
        &MEMORY,
        &MEMORY_RESERVATION,
        &MEMORY_SWAP,
        &KERNEL_MEMORY,
        &KERNEL_MEMORY_TCP,
        &PIDS_LIMIT,
        &L3_CACHE_SCHEMA,
        &MEM_BW_SCHEMA,
    ],
    examples: &[
        Example { line: "keel update --memory 256m --pids-limit 100 web", does: "two limits" },
        Example { line: "keel update -r - web", does: "a document from standard input" },
    ],
    run,
};

/// Change limits.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let mut container = super::container(invocation)?;
    let mut resources = match flags.text(&RESOURCES) {
        Some(file) => Resources::parse(&document::read_or_stdin(file)?)?,
        None => Resources::default(),
    };
    apply(flags, &mut resources)?;
    let text = |flag| flags.text(flag).map(|text| text.to_string_lossy().into_owned());
    let shares =
        Shares { l3_cache_schema: text(&L3_CACHE_SCHEMA), mem_bw_schema: text(&MEM_BW_SCHEMA) };
    for warning in container.update(&resources, &shares)? {
        log::warn!("{warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags over what the document says.
fn apply(flags: &Flags, resources: &mut Resources) -> Result<(), Error> {
    let mut cpu = resources.cpu.take().unwrap_or_default();
    apply_cpu(flags, &mut cpu);
    resources.cpu = Some(cpu).filter(|cpu| *cpu != Cpu::default());
    let mut memory = resources.memory.take().unwrap_or_default();
    apply_memory(flags, &mut memory)?;
    resources.memory = Some(memory).filter(|memory| *memory != Memory::default());
    if let Some(limit) = flags.integer(&PIDS_LIMIT) {
        resources.pids = Some(Pids { limit: Some(limit) });
    }
    if let Some(weight) = flags.number(&BLKIO_WEIGHT) {
        let weight = u16::try_from(weight).map_err(|_| {
            Error::new(ErrorKind::Input, format!("--{}: {weight} is too much", BLKIO_WEIGHT.long))
        })?;
        let block_io: &mut BlockIo = resources.block_io.get_or_insert_default();
        block_io.weight = Some(weight);
    }
    Ok(())
}

fn apply_cpu(flags: &Flags, cpu: &mut Cpu) {
    let number = |flag| flags.number(flag).map(u64::from);
    let list = |flag| flags.text(flag).map(|text| text.to_string_lossy().into_owned());
    cpu.period = number(&CPU_PERIOD).or(cpu.period);
    cpu.quota = flags.integer(&CPU_QUOTA).or(cpu.quota);
    cpu.burst = number(&CPU_BURST).or(cpu.burst);
    cpu.shares = number(&CPU_SHARE).or(cpu.shares);
    cpu.realtime_period = number(&CPU_RT_PERIOD).or(cpu.realtime_period);
    cpu.realtime_runtime = flags.integer(&CPU_RT_RUNTIME).or(cpu.realtime_runtime);
    cpu.idle = flags.integer(&CPU_IDLE).or(cpu.idle);
    cpu.cpus = list(&CPUSET_CPUS).or(cpu.cpus.take());
    cpu.mems = list(&CPUSET_MEMS).or(cpu.mems.take());
}

fn apply_memory(flags: &Flags, memory: &mut Memory) -> Result<(), Error> {
    let bytes = |flag: &'static Flag, field: &mut Option<i64>| -> Result<(), Error> {
        let Some(text) = flags.text(flag) else { return Ok(()) };
        let text = text.to_string_lossy();
        let bytes = size::limit(&text).ok_or_else(|| {
            let message = format!("--{} needs a size such as 512m, not \"{text}\"", flag.long);
            Error::new(ErrorKind::Input, message)
        })?;
        *field = Some(bytes);
        Ok(())
    };
    bytes(&MEMORY, &mut memory.limit)?;
    bytes(&MEMORY_RESERVATION, &mut memory.reservation)?;
    bytes(&MEMORY_SWAP, &mut memory.swap)?;
    bytes(&KERNEL_MEMORY, &mut memory.kernel)?;
    bytes(&KERNEL_MEMORY_TCP, &mut memory.kernel_tcp)
}
