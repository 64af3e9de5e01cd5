// Json: a read-only view of a parsed document, with accessors whose errors name the key and what
// was wanted. Bare Infinity, -Infinity and NaN (written by Python) are read as numbers, and so is
// the object form {"__float__": "Infinity"}. Duplicate keys, bad UTF-8 and trailing text are
// refused, and so are more than 512 levels, two million values or 256 MiB: no document costs more
// than a few times its own size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

class Json {
 public:
  Json();  // an empty object
  // `origin` (a file name) begins every message. Throws Error{Fault::checkpoint} with line and
  // column.
  static Json parse(std::string_view text, std::string origin);
  static Json read(const std::filesystem::path& file);  // Fault::missing if unreadable

  bool is_object() const;
  bool is_array() const;
  bool is_null() const;
  bool is_text() const;
  bool is_number() const;  // an integer too
  bool is_integer() const;
  bool is_flag() const;
  std::vector<std::string> keys() const;  // of an object, in file order
  Index size() const;                     // of an object or array
  Json at(Index i) const;                 // element of an array

  bool has(std::string_view key) const;  // present and not null
  // With a default: the default when absent or null. Without: an Error that names the key. A value
  // of another type is always an Error.
  Json object(std::string_view key) const;
  Json object_or_empty(std::string_view key) const;
  Json array(std::string_view key) const;
  Json value(std::string_view key) const;  // any type
  Index integer(std::string_view key) const;
  Index integer(std::string_view key, Index otherwise) const;
  double number(std::string_view key) const;
  double number(std::string_view key, double otherwise) const;
  bool flag(std::string_view key, bool otherwise) const;
  std::string text(std::string_view key) const;
  std::string text(std::string_view key, std::string otherwise) const;
  // The value itself. An integer is one written without fraction and exponent that fits 64 bits.
  Index as_integer() const;
  bool as_flag() const;
  double as_number() const;
  std::string as_text() const;

  // The value as a document of its own, keys in file order. Numbers read back as they were.
  std::string dump() const;

  // The origin and the path of keys so far, for messages: "config.json: ssm_cfg.d_state".
  std::string where() const;

  // Defined in json_document.h: the parser's result, shared by every view of it.
  struct Document;

 private:
  struct Node;
  Json(std::shared_ptr<const Document> document, std::uint32_t node, std::string path)
      : document_(std::move(document)), path_(std::move(path)), node_(node) {}
  const Node& node() const;
  std::optional<Json> find(std::string_view key) const;  // none when absent or null
  Json child(std::uint32_t node, const std::string& step) const;
  [[noreturn]] void fail_want(std::string_view wanted) const;
  [[noreturn]] void fail_absent(std::string_view key) const;

  std::shared_ptr<const Document> document_;
  std::string path_;
  std::uint32_t node_ = 0;
};

}  // namespace genossm
