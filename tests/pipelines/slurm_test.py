"""pipelines/slurm on a real Slurm of one node: shares, merge, time limits, cancelled and failing tasks."""
import os
import pathlib
import subprocess
import unittest

from genossm_cli import GENOSSM, SOURCE, TINY, Case, main
from slurm_node import SlurmNode

SUBMIT = SOURCE / "pipelines" / "slurm" / "submit.sh"
HELD_BACK = pathlib.Path(__file__).with_name("held_back.py")
GENOME = TINY / "genomes.fa.gz"


class Slurm(Case):
    @classmethod
    def setUpClass(cls):
        cls.slurm = SlurmNode()

    @classmethod
    def tearDownClass(cls):
        cls.slurm.stop()

    def submit(self, *words, env=None):
        done = subprocess.run(["bash", SUBMIT, *map(str, words)], cwd=self.folder, capture_output=True, text=True,
                              env={**self.slurm.environment, "GENOSSM": GENOSSM, **(env or {})}, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^array \d+ merge \d+\n$")
        _, array, _, merge = done.stdout.split()
        return array, merge

    def held(self, marker, name):
        """The environment in which the first run that writes `name` is held up (held_back.py)."""
        return {"GENOSSM": str(HELD_BACK), "HELD_BACK": str(marker), "HELD_BACK_NAME": name,
                "HELD_BACK_PROGRAM": GENOSSM}

    def logs(self):
        return "".join(path.read_text() for path in sorted((self.folder / "logs").glob("*.log")))

    def same(self, a, b):
        self.assertEqual(self.path(a).read_bytes(), self.path(b).read_bytes())

    def left(self):
        return sorted(p.name for p in self.folder.iterdir() if ".shard-" in p.name or "journal" in p.name)

    def test_array_and_merge(self):
        job = ("embed", "-f", GENOME, "-r", "lambda:1-6000,phix174", "--window", "1024", "--layer", "1", "--pool",
               "bins:100")
        self.good(*job, "-o", "one.h5ad")
        array, merge = self.submit("-n", 3, "-c", 1, "-m", "500M", "-t", "10:00", "--", *job, "-o", "out.h5ad")
        (row,) = self.slurm.wait_for(array, merge)
        self.assertEqual(row["JobState"], "COMPLETED", self.logs())
        self.same("out.h5ad", "one.h5ad")
        self.assertEqual(self.left(), [])

    def test_variants(self):
        job = ("variants", TINY / "human_reads.vcf.gz", "-f", TINY / "human_reads.ref.fa", "--window", "256", "-W=csi")
        self.good(*job, "-o", "one.vcf.gz")
        array, merge = self.submit("-n", 2, "-c", 1, "-m", "500M", "-t", "10:00", "--", *job, "-o", "out.vcf.gz")
        (row,) = self.slurm.wait_for(array, merge)
        self.assertEqual(row["JobState"], "COMPLETED", self.logs())
        self.same("out.vcf.gz", "one.vcf.gz")
        self.same("out.vcf.gz.csi", "one.vcf.gz.csi")
        self.assertEqual(self.left(), [])

    def test_time_limit(self):
        """A task is told before its limit, goes back into the queue, goes on, and merge waits for it."""
        job = ("score", "-f", GENOME, "-r", "lambda:1-12000", "--window", "2048")
        self.good(*job, "-o", "one.tsv.gz")
        marker = self.path("held")
        # Slurm counts limits in minutes and looks at them every half one.
        array, merge = self.submit("-n", 2, "-j", 1, "-c", 1, "-m", "500M", "-t", 1, "-s", 50, "--", *job, "-o",
                                   "out.tsv.gz", env=self.held(marker, "out.tsv.gz.shard-1-of-2"))
        (row,) = self.slurm.wait_for(array, merge)
        self.assertEqual(row["JobState"], "COMPLETED", self.logs())
        told = marker.read_text().splitlines()
        self.assertEqual(told, ["held out.tsv.gz.shard-1-of-2", "went on out.tsv.gz.shard-1-of-2"], self.logs())
        self.assertEqual(sorted(task["Restarts"] for task in self.slurm.job(array)), ["0", "1"])
        self.assertIn("it goes back into the queue", self.logs())
        self.same("out.tsv.gz", "one.tsv.gz")
        self.assertEqual(self.left(), [])

    def test_cancelled_stays_out(self):
        job = ("score", "-f", GENOME, "-r", "lambda:1-12000", "--window", "2048")
        self.good(*job, "-o", "one.tsv")
        marker = self.path("held")
        env = self.held(marker, "out.tsv.shard-1-of-2")
        words = ("-n", 2, "-j", 1, "-c", 1, "-m", "500M", "-t", "10:00", "--", *job, "-o", "out.tsv")
        array, merge = self.submit(*words, env=env)
        self.slurm.wait_until(lambda: marker.exists() and "held" in marker.read_text(), "the held run")
        self.slurm.run("scancel", "--full", array)
        (row,) = self.slurm.wait_for(array, merge)
        self.assertEqual(row["JobState"], "CANCELLED")
        self.assertTrue(all(task["JobState"] == "CANCELLED" for task in self.slurm.job(array)))
        self.assertFalse(self.path("out.tsv").exists())
        # The same command again goes on with what was kept.
        array, merge = self.submit(*words, env=env)
        (row,) = self.slurm.wait_for(array, merge)
        self.assertEqual(row["JobState"], "COMPLETED", self.logs())
        self.assertIn("went on out.tsv.shard-1-of-2", marker.read_text())
        self.same("out.tsv", "one.tsv")
        self.assertEqual(self.left(), [])

    def test_failure_stops_the_merge(self):
        array, merge = self.submit("-n", 2, "-c", 1, "-m", "500M", "-t", "10:00", "--", "score", "-f", GENOME, "-r",
                                   "nowhere", "-o", "out.tsv")
        (row,) = self.slurm.wait_for(array, merge)
        self.assertEqual(row["JobState"], "CANCELLED")
        (task, *_) = self.slurm.job(array)
        self.assertEqual(task["ExitCode"].split(":")[0], "3", self.logs())
        self.assertIn("nowhere", self.logs())
        self.assertFalse(self.path("out.tsv").exists())


class Usage(Case):
    """What the submit script refuses before it asks Slurm for anything."""

    def refused(self, says, *words):
        done = subprocess.run(["bash", SUBMIT, *words], cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, "PATH": "/usr/bin:/bin"}, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(says, done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_refusals(self):
        self.refused("embed, score and variants can be shared out", "-n", "2")
        self.refused("embed, score and variants can be shared out", "--", "classify", "in.fa", "-o", "out.tsv")
        self.refused("no -o OUT", "--", "embed", "in.fa")
        self.refused("parts are files", "--", "embed", "in.fa", "-o", "-")
        self.refused("is set by the job", "--", "embed", "in.fa", "-o", "a.npy", "-@", "3")
        self.refused("is not a whole number", "-n", "two", "--", "embed", "in.fa", "-o", "a.npy")
        self.refused("one part at least", "-n", "0", "--", "embed", "in.fa", "-o", "a.npy")

    def test_help(self):
        done = subprocess.run(["bash", SUBMIT, "-h"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertIn("usage: submit.sh", done.stdout)


if __name__ == "__main__":
    main()
