#include "libgenossm/tokenizer/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "kernels/core/error.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;
using Tokens = std::vector<std::int32_t>;

Tokens encode(const Tokenizer& tokenizer, std::string_view bases) {
  Tokens out(bases.size());
  tokenizer.encode(bases, out);
  return out;
}

Tokenizer read_text(const std::string& json) {
  std::string pattern = (fs::temp_directory_path() / "genossm-tokenizer-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  const fs::path file = fs::path(pattern) / "tokenizer.json";
  std::ofstream(file) << json;
  struct Remove {
    fs::path folder;
    ~Remove() { fs::remove_all(folder); }
  } remove{pattern};
  return Tokenizer::read(file);
}

void refused(const std::string& json, const std::string& words) {
  try {
    read_text(json);
    ADD_FAILURE() << "not refused: " << json;
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::checkpoint) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("tokenizer.json"), std::string::npos) << error.what();
  }
}

// caduceus.md, section 7.
TEST(Tokenizer, Caduceus) {
  const Tokenizer t = Tokenizer::caduceus();
  EXPECT_EQ(encode(t, "ACGTN"), (Tokens{7, 8, 9, 10, 11}));
  EXPECT_EQ(encode(t, "acgtn"), (Tokens{7, 8, 9, 10, 11}));
  EXPECT_EQ(encode(t, "Uu"), (Tokens{10, 10}));
  EXPECT_EQ(encode(t, "RYSWKMBDHVryswkmbdhv-.* X"), Tokens(25, 6));
  EXPECT_EQ(t.token('\0'), 6);
  EXPECT_EQ(t.token('\xff'), 6);
  EXPECT_EQ(t.acgt(), (std::array<std::int32_t, 4>{7, 8, 9, 10}));
  EXPECT_EQ(t.mask(), 3);
  EXPECT_EQ(t.unknown(), 6);
  EXPECT_TRUE(t.prefix().empty());
  EXPECT_EQ(t.suffix(), Tokens{1});
  EXPECT_EQ(t.complement_map(16), (Tokens{0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15}));
  EXPECT_EQ(t.vocabulary().size(), 12u);
  EXPECT_EQ(t.vocabulary()[3], (std::pair<std::int32_t, std::string>{3, "[MASK]"}));
  Tokenizer plain = t;
  plain.drop_special_tokens();
  EXPECT_TRUE(plain.suffix().empty());
}

TEST(Tokenizer, BaseIndex) {
  for (const auto& [letters, index] :
       {std::pair<std::string, int>{"Aa", 0}, {"Cc", 1}, {"Gg", 2}, {"TtUu", 3}, {"NnRX-", -1}}) {
    for (const char c : letters) EXPECT_EQ(Tokenizer::base_index(c), index) << c;
  }
}

TEST(Tokenizer, RoomForTheTokens) {
  Tokens three(3);
  try {
    Tokenizer::caduceus().encode("ACGT", three);
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::shape);
  }
}

TEST(Tokenizer, BundledModels) {
  for (const char* model : {"genossm-mini-ps", "genossm-mini-causal"}) {
    const Tokenizer t =
        Tokenizer::read(fs::path(GENOSSM_SOURCE_DIR) / "data/models" / model / "tokenizer.json");
    EXPECT_EQ(encode(t, "ACGTNacgtnUu"), (Tokens{7, 8, 9, 10, 11, 7, 8, 9, 10, 11, 10, 10}));
    EXPECT_EQ(encode(t, "RYSWKMBDHVryswkmbdhv"), Tokens(20, 11));
    EXPECT_EQ(encode(t, "-.*X"), Tokens(4, 6));
    EXPECT_EQ(t.mask(), 3);
    EXPECT_EQ(t.unknown(), 6);
    EXPECT_TRUE(t.prefix().empty());
    EXPECT_TRUE(t.suffix().empty());
    EXPECT_EQ(t.complement_map(12), (Tokens{0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11}));
  }
}

// plantcaduceus.md: the GPN recipe, with the published complement map.
TEST(Tokenizer, PlantCaduceus) {
  const fs::path folder = fs::path(GENOSSM_SOURCE_DIR) / "tests/golden/plantcaduceus";
  for (const char* name : {"pc_small", "pc_short", "pc2_mamba2"}) {
    const Tokenizer t = Tokenizer::read(folder / name / "tokenizer.json");
    EXPECT_EQ(encode(t, "acgtACGTuU"), (Tokens{3, 4, 5, 6, 3, 4, 5, 6, 6, 6}));
    EXPECT_EQ(encode(t, "nNrY-.*"), Tokens(7, 2));
    EXPECT_EQ(t.mask(), 1);
    EXPECT_EQ(t.unknown(), 2);
    EXPECT_EQ(t.acgt(), (std::array<std::int32_t, 4>{3, 4, 5, 6}));
    EXPECT_EQ(t.complement_map(8), (Tokens{0, 1, 2, 6, 5, 4, 3, 7}));
    EXPECT_TRUE(t.suffix().empty());
  }
}

TEST(Tokenizer, BothCases) {
  const Tokenizer t = read_text(
      R"({"model": {"vocab": {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4,
                              "a": 5, "c": 6, "g": 7, "t": 8, "n": 9}}})");
  EXPECT_EQ(encode(t, "ACGTNacgtnUuRr"), (Tokens{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 8, 4, 9}));
  EXPECT_EQ(t.acgt(), (std::array<std::int32_t, 4>{0, 1, 2, 3}));
  EXPECT_EQ(t.complement_map(10), (Tokens{3, 2, 1, 0, 4, 8, 7, 6, 5, 9}));
  EXPECT_FALSE(t.unknown());
  EXPECT_FALSE(t.mask());
  EXPECT_EQ(t.token('-'), 4);  // no [UNK]
}

