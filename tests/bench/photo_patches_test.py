"""What photo_patches.py cuts out of generated pictures: photo_patches_test.py PROGRAM. Exit code 77 where Pillow or NumPy is not installed.

A pixel of them says where it is: red is its column, green its picture, blue its row, each as a share of the whole.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    from PIL import Image
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed for {sys.executable} (Debian: python3-pil, python3-numpy)")
    sys.exit(77)

program = sys.argv.pop(1)
TRAIN, TEST, SIDE = 40, 15, 32


def picture(path, width, height, green):
    pixels = numpy.empty((height, width, 3), numpy.uint8)
    pixels[:, :, 0] = numpy.arange(width) * 256 // width
    pixels[:, :, 1] = green
    pixels[:, :, 2] = (numpy.arange(height) * 256 // height)[:, None]
    Image.fromarray(pixels).save(path)
    return str(path)


def cut(out, *words):
    script = pathlib.Path(__file__).parent / "photo_patches.py"
    return subprocess.run([sys.executable, script, "--out", out, "--train", str(TRAIN), "--test", str(TEST), *words],
                          capture_output=True, text=True)


class PhotoPatches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        # One is twice as high as what patches are cut out of.
        cls.photos = [picture(cls.folder / "a.png", 800, 480, 50), picture(cls.folder / "b.png", 2000, 960, 150)]
        done = cut(cls.folder / "set", *cls.photos)
        assert done.returncode == 0, done.stderr

    def arrays(self, name, out="set"):
        return [numpy.load(self.folder / out / f"{name}-{what}.npy") for what in ("images", "labels")]

    def test_each_photograph_is_a_class(self):
        for name, count in (("train", TRAIN), ("test", TEST)):
            images, labels = self.arrays(name)
            self.assertEqual((images.shape, images.dtype), ((2 * count, 3, SIDE, SIDE), numpy.uint8))
            self.assertEqual((labels.tolist(), labels.dtype), ([0] * count + [1] * count, numpy.int32))
            self.assertEqual(set(images[:count, 1].flat), {50})
            self.assertEqual(set(images[count:, 1].flat), {150})

    def test_training_is_from_the_left_and_testing_from_the_right(self):
        train, test = self.arrays("train")[0][:, 0], self.arrays("test")[0][:, 0]
        self.assertLess(train.max(), 0.78 * 256)
        self.assertGreaterEqual(test.min(), 0.8 * 256 - 1)
        self.assertLess(train.min(), 0.2 * 256)  # and from anywhere there
        self.assertGreater(train.max(), 0.6 * 256)

    def test_patches_are_upright_squares_of_many_sizes(self):
        images = self.arrays("train")[0].astype(int)
        columns, rows = images[:, 0], images[:, 2]
        self.assertTrue((columns == columns[:, :1, :]).all())
        self.assertTrue((rows == rows[:, :, :1]).all())
        self.assertTrue((numpy.diff(columns[:, 0, :]) >= 0).all())
        self.assertTrue((numpy.diff(rows[:, :, 0]) >= 0).all())
        heights = (rows[:, -1, 0] - rows[:, 0, 0]) * 480 / 256 * SIDE / (SIDE - 1)
        self.assertGreater(heights.min(), 28)
        self.assertLess(heights.max(), 100)
        self.assertGreater(heights.max(), 1.5 * heights.min())
        widths = (columns[:TRAIN, 0, -1] - columns[:TRAIN, 0, 0]) * 800 / 256 * SIDE / (SIDE - 1)
        self.assertLess(abs(widths - heights[:TRAIN]).max(), 8)

    def test_a_seed_says_all(self):
        for out, seed in (("again", "1"), ("other", "2")):
            self.assertEqual(cut(self.folder / out, "--seed", seed, *self.photos).returncode, 0)
        for name in ("train", "test"):
            images = self.arrays(name)[0]
            self.assertTrue((self.arrays(name, "again")[0] == images).all())
            self.assertFalse((self.arrays(name, "other")[0] == images).all())

    def test_shards_are_made_of_them(self):
        for name in ("train", "test"):
            subprocess.run([program, "shard", "--format", "npy", "--images", self.folder / "set" / f"{name}-images.npy",
                            "--labels", self.folder / "set" / f"{name}-labels.npy", "--split", name,
                            "--out", self.folder / "shards"], check=True, capture_output=True)
        manifest = json.loads((self.folder / "shards/manifest.json").read_text())
        self.assertEqual([manifest["splits"][name]["samples"] for name in ("train", "test")], [2 * TRAIN, 2 * TEST])

    def test_what_cannot_be_cut_is_refused(self):
        one = cut(self.folder / "none", self.photos[0])
        self.assertEqual(one.returncode, 2)
        self.assertIn("two photographs at least", one.stderr)
        narrow = cut(self.folder / "none", self.photos[0], picture(self.folder / "narrow.png", 400, 480, 0))
        self.assertEqual(narrow.returncode, 2)
        self.assertIn("narrow.png is too narrow", narrow.stderr)
        self.assertFalse((self.folder / "none").exists())


if __name__ == "__main__":
    unittest.main()
