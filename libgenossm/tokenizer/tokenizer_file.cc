// tokenizer.json as the tokenizers library writes it, as far as vocabularies of single letters go.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/tokenizer/tokenizer.h"

namespace genossm {
namespace {

using Vocabulary = std::vector<std::pair<std::int32_t, std::string>>;

std::int32_t checked_id(Index id, const std::string& where, const std::string& text) {
  if (id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
    fail(Fault::checkpoint, where + ": the id of '" + shown(text) + "' is " + std::to_string(id) +
                                ", want a token id");
  }
  return static_cast<std::int32_t>(id);
}

// A name such as [MASK] or <eos>, which no sequence can spell.
bool is_special(const std::string& text) {
  return text.size() > 2 && ((text.front() == '[' && text.back() == ']') ||
                             (text.front() == '<' && text.back() == '>'));
}

Vocabulary entries(const Json& vocabulary, const std::set<std::string>& special) {
  Vocabulary out;
  for (const std::string& text : vocabulary.keys()) {
    if (text.size() != 1 && !is_special(text) && !special.count(text)) {
      fail(Fault::checkpoint, vocabulary.where() + ": the vocabulary has '" + shown(text) +
                                  "', want single letters (and special tokens)");
    }
    out.emplace_back(checked_id(vocabulary.integer(text), vocabulary.where(), text), text);
  }
  return out;
}

// One element of a template: a special token, or the place of the sequence (nothing).
std::vector<std::int32_t> template_ids(const Json& element, const Json& special_tokens,
                                       const std::map<std::string, std::int32_t>& ids) {
  const std::string text = element.object("SpecialToken").text("id");
  std::vector<std::int32_t> out;
  if (special_tokens.has(text)) {
    const Json list = special_tokens.object(text).array("ids");
    for (Index i = 0; i < list.size(); ++i) {
      out.push_back(checked_id(list.at(i).as_integer(), list.where(), text));
    }
    return out;
  }
  const auto found = ids.find(text);
  if (found == ids.end()) {
    fail(Fault::checkpoint, element.where() + ": '" + shown(text) + "' is not in the vocabulary");
  }
  return {found->second};
}

struct Ends {
  std::vector<std::int32_t> prefix, suffix;
};

Ends from_template(const Json& processor, const std::map<std::string, std::int32_t>& ids) {
  Ends ends;
  const Json single = processor.array("single");
  const Json special_tokens = processor.object_or_empty("special_tokens");
  bool after = false;
  for (Index i = 0; i < single.size(); ++i) {
    if (single.at(i).has("Sequence")) {
      if (after) {
        fail(Fault::checkpoint, single.where() + ": the sequence stands twice, want it once");
      }
      after = true;
      continue;
    }
    auto& list = after ? ends.suffix : ends.prefix;
    const auto more = template_ids(single.at(i), special_tokens, ids);
    list.insert(list.end(), more.begin(), more.end());
  }
  if (!after) fail(Fault::checkpoint, single.where() + ": the sequence has no place in it");
  return ends;
}

// BertProcessing and RobertaProcessing: "cls": ["[CLS]", 0], "sep": ["[SEP]", 1].
std::int32_t pair_id(const Json& processor, const char* key) {
  const Json pair = processor.array(key);
  if (pair.size() != 2) {
    fail(Fault::checkpoint, pair.where() + ": has " + std::to_string(pair.size()) +
                                " elements, want a token and its id");
  }
  return checked_id(pair.at(1).as_integer(), pair.where(), key);
}

Ends special_ends(const Json& processor, const std::map<std::string, std::int32_t>& ids) {
  const std::string type = processor.text("type");
  if (type == "TemplateProcessing") return from_template(processor, ids);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    return {{pair_id(processor, "cls")}, {pair_id(processor, "sep")}};
  }
  if (type == "Sequence") {
    Ends ends;
    const Json list = processor.array("processors");
    for (Index i = 0; i < list.size(); ++i) {
      const Ends inner = special_ends(list.at(i), ids);
      ends.prefix.insert(ends.prefix.begin(), inner.prefix.begin(), inner.prefix.end());
      ends.suffix.insert(ends.suffix.end(), inner.suffix.begin(), inner.suffix.end());
    }
    return ends;
  }
  fail(Fault::checkpoint, processor.where() + ": post-processor '" + shown(type) +
                              "' is not known, want TemplateProcessing or BertProcessing");
}

}  // namespace

Tokenizer Tokenizer::read(const std::filesystem::path& tokenizer_json) {
  const Json json = Json::read(tokenizer_json);
  const Json model = json.object("model");
  const std::string type = model.text("type", "WordLevel");
  if (type != "WordLevel" && type != "BPE") {
    fail(Fault::checkpoint, model.where() + ": type '" + shown(type) +
                                "' is not known, want WordLevel, or BPE without merges");
  }
  if (model.has("merges") && model.array("merges").size() > 0) {
    fail(Fault::checkpoint, model.where() + ": has merges, want single letters");
  }

  std::map<std::string, std::int32_t> added;
  if (json.has("added_tokens")) {
    const Json list = json.array("added_tokens");
    for (Index i = 0; i < list.size(); ++i) {
      const std::string text = list.at(i).text("content");
      added[text] = checked_id(list.at(i).integer("id"), list.at(i).where(), text);
    }
  }
  std::set<std::string> special;
  for (const auto& [text, id] : added) special.insert(text);

  Vocabulary vocabulary = entries(model.object("vocab"), special);
  std::map<std::string, std::int32_t> ids;
  for (const auto& [id, text] : vocabulary) ids[text] = id;
  for (const auto& [text, id] : added) {
    const auto [known, fresh] = ids.emplace(text, id);
    if (fresh) {
      vocabulary.emplace_back(id, text);
    } else if (known->second != id) {
      fail(Fault::checkpoint, json.where() + ": '" + shown(text) + "' has id " +
                                  std::to_string(known->second) + " in the vocabulary and " +
                                  std::to_string(id) + " among the added tokens");
    }
  }

  Tokenizer t(tokenizer_json.filename().string(), std::move(vocabulary));
  if (const std::string unknown = model.text("unk_token", ""); !unknown.empty()) {
    t.unknown_ = t.find(unknown);
    if (!t.unknown_) {
      fail(Fault::checkpoint,
           model.where() + ": unk_token '" + shown(unknown) + "' is not in the vocabulary");
    }
  }
  t.fill_table();
  if (json.has("post_processor")) {
    const Ends ends = special_ends(json.object("post_processor"), ids);
    t.prefix_ = ends.prefix;
    t.suffix_ = ends.suffix;
    for (const auto* list : {&t.prefix_, &t.suffix_}) {
      for (const std::int32_t id : *list) {
        if (t.vocabulary_.end() == std::find_if(t.vocabulary_.begin(), t.vocabulary_.end(),
                                                [&](const auto& e) { return e.first == id; })) {
          fail(Fault::checkpoint, json.where() + ": the post-processor adds token " +
                                      std::to_string(id) + ", which is not in the vocabulary");
        }
      }
    }
  }
  return t;
}

Tokenizer Tokenizer::declared(const Json& vocabulary) {
  Tokenizer t(vocabulary.where(), entries(vocabulary, {}));
  t.fill_table();
  return t;
}

}  // namespace genossm
