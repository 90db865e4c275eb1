"""What a worker gives up once it has started: the second wall, should a guest break out of the engine.

On every POSIX system: core dumps, files and new descriptors. On Linux also new privileges, and system calls that
reach for programs, sockets, other processes or files to write. The list names what is denied, since what a language
runtime needs is not ours to know; denied calls fail with EPERM. Where a system lacks one of these, the worker runs
without it: the engine is the first wall.
"""

import ctypes
import platform
import struct
import sys
from typing import Final

from .child import limit

OPEN_FILES: Final = 64

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_EPERM: Final = 1

_ALLOW: Final = 0x7FFF0000
_DENY: Final = 0x00050000 | _EPERM
_ABSENT: Final = 0x00050000 | 38
"""ENOSYS, as a kernel without that call would say."""
_KILL: Final = 0x80000000

_CLONE_THREAD: Final = 0x00010000

_WRITING: Final = 0o1 | 0o2 | 0o100 | 0o1000
"""O_WRONLY, O_RDWR, O_CREAT and O_TRUNC: the same on both processors."""

# Numbers per processor. Source: Linux asm/unistd_64.h and asm-generic/unistd.h.
_X86_64: Final = {
    "execve": 59, "execveat": 322,
    "clone": 56, "fork": 57, "vfork": 58, "clone3": 435, "ptrace": 101, "kill": 62, "tkill": 200, "socket": 41,
    "socketpair": 53, "connect": 42, "bind": 49, "listen": 50, "accept": 43, "accept4": 288, "sendto": 44,
    "sendmsg": 46, "process_vm_readv": 310, "process_vm_writev": 311, "creat": 85, "truncate": 76, "rename": 82,
    "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266, "unlink": 87,
    "unlinkat": 263, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "mknod": 133, "mknodat": 259, "chmod": 90,
    "fchmodat": 268, "chown": 92, "fchownat": 260, "mount": 165, "umount2": 166, "chroot": 161, "pivot_root": 155,
    "bpf": 321, "perf_event_open": 298, "keyctl": 250, "add_key": 248, "userfaultfd": 323, "unshare": 272,
    "setns": 308, "io_uring_setup": 425, "openat2": 437, "pidfd_open": 434, "pidfd_getfd": 438, "init_module": 175,
    "kexec_load": 246, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424,
    "prlimit64": 302, "fchmod": 91, "fchmodat2": 452, "fchown": 93, "lchown": 94, "utimensat": 280, "utime": 132,
    "utimes": 235, "futimesat": 261, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
    "lremovexattr": 198, "fremovexattr": 199, "sendmmsg": 307, "shmget": 29, "shmat": 30, "mq_open": 240,
    "mq_unlink": 241, "setrlimit": 160, "ftruncate": 77, "finit_module": 313, "kexec_file_load": 320,
    "open_by_handle_at": 304, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "process_madvise": 440, "io_uring_enter": 426, "io_uring_register": 427, "msgget": 68,
    "semget": 64, "clock_settime": 227, "settimeofday": 164, "reboot": 169, "setpriority": 141,
}  # fmt: skip
_AARCH64: Final = {
    "clone": 220, "clone3": 435,
    "execve": 221, "execveat": 281, "ptrace": 117, "kill": 129, "tkill": 130, "socket": 198, "socketpair": 199,
    "connect": 203, "bind": 200, "listen": 201, "accept": 202, "accept4": 242, "sendto": 206, "sendmsg": 211,
    "process_vm_readv": 270, "process_vm_writev": 271, "truncate": 45, "renameat": 38, "renameat2": 276, "linkat": 37,
    "symlinkat": 36, "unlinkat": 35, "mkdirat": 34, "mknodat": 33, "fchmodat": 53, "fchownat": 54, "mount": 40,
    "umount2": 39, "chroot": 51, "pivot_root": 41, "bpf": 280, "perf_event_open": 241, "keyctl": 219, "add_key": 217,
    "userfaultfd": 282, "unshare": 97, "setns": 268, "io_uring_setup": 425, "openat2": 437, "pidfd_open": 434,
    "pidfd_getfd": 438, "init_module": 105, "kexec_load": 104, "tgkill": 131, "rt_sigqueueinfo": 138,
    "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "prlimit64": 261, "fchmod": 52, "fchmodat2": 452, "fchown": 55,
    "utimensat": 88, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15,
    "fremovexattr": 16, "sendmmsg": 269, "shmget": 194, "shmat": 196, "mq_open": 180, "mq_unlink": 181,
    "setrlimit": 164, "ftruncate": 46, "finit_module": 273, "kexec_file_load": 294, "open_by_handle_at": 265,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "process_madvise": 440, "io_uring_enter": 426, "io_uring_register": 427, "msgget": 186, "semget": 190,
    "clock_settime": 112, "settimeofday": 170, "reboot": 142, "setpriority": 140,
}  # fmt: skip
_OPENS: Final = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}
"""System calls that open files, and which argument holds the flags."""

