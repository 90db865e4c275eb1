"""The walk over instructions: what it refuses, and what it measures."""

import pytest

from tests.unit.sandbox import wat
from tickwork.sandbox.scan import Measure, scan
from tickwork.sandbox.wasm import Malformed, parse

REFUSED = {
    "table.set": "(func (table.set 0 (i32.const 0) (ref.null func)))",
    "table.grow": "(func (drop (table.grow 0 (ref.null func) (i32.const 1))))",
    "table.fill": "(func (table.fill 0 (i32.const 0) (ref.null func) (i32.const 0)))",
    "table.copy": "(func (table.copy (i32.const 0) (i32.const 0) (i32.const 0)))",
    "table.init": "(elem $e func) (func (table.init $e (i32.const 0) (i32.const 0) (i32.const 0)))",
    "elem.drop": "(elem $e func) (func (elem.drop $e))",
    "data.drop": '(data $d "x") (func (data.drop $d))',
    "an atomic instruction": "(func (drop (i32.atomic.load (i32.const 0))))",
    "return_call": "(func $f (return_call $f))",
    "a relaxed SIMD instruction": "(func (param v128) (drop (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
    "throw_ref": "(func (unreachable) (throw_ref))",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_image_could_not_put_back_or_the_profile_leaves_out_is_refused(what: str) -> None:
    wasm = wat.assemble(f"(module (memory 1 1) (table 1 funcref) {REFUSED[what]})")
    with pytest.raises(Malformed) as caught:
        scan(parse(wasm))
    assert what in caught.value.text
    assert 0 < caught.value.offset < len(wasm)


ALLOWED = """(module (memory 1 1) (table 2 funcref) (elem (i32.const 0) $leaf $leaf) (data $d "text")
  (type $t (func (result i32)))
  (func $leaf (result i32) (i32.const 0x40000000))
  (func (param i64 f64) (local i32 v128 funcref)
    (block $a (block $b (br_table $a $b $a (i32.const 1))))
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
    (drop (call_indirect (type $t) (i32.const 0)))
    (drop (i64x2.extract_lane 1 (v128.const i64x2 -1 11)))
    (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 3) (local.get 3)))
    (v128.store8_lane offset=300 3 (i32.const 0) (local.get 3))
    (drop (v128.load offset=70000 (i32.const 0)))
    (drop (f64x2.add (local.get 3) (local.get 3)))
    (drop (v128.load32_zero (i32.const 0)))
    (drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3)))
    (drop (ref.is_null (table.get 0 (i32.const 0)))) (drop (table.size 0))
    (drop (f32.const 1)) (drop (f64.const nan)) (drop (i64.const -0x7000000000000000))
    (drop (i32.trunc_sat_f64_u (f64.const 1)))
    (local.set 4 (ref.func $leaf))
    (memory.copy (i32.const 0) (i32.const 0) (i32.const 0)) (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))
    (drop (memory.grow (i32.const 0))) (drop (i32.load8_s offset=3 (i32.const 0)))))"""


def test_slots_and_calls_are_measured() -> None:
    measures = scan(parse(wat.assemble(ALLOWED)))
    assert measures == [Measure(0, False, 0, 8), Measure(2 + 1 + 2 + 1, True, 2, measures[1].size)]


def test_any_changed_byte_of_a_body_is_scanned_or_refused_and_never_crashes() -> None:
    wasm = wat.assemble(ALLOWED)
    start, end = parse(wasm).bodies[1]
    for at in range(start, end):
        for value in (0x00, 0x0E, 0xFC, 0xFD, 0xFF):
            changed = wasm[:at] + bytes((value,)) + wasm[at + 1 :]
            try:
                scan(parse(changed))
            except Malformed:
                continue


def test_results_beyond_the_first_weigh() -> None:
    text = "(module (func (result i32 i32 i64) i32.const 1 i32.const 2 i64.const 3))"
    assert scan(parse(wat.assemble(text))) == [Measure(8, False, 0, 8)]
