#!/usr/bin/env python3
"""Makes a data set of small colour images out of photographs: which one is a patch from?

  photo_patches.py --out DIR [--train 2000] [--test 300] [--side 32] [--seed 1] PHOTO PHOTO …

Each photograph is a class. Patches are squares of 32 to 96 pixels of the photograph at a height of 480, anywhere and of any such size, scaled to
`side`; those for training are from its left 78 %, those for testing from its right 20 %, so none shows a pixel of the other. Writes
{train,test}-{images,labels}.npy, uint8 [patches, 3, side, side] and int32 [patches], for `dovetail shard --format npy`. Needs Pillow and NumPy
(python3-pil, python3-numpy); the twelve photographs of Debian's mate-backgrounds, in its folder nature, will do.
"""
import argparse
import pathlib

import numpy
from PIL import Image

HEIGHT, LEAST, MOST = 480, 32, 96  # pixels
TRAIN_END, TEST_BEGIN = 0.78, 0.8  # of a photograph's width


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--train", type=int, default=2000, help="patches of a photograph")
    parser.add_argument("--test", type=int, default=300, help="patches of a photograph")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("photos", type=pathlib.Path, nargs="+", metavar="PHOTO")
    options = parser.parse_args()
    if len(options.photos) < 2:
        parser.error("two photographs at least")
    for path in options.photos:
        width = scaled_width(Image.open(path))
        if width - round(TEST_BEGIN * width) < MOST:
            parser.error(f"{path} is too narrow: at a height of {HEIGHT} pixels, of its {width} the right 20 % must be {MOST}")
    return options


def scaled_width(photo):
    return round(photo.width * HEIGHT / photo.height)


def patches(photo, begin, end, count, side, random):
    """From its columns [begin, end): uint8 [count, 3, side, side]."""
    found = numpy.empty((count, 3, side, side), numpy.uint8)
    for patch in found:
        extent = int(random.integers(LEAST, MOST + 1))
        left = int(random.integers(begin, end - extent + 1))
        top = int(random.integers(0, HEIGHT - extent + 1))
        box = (left, top, left + extent, top + extent)
        patch[:] = numpy.asarray(photo.resize((side, side), Image.Resampling.BOX, box)).transpose(2, 0, 1)
    return found


def main():
    options = arguments()
    random = numpy.random.default_rng(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    splits = {"train": (0, TRAIN_END, options.train), "test": (TEST_BEGIN, 1, options.test)}
    images = {name: [] for name in splits}
    for path in options.photos:
        photo = Image.open(path).convert("RGB")
        width = scaled_width(photo)
        photo = photo.resize((width, HEIGHT), Image.Resampling.BOX)
        for name, (begin, end, count) in splits.items():
            images[name].append(patches(photo, round(begin * width), round(end * width), count, options.side, random))
    for name, (_, _, count) in splits.items():
        numpy.save(options.out / f"{name}-images.npy", numpy.concatenate(images[name]))
        numpy.save(options.out / f"{name}-labels.npy", numpy.repeat(numpy.arange(len(options.photos), dtype=numpy.int32), count))
        print(f"{name}: {count * len(options.photos)} patches of {len(options.photos)} photographs in {options.out}")


if __name__ == "__main__":
    main()
