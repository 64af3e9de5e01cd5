"""Files whose damage no format would show, and numbers that no model has: refused, never guessed at."""
import json
import shutil
import struct
import zlib

import numpy

from genossm_cli import SOURCE, TINY, Case, main

GOLDEN = SOURCE / "tests" / "golden"
SEGMENT = 0x31474553


def facts_and_segments(data):
    """The facts of a journal as text, and its segments as [mark, frames]."""
    (size,) = struct.unpack("<Q", data[8:16])
    segments, at = [], 16 + size + 4
    while at < len(data):
        mark, frames = struct.unpack("<QQ", data[at + 16 : at + 32])
        at += 32
        segments.append([data[at : at + mark], data[at + mark : at + mark + frames]])
        at += mark + frames
    return data[16 : 16 + size].decode(), segments


def journal(facts, segments):
    """A journal whose checksums are all right, whatever it says."""
    facts = facts.encode()
    out = b"GSSMJRN1" + struct.pack("<Q", len(facts)) + facts + struct.pack("<I", zlib.crc32(facts))
    for mark, frames in segments:
        head = [SEGMENT, zlib.crc32(mark), zlib.crc32(frames), 0, len(mark), len(frames)]
        head[3] = zlib.crc32(struct.pack("<IIIIQQ", *head))
        out += struct.pack("<IIIIQQ", *head) + mark + frames
    return out


class Models(Case):
    def setUp(self):
        super().setUp()
        self.write("x.fa", ">x\nACGTACGTAC\n")
        numpy.save(self.path("ids.npy"), numpy.array([3, 1, 2, 5], "<i8"))

    def model(self, case, file="config.json", **changes):
        """A copy of a golden model in which the numbers of a JSON file are others."""
        folder = self.path("m")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in (GOLDEN / case).iterdir():
            if path.name != "expected.safetensors":
                shutil.copy(path, folder / path.name)
        path = folder / file
        config = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**config, **changes}))
        return "m"

    def refuse(self, case, says, file="config.json", **changes):
        with self.subTest(case, **changes):
            ids = case.startswith("mamba")
            self.refused(6, "embed", "-m", self.model(case, file, **changes),
                         *(("--token-ids", "ids.npy") if ids else ("x.fa",)), "-o", "o.npz", says=says)

    def test_what_a_norm_adds(self):
        nan, huge = float("nan"), 1e300
        for wrong in (-1e-5, 255, nan, huge):
            self.refuse("mamba1/hf_opts", "layer_norm_epsilon", layer_norm_epsilon=wrong)
            self.refuse("caduceus/ph_tied_bias", "norm_epsilon", norm_epsilon=wrong)
            self.refuse("hyenadna/full_lmax_hf", "layer_norm_epsilon", layer_norm_epsilon=wrong)
            self.refuse("stripedhyena1/long_hf", "eps", eps=wrong)

    def test_sizes(self):
        for wrong in (-2, 0, 1e300, 4611686018427387904, float("nan")):
            self.refuse("mamba1/hf_opts", "expand", expand=wrong)
            self.refuse("mamba2/hf_groups", "expand", expand=wrong)
        self.refuse("mamba1/lm_mlp", "d_intermediate", d_intermediate=-1)

    def test_steps_of_time(self):
        for wrong in ([-1.0, 1.0], [0.5, 0.1], [1e300, 1e301], [0.0, float("nan")]):
            self.refuse("mamba2/hf_groups", "time_step_limit", time_step_limit=wrong)

    def test_rotary_numbers(self):
        infinite = float("inf")
        self.refuse("stripedhyena1/long_hf", "rotary", rotary_emb_base=infinite)
        self.refuse("stripedhyena1/long_hf", "rotary", use_interpolated_rotary_pos_emb=True,
                    rotary_emb_scaling_factor=infinite)

    def test_lists_of_blocks_agree(self):
        self.refuse("stripedhyena1/long_hf", "both of attn_layer_idxs", hyena_layer_idxs=[0, 1, 2])
        self.refuse("stripedhyena1/long_hf", "neither of attn_layer_idxs", hyena_layer_idxs=[])

    def test_what_published_configs_do_not_say(self):
        for name, wrong in (("context", 0), ("context", -5), ("context", 2**62), ("alphabet", "acgT"),
                            ("special_tokens", "NONE")):
            self.refuse("plantcaduceus/pc_short", name, "genossm.json", **{name: wrong})
        self.good("embed", "-m", self.model("plantcaduceus/pc_short", "genossm.json", context=64, alphabet="full",
                                            special_tokens="none"), "x.fa", "-o", "o.npz")

    def test_token_ids(self):
        model = self.model("mamba1/lm_mlp")
        good = self.path("ids.npy").read_bytes()
        for name, says, changed in (
                ("version", "version 9", good[:6] + b"\x09" + good[7:]),
                ("half", "one dimension", good.replace(b"(4,)", b"(4x)")),
                ("blank", "one dimension", good.replace(b"(4,), ", b"(4 4,)")),
                ("sign", "one dimension", good.replace(b"(4,), ", b"(-4,),"))):
            self.assertNotEqual(good, changed)
            self.write(f"{name}.npy", changed)
            self.refused(3, "embed", "-m", model, "--token-ids", f"{name}.npy", "-o", "o.npz", says=says)


