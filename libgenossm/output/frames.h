// The pieces that journals are made of: small binary records, written and read in one place each.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "kernels/core/error.h"
#include "libgenossm/output/writer.h"

namespace genossm {

class Packer {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> Packer& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Packer& text(std::string_view text) {
    number(static_cast<std::uint64_t>(text.size()));
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Throws Fault::input where the bytes end too early: the checksums were right, so another version
// wrote them.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  template <class T>
  requires std::is_arithmetic_v<T> T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  // How many things of at least `each` bytes follow: no more than there is room for.
  template <class T>
  requires std::is_integral_v<T> std::uint64_t count(std::uint64_t each) {
    const T n = number<T>();
    if (n < 0 || static_cast<std::uint64_t>(n) > bytes_.size() / each) cut_off();
    return static_cast<std::uint64_t>(n);
  }
  std::string_view text() { return take(number<std::uint64_t>()); }
  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size()) cut_off();
    const std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }

 private:
  [[noreturn]] static void cut_off() {
    fail(Fault::input,
         "the journal was written by another version of genossm; "
         "--resume never starts anew");
  }

  std::string_view bytes_;
};

inline void pack_label(Packer& out, const RowLabel& label) {
  out.text(label.name).text(label.contig);
  out.number(label.begin).number(label.end).number(label.length);
}
inline RowLabel unpack_label(Unpacker& in) {
  RowLabel label;
  label.name = in.text();
  label.contig = in.text();
  label.begin = in.number<Index>();
  label.end = in.number<Index>();
  label.length = in.number<Index>();
  return label;
}

}  // namespace genossm
