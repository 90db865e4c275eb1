"""Names of WebAssembly's instructions, and what follows each in the binary format.

Source: WebAssembly core specification 2.0, section 5.4; names as in its text format.
"""

from typing import Final

NONE, INDEX, LABEL, MEMORY, I32, I64, F32, F64, BLOCK, LABELS, TYPES, INDIRECT, REFERENCE, ZERO = range(14)
"""What follows an opcode: nothing, an index, a label, alignment and offset, a constant, a block's type, ..."""

LANE, MEMORY_LANE, CONSTANT_16, TWO_INDICES, TWO_ZEROS = range(14, 19)


def _named(first: int, names: str) -> dict[int, str]:
    return dict(enumerate(names.split(), first))


_COMPARISONS: Final = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_WHOLE: Final = "clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
_FLOAT: Final = "abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign"


def _of(kind: str, names: str) -> str:
    return " ".join(f"{kind}.{name}" for name in names.split())


NAMES: Final = {
    **_named(0x00, "unreachable nop block loop if else"),
    **_named(0x0B, "end br br_if br_table return call call_indirect"),
    **_named(0x1A, "drop select select"),
    **_named(0x20, "local.get local.set local.tee global.get global.set table.get table.set"),
    **_named(0x28, "i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u"),
    **_named(0x30, "i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u"),
    **_named(0x36, "i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32"),
    **_named(0x3F, "memory.size memory.grow i32.const i64.const f32.const f64.const"),
    **_named(0x45, f"i32.eqz {_of('i32', _COMPARISONS)} i64.eqz {_of('i64', _COMPARISONS)}"),
    **_named(0x5B, f"{_of('f32', 'eq ne lt gt le ge')} {_of('f64', 'eq ne lt gt le ge')}"),
    **_named(0x67, f"{_of('i32', _WHOLE)} {_of('i64', _WHOLE)} {_of('f32', _FLOAT)} {_of('f64', _FLOAT)}"),
    **_named(0xA7, "i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u i64.extend_i32_s"),
    **_named(0xAD, "i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u"),
    **_named(0xB2, "f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64"),
    **_named(0xB7, "f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32"),
    **_named(0xBC, "i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64"),
    **_named(0xC0, "i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s"),
    **_named(0xD0, "ref.null ref.is_null ref.func"),
}
"""Instructions of one byte."""

FOLLOWS: Final = {
    **dict.fromkeys((0x02, 0x03, 0x04), BLOCK),
    **dict.fromkeys((0x0C, 0x0D), LABEL),
    0x0E: LABELS,
    0x10: INDEX,
    0x11: INDIRECT,
    0x1C: TYPES,
    **dict.fromkeys(range(0x20, 0x27), INDEX),
    **dict.fromkeys(range(0x28, 0x3F), MEMORY),
    0x3F: ZERO,
    0x40: ZERO,
    0x41: I32,
    0x42: I64,
    0x43: F32,
    0x44: F64,
    0xD0: REFERENCE,
    0xD2: INDEX,
}
"""What follows them where something does."""

MISC: Final = 0xFC
MISC_NAMES: Final = {
    **_named(0, "i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u i64.trunc_sat_f32_s"),
    **_named(5, "i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u memory.init data.drop memory.copy"),
    **_named(11, "memory.fill table.init elem.drop table.copy table.grow table.size table.fill"),
}
MISC_FOLLOWS: Final = {
    8: TWO_INDICES, 9: INDEX, 10: TWO_ZEROS, 11: ZERO, 12: TWO_INDICES, 13: INDEX, 14: TWO_INDICES, 15: INDEX,
    16: INDEX, 17: INDEX,
}  # fmt: skip
"""Instructions that begin with 0xFC, by their second number."""

SIMD: Final = 0xFD
_INTEGER_COMPARISONS: Final = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_FLOAT_COMPARISONS: Final = "eq ne lt gt le ge"

