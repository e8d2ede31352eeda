"""What report.py makes of results, and how the comparisons take turns: ratios and shares in the table, points where they belong in the
roofline, and which commands a device gets."""
import argparse
import contextlib
import io
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import clblast  # noqa: E402
import nets  # noqa: E402
import ours  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import table  # noqa: E402
import turns  # noqa: E402
from roofline import roofline  # noqa: E402

CEILINGS = {"float32_flops": 2e11, "copy_bytes_per_s": 1e10, "launch_s": 1e-6, "round_trip_s": 1e-5}


def row(work, ours_s, **peers):
    return {"work": work, "seconds": {"dovetail": ours_s, **peers}, "ceilings": CEILINGS}


def results(load=0.1):
    gemm = [dict(row("64x64x64", 0.01, openblas=0.02, clblast=0.04), operations=1e9, bytes=1e7),
            dict(row("9x9x9", 0.01, openblas=0.005), operations=5e8, bytes=1e8)]
    return {"date": "2026-01-01T00:00+00:00", "cpu": "a <processor>", "cores": 2, "load_before": load, "load_after": 0.3,
            "device": {"kind": "cpu", "name": "a CPU", "driver": "1"}, "rounds": 3,
            "sections": {"gemm": gemm, "train": [row("cnn, batch 8, 1 rank", 0.004, torch=0.01)]}}


