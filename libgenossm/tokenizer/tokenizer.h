// Tokenizer: bases to tokens by a published table, one token a character, and the complement of a
// token.
//
// Sources: caduceus.md section 7 (CaduceusTokenizer), plantcaduceus.md (GPN recipe, read from
// tokenizer.json), and for Mamba models the vocabulary that tokenizer.json or genossm.json
// declares.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libgenossm/base/json.h"

namespace genossm {

class Tokenizer {
 public:
  // The published Caduceus table: [CLS] 0 .. [UNK] 6, A 7, C 8, G 9, T 10, N 11; [SEP] appended.
  static Tokenizer caduceus();
  // The same ids with HyenaDNA's reading of letters: lower case is [UNK], as is every letter but A,
  // C, G, T, U and N. [SEP] appended; the original code (`standalone`) puts [CLS] before too
  // (hyenadna.md section 4).
  static Tokenizer hyenadna(bool standalone);
  // Bytes as they are (CharLevelTokenizer of Evo 1 and 2): case is kept, every byte is a token, 0
  // is the end and the beginning of a text (stripedhyena.md section 5).
  static Tokenizer bytes();
  // From tokenizer.json (a vocabulary of single letters: WordLevel, or BPE without merges). A table
  // with letters of one case only takes both cases; U is read as T; IUPAC letters off the table
  // become N if the table has it, else [UNK]; anything else [UNK], or N where there is no [UNK].
  // Throws Fault::checkpoint.
  static Tokenizer read(const std::filesystem::path& tokenizer_json);
  // From an object of names and ids, {"[UNK]": 6, "A": 7, ...}, by the same rules.
  static Tokenizer declared(const Json& vocabulary);

  // Tokens of the bases, nothing added; `out` has one place a base.
  void encode(std::string_view bases, std::span<std::int32_t> out) const;
  std::int32_t token(char base) const { return table_[static_cast<unsigned char>(base)]; }
  // The token ids of A, C, G, T, in this order; -1 where the table has none.
  const std::array<std::int32_t, 4>& acgt() const { return acgt_; }
  // Position of the base in acgt() (0..3), or -1 for anything else; U counts as T.
  static int base_index(char base);

  // Whether every letter is a token of its own, to be predicted like the four bases.
  bool every_letter() const { return every_letter_; }
  // What published scoring puts before a sequence if it is told to.
  std::optional<std::int32_t> bos() const { return bos_; }
  std::optional<std::int32_t> mask() const { return mask_; }
  std::optional<std::int32_t> unknown() const { return unknown_; }
  // What the published tokenizer puts before and after by default; often nothing.
  const std::vector<std::int32_t>& prefix() const { return prefix_; }
  const std::vector<std::int32_t>& suffix() const { return suffix_; }
  // Reads lower case as upper case from now on, whatever the published table does.
  void fold_case();
  void drop_special_tokens() { prefix_.clear(), suffix_.clear(); }

  // complement[token]; size is at least vocab rows; identity for everything but A-T, C-G (in a
  // table with both cases, for each case).
  std::vector<std::int32_t> complement_map(std::int64_t vocab) const;
  // id -> text, by id, for inspect.
  const std::vector<std::pair<std::int32_t, std::string>>& vocabulary() const {
    return vocabulary_;
  }
  const std::string& name() const { return name_; }

 private:
  Tokenizer(std::string name, std::vector<std::pair<std::int32_t, std::string>> vocabulary);
  std::optional<std::int32_t> find(std::string_view text) const;
  std::optional<std::int32_t> find(char letter) const;
  void fill_table();

  std::string name_;
  std::array<std::int32_t, 256> table_{};
  std::array<std::int32_t, 4> acgt_{-1, -1, -1, -1};
  std::optional<std::int32_t> mask_, unknown_, bos_;
  bool every_letter_ = false;
  std::vector<std::int32_t> prefix_, suffix_;
  std::vector<std::pair<std::int32_t, std::string>> vocabulary_;
};

// The reverse complement, case kept; IUPAC letters map to their complements (R<->Y, K<->M, B<->V,
// D<->H; S, W, N to themselves), U to A.
std::string reverse_complement(std::string_view bases);

}  // namespace genossm