SIMD_NAMES: Final = {
    **_named(0, "v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s"),
    **_named(6, "v128.load32x2_u v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat v128.store"),
    **_named(12, "v128.const i8x16.shuffle i8x16.swizzle i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat"),
    **_named(20, "f64x2.splat i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s"),
    **_named(25, "i16x8.extract_lane_u i16x8.replace_lane i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane"),
    **_named(30, "i64x2.replace_lane f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane"),
    **_named(35, " ".join(_of(shape, _INTEGER_COMPARISONS) for shape in ("i8x16", "i16x8", "i32x4"))),
    **_named(65, f"{_of('f32x4', _FLOAT_COMPARISONS)} {_of('f64x2', _FLOAT_COMPARISONS)}"),
    **_named(77, "v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true"),
    **_named(84, "v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane v128.store8_lane"),
    **_named(89, "v128.store16_lane v128.store32_lane v128.store64_lane v128.load32_zero v128.load64_zero"),
    **_named(94, "f32x4.demote_f64x2_zero f64x2.promote_low_f32x4 i8x16.abs i8x16.neg i8x16.popcnt i8x16.all_true"),
    **_named(100, "i8x16.bitmask i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u f32x4.ceil f32x4.floor f32x4.trunc"),
    **_named(106, "f32x4.nearest i8x16.shl i8x16.shr_s i8x16.shr_u i8x16.add i8x16.add_sat_s i8x16.add_sat_u"),
    **_named(113, "i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u f64x2.ceil f64x2.floor i8x16.min_s i8x16.min_u"),
    **_named(
        120,
        "i8x16.max_s i8x16.max_u f64x2.trunc i8x16.avgr_u i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u",
    ),
    **_named(126, "i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u i16x8.abs i16x8.neg"),
    **_named(130, "i16x8.q15mulr_sat_s i16x8.all_true i16x8.bitmask i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u"),
    **_named(135, "i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u"),
    **_named(138, "i16x8.extend_high_i8x16_u i16x8.shl i16x8.shr_s i16x8.shr_u i16x8.add i16x8.add_sat_s"),
    **_named(144, "i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u f64x2.nearest i16x8.mul i16x8.min_s"),
    **_named(151, "i16x8.min_u i16x8.max_s i16x8.max_u"),
    **_named(155, "i16x8.avgr_u i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u"),
    **_named(159, "i16x8.extmul_high_i8x16_u i32x4.abs i32x4.neg"),
    **_named(163, "i32x4.all_true i32x4.bitmask"),
    **_named(167, "i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u"),
    **_named(170, "i32x4.extend_high_i16x8_u i32x4.shl i32x4.shr_s i32x4.shr_u i32x4.add"),
    **_named(177, "i32x4.sub"),
    **_named(181, "i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s"),
    **_named(188, "i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u"),
    **_named(191, "i32x4.extmul_high_i16x8_u i64x2.abs i64x2.neg"),
    **_named(195, "i64x2.all_true i64x2.bitmask"),
    **_named(199, "i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s i64x2.extend_low_i32x4_u"),
    **_named(202, "i64x2.extend_high_i32x4_u i64x2.shl i64x2.shr_s i64x2.shr_u i64x2.add"),
    **_named(209, "i64x2.sub"),
    **_named(213, "i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s"),
    **_named(220, "i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u"),
    **_named(223, "i64x2.extmul_high_i32x4_u f32x4.abs f32x4.neg"),
    **_named(227, "f32x4.sqrt f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax"),
    **_named(236, "f64x2.abs f64x2.neg"),
    **_named(239, "f64x2.sqrt f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax"),
    **_named(248, "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u"),
    **_named(252, "i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s"),
    **_named(255, "f64x2.convert_low_i32x4_u"),
}
SIMD_FOLLOWS: Final = {
    **dict.fromkeys((*range(12), 92, 93), MEMORY),
    **dict.fromkeys(range(84, 92), MEMORY_LANE),
    **dict.fromkeys(range(21, 35), LANE),
    12: CONSTANT_16,
    13: CONSTANT_16,
}
"""Instructions that begin with 0xFD, by their second number."""
