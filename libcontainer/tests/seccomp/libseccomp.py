"""Makes the program that libseccomp makes of a profile, as runc calls it.

Each line of the input is an object. With the member names it asks which of these system calls
libseccomp does not know: the answer is a list. Otherwise its members are profile; alone, the one architecture it is for, or null for
those that it lists and this machine's; optimize, the level of libseccomp's optimisation (2 is a
search by halves); rounds, how often it is made. The answer is the least time that took, in seconds,
and the program as hexadecimal digits, or "none:" and why there is none. A program for another byte
order is written as one of this machine's.
"""
import json
import os
import struct
import sys
import tempfile
import time

import seccomp

ACTIONS = {
    "SCMP_ACT_KILL": lambda n: seccomp.KILL,
    "SCMP_ACT_KILL_THREAD": lambda n: seccomp.KILL,
    "SCMP_ACT_KILL_PROCESS": lambda n: seccomp.KILL_PROCESS,
    "SCMP_ACT_TRAP": lambda n: seccomp.TRAP,
    "SCMP_ACT_ERRNO": lambda n: seccomp.ERRNO(n),
    "SCMP_ACT_TRACE": lambda n: seccomp.TRACE(n),
    "SCMP_ACT_ALLOW": lambda n: seccomp.ALLOW,
    "SCMP_ACT_LOG": lambda n: seccomp.LOG,
}
OPERATORS = {
    "SCMP_CMP_NE": seccomp.NE,
    "SCMP_CMP_LT": seccomp.LT,
    "SCMP_CMP_LE": seccomp.LE,
    "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_GE": seccomp.GE,
    "SCMP_CMP_GT": seccomp.GT,
    "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def argument(arg):
    operator = OPERATORS[arg["op"]]
    if arg["op"] == "SCMP_CMP_MASKED_EQ":
        return seccomp.Arg(arg["index"], operator, arg["value"], arg.get("valueTwo", 0))
    return seccomp.Arg(arg["index"], operator, arg["value"])


BIG_ENDIAN = ["MIPS", "MIPS64", "MIPS64N32", "PPC", "PPC64", "S390", "S390X", "PARISC", "PARISC64"]


def built(profile, alone, optimize):
    number = profile.get("defaultErrnoRet", 1)
    default = (profile["defaultAction"], number)
    built = seccomp.SyscallFilter(ACTIONS[profile["defaultAction"]](number))
    built.set_attr(seccomp.Attr.CTL_OPTIMIZE, optimize)
    for name in profile.get("architectures", []) if alone is None else [alone]:
        arch = getattr(seccomp.Arch, name.removeprefix("SCMP_ARCH_"))
        if alone is not None and not built.exist_arch(arch):
            built.remove_arch(seccomp.Arch())
        if not built.exist_arch(arch):
            built.add_arch(arch)
    for entry in profile.get("syscalls", []):
        action = (entry["action"], entry.get("errnoRet", 1))
        if action[0] == default[0] and (action[0] not in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") or action == default):
            continue
        value = ACTIONS[action[0]](action[1])
        args = entry.get("args", [])
        indices = [arg["index"] for arg in args]
        for name in entry["names"]:
            if seccomp.resolve_syscall(seccomp.Arch(), name) == -1:
                continue
            if len(set(indices)) == len(indices):
                built.add_rule(value, name, *[argument(arg) for arg in args])
            else:
                for arg in args:
                    built.add_rule(value, name, argument(arg))
    return built


def exported(built, alone):
    with tempfile.TemporaryFile() as file:
        start = time.perf_counter()
        built.export_bpf(file)
        took = time.perf_counter() - start
        file.seek(0)
        code = file.read()
    if alone is not None and alone.removeprefix("SCMP_ARCH_") in BIG_ENDIAN:
        code = b"".join(here(*words) for words in struct.iter_unpack(">HBBI", code))
    return took, code.hex()


def here(code, yes, no, operand):
    """An instruction of the other byte order, with which the halves of an argument change places."""
    if code == 0x20 and operand >= 16:
        operand ^= 4
    # libseccomp 2.5 writes some verdicts in this machine's order: data of 0, or no action, betrays it.
    if code == 0x06 and operand >> 16 not in VERDICTS or 0 < operand < 0x10000 and code == 0x06:
        operand = int.from_bytes(operand.to_bytes(4, "big"), "little")
    return struct.pack("=HBBI", code, yes, no, operand)


VERDICTS = [0, 0x8000, 0x0003, 0x0005, 0x7FC0, 0x7FF0, 0x7FFC, 0x7FFF]


def unknown(names):
    return json.dumps([name for name in names if seccomp.resolve_syscall(seccomp.Arch(), name) == -1])


def answer(profile, alone, optimize, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        one = built(profile, alone, optimize)
        took = time.perf_counter() - start
        exporting, code = exported(one, alone)
        times.append(took + exporting)
    return f"{min(times)} {code}"


for line in sys.stdin:
    try:
        question = json.loads(line)
        print(unknown(**question) if "names" in question else answer(**question))
    except Exception as error:
        print("none:", repr(error))
    sys.stdout.flush()
os._exit(0)
