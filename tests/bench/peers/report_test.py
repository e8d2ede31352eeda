"""What report.py makes of results: ratios and shares in the table, and points where they belong in the roofline."""
import pathlib
import random
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report  # noqa: E402

CEILINGS = {"float32_flops": 2e11, "copy_bytes_per_s": 1e10, "launch_s": 1e-6, "round_trip_s": 1e-5}


def row(work, ours, **peers):
    return {"work": work, "seconds": {"dovetail": ours, **peers}, "ceilings": CEILINGS}


def results(load=0.1):
    gemm = [dict(row("64x64x64", 0.01, openblas=0.02, clblast=0.04), operations=1e9, bytes=1e7),
            dict(row("9x9x9", 0.01, openblas=0.005), operations=5e8, bytes=1e8)]
    return {"date": "2026-01-01T00:00+00:00", "cpu": "a <processor>", "cores": 2, "load_before": load, "load_after": 0.3,
            "rounds": 3, "sections": {"gemm": gemm, "train": [row("cnn, batch 8, 1 rank", 0.004, torch=0.01)]}}


class Report(unittest.TestCase):
    def test_table_has_rates_shares_and_ratios(self):
        text = report.markdown(results())
        self.assertIn("| 64x64x64 | 100.0 | 50.0 | 25.0 | 50 % | 2.00 × (openblas) |", text)
        self.assertIn("| 9x9x9 | 50.0 | 100.0 | – | 25 % | 0.50 × (openblas) |", text)
        self.assertIn("Geometric mean against openblas: 1.00 ×", text)
        self.assertNotIn("against clblast", text)  # of one shape alone
        self.assertIn("| cnn, batch 8, 1 rank | 4.000 | 10.000 | 2.50 × (torch) |", text)
        self.assertIn("200.0 GFLOP/s", text)

    def test_says_that_the_machine_was_busy(self):
        self.assertNotIn("busy", report.markdown(results()))
        self.assertIn("busy", report.markdown(results(load=1.5)))

    def test_work_without_peers(self):
        alone = results()
        alone["sections"] = {"infer": [row("cnn, batch 8", 0.002)]}
        self.assertIn("| cnn, batch 8 | 2.000 | – |", report.markdown(alone))

    def test_roofline_keeps_the_order_of_intensities_and_rates(self):
        generator = random.Random()
        data = results()
        data["sections"]["gemm"] = [
            dict(row(f"work {i}", 10**generator.uniform(-4, 0)), operations=10**generator.uniform(6, 9),
                 bytes=10**generator.uniform(5, 8)) for i in range(20)]
        drawing = report.roofline(data)
        places = [tuple(map(float, pair)) for pair in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing)]
        rows = data["sections"]["gemm"]
        self.assertEqual(len(places), len(rows))
        by_x = sorted(range(20), key=lambda i: rows[i]["operations"] / rows[i]["bytes"])
        self.assertEqual([places[i][0] for i in by_x], sorted(place[0] for place in places))
        by_y = sorted(range(20), key=lambda i: -rows[i]["operations"] / rows[i]["seconds"]["dovetail"])
        self.assertEqual([places[i][1] for i in by_y], sorted(place[1] for place in places))

    def test_writes_what_it_can_read_again(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            report.write(results(), out)
            table = (out / "table.md").read_text()
            self.assertTrue((out / "roofline.svg").read_text().startswith("<svg"))
            self.assertEqual(report.markdown(report.json.loads((out / "results.json").read_text())), table)


if __name__ == "__main__":
    unittest.main()
