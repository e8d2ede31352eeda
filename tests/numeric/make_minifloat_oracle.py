#!/usr/bin/env python3
"""Writes minifloat_oracle.hpp: what ml_dtypes (PyPI) makes of every code and of every boundary.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install ml_dtypes==0.6.0
    /tmp/oracle/bin/python tests/numeric/make_minifloat_oracle.py > tests/numeric/minifloat_oracle.hpp

Decoding: the float32 bits of all codes in order (NaN as 7fc00000 with its sign). Encoding to nearest even: for
consecutive finite numbers a < b >= 0 with midpoint m, the codes of a, its successor, m's predecessor, m, m's successor
and b's predecessor, all float32; then of the highest number's upper boundary h and its neighbours, and of infinity;
the same negated. Both as a 64-bit FNV-1a digest over little-endian 32-bit words, which the C++ test repeats.
"""
import warnings

import ml_dtypes
import numpy as np

FORMATS = {
    "BFloat16": "bfloat16", "Float16": "float16", "E5m2": "float8_e5m2", "E4m3": "float8_e4m3fn",
    "E2m3": "float6_e2m3fn", "E3m2": "float6_e3m2fn", "E2m1": "float4_e2m1fn",
}
BITS = {"BFloat16": 16, "Float16": 16, "E5m2": 8, "E4m3": 8, "E2m3": 6, "E3m2": 6, "E2m1": 4}


def fnv(words):
    digest = 0xCBF29CE484222325
    for byte in np.asarray(words, "<u4").tobytes():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return digest


def decoded(kind, bits):
    storage = np.uint16 if bits == 16 else np.uint8
    return np.arange(2**bits).astype(storage).view(kind).astype(np.float32)


def canonical(values):
    words = values.view(np.uint32).copy()
    nan = np.isnan(values)
    words[nan] = words[nan] & 0x80000000 | 0x7FC00000
    return words


def boundaries(values):
    finite = values[: len(values) // 2]
    finite = finite[np.isfinite(finite)]
    low, high = finite[:-1], finite[1:]
    middle = (low.astype(np.float64) + high) / 2
    middle = middle.astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    inner = np.stack([low, np.nextafter(low, up), np.nextafter(middle, down), middle, np.nextafter(middle, up),
                      np.nextafter(high, down)], axis=1).ravel()
    edge = np.float32(finite[-1] + (float(finite[-1]) - finite[-2]) / 2)
    outer = np.array([finite[-1], np.nextafter(edge, down), edge, np.nextafter(edge, up), np.inf], np.float32)
    positive = np.concatenate([inner, outer])
    return np.concatenate([positive, -positive])


def main():
    print("// What ml_dtypes", ml_dtypes.__version__, "makes of every code and every boundary, as digests.")
    print("// Written by make_minifloat_oracle.py, which says what goes into them.")
    print("#pragma once\n\n#include <cstdint>\n\n#include \"numeric/minifloat.hpp\"\n")
    print("namespace dovetail::numeric {\n\ntemplate <typename T>\nstruct Oracle;")
    for ours, theirs in FORMATS.items():
        kind = np.float16 if theirs == "float16" else getattr(ml_dtypes, theirs)
        values = decoded(kind, BITS[ours])
        codes = boundaries(values).astype(kind).view(np.uint16 if BITS[ours] == 16 else np.uint8)
        print(f"template <>\nstruct Oracle<{ours}> {{")
        print(f"  static constexpr std::uint64_t decoding = {fnv(canonical(values)):#018x};")
        print(f"  static constexpr std::uint64_t encoding = {fnv(codes):#018x};\n}};")
    print("\n}  // namespace dovetail::numeric")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        main()
