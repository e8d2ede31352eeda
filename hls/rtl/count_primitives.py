#!/usr/bin/env python3
"""Counts the primitives that Yosys makes of the matrix-vector units (synth_xilinx -family xcup), as CSV.

    hls/rtl/count_primitives.py > tests/cost/primitives.csv        (or with the names of some formats)
    hls/rtl/count_primitives.py shifters                           (those of chunks, in seconds)

LUTs are LUT1 to LUT6 without wide multiplexers; memories (RAM32M16 and the like, RAMB) are counted apart, a RAMB36 as
two RAMB18. Yosys does not pack two small LUTs into one LUT6, Vivado does; neither places nor routes here.
"""
import itertools
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
WORDS, TILES = 4, 4
# weight bits, input bits, inputs signed, two products a DSP48E2, may use DSPs
FORMATS = {
    "w1a1": (1, 1, 0, 0, False), "w1a2": (1, 2, 0, 0, False), "w1a4": (1, 4, 0, 0, False),
    "w1a8": (1, 8, 1, 0, False), "w2a2": (2, 2, 0, 0, False), "w2a4": (2, 4, 0, 0, False),
    "w2a8": (2, 8, 1, 0, False), "w4a4": (4, 4, 0, 0, False), "w4a8": (4, 8, 1, 0, False),
    "w8a8": (8, 8, 1, 1, True), "fixed16": (16, 16, 1, 0, True),
}
FOLDINGS = [(2, 8), (4, 8), (4, 16), (8, 16), (8, 32)]


def accumulator_bits(weight_bits, input_bits, simd):
    if weight_bits == input_bits == 1:
        return math.ceil(math.log2(simd + 1)) + 1 + 2
    return weight_bits + input_bits + 1 + math.ceil(math.log2(simd)) + 2  # four words are added up


def count_products(weight_bits, input_bits, is_signed, pairs, dsp, pe, simd):
    parameters = dict(PE=pe, SIMD=simd, WORDS=WORDS, TILES=TILES, WEIGHT_BITS=weight_bits, INPUT_BITS=input_bits,
                      SIGNED=is_signed, PAIRS=pairs, ACC_BITS=accumulator_bits(weight_bits, input_bits, simd))
    return count("mvau", parameters, dsp)


def count(top, parameters, dsp):
    settings = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    sources = " ".join(str(path) for path in sorted(FOLDER.glob("*.v")))
    with tempfile.NamedTemporaryFile() as answer:
        script = (f"read_verilog {sources}; chparam {settings} {top}; synth_xilinx -family xcup -flatten -noiopad -noclkbuf "
                  f"-nowidelut {'' if dsp else '-nodsp'} -top {top}; tee -o {answer.name} stat -json")
        subprocess.run(["yosys", "-q", "-p", script], check=True, stdout=subprocess.DEVNULL)
        return json.load(answer)["design"]["num_cells_by_type"]


def total(cells, pattern):
    return sum(number for name, number in cells.items() if re.fullmatch(pattern, name))


def luts(cells):
    return total(cells, "LUT[1-6]") + total(cells, "INV")


def main():
    if sys.argv[1:] == ["shifters"]:
        print("unit,bytes,lut,ff,carry")
        for unit, width in itertools.product(("funnel", "realigner", "line_filler"), (8, 16, 32)):
            cells = count(unit, dict(BYTES=width), False)
            print(unit, width, luts(cells), total(cells, "FD.*"), total(cells, "CARRY."), sep=",", flush=True)
        return
    print("format,pe,simd,words,tiles,lut,dsp,ff,carry,lutram,bram18", flush=True)
    for name, (pe, simd) in itertools.product(sys.argv[1:] or FORMATS, FOLDINGS):
        cells = count_products(*FORMATS[name], pe, simd)
        bram18 = total(cells, "RAMB18.*") + 2 * total(cells, "RAMB36.*")
        print(name, pe, simd, WORDS, TILES, luts(cells), total(cells, "DSP48E2"),
              total(cells, "FD.*"), total(cells, "CARRY."), total(cells, "RAM(32|64).*"), bram18, sep=",", flush=True)


if __name__ == "__main__":
    main()
