// Where the weights are in what a pickle holds: a dictionary of tensors at the top, or the one that
// a training framework put under a name of its own.
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/pickle_values.h"
#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {
namespace {

using Kind = PickleValue::Kind;

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() > kNamed ? text + ", ..." : text;
}

class Finder {
 public:
  Finder(const PickleValues& values, const std::string& origin)
      : values_(values), origin_(origin) {}

  StateDict run(ValueId root) {
    const PickleValue& top = values_.values[root];
    if (top.kind != Kind::dict) stop("the file holds no dictionary of tensors at its top level");
    StateDict out;
    collect(choose(top), out);
    if (!values_.opaque_names.empty()) {
      out.warnings.push_back(origin_ +
                             ": objects passed over unread: " + listed(values_.opaque_names));
    }
    return out;
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": " + what);
  }

  // Calls visit(key, value) for each entry of a dictionary.
  template <class Visit>
  void for_entries(const PickleValue& dict, Visit visit) const {
    const PickleValue* key = nullptr;
    values_.for_items(dict, [&](ValueId id) {
      const PickleValue& item = values_.values[id];
      if (key == nullptr) {
        key = &item;
      } else {
        visit(*key, item);
        key = nullptr;
      }
    });
  }

  std::size_t tensors_in(const PickleValue& dict) const {
    std::size_t count = 0;
    for_entries(dict, [&](const PickleValue&, const PickleValue& value) {
      if (value.kind == Kind::tensor) ++count;
    });
    return count;
  }

  const PickleValue& choose(const PickleValue& top) const {
    // state_dict is Lightning's and means nothing else; the others are taken when only one is
    // there.
    constexpr std::array<std::string_view, 4> kPlaces = {"state_dict", "model", "module",
                                                         "model_state_dict"};
    std::array<const PickleValue*, 4> found{};
    std::size_t count = 0;
    std::vector<std::string> keys, places;
    for_entries(top, [&](const PickleValue& key, const PickleValue& value) {
      if (key.kind != Kind::text) return;
      const std::string_view text = values_.text(key);
      if (keys.size() < 6) keys.push_back(shown(text));
      const auto place = std::find(kPlaces.begin(), kPlaces.end(), text);
      if (place == kPlaces.end() || value.kind != Kind::dict || tensors_in(value) == 0) return;
      const PickleValue*& slot = found[static_cast<std::size_t>(place - kPlaces.begin())];
      if (slot != nullptr) stop("the key \"" + std::string(text) + "\" stands twice");
      slot = &value;
      ++count;
      places.emplace_back(text);
    });
    if (found[0] != nullptr) return *found[0];
    const bool direct = tensors_in(top) > 0;
    if (count + (direct ? 1 : 0) > 1) {
      stop("more than one dictionary of tensors: " + listed(places) +
           (direct ? " and the top level" : ""));
    }
    for (const PickleValue* dict : found) {
      if (dict != nullptr) return *dict;
    }
    if (!direct) {
      stop(
          "no tensors at the top level and none under state_dict, model, module or "
          "model_state_dict; the keys are: " +
          (keys.empty() ? "none" : listed(keys)));
    }
    return top;
  }

  void collect(const PickleValue& dict, StateDict& out) const {
    std::vector<std::string> passed_over;
    for_entries(dict, [&](const PickleValue& key, const PickleValue& value) {
      if (key.kind != Kind::text) {
        if (value.kind == Kind::tensor) stop("a tensor whose key is no text");
        return;
      }
      const std::string name(values_.text(key));
      if (value.kind == Kind::file && value.count > 0) {
        out.blobs.push_back({name, bytes_of(value)});
        return;
      }
      if (value.kind != Kind::tensor) {
        passed_over.push_back(shown(name));
        return;
      }
      check_tensor_name(name, origin_);
      out.tensors.push_back(values_.tensors[static_cast<std::size_t>(value.number)]);
      out.tensors.back().name = name;
    });
    check_unique(out.tensors);
    if (!passed_over.empty()) {
      out.warnings.push_back(origin_ +
                             ": entries that are no tensors, passed over: " + listed(passed_over));
    }
  }

  // What the file object holds. Bytes that were written as a text are UTF-8 of Latin-1: each one or
  // two bytes long.
  std::vector<std::byte> bytes_of(const PickleValue& value) const {
    const std::string_view text = values_.text(value);
    std::vector<std::byte> out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto c = static_cast<unsigned char>(text[i]);
      if (value.number == 1 && c >= 0x80) {
        if ((c & 0xfcu) != 0xc0u || i + 1 == text.size() ||
            (static_cast<unsigned char>(text[i + 1]) & 0xc0u) != 0x80u) {
          stop("a file object whose bytes are no Latin-1");
        }
        c = static_cast<unsigned char>(c << 6 | (static_cast<unsigned char>(text[++i]) & 0x3fu));
      }
      out.push_back(static_cast<std::byte>(c));
    }
    return out;
  }

  void check_unique(const std::vector<TorchTensor>& tensors) const {
    std::vector<std::string_view> names;
    for (const TorchTensor& tensor : tensors) names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) stop("the tensor " + shown(*twice) + " stands twice in the file");
  }

  const PickleValues& values_;
  const std::string& origin_;
};

}  // namespace

StateDict find_state_dict(const PickleValues& values, ValueId root, const std::string& origin) {
  return Finder(values, origin).run(root);
}

}  // namespace genossm
