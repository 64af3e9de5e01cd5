#!/usr/bin/env python3
"""A model of the shape of Evo 2 with random weights, in the published layout: a .pt file as
torch.save writes it, bf16 with float32 poles, 8-bit scales in archives of their own, cut into parts
where asked. Needs neither PyTorch nor the memory for more than one matrix.

    evo2_like.py FOLDER/evo2_1b_base.pt                     the size of evo2_1b_base
    evo2_like.py --width 64 --heads 4 --inner 96 --groups 8 FOLDER/evo2_tiny.pt --yaml
"""
import argparse
import collections
import io
import math
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy

KINDS = {"attn": [3, 10, 17, 24], "hcl": [2, 6, 9, 13, 16, 20, 23],
         "hcm": [1, 5, 8, 12, 15, 19, 22], "hcs": [0, 4, 7, 11, 14, 18, 21]}


def stand_in(module, name):
    """Something that pickles as module.name; torch itself need not be there."""
    parent = None
    for i in range(1, len(module.split(".")) + 1):
        part = ".".join(module.split(".")[:i])
        if part not in sys.modules:
            sys.modules[part] = types.ModuleType(part)
        if parent is not None:
            setattr(parent, part.split(".")[-1], sys.modules[part])
        parent = sys.modules[part]
    value = type(name, (), {"__module__": module, "__qualname__": name})
    setattr(parent, name, value)
    return value


REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2")
STORAGE = {"bf16": stand_in("torch", "BFloat16Storage"), "f32": stand_in("torch", "FloatStorage")}


class Stored:
    """A tensor that is written when its turn comes."""

    def __init__(self, shape, kind, make):
        self.shape, self.kind, self.make = tuple(shape), kind, make
        self.key = None

    def count(self):
        return math.prod(self.shape)

    def __reduce__(self):
        strides, step = [], 1
        for extent in reversed(self.shape):
            strides.insert(0, step)
            step *= extent
        return REBUILD, (StorageRef(self), 0, self.shape, tuple(strides), False,
                         collections.OrderedDict())


class StorageRef:
    def __init__(self, tensor):
        self.tensor = tensor


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, StorageRef):
            t = value.tensor
            return ("storage", STORAGE[t.kind], t.key, "cpu", t.count())
        return None


def archive(out, root, tensors):
    """torch.save of an ordered dictionary: stored members, data aligned to 64 bytes."""
    stored = [t for t in tensors.values() if isinstance(t, Stored)]
    for i, t in enumerate(stored):
        t.key = str(i)
    text = io.BytesIO()
    Pickler(text, 2).dump(tensors)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        def member(name, data):
            info = zipfile.ZipInfo(f"{root}/{name}")
            at = z.fp.tell() + 30 + len(info.filename)
            pad = (64 - (at + 4) % 64) % 64
            info.extra = b"FB" + struct.pack("<H", pad) + b"Z" * pad
            z.writestr(info, data)
        member("data.pkl", text.getvalue())
        for t in stored:
            member(f"data/{t.key}", t.make(t.count()).tobytes())
        member("version", b"3\n")