class Report(unittest.TestCase):
    def test_table_has_rates_shares_and_ratios(self):
        text = table.markdown(results())
        self.assertIn("| 64x64x64 | 100.0 | 50.0 | 25.0 | 50 % | 2.00 × (openblas) |", text)
        self.assertIn("| 9x9x9 | 50.0 | 100.0 | – | 25 % | 0.50 × (openblas) |", text)
        self.assertIn("Geometric mean against openblas: 1.00 ×", text)
        self.assertNotIn("against clblast", text)  # of one shape alone
        self.assertIn("| cnn, batch 8, 1 rank | 4.000 | 10.000 | 2.50 × (torch) |", text)
        self.assertIn("200.0 GFLOP/s", text)

    def test_table_has_the_spread_of_the_rounds(self):
        some = results()
        some["sections"]["train"][0]["rounds"] = {"dovetail": [0.004, 0.0045, 0.0039], "torch": [0.01]}
        some["sections"]["gemm"][0]["rounds"] = {"dovetail": [0.01, 0.02], "openblas": [0.02]}
        text = table.markdown(some)
        self.assertIn("| 4.000 (3.900..4.500) | 10.000 |", text)
        self.assertIn("| 100.0 (50.0..100.0) | 50.0 |", text)

    def test_shares_of_the_float32_ceiling_are_of_float32_alone(self):
        some = results()
        some["sections"]["gemm"][0]["format"] = "tf32"
        text = table.markdown(some)
        self.assertIn("| 64x64x64 | 100.0 | 50.0 | 25.0 | – |", text)
        self.assertIn("best in tf32", roofline(some))
        self.assertNotIn("best in", roofline(results()))

    def test_says_that_the_machine_was_busy(self):
        self.assertNotIn("busy", table.markdown(results()))
        self.assertIn("busy", table.markdown(results(load=1.5)))

    def test_work_without_peers(self):
        alone = results()
        alone["sections"] = {"infer": [row("cnn, batch 8", 0.002)]}
        text = table.markdown(alone)
        self.assertIn("| cnn, batch 8 | 2.000 | – |", text)
        self.assertNotIn("Left out", text)

    def test_names_who_is_left_out_and_the_versions_of_who_is_there(self):
        some = dict(results(), versions={"PyTorch": "9.8"})
        some["sections"]["gemm"][1]["left_out"] = {"torch": "No module named 'torch'"}
        text = table.markdown(some)
        self.assertIn("**Left out: torch (No module named 'torch').**", text)
        self.assertIn("Peers' versions: PyTorch 9.8.", text)
        self.assertNotIn("Peers' versions", table.markdown(results()))

    def test_roofline_keeps_the_order_of_intensities_and_rates(self):
        generator = random.Random()
        data = results()
        data["sections"]["gemm"] = [
            dict(row(f"work {i}", 10**generator.uniform(-4, 0)), operations=10**generator.uniform(6, 9),
                 bytes=10**generator.uniform(5, 8)) for i in range(20)]
        drawing = roofline(data)
        places = [tuple(map(float, pair)) for pair in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing)]
        rows = data["sections"]["gemm"]
        self.assertEqual(len(places), len(rows))
        by_x = sorted(range(20), key=lambda i: rows[i]["operations"] / rows[i]["bytes"])
        self.assertEqual([places[i][0] for i in by_x], sorted(place[0] for place in places))
        by_y = sorted(range(20), key=lambda i: -rows[i]["operations"] / rows[i]["seconds"]["dovetail"])
        self.assertEqual([places[i][1] for i in by_y], sorted(place[1] for place in places))

    def test_draws_again_what_it_wrote_and_joins_runs_of_one_device(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            report.write(results(), out)
            text = (out / "table.md").read_text()
            self.assertTrue((out / "roofline.svg").read_text().startswith("<svg"))
            self.assertEqual(table.markdown(json.loads((out / "results.json").read_text())), text)
            more = dict(results(), sections={"train": [row("mlp, batch 8", 0.002, torch=0.004)]})
            (out / "more.json").write_text(json.dumps(more))
            words = [sys.executable, str(HERE / "report.py"), "--out", folder, "--draw-only"]
            subprocess.run([*words, f"{folder}/results.json", "--draw-only", f"{folder}/more.json"], check=True, stdout=subprocess.PIPE)
            joined = (out / "table.md").read_text()
            self.assertIn("64x64x64", joined)
            self.assertIn("| mlp, batch 8 | 2.000 | 4.000 | 2.00 × (torch) |", joined)
            (out / "other.json").write_text(json.dumps(dict(more, device={"kind": "cpu", "name": "another", "driver": "1"})))
            done = subprocess.run([*words, f"{folder}/results.json", "--draw-only", f"{folder}/other.json"], stderr=subprocess.PIPE)
            self.assertNotEqual(done.returncode, 0)

    def test_a_cpu_gets_small_and_large_products(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, str(HERE / "report.py"), "--dry-run", "--device", "cpu", "--only", "gemm", "--out", folder],
                                  stdout=subprocess.PIPE, text=True, check=True)
        for size in (512, 1024, 2048):
            self.assertIn(f"--shape {size}x{size}x{size}", done.stdout)

    def test_what_a_gpu_gets(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, str(HERE / "report.py"), "--dry-run", "--device", "gpu", "--out", folder, "--data", "D"],
                                  stdout=subprocess.PIPE, text=True, check=True)
        for model in ("mlp", "cnn", "vgg-small"):
            for batch in (64, 256, 1024, 4096):
                self.assertIn(f"bench train --model {model} --batch {batch} --format tf32 --data random --data-place device", done.stdout)
        for form in ("float32", "tf32", "bf16"):
            self.assertRegex(done.stdout, f"bench gemm --shape 4096x4096x4096 --shape 8192x8192x8192 .*--format {form} --devices 0")
        self.assertIn("beside torch graph, torch graph channels-last\n", done.stdout)
        self.assertIn("cublas with casts", done.stdout)
        self.assertIn("clblast tuned", done.stdout)
        self.assertRegex(done.stdout, "train --data D --model cnn .*--data-place device")


