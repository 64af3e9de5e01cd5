// The JSON grammar of RFC 8259 plus the bare words that Python writes. One loop with an explicit
// stack of open containers; the members of a container are gathered on a scratch stack and moved to
// their final, contiguous place when it closes.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/base/json_document.h"
#include "libgenossm/base/text.h"

namespace genossm {
namespace {

constexpr std::size_t kMaxDepth = 512;
constexpr std::size_t kMaxValues = 2'000'000;
constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

// Document and Node are private names of Json, hence the parameters.
template <class Document, class Node>
class Parser {
  using Kind = typename Node::Kind;
  struct Piece {  // of Document::letters
    std::uint32_t at = 0, size = 0;
  };
  struct Frame {
    bool object = false;
    Piece key;          // of the container itself, in its own container
    std::size_t first;  // its first member on the scratch stack
  };

 public:
  Parser(std::string_view text, Document& document) : text_(text), document_(document) {}

  void run() {
    if (text_.size() > kMaxBytes) {
      fail(Fault::checkpoint, document_.origin + ": " + std::to_string(text_.size()) +
                                  " bytes of JSON, want at most " + std::to_string(kMaxBytes));
    }
    if (text_.substr(0, 3) == "\xef\xbb\xbf") stop("a byte-order mark, want plain UTF-8");
    if (const auto bad = find_bad_utf8(text_)) {
      at_ = *bad;
      stop("a byte that is not UTF-8");
    }
    for (;;) {
      Node value;
      skip_space();
      if (peek() == '{' || peek() == '[') {
        if (!open(value)) continue;
      } else {
        value = scalar();
      }
      if (attach(value)) return;
    }
  }

 private:
  // Begins a container. False: its first member comes next. True: it was empty, `value` is
  // complete.
  bool open(Node& value) {
    if (frames_.size() == kMaxDepth) {
      stop("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    const bool object = peek() == '{';
    frames_.push_back({object, key_, scratch_.size()});
    key_ = {};
    ++at_;
    skip_space();
    if (peek() == (object ? '}' : ']')) {
      ++at_;
      value = close();
      return true;
    }
    if (object) read_key();
    return false;
  }

  // Puts a complete value into its container, and containers that end here into theirs. True: the
  // document is complete.
  bool attach(Node value) {
    for (;;) {
      if (frames_.empty()) {
        skip_space();
        if (at_ != text_.size()) stop("text after the end of the document");
        place(value);
        return true;
      }
      if (++values_ > kMaxValues) stop("more than " + std::to_string(kMaxValues) + " values");
      scratch_.push_back(value);
      const bool object = frames_.back().object;
      skip_space();
      const char c = peek();
      if (c == ',') {
        ++at_;
        skip_space();
        key_ = {};
        if (object) read_key();
        return false;
      }
      if (c != (object ? '}' : ']')) stop(object ? "want , or }" : "want , or ]");
      ++at_;
      value = close();
    }
  }

  Node close() {
    const Frame frame = frames_.back();
    frames_.pop_back();
    Node node;
    node.kind = frame.object ? Kind::object : Kind::array;
    node.key_at = frame.key.at;
    node.key_size = frame.key.size;
    node.first = static_cast<std::uint32_t>(document_.nodes.size());
    node.count = static_cast<std::uint32_t>(scratch_.size() - frame.first);
    for (std::size_t i = frame.first; i < scratch_.size(); ++i) place(scratch_[i]);
    scratch_.resize(frame.first);
    if (!frame.object) return node;
    sort_members(node);
    return as_float(node);
  }

  void place(const Node& node) {
    document_.order.push_back(static_cast<std::uint32_t>(document_.nodes.size()));
    document_.nodes.push_back(node);
  }

  void sort_members(const Node& object) {
    const auto key_of = [&](std::uint32_t i) { return document_.key(document_.nodes[i]); };
    const auto begin = document_.order.begin() + object.first;
    std::sort(begin, begin + object.count,
              [&](std::uint32_t a, std::uint32_t b) { return key_of(a) < key_of(b); });
    for (std::uint32_t i = 1; i < object.count; ++i) {
      const std::string_view key = key_of(begin[i]);
      if (key == key_of(begin[i - 1]))
        stop("the key \"" + shown(key) + "\" stands twice in the object that ends here");
    }
  }

  // {"__float__": "Infinity"} is the number that it names.
  Node as_float(Node node) {
    if (node.count != 1) return node;
    const Node& member = document_.nodes[node.first];
    if (member.kind != Kind::text || document_.key(member) != "__float__") return node;
    const std::string_view word = document_.text(member);
    double value = std::numeric_limits<double>::infinity();
    if (word == "-Infinity") {
      value = -value;
    } else if (word == "NaN") {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (word != "Infinity") {
      return node;
    }
    node.kind = Kind::number;
    node.number = value;
    return node;
  }

  void read_key() {
    if (peek() != '"') stop("want a key in quotes");
    key_ = string();
    skip_space();
    if (peek() != ':')
      stop("want : after the key \"" +
           shown(std::string_view(document_.letters).substr(key_.at, key_.size)) + "\"");
    ++at_;
  }

  Node scalar() {
    Node node;
    node.key_at = key_.at;
    node.key_size = key_.size;
    const char c = peek();
    if (c == '"') {
      const Piece piece = string();
      node.kind = Kind::text;
      node.first = piece.at;
      node.count = piece.size;
    } else if (c == '-' ? text_.substr(at_, 2) != "-I" : is_digit(c)) {
      number(node);
    } else if (word("true")) {
      node.kind = Kind::flag;
      node.integer = 1;
    } else if (word("false")) {
      node.kind = Kind::flag;
    } else if (word("NaN")) {
      node.kind = Kind::number;
      node.number = std::numeric_limits<double>::quiet_NaN();
    } else if (word("Infinity")) {
      node.kind = Kind::number;
      node.number = std::numeric_limits<double>::infinity();
    } else if (word("-Infinity")) {
      node.kind = Kind::number;
      node.number = -std::numeric_limits<double>::infinity();
    } else if (!word("null")) {
      stop(at_ == text_.size() ? "the document ends where a value was wanted" : "want a value");
    }
    return node;
  }

  bool word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }

  void number(Node& node) {
    const std::size_t begin = at_;
    if (peek() == '-') ++at_;
    if (!is_digit(peek())) stop("want a digit");
    if (peek() == '0' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1])) {
      stop("a number that begins with 0");
    }
    digits();
    bool whole = true;
    if (peek() == '.') {
      whole = false;
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const char* first = text_.data() + begin;
    const char* last = text_.data() + at_;
    if (whole && std::from_chars(first, last, node.integer).ec == std::errc()) {
      node.kind = Kind::integer;
      return;
    }
    node.kind = Kind::number;
    node.number = 0;
    if (std::from_chars(first, last, node.number).ec != std::errc()) {
      at_ = begin;
      stop("a number beyond the range of a double");
    }
  }

  void digits() {
    if (!is_digit(peek())) stop("want a digit");
    while (is_digit(peek())) ++at_;
  }

  Piece string() {
    const std::size_t opened = at_++;
    const std::size_t begin = document_.letters.size();
    for (;;) {
      std::size_t end = at_;
      while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
             static_cast<unsigned char>(text_[end]) >= 0x20) {
        ++end;
      }
      document_.letters.append(text_, at_, end - at_);
      at_ = end;
      if (at_ == text_.size()) {
        at_ = opened;
        stop("a string without its closing quote");
      }
      if (text_[at_] == '"') {
        ++at_;
        return {static_cast<std::uint32_t>(begin),
                static_cast<std::uint32_t>(document_.letters.size() - begin)};
      }
      if (text_[at_] != '\\') stop("a control character inside a string");
      escape();
    }
  }

