"""What loss_curves.py makes of runs: differences by epoch beside the deviation over the seeds, and a line a format."""
import random
import re
import unittest

import loss_curves


def runs(losses, emulated=False):
    return [{"emulated": emulated, "steps": {"50": loss + 1, "100": loss}, "epochs": [loss + 1, loss]} for loss in losses]


class LossCurves(unittest.TestCase):
    def test_differences_are_of_the_same_seed(self):
        text = loss_curves.table({"curves": {"float32": runs([0.2, 0.4]), "bf16": runs([0.21, 0.42], True)}})
        self.assertIn("| 1 | 1.3000 ± 0.1414 | +0.0150 (+0.0200) |", text)
        self.assertIn("| 2 | 0.3000 ± 0.1414 | +0.0150 (+0.0200) |", text)
        self.assertIn("bf16: the mean curve is at most 0.11 standard deviations of the seeds from float32's.", text)
        self.assertIn("Emulated: bf16.", text)

    def test_a_format_that_trains_otherwise_shows(self):
        losses = [random.uniform(0.2, 0.3) for _ in range(5)]
        text = loss_curves.table({"curves": {"float32": runs(losses), "bf16": runs([loss + 1 for loss in losses])}})
        self.assertGreater(float(re.search(r"at most ([\d.]+) standard", text)[1]), 10)
        self.assertNotIn("Emulated", text)

    def test_draws_a_line_for_each_format_in_the_order_of_the_steps(self):
        drawing = loss_curves.drawing({"curves": {"float32": runs([0.2, 0.4]), "tf32": runs([0.3, 0.5])}})
        lines = re.findall(r'<polyline points="([^"]+)"', drawing)
        self.assertEqual(len(lines), 2)
        for line in lines:
            (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in line.split())
            self.assertLess(x1, x2)
            self.assertLess(y1, y2)  # the loss falls, and y goes down


if __name__ == "__main__":
    unittest.main()