class Turns(unittest.TestCase):
    def test_every_round_has_everybody_in_another_order(self):
        order = []

        def contestant(name):
            return lambda: order.append(name) or {"work": len(order)}
        measured = turns.in_turns(3, {name: contestant(name) for name in "abc"})
        self.assertEqual("".join(order), "abcbcacab")
        self.assertEqual(measured, {"work": {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}})

    def test_who_fails_is_named_and_left_out(self):
        calls = []

        def broken():
            calls.append(1)
            raise ValueError("no such card")
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            measured = turns.in_turns(3, {"good": lambda: {"work": 1}, "bad": broken})
        self.assertEqual(measured, {"work": {"good": [1, 1, 1]}})
        self.assertEqual(len(calls), 1)
        self.assertIn("bad is left out: no such card", said.getvalue())
        ceilings = argparse.Namespace(median_ceilings=dict)
        self.assertEqual(turns.row("work", {"dovetail": [1]}, ceilings)["left_out"], {"bad": "no such card"})

    def test_no_round_begins_when_the_time_is_over(self):
        with self.assertRaises(turns.Late):
            turns.in_turns(3, {"a": lambda: {"work": 1}}, until=time.time() - 1)
        until = time.time() + 0.2
        measured = turns.in_turns(1000, {"a": lambda: time.sleep(0.05) or {"work": 1}}, until)
        self.assertLess(len(measured["work"]["a"]), 10)

    def test_time_to_an_accuracy_is_that_of_the_first_epoch_that_has_it(self):
        self.assertEqual(nets.seconds_to(0.9, [(0.25, 0.8), (0.5, 0.9), (0.75, 0.89), (1, 0.92)], 8), 4)
        self.assertIsNone(nets.seconds_to(0.93, [(0.5, 0.9), (1, 0.92)], 8))


class Devices(unittest.TestCase):
    def test_a_gpu_is_preferred_and_each_can_be_named(self):
        cpu, gpu = ours.Device("cpu", 0, "a CPU"), ours.Device("gpu", 1, "a GPU")
        self.assertEqual(ours.find_device([cpu, gpu], "auto"), gpu)
        self.assertEqual(ours.find_device([cpu], "auto"), cpu)
        self.assertEqual(ours.find_device([cpu, gpu], "cpu"), cpu)
        self.assertEqual(ours.find_device([cpu, gpu], "1"), gpu)
        with self.assertRaises(SystemExit):
            ours.find_device([cpu], "gpu")

    def test_an_openblas_older_than_the_cpu_gets_kernels_that_use_it(self):
        avx2 = {"avx2", "fma"}
        avx512 = avx2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
        self.assertEqual(peers.better_openblas_core("Prescott", avx512), "SkylakeX")
        self.assertEqual(peers.better_openblas_core("Prescott", avx2 | {"avx512f"}), "Haswell")
        self.assertIsNone(peers.better_openblas_core("Prescott", {"sse3"}))
        self.assertIsNone(peers.better_openblas_core("Zen", avx512))
        self.assertIsNone(peers.better_openblas_core(None, avx512))

    def test_both_sides_are_told_the_device(self):
        options = argparse.Namespace(dovetail="d", target=ours.Device("gpu", 3, "a GPU"))
        self.assertEqual(ours.Ours(options).command(["gemm"]), ["d", "bench", "gemm", "--devices", "3"])
        self.assertEqual(options.target.torch, "cuda")

    def test_drawn_parameters_cut_the_tiles_evenly(self):
        drawn = clblast.drawn(random.randrange(1 << 30))
        for _ in range(200):
            p = next(drawn)
            threads = p["MDIMC"] * p["NDIMC"]
            for tile, one, width in (("MWG", "MDIMC", "VWM"), ("MWG", "MDIMA", "VWM"), ("NWG", "NDIMC", "VWN"), ("NWG", "NDIMB", "VWN")):
                self.assertEqual(p[tile] % (p[one] * p[width]), 0, p)
            self.assertEqual(p["KWG"] % (threads / p["MDIMA"]), 0, p)
            self.assertEqual(p["KWG"] % (threads / p["NDIMB"]), 0, p)


if __name__ == "__main__":
    unittest.main()
