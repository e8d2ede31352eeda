"""Checks a data set folder with h5py, from data/FORMAT.md alone. Exit code 77 where h5py is not installed."""
import hashlib
import json
import pathlib
import sys

try:
    import h5py
    import numpy
except ImportError:
    sys.exit(77)

folder = pathlib.Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text())
assert manifest["format"] == "dovetail data set" and manifest["version"] == 1
shape = (manifest["channels"], manifest["height"], manifest["width"])

for name, split in manifest["splits"].items():
    pixels = []
    for shard in split["shards"]:
        with h5py.File(folder / shard["file"], "r") as file:
            images, labels = file["images"], file["labels"]
            assert images.dtype == "uint8" and images.shape == (shard["samples"], *shape)
            assert labels.dtype == "<i4" and labels.shape == (shard["samples"],)
            assert images.chunks == (min(64, shard["samples"]), *shape)
            assert images.fletcher32 and labels.fletcher32 and images.compression is None
            assert 0 <= labels[:].min() and labels[:].max() < manifest["classes"]
            digest = hashlib.sha256(images[:].tobytes() + labels[:].tobytes()).hexdigest()
            assert digest == shard["sha256"]
            pixels.append(images[:])
    pixels = numpy.concatenate(pixels) / 255.0
    assert len(pixels) == split["samples"]
    if name == "train":
        assert numpy.allclose(pixels.mean(axis=(0, 2, 3)), manifest["mean"], rtol=0, atol=1e-12)
        assert numpy.allclose(pixels.std(axis=(0, 2, 3)), manifest["std"], rtol=0, atol=1e-12)
