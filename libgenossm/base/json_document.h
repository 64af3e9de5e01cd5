// The parsed form behind Json: flat arrays, so that nothing recurses, not even on destruction.
// Private to json.cc and json_parse.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/base/json.h"

namespace genossm {

struct Json::Node {
  enum class Kind : std::uint8_t { null, flag, integer, number, text, array, object };

  Kind kind = Kind::null;
  std::uint32_t key_at = 0, key_size = 0;  // in Document::letters, for a member of an object
  // A text: place and size in Document::letters. An array or object: its members are
  // nodes[first, first + count), in file order.
  std::uint32_t first = 0, count = 0;
  union {
    std::int64_t integer = 0;  // a flag is 0 or 1
    double number;
  };
};

struct Json::Document {
  std::string origin;
  std::string letters;               // all keys and texts, unescaped
  std::vector<Node> nodes;           // the root is the last one
  std::vector<std::uint32_t> order;  // as long as nodes: the members of each object sorted by key

  std::string_view key(const Node& node) const {
    return std::string_view(letters).substr(node.key_at, node.key_size);
  }
  std::string_view text(const Node& node) const {
    return std::string_view(letters).substr(node.first, node.count);
  }
};

}  // namespace genossm
