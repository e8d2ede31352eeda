#!/usr/bin/env python3
"""CLBlast's float32 product on the device that dovetail runs on, with the parameters of its database or tuned.

  clblast.py tune DEVICE [--shape 512x512x512] [--seconds 60]                   as one JSON line: the best parameters found
  clblast.py measure DEVICE [--shape ROWSxINxOUT ...] [--parameters JSON]       seconds a product, by shape

CLBlast takes its kernels' parameters from a database of devices; devices that it has never met, as PoCL's and new GPUs, get the defaults of
their kind. So the kernel Xgemm is tuned: by CLBlast's own tuner (clblast_tuner_xgemm, Debian's clblast-utils), of whose random choice of
120,800 configurations the six fastest are then set through CLBlastOverrideParameters and timed as the whole routine, the database's
beside them; without the tuner, parameters drawn at random from its larger set with GEMMK=0 are. Results are compared with the database's.
A product goes either through this kernel or through one for small matrices, by size; tuned, all go through this one.
OpenCL and CLBlast are called through ctypes: nothing but their libraries and NumPy is needed.
"""
import argparse
import ctypes
import json
import math
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from timing import median_s

SINGLE = 32  # CLBlastPrecisionSingle
TUNER = "clblast_tuner_xgemm"
CONFIGURATIONS, TRIAL_S = 120_800, 0.6  # of the tuner, and what one takes on a CPU
SPACE = {"GEMMK": [0], "KREG": [1], "MWG": [16, 32, 64, 128], "NWG": [16, 32, 64, 128], "KWG": [16, 32], "MDIMC": [8, 16, 32],
         "NDIMC": [8, 16, 32], "MDIMA": [8, 16, 32], "NDIMB": [8, 16, 32], "KWI": [2], "VWM": [1, 2, 4, 8], "VWN": [1, 2, 4, 8],
         "STRM": [0, 1], "STRN": [0, 1], "SA": [0, 1], "SB": [0, 1]}


