#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

const std::vector<std::string> kMatrix = {"npz", "npy", "tsv", "tsv.gz", "safetensors"};
const std::vector<std::string> kText = {"tsv", "tsv.gz"};

TEST(OutputType, ByOptionAndSuffix) {
  struct Case {
    const char *path, *option, *want;
  };
  for (const Case& c : std::vector<Case>{{"a.npz", "", "npz"},
                                         {"a.npy", "", "npy"},
                                         {"a.tsv", "", "tsv"},
                                         {"a.tsv.gz", "", "tsv.gz"},
                                         {"a.npz.tsv", "", "tsv"},
                                         {"dir.npy/A.NPZ", "", "npz"},
                                         {"a.txt.gz", "", "tsv.gz"},
                                         {"a.safetensors", "", "safetensors"},
                                         {"a", "", "npz"},
                                         {"a.out", "", "npz"},
                                         {"npy", "", "npz"},
                                         {"a", "npy", "npy"},
                                         {"a.out", "tsv", "tsv"},
                                         {"a.npz", "npz", "npz"},
                                         {"a.tsv.gz", "tsv.gz", "tsv.gz"},
                                         {"-", "tsv", "tsv"},
                                         {"-", "tsv.gz", "tsv.gz"},
                                         {"/dev/stdout", "tsv", "tsv"}}) {
    EXPECT_EQ(output_type({c.path, c.option, false}, kMatrix, "npz"), c.want)
        << c.path << " " << c.option;
  }
  EXPECT_EQ(output_type({"-", "", false}, kText, "tsv"), "tsv");
  EXPECT_EQ(output_type({"scores", "", false}, kText, "tsv"), "tsv");
}

TEST(OutputType, Clashes) {
  const auto refused = [](const char* path, const char* option,
                          const std::vector<std::string>& allowed,
                          const std::vector<std::string>& words) {
    expect_refusal(Fault::usage, words, [&] {
      output_type({path, option, false}, allowed, allowed[0]);
    });
  };
  refused("a.npz", "npy", kMatrix, {"-O npy", "a.npz", "by its suffix it is npz"});
  refused("a.tsv", "tsv.gz", kMatrix, {"do not go together"});
  refused("a.tsv.gz", "tsv", kMatrix, {"do not go together"});
  refused("a.h5", "npz", kMatrix, {"by its suffix it is h5"});
  refused("a.h5", "", kMatrix, {"a.h5", "does not write h5, but npz, npy, tsv"});
  refused("a.bw", "", kText, {"does not write bw, but tsv, tsv.gz"});
  refused("a.npz", "", kText, {"does not write npz"});
  refused("a", "xlsx", kMatrix, {"-O xlsx", "does not write xlsx"});
  refused("-", "", kMatrix, {"npz", "standard output", "-O tsv"});
  refused("-", "npy", kMatrix, {"npy", "standard output"});
  refused("-", "safetensors", kMatrix, {"standard output"});
  refused("", "npz", kMatrix, {"-o FILE"});
}

TEST(OutputType, Elements) {
  for (const Element element : {Element::f32, Element::f16, Element::bf16}) {
    EXPECT_EQ(parse_element(std::string(name_of(element))), element);
  }
  expect_refusal(Fault::usage, {"float64", "f32, f16, bf16"}, [] { parse_element("float64"); });
}

}  // namespace
}  // namespace genossm::testing