_OWNERS: Final = {
    "x86_64": ((72, (8, 10, 15)), (16, (0x8901, 0x8902))),
    "aarch64": ((25, (8, 10, 15)), (29, (0x8901, 0x8902))),
}
"""System calls whose second argument says what they do, and what names a process that the system will send signals to:
F_SETOWN, F_SETSIG and F_SETOWN_EX of fcntl, FIOSETOWN and SIOCSPGRP of ioctl. Any process of the user could be ended
so."""

_ARCHITECTURES: Final = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
_X32_BIT: Final = 0x40000000

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def confine(*, threads: bool = False, files: int = OPEN_FILES) -> None:
    """Give up what a worker never needs.

    Args:
        threads: Whether it may start threads of its own; another process it never may.
        files: Descriptors it may have open.
    """
    limit("CORE", 0)
    limit("FSIZE", 0)
    limit("NOFILE", files)
    if sys.platform == "linux":
        _confine_linux(threads=threads)


def _confine_linux(*, threads: bool) -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    instructions = filter_program(platform.machine(), threads=threads)
    if not instructions:
        return
    kept = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.addressof(kept))
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)


def filter_program(machine: str, *, threads: bool = False) -> bytes:
    """Return the filter for a processor as classic BPF, 8 bytes an instruction; empty where we know no numbers.

    Args:
        threads: Whether ``clone`` may make a thread.
    """
    if machine not in _ARCHITECTURES:
        return b""
    architecture, numbers = _ARCHITECTURES[machine]

    def instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
        return struct.pack("<HBBI", code, if_true, if_false, value)

    deny = instruction(_RETURN, 0, 0, _DENY)
    parts = [
        instruction(_LOAD, 0, 0, _ARCHITECTURE_AT),
        instruction(_JUMP_EQUAL, 1, 0, architecture),
        instruction(_RETURN, 0, 0, _KILL),
        instruction(_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        parts += [instruction(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), deny]
    if threads:
        # The flags of clone3 lie in memory, where no filter can look: told that it is absent, libraries take clone.
        parts += [
            instruction(_JUMP_EQUAL, 0, 1, numbers["clone3"]),
            instruction(_RETURN, 0, 0, _ABSENT),
            instruction(_JUMP_EQUAL, 0, 4, numbers["clone"]),
            instruction(_LOAD, 0, 0, _ARGUMENTS_AT),
            instruction(_JUMP_ANY_BIT, 0, 1, _CLONE_THREAD),
            instruction(_RETURN, 0, 0, _ALLOW),
            deny,
        ]
    for number in numbers.values():
        parts += [instruction(_JUMP_EQUAL, 0, 1, number), deny]
    for number, flags in _OPENS[machine]:
        parts += [
            instruction(_JUMP_EQUAL, 0, 4, number),
            instruction(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * flags),
            instruction(_JUMP_ANY_BIT, 0, 1, _WRITING),
            deny,
            instruction(_RETURN, 0, 0, _ALLOW),
        ]
    for number, commands in _OWNERS[machine]:
        parts += [
            instruction(_JUMP_EQUAL, 0, 2 * len(commands) + 2, number),
            instruction(_LOAD, 0, 0, _ARGUMENTS_AT + 8),
            *(part for command in commands for part in (instruction(_JUMP_EQUAL, 0, 1, command), deny)),
            instruction(_RETURN, 0, 0, _ALLOW),
        ]
    parts.append(instruction(_RETURN, 0, 0, _ALLOW))
    return b"".join(parts)