class Kept(Case):
    """What the program writes for itself, and reads again."""

    def test_states(self):
        """A bit anywhere: without a checksum it would give other bases without a word."""
        self.good("generate", "--prompt", "ACGTACGT", "--length", "9", "--save-state", "s", "-q")
        data = self.path("s").read_bytes()
        for at in [*range(0, len(data), len(data) // 37), len(data) - 1]:
            self.write("t", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            self.refused(3, "generate", "--state", "t", "--length", "5", "-o", "o.fa", says="t: ")

    def head(self):
        rows = ["id\tlabel\tsequence"] + [f"r{i}\t{'ab'[i % 2]}\t{'ACGT'[i % 4] * (5 + i)}" for i in range(24)]
        self.write("train.tsv", "\n".join(rows) + "\n")
        self.write("x.fa", ">x\nACGTACGTAC\n")
        env = {"GENOSSM_CACHE": str(self.path("cache"))}
        self.good("train-head", "--train", "train.tsv", "--layer", "1", "--cv", "2", "--resamples", "0", "--no-version",
                  "-o", "h", "--force", "-q", env=env)
        return self.path("h").read_bytes()

    def test_heads(self):
        data = self.head()
        self.good("classify", "--head", "h", "x.fa", "-o", "o.tsv")
        self.path("o.tsv").unlink()
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        for at in range(8 + size, len(data), (len(data) - size) // 9):
            self.write("t", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            self.refused(6, "classify", "--head", "t", "x.fa", "-o", "o.tsv", says="t: ")

        def changed(change):
            other = json.loads(json.dumps(header))
            change(other)
            text = json.dumps(other).encode()
            self.write("t", struct.pack("<Q", len(text)) + text + data[8 + size :])

        def renamed(other):
            other["__metadata__"]["head"] = other["__metadata__"]["head"].replace('"a"', '"c"')

        def turned(other):
            other["output.weight"]["shape"].reverse()

        def unknown(other):
            other["__metadata__"]["sha25"] = other["__metadata__"].pop("sha256")

        for change, says in ((renamed, "SHA-256"), (turned, "shapes"), (unknown, "no head")):
            changed(change)
            self.refused(6, "classify", "--head", "t", "x.fa", "-o", "o.tsv", says=says)

    def test_kept_features(self):
        """Damaged ones are computed anew."""
        data = self.head()
        (kept,) = self.path("cache").glob("*.safetensors")
        whole = kept.read_bytes()
        kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x40]))
        self.assertEqual(self.head(), data)
        self.assertEqual(kept.read_bytes(), whole)


class Parts(Case):
    """Parts whose checksums are right and whose contents are not."""

    def parts(self, name, *words):
        for i in (1, 2):
            self.good(*words, "--shard", f"{i}/2", "-o", name, "-q")
        self.part = self.path(f"{name}.shard-1-of-2")
        return facts_and_segments(self.part.read_bytes())

    def refuse(self, name, says, facts, segments):
        self.part.write_bytes(journal(facts, segments))
        return self.refused(3, "merge", "-o", name, says=says)

    def test_frames_that_promise_too_much(self):
        huge = struct.pack("<Q", 2**62)
        variants = ("variants", TINY / "human_reads.vcf.gz", "-f", TINY / "human_reads.ref.fa", "--window", "64")
        facts, segments = self.parts("v.vcf", *variants)
        mark = segments[-1][0]
        self.refuse("v.vcf", "another version", facts, [[mark, b"\xff\xff\xff\x7f" + segments[0][1][4:]]])
        facts, segments = self.parts("v.npz", *variants, "--score", "embdist", "--pool-window", "8")
        mark = segments[-1][0]
        row = segments[0][1][4 : 4 + (len(segments[0][1]) - 4) // 2]
        self.refuse("v.npz", "fewer alleles", facts, [[mark, struct.pack("<I", 99) + row * 99]])
        self.write("x.fa", ">x\n" + "ACGT" * 40 + "\n")
        facts, segments = self.parts("t.tsv", "score", "x.fa", "--window", "64")
        mark, frames = segments[-1]
        self.assertIn(b"V", frames)
        self.refuse("t.tsv", "another version", facts, [[mark, b"V" + huge + frames]])
        facts, segments = self.parts("m.npy", "embed", "x.fa", "--layer", "0", "--window", "64", "--pool", "bins:16")
        mark, frames = segments[-1]
        self.refuse("m.npy", "another version", facts, [[mark, b"R" + huge + frames]])

    def test_facts(self):
        self.write("x.fa", ">x\n" + "ACGT" * 40 + "\n")
        facts, segments = self.parts("m.npy", "embed", "x.fa", "--layer", "0", "--window", "64", "--pool", "bins:16")
        other = self.path("m.npy.shard-2-of-2")
        theirs, rest = facts_and_segments(other.read_bytes())
        for name, value, says in (("shards", 2**62, "parts"), ("shards", 0, "parts"), ("spec.columns", 0, "columns"),
                                  ("spec.columns", 2**62, "columns")):
            both = []
            for text in (facts, theirs):
                lines = [f"{name}\t{value}" if line.startswith(name + "\t") else line for line in text.split("\n")]
                both.append("\n".join(lines))
            self.assertNotEqual(both[0], facts)
            other.write_bytes(journal(both[1], rest))
            self.refuse("m.npy", says, both[0], segments)

    def test_what_is_said_can_be_shown(self):
        """Lists and bytes of a damaged part reach the terminal as text."""
        self.write("x.fa", ">x\n" + "ACGT" * 40 + "\n")
        facts, segments = self.parts("t.tsv", "score", "x.fa", "--window", "64", "--track", "logp,entropy")
        said = self.refuse("t.tsv", "spec.tracks was logp, is logp, entropy", facts.replace("entropy\x1f", ""),
                           segments)
        self.assertTrue(said.isprintable(), said)
        said = self.refuse("t.tsv", "\\x1b", facts.replace("machine\t", "machine\t\x1b[31m"), segments)
        self.assertTrue(said.isprintable(), said)


if __name__ == "__main__":
    main()
