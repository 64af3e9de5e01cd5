"""The few figures of a bundled model that `genossm doctor` checks, taken from the golden vectors.

    selftest.py ROOT     writes data/models/*/selftest.json again
"""
import hashlib
import json
import pathlib
import struct
import sys

import numpy

POSITIONS = [0, 1, 63, 64, 200, 327, 399, 400]
STEP = 16  # every so many channels


def figures(root, case, model):
    """The document for data/models/MODEL from tests/golden/mini/CASE."""
    golden = root / "tests" / "golden" / "mini" / case
    data = (golden / "expected.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8 : 8 + size])["last_hidden_state"]
    begin, end = entry["data_offsets"]
    kind = {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]
    hidden = numpy.frombuffer(data[8 + size + begin : 8 + size + end], kind)
    hidden = hidden.reshape(entry["shape"])[0]
    config = json.loads((root / "data" / "models" / model / "config.json").read_text())
    hidden = hidden[:, : config["d_model"]]  # of two strands the forward one
    channels = list(range(0, hidden.shape[1], STEP))
    sequence = "".join((golden / "input.fa").read_text().split("\n")[1:]).upper()
    weights = (root / "data" / "models" / model / "model.safetensors").read_bytes()
    return {
        "about": "hidden states after the last norm, forward strand, no special tokens",
        "source": f"tests/golden/mini/{case}, a run in float64",
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "sequence": sequence,
        "largest": float(numpy.abs(hidden).max()),
        "positions": POSITIONS,
        "channels": channels,
        "values": [[float(f"{hidden[p, c]:.9g}") for c in channels] for p in POSITIONS],
    }


MODELS = {"ps": "genossm-mini-ps", "causal": "genossm-mini-causal"}

if __name__ == "__main__":
    top = pathlib.Path(sys.argv[1])
    for case, model in MODELS.items():
        text = json.dumps(figures(top, case, model), indent=None)
        (top / "data" / "models" / model / "selftest.json").write_text(text + "\n")