def fits(p):
    """What the kernel asks of its parameters, as CLBlast's tuner has it."""
    threads = p["MDIMC"] * p["NDIMC"]
    return (p["MWG"] % (p["MDIMC"] * p["VWM"]) == 0 and p["NWG"] % (p["NDIMC"] * p["VWN"]) == 0
            and p["MWG"] % (p["MDIMA"] * p["VWM"]) == 0 and p["NWG"] % (p["NDIMB"] * p["VWN"]) == 0
            and threads % p["MDIMA"] == 0 and threads % p["NDIMB"] == 0
            and p["KWG"] % (threads // p["MDIMA"]) == 0 and p["KWG"] % (threads // p["NDIMB"]) == 0
            and (p["SA"] or p["MDIMA"] == p["MDIMC"]) and (p["SB"] or p["NDIMB"] == p["NDIMC"]))


def check(status, what):
    if status != 0:
        raise RuntimeError(f"{what} returned {status}")


class OpenCl:
    """One context and one queue on the first device of that name."""

    def __init__(self, name):
        self.cl = ctypes.CDLL("libOpenCL.so.1")
        for function in ("clCreateContext", "clCreateCommandQueue", "clCreateBuffer"):
            getattr(self.cl, function).restype = ctypes.c_void_p
        found = [(device, place) for device, place in self._devices() if self._name(device) == name]
        if not found:
            raise OSError(f"OpenCL has no device '{name}'")
        self.device, self.place = found[0]  # place: (platform, device), counted from 0
        status = ctypes.c_int()
        devices = (ctypes.c_void_p * 1)(self.device)
        self.context = ctypes.c_void_p(self.cl.clCreateContext(None, 1, devices, None, None, ctypes.byref(status)))
        check(status.value, "clCreateContext")
        self.queue = ctypes.c_void_p(self.cl.clCreateCommandQueue(self.context, ctypes.c_void_p(self.device), ctypes.c_uint64(0), ctypes.byref(status)))
        check(status.value, "clCreateCommandQueue")

    def _list(self, function, *first):
        count = ctypes.c_uint()
        if function(*first, 0, None, ctypes.byref(count)) != 0:
            return []
        handles = (ctypes.c_void_p * count.value)()
        check(function(*first, count.value, handles, None), "listing devices")
        return list(handles)

    def _devices(self):
        return [(device, (i, j)) for i, platform in enumerate(self._list(self.cl.clGetPlatformIDs))
                for j, device in enumerate(self._list(self.cl.clGetDeviceIDs, ctypes.c_void_p(platform), ctypes.c_uint64(0xFFFFFFFF)))]

    def _name(self, device):
        text = ctypes.create_string_buffer(1024)
        check(self.cl.clGetDeviceInfo(ctypes.c_void_p(device), 0x102B, ctypes.c_size_t(1024), text, None), "clGetDeviceInfo")
        return text.value.decode().strip()

    def buffer(self, values):
        status = ctypes.c_int()
        copy = 1 << 0 | 1 << 5  # CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR
        memory = self.cl.clCreateBuffer(self.context, ctypes.c_uint64(copy), ctypes.c_size_t(values.nbytes),
                                        values.ctypes.data_as(ctypes.c_void_p), ctypes.byref(status))
        check(status.value, "clCreateBuffer")
        return ctypes.c_void_p(memory)

    def read(self, buffer, values):
        check(self.cl.clEnqueueReadBuffer(self.queue, buffer, 1, ctypes.c_size_t(0), ctypes.c_size_t(values.nbytes),
                                          values.ctypes.data_as(ctypes.c_void_p), 0, None, None), "clEnqueueReadBuffer")

    def finish(self):
        check(self.cl.clFinish(self.queue), "clFinish")


class ClBlast:
    """The library on one device: it builds its kernels once a context, so all shapes share one of these."""

    def __init__(self, name):
        self.library = ctypes.CDLL("libclblast.so.1")
        self.opencl = OpenCl(name)

    def override(self, kernel, parameters):
        names = (ctypes.c_char_p * len(parameters))(*(each.encode() for each in parameters))
        values = (ctypes.c_size_t * len(parameters))(*parameters.values())
        check(self.library.CLBlastOverrideParameters(ctypes.c_void_p(self.opencl.device), kernel.encode(), SINGLE,
                                                     ctypes.c_size_t(len(parameters)), names, values), "CLBlastOverrideParameters")

    def use(self, parameters):
        """Of Xgemm, for all sizes; {}: leaves the database's."""
        if parameters:
            self.override("Xgemm", parameters)
            self.override("GemmRoutine", {"XGEMM_MIN_INDIRECT_SIZE": 1})

    def product(self, rows, inner, out):
        return Product(self, rows, inner, out)


class Product:
    """rows × in times in × out in float32."""

    def __init__(self, blast, rows, inner, out):
        import numpy
        generator = numpy.random.default_rng(1)
        self.blast, self.shape = blast, (rows, inner, out)
        self.result = numpy.zeros((rows, out), numpy.float32)
        self.buffers = [blast.opencl.buffer(generator.standard_normal(extents, dtype=numpy.float32))
                        for extents in ((rows, inner), (inner, out))] + [blast.opencl.buffer(self.result)]

    def run(self):
        rows, inner, out = self.shape
        size, zero = ctypes.c_size_t, ctypes.c_size_t(0)
        a, b, c = self.buffers
        check(self.blast.library.CLBlastSgemm(
            101, 111, 111, size(rows), size(out), size(inner), ctypes.c_float(1), a, zero, size(inner), b, zero, size(out),
            ctypes.c_float(0), c, zero, size(out), ctypes.byref(self.blast.opencl.queue), None), "CLBlastSgemm")

    def values(self):
        self.blast.opencl.read(self.buffers[2], self.result)
        return self.result.copy()

    def seconds(self, at_least_s=0.3):
        return median_s(self.run, self.blast.opencl.finish, at_least_s)


def drawn(seed):
    """Parameters that fit, without end."""
    draw = random.Random(seed)
    while True:
        parameters = {key: draw.choice(values) for key, values in SPACE.items()}
        if fits(parameters):
            yield parameters


def found_by_tuner(opencl, shape, seconds, most=6):
    """The fastest of those that CLBlast's own tuner tries in about that time, fastest first."""
    rows, inner, out = shape
    fraction = max(1, int(CONFIGURATIONS * TRIAL_S / seconds))
    with tempfile.TemporaryDirectory() as folder:
        words = [TUNER, "-platform", opencl.place[0], "-device", opencl.place[1], "-precision", SINGLE, "-m", rows, "-n", out,
                 "-k", inner, "-runs", 2, "-fraction", fraction]
        try:
            subprocess.run(list(map(str, words)), cwd=folder, stdout=subprocess.DEVNULL, timeout=4 * seconds + 60)
        except subprocess.TimeoutExpired:
            pass  # each of its four stages leaves a file
        results = [each for file in pathlib.Path(folder).glob("clblast_xgemm_*.json")
                   for each in json.loads(file.read_text())["results"]]
    results.sort(key=lambda each: each["time"])
    best = [{key: value for key, value in each["parameters"].items() if key != "PRECISION"} for each in results]
    return best[:most], len(results)


def tune(name, shape, seconds, seed=1):
    """The fastest parameters, {} for the database's; how many were tried; seconds of the product before and after."""
    import numpy
    blast = ClBlast(name)
    product = blast.product(*shape)
    product.run()
    wanted = product.values()
    best, best_s = {}, product.seconds(0.05)
    database_s, tried = best_s, 0
    if shutil.which(TUNER):
        candidates, tried = found_by_tuner(blast.opencl, shape, seconds)
    by_tuner = tried > 0  # else it is not there, or does not take the device
    begin = math.inf if by_tuner else time.monotonic()
    if not by_tuner:
        candidates = drawn(seed)
    for parameters in candidates:
        if time.monotonic() - begin > seconds:
            break
        try:
            blast.use(parameters)
            this_s = product.seconds(0.05)
        except RuntimeError:  # too many registers, too large a work-group
            continue
        tried += not by_tuner
        if this_s < best_s and numpy.allclose(product.values(), wanted, rtol=1e-3, atol=1e-3 * shape[1] ** 0.5):
            best, best_s = parameters, this_s
    return {"parameters": best, "tried": tried, "seconds": best_s, "database_seconds": database_s, "shape": list(shape),
            "by": TUNER if by_tuner else "random search"}


def measure(name, shapes, parameters):
    """{shape: seconds}"""
    blast = ClBlast(name)
    blast.use(parameters)
    return {"x".join(map(str, shape)): blast.product(*shape).seconds() for shape in shapes}


def run(words, timeout_s=600):
    """What this file prints in a process of its own: parameters stay set in a process for all of a device's contexts."""
    done = subprocess.run([sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=timeout_s)
    if done.returncode != 0:
        raise OSError(f"clblast.py {' '.join(map(str, words))} failed (above)")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tune", "measure"])
    parser.add_argument("device", help="its name, as `dovetail devices` has it")
    parser.add_argument("--shape", action="append", help="ROWSxINxOUT; measure: may be repeated")
    parser.add_argument("--seconds", type=float, default=60, help="tune: about")
    parser.add_argument("--parameters", type=json.loads, default={}, help="measure: as tune prints them")
    options = parser.parse_args()
    shapes = [tuple(int(extent) for extent in shape.split("x")) for shape in options.shape or ["512x512x512"]]
    if options.what == "tune":
        print(json.dumps(tune(options.device, shapes[0], options.seconds)))
    else:
        print(json.dumps(measure(options.device, shapes, options.parameters)))


if __name__ == "__main__":
    main()
