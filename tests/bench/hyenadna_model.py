#!/usr/bin/env python3
"""Writes a HyenaDNA checkpoint with random weights in the published transformers layout, for measuring
time and memory at sizes whose weights are not at hand. The shape is that of large-1m.

    hyenadna_model.py FOLDER [D_MODEL [LAYERS [L_MAX]]]
"""
import json
import pathlib
import struct
import sys

import numpy


def positions(l_max, columns):
    t = numpy.arange(l_max)
    bands = (columns - 1) // 2
    phase = numpy.linspace(1e-4, bands - 1, bands)[None] * (2 * numpy.pi * t / l_max)[:, None]
    time = t / (l_max - 1)
    return numpy.concatenate([time[:, None], numpy.cos(phase), -numpy.sin(phase)], 1), time


def tensors(d, layers, l_max, random):
    def weight(*shape):
        return random.standard_normal(shape, dtype="f4") / numpy.sqrt(shape[-1])

    z, time = positions(l_max, 5)
    out = {"hyena.backbone.embeddings.word_embeddings.weight": weight(16, d)}
    for i in range(layers):
        at = f"hyena.backbone.layers.{i}."
        for norm in ("norm1", "norm2"):
            out[f"{at}{norm}.weight"], out[f"{at}{norm}.bias"] = numpy.ones(d), numpy.zeros(d)
        for name, rows, columns in (("mixer.in_proj", 3 * d, d), ("mixer.out_proj", d, d),
                                    ("mlp.fc1", 4 * d, d), ("mlp.fc2", d, 4 * d)):
            out[f"{at}{name}.weight"], out[f"{at}{name}.bias"] = weight(rows, columns), numpy.zeros(rows)
        out[at + "mixer.short_filter.weight"] = weight(3 * d, 1, 3)
        out[at + "mixer.short_filter.bias"] = numpy.zeros(3 * d)
        fn = at + "mixer.filter_fn."
        out[fn + "bias"], out[fn + "modulation.deltas"] = weight(d), numpy.linspace(
            numpy.log(0.01) / 1.5, numpy.log(0.01) / 0.3, d).reshape(1, 1, d)
        out[fn + "pos_emb.z"], out[fn + "pos_emb.t"] = z[None], time.reshape(1, l_max, 1)
        for n, columns in ((0, 5), (2, 64), (4, 64)):
            out[f"{fn}implicit_filter.{n}.weight"] = weight(64, columns)
            out[f"{fn}implicit_filter.{n}.bias"] = weight(64)
        out[fn + "implicit_filter.1.freq"] = numpy.full((1, 64), 10.0)
        # Filters of a million taps of unit size would make sums of a thousand.
        out[fn + "implicit_filter.6.weight"] = weight(d, 64) / numpy.sqrt(l_max / 64)
    out["hyena.backbone.ln_f.weight"], out["hyena.backbone.ln_f.bias"] = numpy.ones(d), numpy.zeros(d)
    out["lm_head.weight"] = weight(16, d)
    return out


def main():
    folder = pathlib.Path(sys.argv[1])
    d, layers, l_max = (list(map(int, sys.argv[2:])) + [256, 8, 1_000_002][len(sys.argv) - 2:])[:3]
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "hyenadna", "d_model": d, "n_layer": layers, "d_inner": 4 * d, "emb_dim": 5,
              "filter_order": 64, "hyena_order": 2, "max_seq_len": l_max, "num_inner_mlps": 2,
              "short_filter_order": 3, "layer_norm_epsilon": 1e-5, "pad_vocab_size_multiple": 8,
              "vocab_size": 12}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    header, at, parts = {}, 0, []
    for name, values in tensors(d, layers, l_max, numpy.random.default_rng(1)).items():
        data = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for data in parts:
            file.write(data)


if __name__ == "__main__":
    main()
