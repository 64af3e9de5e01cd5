#include "libgenossm/base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "kernels/core/error.h"
#include "libgenossm/base/json_document.h"
#include "libgenossm/base/mapped_file.h"
#include "libgenossm/base/text.h"

namespace genossm {

Json::Json() : Json(parse("{}", "config")) {}

Json Json::read(const std::filesystem::path& file) {
  const MappedFile mapped = MappedFile::open(file);
  return parse(mapped.text(), file.filename().string());
}

const Json::Node& Json::node() const { return document_->nodes[node_]; }

bool Json::is_object() const { return node().kind == Node::Kind::object; }
bool Json::is_array() const { return node().kind == Node::Kind::array; }
bool Json::is_null() const { return node().kind == Node::Kind::null; }
bool Json::is_text() const { return node().kind == Node::Kind::text; }
bool Json::is_flag() const { return node().kind == Node::Kind::flag; }
bool Json::is_integer() const { return node().kind == Node::Kind::integer; }
bool Json::is_number() const { return is_integer() || node().kind == Node::Kind::number; }

std::string Json::where() const {
  return path_.empty() ? document_->origin : document_->origin + ": " + path_;
}

void Json::fail_want(std::string_view wanted) const {
  std::string is;
  switch (node().kind) {
    case Node::Kind::null:
      is = "null";
      break;
    case Node::Kind::flag:
      is = node().integer != 0 ? "true" : "false";
      break;
    case Node::Kind::integer:
      is = std::to_string(node().integer);
      break;
    case Node::Kind::number:
      is = "the number " + std::to_string(node().number);
      break;
    case Node::Kind::text:
      is = "the text \"" + shown(document_->text(node())) + '"';
      break;
    case Node::Kind::array:
      is = "an array";
      break;
    case Node::Kind::object:
      is = "an object";
      break;
  }
  fail(Fault::checkpoint, where() + " is " + is + ", want " + std::string(wanted));
}

void Json::fail_absent(std::string_view key) const {
  fail(Fault::checkpoint, where() + ": the key \"" + shown(key) + "\" is missing");
}

Json Json::child(std::uint32_t node, const std::string& step) const {
  std::string path = path_;
  if (!path.empty() && step.front() != '[') path += '.';
  path += step;
  return Json(document_, node, std::move(path));
}

std::optional<Json> Json::find(std::string_view key) const {
  if (!is_object()) fail_want("an object");
  const auto key_of = [&](std::uint32_t i) { return document_->key(document_->nodes[i]); };
  const auto begin = document_->order.begin() + node().first;
  const auto end = begin + node().count;
  const auto found = std::lower_bound(
      begin, end, key,
      [&](std::uint32_t i, std::string_view wanted) { return key_of(i) < wanted; });
  if (found == end || key_of(*found) != key) return std::nullopt;
  if (document_->nodes[*found].kind == Node::Kind::null) return std::nullopt;
  return child(*found, key.empty() ? "\"\"" : shown(key));
}

std::vector<std::string> Json::keys() const {
  if (!is_object()) fail_want("an object");
  std::vector<std::string> names;
  names.reserve(node().count);
  for (std::uint32_t i = 0; i < node().count; ++i) {
    names.emplace_back(document_->key(document_->nodes[node().first + i]));
  }
  return names;
}

Index Json::size() const {
  if (!is_object() && !is_array()) fail_want("an array or an object");
  return node().count;
}

Json Json::at(Index i) const {
  if (!is_array()) fail_want("an array");
  if (i < 0 || i >= Index{node().count}) {
    fail(Fault::checkpoint, where() + " has " + std::to_string(node().count) +
                                " elements, element " + std::to_string(i) + " was asked for");
  }
  return child(node().first + static_cast<std::uint32_t>(i), '[' + std::to_string(i) + ']');
}

bool Json::has(std::string_view key) const { return find(key).has_value(); }

Json Json::value(std::string_view key) const {
  std::optional<Json> found = find(key);
  if (!found) fail_absent(key);
  return *std::move(found);
}

Json Json::object(std::string_view key) const {
  Json found = value(key);
  if (!found.is_object()) found.fail_want("an object");
  return found;
}

Json Json::object_or_empty(std::string_view key) const {
  return has(key) ? object(key) : parse("{}", where() + (path_.empty() ? ": " : ".") + shown(key));
}

Json Json::array(std::string_view key) const {
  Json found = value(key);
  if (!found.is_array()) found.fail_want("an array");
  return found;
}

Index Json::as_integer() const {
  if (!is_integer()) fail_want("an integer");
  return node().integer;
}

double Json::as_number() const {
  if (!is_number()) fail_want("a number");
  return is_integer() ? static_cast<double>(node().integer) : node().number;
}

bool Json::as_flag() const {
  if (!is_flag()) fail_want("true or false");
  return node().integer != 0;
}

std::string Json::as_text() const {
  if (!is_text()) fail_want("a text");
  return std::string(document_->text(node()));
}

Index Json::integer(std::string_view key) const { return value(key).as_integer(); }
double Json::number(std::string_view key) const { return value(key).as_number(); }
std::string Json::text(std::string_view key) const { return value(key).as_text(); }

Index Json::integer(std::string_view key, Index otherwise) const {
  const auto found = find(key);
  return found ? found->as_integer() : otherwise;
}

double Json::number(std::string_view key, double otherwise) const {
  const auto found = find(key);
  return found ? found->as_number() : otherwise;
}

bool Json::flag(std::string_view key, bool otherwise) const {
  const auto found = find(key);
  return found ? found->as_flag() : otherwise;
}

std::string Json::text(std::string_view key, std::string otherwise) const {
  const auto found = find(key);
  return found ? found->as_text() : std::move(otherwise);
}

namespace {

void append_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value);
  std::string out(text, end.ptr);
  // 1e5 and 100000 are numbers of different kinds here.
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

}  // namespace

std::string Json::dump() const {
  std::string out;
  switch (node().kind) {
    case Node::Kind::null:
      return "null";
    case Node::Kind::flag:
      return node().integer != 0 ? "true" : "false";
    case Node::Kind::integer:
      return std::to_string(node().integer);
    case Node::Kind::number:
      return number_text(node().number);
    case Node::Kind::text:
      append_text(out, document_->text(node()));
      return out;
    case Node::Kind::array:
    case Node::Kind::object:
      break;
  }
  const bool object = is_object();
  out += object ? '{' : '[';
  for (std::uint32_t i = 0; i < node().count; ++i) {
    const std::uint32_t member = node().first + i;
    if (i > 0) out += ", ";
    if (object) {
      append_text(out, document_->key(document_->nodes[member]));
      out += ": ";
    }
    out += Json(document_, member, path_).dump();
  }
  return out + (object ? '}' : ']');
}

}  // namespace genossm
