"""Loads each file that numpy_test.cc wrote and prints what numpy sees, one line a thing."""
import sys

import numpy as np


def show(name, array):
    values = " ".join(str(v) for v in array.ravel().tolist())
    print(f"{name} {array.dtype.str} {array.shape} {values}")


for path in sys.argv[1:]:
    if path.endswith(".npy"):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        assert isinstance(mapped, np.memmap), type(mapped)
        assert mapped.flags.aligned and mapped.flags.c_contiguous
        show("npy", mapped)
    else:
        with np.load(path, allow_pickle=False) as archive:
            assert archive.zip.testzip() is None
            assert all(i.date_time == (1980, 1, 1, 0, 0, 0) for i in archive.zip.infolist())
            for name in archive.files:
                show(name, archive[name])
