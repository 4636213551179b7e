"""Makes the program that libseccomp makes of a profile, as runc calls it. Reads a profile on each
line of the input, writes the program of each as a line of hexadecimal digits, or why there is none.
"""
import json
import os
import sys
import tempfile

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


def program(profile):
    number = profile.get("defaultErrnoRet", 1)
    default = (profile["defaultAction"], number)
    built = seccomp.SyscallFilter(ACTIONS[profile["defaultAction"]](number))
    for name in profile.get("architectures", []):
        arch = getattr(seccomp.Arch, name.removeprefix("SCMP_ARCH_"))
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
    with tempfile.TemporaryFile() as file:
        built.export_bpf(file)
        file.seek(0)
        return file.read().hex()


for line in sys.stdin:
    try:
        print(program(json.loads(line)))
    except Exception as error:
        print("none:", repr(error))
    sys.stdout.flush()
os._exit(0)
