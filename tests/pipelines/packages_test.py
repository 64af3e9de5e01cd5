"""What is installed: the program from its prefix, the library for other programs, Debian packages; the recipes of
containers and conda as far as they can be read here."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from genossm_cli import GENOSSM, SOURCE, TINY, Case, main

BUILD = pathlib.Path(os.environ["GENOSSM_BUILD_DIR"])
CONSUMER = SOURCE / "tests" / "consumer"


def need(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise unittest.SkipTest(f"skipped: no {', '.join(missing)}")


def run(*words, **more):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=900, **more)
    if done.returncode != 0:
        raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def cached(name):
    """A variable of the build's CMake."""
    found = re.search(rf"^{name}:[A-Z]+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


class Installed(Case):
    @classmethod
    def setUpClass(cls):
        need("cmake")
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="genossm-prefix-"))
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.prefix, ignore_errors=True)

    def rows(self, name):
        """Without the lines on where it comes from."""
        return [line for line in self.path(name).read_text().splitlines() if not line.startswith("##")]

    def test_program_finds_what_came_with_it(self):
        self.check_program(self.prefix)

    def check_program(self, prefix):
        """Models and heads are those beside the program, not those of the sources."""
        words = ("score", "-f", TINY / "genomes.fa.gz", "-r", "phix174:1-3000", "--no-version")
        self.good(*words, "-o", "built.tsv")
        environment = {key: value for key, value in os.environ.items() if key != "GENOSSM_MODELS"}
        program = prefix / "bin" / "genossm"
        run(program, *words, "-o", "installed.tsv", cwd=self.folder, env=environment)
        self.assertEqual(self.path("installed.tsv").read_bytes(), self.path("built.tsv").read_bytes())
        self.assertIn(f"{prefix}/share/genossm/models", run(program, "inspect", "genossm-mini-ps", env=environment))
        self.write("in.fa", ">a\n" + "ACGTTGCAAC" * 60 + "\n")
        run(program, "classify", "in.fa", "-o", "classes.tsv", cwd=self.folder, env=environment)
        self.assertEqual(len(self.rows("classes.tsv")), 2)
        if "doctor" in run(program, "--help"):
            run(program, "doctor", env=environment)

    def check_consumer(self, program):
        model = self.prefix / "share" / "genossm" / "models" / "genossm-mini-causal"
        self.write("in.fa", ">a\n" + "ACGTTGCAAC" * 60 + "\n>b\nGATTACA\n")
        said = run(program, model, "in.fa", "own.tsv", cwd=self.folder)
        self.assertEqual(said, "genossm-mini-causal: 2 records, 607 bases\n")
        self.good("score", "in.fa", "-o", "program.tsv")
        self.assertEqual(self.rows("own.tsv"), self.rows("program.tsv"))
        self.assertEqual(len(self.rows("own.tsv")), 608)

    def test_find_package(self):
        need("cmake", "ninja", "c++")
        if cached("GENOSSM_SANITIZE"):
            self.skipTest("skipped: archives built with sanitizers")
        run("cmake", "-S", CONSUMER, "-B", self.path("build"), "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", self.path("build"))
        self.check_consumer(self.path("build") / "consumer")

    def test_wrong_version_is_not_found(self):
        need("cmake", "ninja", "c++")
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(other LANGUAGES CXX)\n"
                                     "find_package(genossm 99.0 REQUIRED)\n")
        done = subprocess.run(["cmake", "-S", self.folder, "-B", self.path("build"), "-G", "Ninja",
                               f"-DCMAKE_PREFIX_PATH={self.prefix}"], capture_output=True, text=True, timeout=300)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("requested version \"99.0\"", done.stderr)

    def test_pkg_config(self):
        need("pkg-config", "c++")
        if cached("GENOSSM_SANITIZE"):
            self.skipTest("skipped: archives built with sanitizers")
        (file,) = self.prefix.rglob("genossm.pc")
        environment = {**os.environ, "PKG_CONFIG_PATH": str(file.parent)}
        self.assertEqual(run("pkg-config", "--modversion", "genossm", env=environment).strip(),
                         cached("CMAKE_PROJECT_VERSION"))
        flags, libraries = (run("pkg-config", f"--{kind}", "genossm", env=environment).split()
                            for kind in ("cflags", "libs"))
        run("c++", *flags, CONSUMER / "main.cc", "-o", self.path("consumer"), *libraries)
        self.check_consumer(self.path("consumer"))

    def test_headers_are_whole(self):
        """What an installed header includes is installed, too."""
        root = self.prefix / "include" / "genossm"
        headers = list(root.rglob("*.h"))
        self.assertGreater(len(headers), 100)
        for header in headers:
            for name in re.findall(r'#include "([^"]+)"', header.read_text()):
                self.assertTrue((root / name).is_file(), f"{header}: {name}")

    def test_debian_packages(self):
        need("cpack", "dpkg-deb", "dpkg-shlibdeps", "gzip")
        # Beside the build's own packages, which a user may have made.
        run("cpack", "-G", "DEB", "-B", self.path("packages"), "--config", BUILD / "CPackConfig.cmake", cwd=BUILD)
        packages = {path.name.split("_")[0]: path for path in self.path("packages").glob("*.deb")}
        self.assertEqual(sorted(packages), ["genossm", "libgenossm-dev"])
        program = packages["genossm"]
        fields = {key: run("dpkg-deb", "-f", program, key).strip()
                  for key in ("Depends", "Section", "Version", "Description")}
        self.assertEqual((fields["Section"], fields["Version"]), ("science", cached("CMAKE_PROJECT_VERSION")))
        for library in ("libc6", "libhts3", "libtbb12", "libdnnl", "libhwy"):
            self.assertIn(library, fields["Depends"])
        self.assertIn("libhts-dev", run("dpkg-deb", "-f", packages["libgenossm-dev"], "Depends"))
        self.assertGreater(len(fields["Description"].splitlines()), 2)

        for name, package in packages.items():
            run("dpkg-deb", "-x", package, self.path("root"))
            documents = self.path("root") / "usr" / "share" / "doc" / name
            self.assertIn("Apache-2.0", (documents / "copyright").read_text())
            self.assertTrue((documents / "changelog.gz").is_file())
        self.check_program(self.path("root") / "usr")
        self.assertTrue((self.path("root") / "usr" / "include" / "genossm" / "libgenossm" / "jobs" / "score.h").is_file())

        need("lintian")
        done = subprocess.run(["lintian", "--allow-root", *packages.values()], capture_output=True, text=True, timeout=600)
        errors = [line for line in done.stdout.splitlines() if line.startswith("E:")]
        self.assertEqual(errors, [])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Recipes(Case):
    def test_version(self):
        """Every recipe and module names the version that is built here."""
        version = cached("CMAKE_PROJECT_VERSION")
        short = version.rsplit(".", 1)[0]
        folder = SOURCE / "pipelines"
        said = {
            "conda/recipe.yaml": (rf'^  version: "(.*)"$', version),
            "nextflow/nextflow.config": (r"^    version +=  *'(.*)'$", version),
            "containers/Dockerfile": (r"-t genossm:([\d.]+)", version),
            "containers/genossm-cuda.def": (r"^From: genossm:([\d.]+)-cuda$", version),
            "snakemake/workflow/envs/genossm.yaml": (r"genossm =(.*)$", short),
        }
        for path in folder.glob("nextflow/modules/genossm/*/main.nf"):
            said[str(path.relative_to(folder))] = (r'container "genossm:(.*)"$', version)
        for path in [*folder.glob("nextflow/modules/genossm/*/environment.yml"), *folder.glob("snakemake/wrappers/*/environment.yaml")]:
            said[str(path.relative_to(folder))] = (r"genossm ?=(.*)$", short)
        self.assertEqual(len(said), 23)
        for name, (pattern, wanted) in said.items():
            found = re.findall(pattern, (folder / name).read_text(), re.MULTILINE)
            self.assertEqual(set(found), {wanted}, name)

    def test_scripts_parse(self):
        need("bash")
        scripts = list((SOURCE / "pipelines").rglob("*.sh"))
        self.assertGreater(len(scripts), 5)
        for path in scripts:
            run("bash", "-n", path)


if __name__ == "__main__":
    main()