  void escape() {
    ++at_;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    const char c = peek();
    if (c == 'u') {
      ++at_;
      std::uint32_t code = four_hex();
      if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        const std::uint32_t low = four_hex();
        if (low < 0xdc00 || low > 0xdfff) stop("half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      } else if (code >= 0xd800 && code <= 0xdfff) {
        stop("half of a surrogate pair");
      }
      append_utf8(document_.letters, code);
      return;
    }
    const std::size_t name = at_ < text_.size() ? kNames.find(c) : std::string_view::npos;
    if (name == std::string_view::npos) stop("an unknown escape in a string");
    document_.letters += kMeant[name];
    ++at_;
  }

  std::uint32_t four_hex() {
    std::uint32_t code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4) {
      stop("want four hexadecimal digits");
    }
    at_ += 4;
    return code;
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  // NUL at the end: it begins nothing in the grammar.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // The message counts lines and bytes of the line, both from 1.
  [[noreturn]] void stop(const std::string& what) const {
    const std::string_view before = text_.substr(0, at_);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const std::size_t line_start = lines == 0 ? 0 : before.rfind('\n') + 1;
    fail(Fault::checkpoint, document_.origin + ": line " + std::to_string(lines + 1) + ", column " +
                                std::to_string(at_ - line_start + 1) + ": " + what);
  }

  std::string_view text_;
  Document& document_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  Piece key_;  // of the value that comes next
  std::vector<Frame> frames_;
  std::vector<Node> scratch_;
};

}  // namespace

Json Json::parse(std::string_view text, std::string origin) {
  auto document = std::make_shared<Document>();
  document->origin = std::move(origin);
  Parser<Document, Node>(text, *document).run();
  const auto root = static_cast<std::uint32_t>(document->nodes.size() - 1);
  return Json(std::move(document), root, {});
}

}  // namespace genossm
