#include "libgenossm/tokenizer/tokenizer.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/tokenizer/nucleotide.h"

namespace genossm {
namespace {

constexpr std::string_view kBases = "ACGT";

}  // namespace

Tokenizer::Tokenizer(std::string name, std::vector<std::pair<std::int32_t, std::string>> vocabulary)
    : name_(std::move(name)), vocabulary_(std::move(vocabulary)) {
  std::sort(vocabulary_.begin(), vocabulary_.end());
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) {
    const auto& [id, text] = vocabulary_[i];
    if (id < 0) fail(Fault::checkpoint, name_ + ": the id of '" + shown(text) + "' is negative");
    if (i > 0 && vocabulary_[i - 1].first == id) {
      fail(Fault::checkpoint, name_ + ": '" + shown(vocabulary_[i - 1].second) + "' and '" +
                                  shown(text) + "' have the same id " + std::to_string(id));
    }
  }
  for (const char* text : {"[MASK]", "<mask>"}) {
    if (!mask_) mask_ = find(text);
  }
  for (const char* text : {"[UNK]", "<unk>"}) {
    if (!unknown_) unknown_ = find(text);
  }
}

std::optional<std::int32_t> Tokenizer::find(std::string_view text) const {
  for (const auto& [id, entry] : vocabulary_) {
    if (entry == text) return id;
  }
  return std::nullopt;
}

std::optional<std::int32_t> Tokenizer::find(char letter) const {
  return find(std::string_view(&letter, 1));
}

void Tokenizer::fill_table() {
  bool upper = false, lower = false;
  for (const auto& [id, text] : vocabulary_) {
    if (text.size() != 1 || !is_letter(text[0])) continue;
    (to_upper(text[0]) == text[0] ? upper : lower) = true;
  }
  // T and U are one base: the table may have either.
  const auto base = [&](char c) -> std::optional<std::int32_t> {
    if (!upper) c = to_lower(c);
    if (!lower) c = to_upper(c);
    const bool thymine = to_upper(c) == 'T' || to_upper(c) == 'U';
    if (!thymine) return find(c);
    const auto t = find(to_upper(c) == c ? 'T' : 't');
    return t ? t : find(to_upper(c) == c ? 'U' : 'u');
  };
  const std::optional<std::int32_t> any_upper = base('N'), any_lower = base('n');
  const std::optional<std::int32_t> any = any_upper ? any_upper : any_lower;
  if (!any && !unknown_) {
    fail(Fault::checkpoint,
         name_ +
             ": the vocabulary has neither N nor [UNK], one of which every unknown letter needs");
  }
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    std::optional<std::int32_t> id = base(c);
    if (!id && is_ambiguity_code(c)) id = to_upper(c) == c || !any_lower ? any : any_lower;
    if (!id) id = unknown_ ? unknown_ : any;
    table_[static_cast<std::size_t>(i)] = *id;
  }
  for (std::size_t i = 0; i < kBases.size(); ++i) {
    const std::optional<std::int32_t> id = base(kBases[i]);
    if (!id) {
      fail(Fault::checkpoint,
           name_ + ": the vocabulary has no letter " + kBases[i] + ", want A, C, G and T");
    }
    acgt_[i] = *id;
  }
}

Tokenizer Tokenizer::caduceus() {
  Tokenizer t("CaduceusTokenizer", {{0, "[CLS]"},
                                    {1, "[SEP]"},
                                    {2, "[BOS]"},
                                    {3, "[MASK]"},
                                    {4, "[PAD]"},
                                    {5, "[RESERVED]"},
                                    {6, "[UNK]"},
                                    {7, "A"},
                                    {8, "C"},
                                    {9, "G"},
                                    {10, "T"},
                                    {11, "N"}});
  t.fill_table();
  // Published behaviour: only N is N; the other ambiguity codes are unknown.
  for (const char c : std::string_view("RYSWKMBDHV")) {
    t.table_[static_cast<unsigned char>(c)] = *t.unknown_;
    t.table_[static_cast<unsigned char>(to_lower(c))] = *t.unknown_;
  }
  t.suffix_ = {1};
  return t;
}

Tokenizer Tokenizer::hyenadna(bool standalone) {
  Tokenizer t = caduceus();
  t.name_ = "HyenaDNA CharacterTokenizer";
  for (char c = 'a'; c <= 'z'; ++c) t.table_[static_cast<unsigned char>(c)] = *t.unknown_;
  if (standalone) t.prefix_ = {0};
  return t;
}

void Tokenizer::fold_case() {
  for (char c = 'a'; c <= 'z'; ++c) {
    table_[static_cast<unsigned char>(c)] = table_[static_cast<unsigned char>(to_upper(c))];
  }
}

Tokenizer Tokenizer::bytes() {
  Tokenizer t("bytes", {{65, "A"},
                        {67, "C"},
                        {71, "G"},
                        {84, "T"},
                        {78, "N"},
                        {97, "a"},
                        {99, "c"},
                        {103, "g"},
                        {116, "t"},
                        {110, "n"}});
  for (int i = 0; i < 256; ++i) t.table_[static_cast<std::size_t>(i)] = i;
  t.table_['U'] = 'T', t.table_['u'] = 't';  // U is T for every model
  for (std::size_t i = 0; i < kBases.size(); ++i) t.acgt_[i] = t.token(kBases[i]);
  t.every_letter_ = true;
  t.bos_ = 0;
  return t;
}

void Tokenizer::encode(std::string_view bases, std::span<std::int32_t> out) const {
  if (out.size() != bases.size()) {
    fail(Fault::shape, "tokenizer: room for " + std::to_string(out.size()) + " tokens, want " +
                           std::to_string(bases.size()));
  }
  std::transform(bases.begin(), bases.end(), out.begin(), [this](char c) { return token(c); });
}

int Tokenizer::base_index(char base) {
  const char c = to_upper(base);
  const auto at = kBases.find(c == 'U' ? 'T' : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

std::vector<std::int32_t> Tokenizer::complement_map(std::int64_t vocab) const {
  std::int64_t size = vocab;
  for (const auto& [id, text] : vocabulary_) size = std::max<std::int64_t>(size, id + 1LL);
  std::vector<std::int32_t> map(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < map.size(); ++i) map[i] = static_cast<std::int32_t>(i);
  for (const auto& [id, text] : vocabulary_) {
    if (text.size() != 1 || base_index(text[0]) < 0) continue;
    map[static_cast<std::size_t>(id)] = token(complement(text[0]));
  }
  return map;
}

std::string reverse_complement(std::string_view bases) {
  std::string out(bases.rbegin(), bases.rend());
  for (char& c : out) c = complement(c);
  return out;
}

}  // namespace genossm
