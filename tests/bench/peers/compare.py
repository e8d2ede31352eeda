#!/usr/bin/env python3
"""Dovetail beside its peers on the same work, in turns, on the same device: ratios of medians, as text and JSON.

  compare.py gemm      matrix products. CPU: OpenBLAS (through NumPy), PyTorch; GPU: cuBLAS (through PyTorch); CLBlast, as it comes and tuned
  compare.py conv      3×3 convolutions and their gradients: PyTorch
  compare.py steps     training steps on images that lie on the device: PyTorch, on a GPU by CUDA graphs (pytorch_step.py)
  compare.py train     training steps on a data set, on a CPU: PyTorch (its loop is pytorch_train.py), one or several ranks
  compare.py infer     float32 inference on a CPU: PyTorch, eager, TorchScript and torch.compile
  compare.py accuracy  seconds of training until a test accuracy is reached: PyTorch

Every round measures all of them once, in an order that changes; what counts is the median over the rounds. A peer that is not installed, or
fails, is named and left out. --json is written anew after every piece of work. Needs Debian's python3-numpy with libopenblas0-pthread, libclblast1
(and clblast-utils), python3-torch for what uses them. report.py runs all of them.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys

import nets
import ours
import products
import turns

COMPARISONS = {"gemm": products.compare_gemm, "conv": products.compare_conv, "steps": nets.compare_steps,
               "train": nets.compare_train, "infer": nets.compare_infer, "accuracy": nets.compare_accuracy}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(COMPARISONS))
    ours.add_options(parser)
    parser.add_argument("--shape", action="append", help="gemm: ROWSxINxOUT, conv: INxOUTxEXTENTxBATCH; may be repeated")
    parser.add_argument("--tune-seconds", type=float, default=60, help="gemm: for which CLBlast is tuned, about; 0: it is not")
    parser.add_argument("--accuracy", type=float, default=0.91)
    parser.add_argument("--epochs", type=int, default=3, help="accuracy: of each training")
    parser.add_argument("--until", type=float, help="seconds since 1970 at which no further round begins")
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def print_row(row):
    ours_s = row["seconds"].get("dovetail", float("nan"))  # none of ours reached the accuracy
    print(row["work"])
    for name, seconds in row["seconds"].items():
        rate = f", {row['operations'] / seconds / 1e9:8.1f} GFLOP/s" if "operations" in row else ""
        low, high = min(row["rounds"][name]), max(row["rounds"][name])
        print(f"  {name:<28} {seconds * 1e3:10.3f} ms ({low * 1e3:.3f}..{high * 1e3:.3f}){rate}  dovetail is {seconds / ours_s:6.2f} x as fast",
              flush=True)


def print_means(rows):
    for peer in rows[0]["seconds"]:
        ratios = [each["seconds"][peer] / each["seconds"]["dovetail"] for each in rows
                  if peer in each["seconds"] and "dovetail" in each["seconds"]]
        if peer != "dovetail" and len(ratios) > 1:
            print(f"geometric mean against {peer}: {statistics.geometric_mean(ratios):.2f}")


def main():
    options = arguments()
    options.target = ours.target(options)
    if options.what == "gemm":
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(options.threads))
    rows = []
    try:
        for row in COMPARISONS[options.what](options):
            rows.append(row)
            print_row(row)
            if options.json:
                part = options.json.with_suffix(".part")
                part.write_text(json.dumps(rows, indent=2) + "\n")
                part.replace(options.json)
    except turns.Late:
        print("the time is over", file=sys.stderr)
    if rows:
        print_means(rows)


if __name__ == "__main__":
    main()
