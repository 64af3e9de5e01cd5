"""genossm generate: the same bases for a seed on any threads, resumed runs, prompts, refusals."""
import collections

from genossm_cli import SOURCE, Case, main, read_fasta

MODEL = SOURCE / "tests/golden/mamba1/lm_small_bin"
HYENA = SOURCE / "tests/golden/hyenadna/tied_hf"


class Generate(Case):
    def fasta(self, *options):
        return read_fasta(self.good("generate", *options, "-q").stdout.decode())

    def test_a_seed_gives_the_same_bases_on_any_threads(self):
        options = ("--prompt", "ACGTACGT", "--prompt", "TTTT", "-n", "2", "--length", "90", "--seed", "7")
        one = self.fasta(*options, "-@", "1")
        self.assertEqual(list(one), ["generated_1_1", "generated_1_2", "generated_2_1", "generated_2_2"])
        for bases in one.values():
            self.assertEqual(len(bases), 90)
            self.assertLessEqual(set(bases), set("ACGT"))
        self.assertEqual(len(set(one.values())), 4)
        self.assertEqual(one, self.fasta(*options, "-@", "3"))
        self.assertNotEqual(one, self.fasta(*options[:-1], "8"))
        # A sequence does not depend on the others.
        self.assertEqual(one["generated_1_1"],
                         self.fasta("--prompt", "ACGTACGT", "--length", "90", "--seed", "7")["generated_1_1"])

    def test_a_saved_state_goes_on_with_the_same_bases(self):
        whole = self.fasta("--prompt", "ACGTTGCA", "--length", "200", "--seed", "3")["generated_1_1"]
        for cut in (1, 56, 57, 120):
            first = self.fasta("--prompt", "ACGTTGCA", "--length", cut, "--seed", "3", "--save-state", "s",
                               "--force", "-@", "2")["generated_1_1"]
            rest = self.fasta("--state", "s", "--length", 200 - cut, "-@", "1")["generated_1_1"]
            self.assertEqual(first + rest, whole, cut)
        # Another seed goes on otherwise.
        self.assertNotEqual(rest, self.fasta("--state", "s", "--length", 80, "--seed", "4")["generated_1_1"])

    def test_sampling_options_have_their_effect(self):
        greedy = self.fasta("--prompt", "ACGT", "--length", "60", "--temperature", "0", "--seed", "1")
        self.assertEqual(greedy, self.fasta("--prompt", "ACGT", "--length", "60", "--top-k", "1", "--seed", "2"))
        self.assertEqual(greedy, self.fasta("--prompt", "ACGT", "--length", "60", "--top-p", "1e-6", "--seed", "3"))
        self.assertNotEqual(greedy, self.fasta("--prompt", "ACGT", "--length", "60", "--seed", "1"))

    def test_the_likeliest_base_is_the_models(self):
        # Scored by the program itself: no base of a greedy run has less than a quarter.
        greedy = self.fasta("--prompt", "ACGT", "--length", "70", "--temperature", "0")["generated_1_1"]
        self.write("g.fa", ">g\nACGT" + greedy + "\n")
        rows = self.good("score", "g.fa", "-q").stdout.decode().splitlines()
        logp = [float(row.split("\t")[3]) for row in rows if not row.startswith("#")][4:]
        self.assertEqual(len(logp), 70)
        self.assertGreater(min(logp), -1.3863)

    def test_an_empty_prompt_begins_anywhere(self):
        first = collections.Counter(
            self.fasta("--length", "1", "--seed", seed)["generated_1_1"] for seed in range(24))
        self.assertGreaterEqual(len(first), 3)

    def test_a_model_without_a_state_reads_all_of_a_sequence_for_each_base(self):
        model = ("-m", HYENA / "model.safetensors")  # filters of 258 tokens
        options = (*model, "--prompt", "ACGTACGT", "--prompt", "", "-n", "2", "--length", "40", "--seed", "7")
        one = self.fasta(*options, "-@", "1")
        self.assertEqual(len(set(one.values())), 4)
        self.assertEqual(one, self.fasta(*options, "-@", "3"))
        self.assertEqual(one["generated_1_2"],
                         self.fasta(*options[:4], "-n", "2", *options[-4:])["generated_1_2"])
        # Greedy bases are the likeliest of all three others, as score sees them.
        greedy = self.fasta(*model, "--prompt", "ACGT", "--length", "30", "--temperature", "0")["generated_1_1"]
        texts = {f"{i}{b}": "ACGT" + greedy[:i] + b for i in range(0, 30, 7) for b in "ACGT"}
        self.write("g.fa", "".join(f">{name}\n{text}\n" for name, text in texts.items()))
        last = {row[0]: float(row[3]) for row in
                (line.split("\t") for line in self.good("score", *model, "g.fa", "-q").stdout.decode().splitlines()
                 if not line.startswith("#"))}
        for i in range(0, 30, 7):
            self.assertEqual(max("ACGT", key=lambda b: last[f"{i}{b}"]), greedy[i])
        # The filters' length is the limit: 8 bases and 250 more, and one that is not read.
        self.assertEqual(len(self.fasta(*model, "--prompt", "ACGTACGT", "--length", "251")["generated_1_1"]), 251)
        self.refused(2, "generate", *model, "--prompt", "ACGTACGT", "--length", "252", says="258")

    def test_output(self):
        self.good("generate", "--prompt", "ACGT", "--length", "100", "-o", "out.fa.gz")
        self.assertEqual(self.path("out.fa.gz").read_bytes()[:2], b"\x1f\x8b")
        self.refused(5, "generate", "--prompt", "ACGT", "--length", "5", "-o", "out.fa.gz", says="--force")
        self.write("s", "x")
        self.refused(5, "generate", "--prompt", "A", "--length", "5", "--save-state", "s", says="--force")
        self.refused(2, "generate", "--prompt", "A", "--length", "5", "-o", "out.tsv", says="tsv")

    def test_refusals(self):
        good = ("generate", "--prompt", "ACGT", "--length", "5")
        self.refused(2, "generate", "--prompt", "ACGT", says="--length")
        self.refused(2, *good[:-1], "0", says="--length")
        self.refused(2, *good, "-n", "0", says="-n")
        self.refused(2, *good, "--temperature", "-1", says="--temperature")
        self.refused(2, *good, "--top-k", "5", says="--top-k")
        self.refused(2, *good, "--top-p", "0", says="--top-p")
        self.refused(2, "generate", "--prompt", "AC.T", "--length", "5", says="letter 3")
        self.refused(2, *good, "-n", "2", "--save-state", "s", says="--save-state")
        self.refused(2, *good, "--state", "s", says="--state")
        self.refused(2, *good, "-m", "genossm-mini-ps", says="masked")
        for option in ("--state", "--save-state"):
            self.refused(2, "generate", "--length", "5", "-m", HYENA / "model.safetensors", option, "s",
                         says="no state")
        self.refused(4, "generate", "--length", "5", "--state", "absent", says="absent")
        self.refused(6, *good, "-m", MODEL, says="tokenizer.json")

    def test_states_are_checked(self):
        self.good("generate", "--prompt", "ACGT", "--length", "70", "--save-state", "s", "-q")
        data = self.path("s").read_bytes()
        for name, changed in (("short", data[:-1]), ("long", data + b"x"), ("empty", b""),
                              ("magic", b"X" + data[1:]), ("model", data[:20] + b"f" * 20 + data[40:])):
            self.write(name, changed)
            self.refused(3, "generate", "--length", "5", "--state", name, says=name)
        self.refused(3, "generate", "--length", "5", "--state", "s", "--precision", "bf16", says="precision")


if __name__ == "__main__":
    main()