def bf16(values):
    bits = values.astype(numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--width", type=int, default=1920)
    p.add_argument("--heads", type=int, default=15)
    p.add_argument("--inner", type=int, default=5120)
    p.add_argument("--groups", type=int, default=128)
    p.add_argument("--layers", type=int, default=25)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--parts", type=int, default=0, help="bytes of a part; 0: one file")
    p.add_argument("--no-scales", action="store_true", help="leave the 8-bit scales out")
    p.add_argument("--yaml", action="store_true", help="write the config beside it")
    a = p.parse_args()
    random = numpy.random.default_rng(a.seed)
    D, F, G, S = a.width, a.inner, a.groups, 16

    def normal(scale, shift=0.0, kind="bf16"):
        def make(n):
            values = random.standard_normal(n, dtype=numpy.float32) * scale + shift
            return bf16(values) if kind == "bf16" else values
        return make

    def matrix(rows, columns):
        return Stored((rows, columns), "bf16", normal(columns ** -0.5))

    def extra_state():
        state = collections.OrderedDict()
        scale = numpy.array([16.0, 64.0, 1.0], numpy.float32)
        state["scale_fwd"] = Stored((3,), "f32", lambda n: scale)
        state["amax_history_fwd"] = Stored((16, 3), "f32", lambda n: numpy.ones(n, numpy.float32))
        state["extra_fp8_variables"] = {"num_gemms": 1, "fp8_max_fwd": 448.0}
        out = io.BytesIO()
        archive(out, "archive", state)
        return io.BytesIO(out.getvalue())

    t = collections.OrderedDict()
    t["embedding_layer.weight"] = Stored((512, D), "bf16", normal(1.0))
    t["norm.scale"] = Stored((D,), "bf16", normal(0.1, 1.0))
    for i in range(a.layers):
        at = f"blocks.{i}"
        t[f"{at}.pre_norm.scale"] = Stored((D,), "bf16", normal(0.1, 1.0))
        t[f"{at}.post_norm.scale"] = Stored((D,), "bf16", normal(0.1, 1.0))
        kind = next(k for k, blocks in KINDS.items() if i in blocks)
        if kind == "attn":
            e = D // a.heads
            frequencies = (10000.0 ** (-numpy.arange(0, e, 2) / e)).astype(numpy.float32)
            t[f"{at}.inner_mha_cls.Wqkv.weight"] = matrix(3 * D, D)
            t[f"{at}.inner_mha_cls.out_proj.weight"] = matrix(D, D)
            t[f"{at}.inner_mha_cls.out_proj.bias"] = Stored((D,), "bf16", normal(0.01))
            t[f"{at}.inner_mha_cls.rotary_emb.inv_freq"] = Stored(
                (e // 2,), "f32", lambda n, f=frequencies: f)
        else:
            t[f"{at}.projections.weight"] = matrix(3 * D, D)
            if not a.no_scales:
                t[f"{at}.projections._extra_state"] = extra_state()
            t[f"{at}.out_filter_dense.weight"] = matrix(D, D)
            t[f"{at}.out_filter_dense.bias"] = Stored((D,), "bf16", normal(0.01))
            t[f"{at}.filter.short_filter_weight"] = Stored((3 * D, 1, 3), "bf16", normal(0.5))
            if kind == "hcl":
                t[f"{at}.filter.log_poles"] = Stored(
                    (D, S, 1), "f32", lambda n: -numpy.exp(random.uniform(-9, 0, n)).astype(
                        numpy.float32))
                t[f"{at}.filter.residues"] = Stored((D, S), "f32", normal(0.05, kind="f32"))
            else:
                taps = 7 if kind == "hcs" else 128
                t[f"{at}.filter.h"] = Stored((G, 1, taps), "bf16", normal(taps ** -0.5))
            if kind != "hcs":
                t[f"{at}.filter.D"] = Stored((D,), "bf16", normal(0.3))
        t[f"{at}.mlp.l1.weight"] = matrix(F, D)
        t[f"{at}.mlp.l2.weight"] = matrix(F, D)
        t[f"{at}.mlp.l3.weight"] = matrix(D, F)

    out = pathlib.Path(a.out)
    archive(out, out.stem, t)
    if a.yaml:
        lists = "".join(f"{k}_layer_idxs: {[b for b in v if b < a.layers]}\n"
                        for k, v in KINDS.items())
        out.with_suffix(".yml").write_text(
            f"# the config of {out.name}\n"
            f"vocab_size: 512\nhidden_size: {D}\nnum_layers: {a.layers}\n{lists}"
            f"num_attention_heads: {a.heads}\ninner_mlp_size: {F}  # as published\n"
            f"hcm_filter_groups: {G}\nhcs_filter_groups: {G}\nhcm_filter_length: 128\n"
            "hcs_filter_length: 7\nshort_filter_length: 3\nshort_filter_bias: False\n"
            f"state_size: {S}\neps: 1e-06\ninterleave: True\ncolumn_split: True\n"
            "column_split_hyena: False\nhyena_flip_x1x2: False\nevo2_style_activations: True\n"
            "mlp_activation: gelu\nqkv_proj_bias: False\nmha_out_proj_bias: True\n"
            "hyena_out_proj_bias: True\ntie_embeddings: True\nrotary_emb_base: 10000\n"
            "use_fp8_input_projections: True\nmax_seqlen: 8192\n")
    if a.parts:
        data = out.read_bytes()
        for i in range(0, (len(data) + a.parts - 1) // a.parts):
            (out.parent / f"{out.name}.part{i}").write_bytes(data[i * a.parts:(i + 1) * a.parts])
        out.unlink()


if __name__ == "__main__":
    main()