TEST(Tokenizer, TablesOfRna) {
  const Tokenizer t = read_text(
      R"({"model": {"vocab": {"<unk>": 0, "<mask>": 1, "A": 2, "C": 3, "G": 4, "U": 5}}})");
  EXPECT_EQ(encode(t, "ACGUTacgutN"), (Tokens{2, 3, 4, 5, 5, 2, 3, 4, 5, 5, 0}));
  EXPECT_EQ(t.acgt(), (std::array<std::int32_t, 4>{2, 3, 4, 5}));
  EXPECT_EQ(t.complement_map(6), (Tokens{0, 1, 5, 4, 3, 2}));
  EXPECT_EQ(t.mask(), 1);
}

TEST(Tokenizer, SpecialTokensAroundTheSequence) {
  const std::string head = R"({"model": {"unk_token": "[UNK]", "vocab": {"[UNK]": 0, "[CLS]": 1,
      "[SEP]": 2, "A": 3, "C": 4, "G": 5, "T": 6}}, "post_processor": )";
  const Tokenizer by_template = read_text(head + R"({"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
      {"SpecialToken": {"id": "[SEP]", "type_id": 0}}], "special_tokens": {
      "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}}})");
  EXPECT_EQ(by_template.prefix(), Tokens{1});
  EXPECT_EQ(by_template.suffix(), Tokens{2});
  const Tokenizer bert =
      read_text(head + R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}})");
  EXPECT_EQ(bert.prefix(), Tokens{1});
  EXPECT_EQ(bert.suffix(), Tokens{2});
  EXPECT_TRUE(read_text(head + "null}").prefix().empty());
  refused(head + R"({"type": "ByteLevel"}})", "ByteLevel");
  refused(head + R"({"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "[BOS]"}}, {"Sequence": {"id": "A"}}]}})",
          "[BOS]");
  refused(head + R"({"type": "TemplateProcessing", "single": []}})", "no place");
  refused(head + R"({"type": "BertProcessing", "sep": ["[SEP]", 9], "cls": ["[CLS]", 1]}})",
          "token 9");
}

TEST(Tokenizer, AddedTokens) {
  const Tokenizer t = read_text(R"({"added_tokens": [{"id": 9, "content": "[MASK]"},
      {"id": 0, "content": "eos"}], "model": {"type": "WordLevel", "unk_token": "A",
      "vocab": {"eos": 0, "A": 1, "C": 2, "G": 3, "T": 4}}})");
  EXPECT_EQ(t.mask(), 9);
  EXPECT_EQ(t.unknown(), 1);
  EXPECT_EQ(t.complement_map(4).size(), 10u);  // every token has its place
  EXPECT_EQ(t.vocabulary().size(), 6u);
}

TEST(Tokenizer, Refused) {
  refused(R"({})", "model");
  refused(R"({"model": {}})", "vocab");
  refused(R"({"model": {"type": "Unigram", "vocab": {"A": 0}}})", "Unigram");
  refused(R"({"model": {"type": "BPE", "vocab": {"A": 0}, "merges": ["A C"]}})", "merges");
  refused(R"({"model": {"vocab": {"A": 0, "C": 1, "G": 2, "N": 3}}})", "no letter T");
  refused(R"({"model": {"vocab": {"A": 0, "C": 1, "G": 2, "T": 3}}})", "neither N nor [UNK]");
  refused(R"({"model": {"vocab": {"A": 0, "C": 1, "G": 2, "T": 2, "N": 3}}})", "same id 2");
  refused(R"({"model": {"vocab": {"A": -1, "C": 1, "G": 2, "T": 3, "N": 4}}})", "-1");
  refused(R"({"model": {"vocab": {"A": 5000000000, "C": 1, "G": 2, "T": 3, "N": 4}}})",
          "5000000000");
  refused(R"({"model": {"vocab": {"A": "x", "C": 1, "G": 2, "T": 3, "N": 4}}})", "A");
  refused(R"({"model": {"vocab": {"AA": 0, "AC": 1}}})", "'AA'");
  refused(R"({"model": {"unk_token": "[X]", "vocab": {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4}}})",
          "[X]");
  refused(R"({"added_tokens": [{"id": 9, "content": "A"}],
      "model": {"vocab": {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4}}})",
          "among the added tokens");
  refused("not json", "1");
}

TEST(Tokenizer, Declared) {
  const Json json = Json::parse(
      R"({"vocab": {"[UNK]": 0, "[MASK]": 5, "A": 1, "C": 2, "G": 3, "T": 4}})", "genossm.json");
  const Tokenizer t = Tokenizer::declared(json.object("vocab"));
  EXPECT_EQ(encode(t, "acgtuNR-"), (Tokens{1, 2, 3, 4, 4, 0, 0, 0}));
  EXPECT_EQ(t.mask(), 5);
  EXPECT_NE(t.name().find("genossm.json"), std::string::npos);
}

TEST(ReverseComplement, EveryLetter) {
  EXPECT_EQ(reverse_complement("ACGTUNRYSWKMBDHV"), "BDHVKMWSRYNAACGT");
  EXPECT_EQ(reverse_complement("acgtunryswkmbdhv"), "bdhvkmwsrynaacgt");
  EXPECT_EQ(reverse_complement("A-.*c"), "g*.-T");
  EXPECT_EQ(reverse_complement(""), "");
  const std::string text = "ACGTNRYSWKMBDHVacgtnryswkmbdhv";
  EXPECT_EQ(reverse_complement(reverse_complement(text)), text);
}

}  // namespace
}  // namespace genossm
