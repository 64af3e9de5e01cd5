"""pipelines/nextflow without its engine: the command line of each module is taken out of its script block, its
variables are filled in as the module defines them, and bash runs it on the bundled data; then the stub."""
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from genossm_cli import GENOSSM, SOURCE, TINY, Case, main

FLOW = SOURCE / "pipelines" / "nextflow"
MODULES = FLOW / "modules" / "genossm"
NAMES = ("classify", "embed", "merge", "score", "trainhead", "variants")
GENOME = ("genomes.fa.gz", "genomes.fa.gz.fai", "genomes.fa.gz.gzi")


def sections(name):
    """{section: text} of a module's process."""
    text = (MODULES / name / "main.nf").read_text()
    parts = re.split(r"^    (input|output|when|script|stub):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def value(expression, names):
    """A definition's right side, in the three forms that modules use."""
    if found := re.fullmatch(r"(task\.ext\.\w+) \?: (.+)", expression):
        return names.get(found[1]) or value(found[2], names)
    if found := re.fullmatch(r"(\w+) \? (\".*\") : (''|\".*\")", expression):
        return value(found[2] if names[found[1]] else found[3], names)
    if found := re.fullmatch(r"'([^']*)'", expression):
        return found[1]
    if found := re.fullmatch(r'"([^"]*)"', expression):
        return fill(found[1], names)
    raise AssertionError(f"not a form that this test knows: {expression}")


def fill(text, names):
    """A Groovy string: variables filled in, escapes undone."""
    text = re.sub(r"\$\{([\w.]+)\}", lambda found: str(names[found[1]]), text)
    if "${" in text:
        raise AssertionError(f"not a form that this test knows: {text}")
    return text.replace("\\\\", "\\")


def command_of(section, names):
    names = dict(names)
    for name, expression in re.findall(r"^    def (\w+) = (.+)$", section, re.MULTILINE):
        names[name] = value(expression, names)
    (block,) = re.findall(r'^    """\n(.*?)^    """$', section, re.MULTILINE | re.DOTALL)
    return fill(block, names)


def configured(name):
    """ext.args of conf/modules.config."""
    (args,) = re.findall(rf"withName: GENOSSM_{name.upper()} +\{{ ext\.args = '([^']*)' \}}",
                         (FLOW / "conf" / "modules.config").read_text())
    return args


def outputs(name):
    """{emit: glob}"""
    return {emit: glob for glob, emit in re.findall(r'path\("([^"]+)"\)\s*, emit: (\w+)', sections(name)["output"])}


class Modules(Case):
    def setUp(self):
        super().setUp()
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "genossm").symlink_to(GENOSSM)

    def bash(self, command, folder):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True,
                              timeout=900, env={**os.environ, "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"})
        self.assertEqual(done.returncode, 0, command + done.stderr)
        return done.stdout

    def module(self, name, task, files=(), args=None, section="script", **names):
        """Runs a block of a module in a folder of its own; {emit: file}."""
        work = self.folder / f"{section}-{task}"
        work.mkdir()
        for file in files:
            (work / pathlib.Path(file).name).symlink_to(file)
        names = {"task.cpus": 1, "task.ext.args": configured(name) if args is None else args, "meta.id": "phix174",
                 **{key.replace("__", "."): item for key, item in names.items()}}
        self.bash(command_of(sections(name)[section], names), work)
        found = {}
        for emit, glob in outputs(name).items():
            (found[emit],) = work.glob(glob)
        return found

    def data(self, *names):
        return [TINY / name for name in names]

    def test_embed_and_merge(self):
        args = "--pool bins:128 --layer 1 --window 512"
        parts = [self.module("embed", f"embed{part}", self.data(*GENOME), args, fasta=GENOME[0], meta__part=part,
                             meta__parts=2)["part"] for part in (1, 2)]
        merged = self.module("merge", "merge", parts, parts=" ".join(part.name for part in parts))["merged"]
        # By the same name, since the command stands in the file.
        for name in GENOME:
            (self.folder / name).symlink_to(TINY / name)
        self.good("embed", "-f", GENOME[0], "-r", "phix174", *args.split(), "-o", "phix174.h5ad")
        self.assertEqual(merged.read_bytes(), self.path("phix174.h5ad").read_bytes())

    def test_score(self):
        track = self.module("score", "score", self.data(*GENOME), fasta=GENOME[0])["track"]
        self.good("score", "-f", TINY / GENOME[0], "-r", "phix174", "--track", "logp", "-o", "phix174.bw")
        self.assertEqual(track.read_bytes(), self.path("phix174.bw").read_bytes())

    def test_variants(self):
        files = self.data("human_reads.vcf.gz", "human_reads.ref.fa", "human_reads.ref.fa.fai")
        made = self.module("variants", "variants", files, "--window 256", meta__id="human", vcf="human_reads.vcf.gz",
                           fasta="human_reads.ref.fa")
        with gzip.open(made["vcf"], "rt") as file:
            self.assertEqual(file.read().count("GSSM_STATUS=OK"), 10)

    def test_train_and_classify(self):
        head = self.module("trainhead", "train", self.data("coding.tsv.gz"), "--layer 2", meta__id="coding",
                           train="coding.tsv.gz")["head"]
        made = self.module("classify", "classify", [head, *self.data("human_reads.cram", "human_reads.ref.fa",
                                                                     "human_reads.ref.fa.fai")],
                           meta__id="human", sequences="human_reads.cram", head=head.name, fasta="human_reads.ref.fa")
        with gzip.open(made["classes"], "rt") as file:
            classes = {line.split("\t")[1] for line in file if not line.startswith("#")}
        self.assertEqual(classes, {"coding", "intergenic"})
        # Without a head the bundled one serves, without a reference none is named.
        self.write("in.fa", ">a\n" + "ACGTTGCAAC" * 60 + "\n")
        self.module("classify", "bundled", [self.path("in.fa")], meta__id="in", sequences="in.fa", head="", fasta="")

    def test_stubs(self):
        for name in NAMES:
            made = self.module(name, name, section="stub", meta__part=1, meta__parts=2)
            for path in made.values():
                if path.suffix == ".gz":
                    with gzip.open(path) as file:
                        file.read()

    def test_version(self):
        commands = set()
        for name in NAMES:
            commands.update(re.findall(r'eval\("(.*)"\), topic: versions', sections(name)["output"]))
        (command,) = commands
        self.assertRegex(self.bash(command, self.folder), r"^\d+\.\d+\.\d+\n$")

    def test_descriptions(self):
        """meta.yml names the inputs and outputs that main.nf has."""
        try:
            import yaml
        except ImportError:
            self.skipTest("skipped: no yaml (Debian: python3-yaml)")
        self.assertEqual(sorted(path.name for path in MODULES.iterdir()), sorted(NAMES))
        for name in NAMES:
            meta = yaml.safe_load((MODULES / name / "meta.yml").read_text())
            self.assertEqual(meta["name"], f"genossm_{name}")
            inputs = [next(iter(entry)) for group in meta["input"] for entry in (group if isinstance(group, list) else [group])]
            declared = [word for line in sections(name)["input"].splitlines()
                        for word in re.findall(r"(?:val|path)[( ](\w+)", line)]
            self.assertEqual(inputs, declared)
            self.assertEqual({key: next(iter(value[0][1])) for key, value in meta["output"].items() if "version" not in key},
                             outputs(name))
            environment = yaml.safe_load((MODULES / name / "environment.yml").read_text())
            self.assertEqual(environment["dependencies"], ["genossm=0.1"])
            tests = (MODULES / name / "tests" / "main.nf.test").read_text()
            self.assertIn("options '-stub'", tests)
            self.assertEqual(set(re.findall(r"process\.out\.(\w+)\.size", tests)), set(outputs(name)))

    def test_included(self):
        """main.nf uses every module, and every module can be given more options."""
        text = (FLOW / "main.nf").read_text()
        for name in NAMES:
            process = f"GENOSSM_{name.upper()}"
            self.assertRegex(text, rf"include {{ {process} +}} from './modules/genossm/{name}/main'")
            self.assertIn(f"process {process} {{", (MODULES / name / "main.nf").read_text())
            self.assertIn(f"withName: {process}", (FLOW / "conf" / "modules.config").read_text())
            self.assertRegex(text, rf"\b{process}\(")

    def test_groovy_reads_it(self):
        """The files are Groovy, as far as its compiler can tell without the engine."""
        if shutil.which("groovy") is None:
            self.skipTest("skipped: no groovy (Debian: groovy)")
        self.write("parse.groovy", """
import org.codehaus.groovy.control.*
args.each { name ->
    def unit = new CompilationUnit()
    unit.addSource(new File(name))
    unit.compile(Phases.CONVERSION)
}
println 'read ' + args.length
""")
        files = [*FLOW.glob("*.nf"), *FLOW.glob("*.config"), *FLOW.glob("conf/*.config"), *MODULES.glob("*/main.nf"),
                 *MODULES.glob("*/tests/main.nf.test")]
        self.assertEqual(len(files), 15)
        java = os.environ.get("JAVA_HOME") or str(pathlib.Path(shutil.which("java")).resolve().parents[1])
        done = subprocess.run(["groovy", "parse.groovy", *map(str, files)], cwd=self.folder, capture_output=True, text=True,
                              timeout=600, env={**os.environ, "JAVA_HOME": java})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("read 15", done.stdout)


if __name__ == "__main__":
    main()
