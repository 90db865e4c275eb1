"""Which class a processor belongs to."""

import re

import pytest

from tickwork.infer.processor import classify, processor_class, read_flags, system_name

AVX512 = {"avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    ("machine", "flags", "label"),
    [
        ("x86_64", {"sse4_2"}, "sse"),
        ("x86_64", {"avx"}, "avx"),
        ("AMD64", {"avx", "avx2", "fma"}, "avx2"),
        ("x86_64", {"avx", "avx2"}, "avx"),
        ("x86_64", AVX512, "avx512"),
        ("x86_64", AVX512 | {"avx512_vnni"}, "vnni"),
        ("x86_64", {"avx", "avx2", "fma", "avx_vnni"}, "vnni"),
        ("x86_64", AVX512 | {"avx512_vnni", "amx_int8", "amx_tile"}, "amx"),
        ("aarch64", {"asimd"}, "neon"),
        ("aarch64", {"asimd", "asimddp"}, "dot"),
        ("arm64", {"asimddp", "i8mm"}, "i8mm"),
        ("aarch64", {"asimddp", "i8mm", "sve"}, "sve"),
        ("aarch64", {"asimddp", "i8mm", "sve", "sme"}, "sme"),
        ("riscv64", {"v"}, "unknown"),
    ],
)
def test_a_processor_belongs_to_the_class_of_the_most_it_can_do(machine: str, flags: set[str], label: str) -> None:
    assert classify(machine, flags) == label


def test_flags_are_those_of_the_first_processor() -> None:
    text = "processor\t: 0\nflags\t\t: fpu avx\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert read_flags(text) == {"fpu", "avx"}
    assert read_flags("Features\t: asimd asimddp\n") == {"asimd", "asimddp"}
    assert read_flags("processor : 0\n") == frozenset()


def test_this_machine_has_a_class_and_a_name() -> None:
    assert processor_class()
    assert re.fullmatch(r"[a-z]+-[a-z0-9_]+", system_name())
