"""pipelines/snakemake on the bundled data: twice, killed and given again, through Slurm; lint, refusals, wrappers."""
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest
from xml.etree import ElementTree

from genossm_cli import GENOSSM, SOURCE, TINY, Case, main
from slurm_node import SlurmNode

FLOW = SOURCE / "pipelines" / "snakemake"
HELD_BACK = pathlib.Path(__file__).with_name("held_back.py")
SNAKEMAKE = shutil.which("snakemake")
# Counts of runs hold their times; all other results are the same bytes every time.
TIMED = re.compile(r"results/(summary/.*|head/metrics)\.json")


@unittest.skipUnless(SNAKEMAKE, "skipped: no snakemake (Debian: snakemake)")
class Workflow(Case):
    def setUp(self):
        super().setUp()
        # The paths of .test/config lead from a folder three levels deep to data/tiny.
        (self.folder / "data").symlink_to(SOURCE / "data")
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "genossm").symlink_to(GENOSSM)

    def place(self, name):
        place = self.folder / name / "x" / "y"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def environment(self):
        return {**os.environ, "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(self.folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def command(self, place, *words, profile="default"):
        return [SNAKEMAKE, "--snakefile", FLOW / "workflow" / "Snakefile", "--directory", place, "--configfile",
                FLOW / ".test" / "config" / "config.yaml", "--profile", FLOW / "profiles" / profile, *words]

    def start(self, place, *words, env=None, **more):
        return subprocess.Popen([*map(str, self.command(place, *words, **more))], env=env or self.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                cwd=self.folder)

    def snakemake(self, place, *words, code=0, **more):
        run = self.start(place, *words, **more)
        said, _ = run.communicate(timeout=1500)
        self.assertEqual(run.returncode, code, said)
        return said

    def results(self, place):
        """{name: bytes} of all that is the same every time."""
        files = [path for path in sorted((place / "results").rglob("*")) if path.is_file()]
        named = {str(path.relative_to(place)): path for path in files}
        return {name: path.read_bytes() for name, path in named.items() if not TIMED.fullmatch(name)}

    def assert_same(self, place, expected):
        found = self.results(place)
        self.assertEqual(sorted(found), sorted(expected))
        for name, data in expected.items():
            self.assertEqual(found[name], data, name)

    def held(self, name):
        return {**self.environment(), "HELD_BACK": str(self.folder / "held"), "HELD_BACK_NAME": name,
                "HELD_BACK_PROGRAM": GENOSSM}

    def wait_for_held(self, run):
        marker, end = self.folder / "held", time.monotonic() + 600
        while not (marker.exists() and "held" in marker.read_text()):
            self.assertIsNone(run.poll(), run.stdout.read() if run.poll() is not None else "")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_runs(self):
        first = self.place("first")
        self.snakemake(first)
        expected = self.results(first)
        self.assertEqual(sorted(expected), sorted([
            "results/classes/human.tsv.gz", "results/effects/human.vcf.gz", "results/effects/human.vcf.gz.csi",
            "results/embeddings/lambda.h5ad", "results/embeddings/phix174.h5ad", "results/head/head.safetensors",
            "results/likelihoods/lambda.bw", "results/likelihoods/phix174.bw", "results/report.html"]))
        self.page(first)
        with self.subTest("parts merged are one run"):
            self.undivided(first)
        for rule in ("embed", "embed_merge", "score", "variants", "train_head", "classify", "report"):
            self.assertTrue(list((first / "logs" / rule).iterdir()), rule)
            for path in (first / "benchmarks" / rule).iterdir():
                self.assertTrue(path.read_text().startswith("s\th:m:s\tmax_rss"), path)

        with self.subTest("the second run does nothing"):
            times = {path: path.stat().st_mtime_ns for path in (first / "results").rglob("*")}
            self.assertIn("Nothing to be done", self.snakemake(first))
            self.assertEqual(times, {path: path.stat().st_mtime_ns for path in (first / "results").rglob("*")})

        with self.subTest("killed in the middle"):
            place, env = self.place("killed"), self.held("lambda.bw")
            run = self.start(place, "--config", f"program={HELD_BACK}", env=env)
            self.wait_for_held(run)
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            self.assertFalse((place / "results" / "likelihoods" / "lambda.bw").exists())
            self.assertIn("lock", self.snakemake(place, "--config", f"program={HELD_BACK}", env=env, code=1))
            self.snakemake(place, "--unlock", env=env)
            self.snakemake(place, "--config", f"program={HELD_BACK}", env=env)
            self.assertEqual((self.folder / "held").read_text(), "held lambda.bw\nwent on lambda.bw\n")
            self.assert_same(place, expected)
            (self.folder / "held").unlink()

        with self.subTest("through Slurm, one job cancelled"):
            self.through_slurm(expected)  # skips where there is no Slurm

    def page(self, place):
        """The report is well-formed, and its plots show what the results hold."""
        text = (place / "results" / "report.html").read_text()
        tree = ElementTree.fromstring(text.replace("<!DOCTYPE html>", "").replace('<meta charset="utf-8">', ""))
        labels = [svg.get("aria-label") for svg in tree.iter("svg")]
        self.assertEqual(labels, ["lambda", "phix174", "histogram: GSSM_LLR: negative where ALT is less likely than REF",
                                  "confusion matrix", "sequences of each class"])
        with gzip.open(place / "results" / "classes" / "human.tsv.gz", "rt") as file:
            classes = [line.split("\t")[1] for line in file if not line.startswith("#")]
        for name in set(classes):
            self.assertIn(f">{classes.count(name)}<", text)
        metrics = json.loads((place / "results" / "head" / "metrics.json").read_text())
        for row in metrics["figures"]["confusion"]:
            for count in row:
                self.assertIn(f">{count}</text>", text)
        self.assertIn("NOT_SNV: 1", text)

    def undivided(self, place):
        """The merged file is that of one run without parts."""
        self.good("embed", "-f", "data/tiny/genomes.fa.gz", "-r", "lambda", "--pool", "bins:128", "--layer", "2",
                  "--window", "2048", "--no-version", "--device", "cpu", "-o", "whole.npz")
        try:
            import h5py
            import numpy
        except ImportError:
            self.skipTest("skipped: no h5py (Debian: python3-h5py)")
        with h5py.File(place / "results" / "embeddings" / "lambda.h5ad") as file:
            numpy.testing.assert_array_equal(file["X"][:], numpy.load(self.path("whole.npz"))["embeddings"])

    def through_slurm(self, expected):
        slurm = SlurmNode()
        try:
            place = self.place("slurm")
            env = {**self.held("lambda.bw"), **{key: value for key, value in slurm.environment.items() if key != "PATH"}}
            run = self.start(place, "--config", f"program={HELD_BACK}", "--latency-wait", "10", env=env,
                             profile="slurm")
            self.wait_for_held(run)
            (job,) = [line.split()[0] for line in slurm.run("squeue", "-h", "-o", "%i %j %T").splitlines()
                      if "score RUNNING" in line and self.writes_lambda(place, line.split()[0])]
            slurm.run("scancel", job)
            said, _ = run.communicate(timeout=1500)
            self.assertEqual(run.returncode, 0, said + slurm.logs())
            self.assertIn("Trying to restart job", said)
            self.assertEqual((self.folder / "held").read_text(), "held lambda.bw\nwent on lambda.bw\n")
            self.assertGreater(len(list((place / "logs" / "slurm").iterdir())), 9)
            self.assert_same(place, expected)
        finally:
            slurm.stop()

    def writes_lambda(self, place, job):
        (log,) = (place / "logs" / "slurm").glob(f"score.{job}.log")
        return "contig=lambda" in log.read_text()

    def test_lint(self):
        done = subprocess.run([SNAKEMAKE, "--lint", "--snakefile", FLOW / "workflow" / "Snakefile", "--directory",
                               self.place("lint"), "--configfile", FLOW / ".test" / "config" / "config.yaml"],
                              capture_output=True, text=True, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Congratulations", done.stdout + done.stderr)

    def test_wrong_configurations(self):
        for says, word in (("'parts'|minimum", "embed={parts: 0}"), ("bin|Additional", "embed={bin: 3}"),
                           ("tpu|does not match", "device=tpu"), ("colour|Additional", "colour=red")):
            said = self.snakemake(self.place("wrong"), "-n", "--config", word, code=1)
            self.assertRegex(said, says)

    def test_example_configuration(self):
        """The one that a user starts from asks for what its words say."""
        place = self.place("example")
        (place / "resources").mkdir()
        for name in ("genome.fa.gz", "cohort.vcf.gz", "labelled.tsv.gz", "sample1.bam"):
            (place / "resources" / name).touch()
        done = subprocess.run([SNAKEMAKE, "-n", "--snakefile", FLOW / "workflow" / "Snakefile", "--directory", place,
                               "--configfile", FLOW / "config" / "config.yaml", "--cores", "8"],
                              capture_output=True, text=True, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"embed_part +16 ")


@unittest.skipUnless(SNAKEMAKE, "skipped: no snakemake (Debian: snakemake)")
class Wrappers(Case):
    """Each wrapper's own test, with its folder as the place of all wrappers."""

    def run_wrapper(self, name, target, *inputs):
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "genossm").symlink_to(GENOSSM)
        for file in inputs:
            (self.folder / file).symlink_to(TINY / file)
        done = subprocess.run([SNAKEMAKE, "--cores", "1", "--snakefile", FLOW / "wrappers" / name / "test" / "Snakefile",
                               "--wrapper-prefix", f"file://{FLOW}/wrappers/", target], cwd=self.folder,
                              capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
                                   "XDG_CACHE_HOME": str(self.folder / "cache")})
        logs = "".join(path.read_text() for path in self.folder.glob("logs/*"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + logs)
        self.assertTrue(self.path(target).exists())

    def same_as(self, target, *words):
        self.good(*words, "-o", f"plain.{target}")
        self.assertEqual(self.path(target).read_bytes(), self.path(f"plain.{target}").read_bytes())

    INDEXED = ("genomes.fa.gz", "genomes.fa.gz.fai", "genomes.fa.gz.gzi")
    REFERENCE = ("human_reads.ref.fa", "human_reads.ref.fa.fai")

    def test_embed(self):
        self.run_wrapper("embed", "phix.h5ad", *self.INDEXED)
        self.same_as("phix.h5ad", "embed", "-f", "genomes.fa.gz", "-r", "phix174:1-2000", "--pool", "bins:100",
                     "--layer", "1", "--window", "512")
        self.assertEqual(json.loads(self.path("phix.json").read_text())["bases"], 2000)

    def test_score(self):
        self.run_wrapper("score", "phix.bw", *self.INDEXED)
        self.same_as("phix.bw", "score", "-f", "genomes.fa.gz", "-r", "phix174")

    def test_variants(self):
        self.run_wrapper("variants", "effects.vcf.gz", "human_reads.vcf.gz", *self.REFERENCE)
        self.assertTrue(self.path("effects.vcf.gz.csi").exists())
        with gzip.open(self.path("effects.vcf.gz"), "rt") as file:
            self.assertEqual(file.read().count("GSSM_STATUS=OK"), 10)

    def test_classify(self):
        self.run_wrapper("classify", "classes.tsv.gz", "human_reads.cram", *self.REFERENCE)
        with gzip.open(self.path("classes.tsv.gz"), "rt") as file:
            self.assertEqual(sum(not line.startswith("#") for line in file), 569)

    def test_train_head(self):
        self.run_wrapper("train-head", "coding.safetensors", "coding.tsv.gz")
        self.assertEqual(json.loads(self.path("metrics.json").read_text())["train"]["records"], 200)

    def test_merge(self):
        self.run_wrapper("merge", "phix174.npz", *self.INDEXED)
        self.same_as("phix174.npz", "embed", "-f", "genomes.fa.gz", "-r", "phix174", "--pool", "bins:200", "--layer",
                     "1", "--window", "512")

    def test_descriptions(self):
        """Each wrapper says what goes in and out, under the names that its program asks for."""
        try:
            import yaml
        except ImportError:
            self.skipTest("skipped: no yaml (Debian: python3-yaml)")
        folders = [path for path in (FLOW / "wrappers").iterdir() if path.is_dir()]
        self.assertEqual(len(folders), 6)
        for folder in folders:
            meta = yaml.safe_load((folder / "meta.yaml").read_text())
            self.assertLessEqual({"name", "description", "authors", "input", "output", "params"}, set(meta))
            program = (folder / "wrapper.py").read_text()
            self.assertIn(f"genossm {folder.name} ", program)
            self.assertEqual(yaml.safe_load((folder / "environment.yaml").read_text())["dependencies"], ["genossm =0.1"])


if __name__ == "__main__":
    main()
