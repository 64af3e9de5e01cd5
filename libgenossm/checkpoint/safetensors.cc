#include "libgenossm/checkpoint/safetensors.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"
#include "libgenossm/base/json.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/convert.h"

namespace genossm {
namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;  // safetensors: MAX_HEADER_SIZE

std::optional<DType> dtype_named(std::string_view name) {
  for (const DType type : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32,
                           DType::i16, DType::i8, DType::u8, DType::boolean}) {
    if (name_of(type) == name) return type;
  }
  return std::nullopt;
}

std::string range_text(std::uint64_t begin, std::uint64_t end) {
  return "bytes [" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

class HeaderParser {
 public:
  HeaderParser(Bytes file, const std::string& origin) : file_(file), origin_(origin) {}

  SafetensorsHeader run() {
    const std::string_view text = header_text();
    const Json header = Json::parse(text, origin_ + ": header");
    data_size_ = file_.size() - 8 - text.size();
    for (const std::string& name : header.keys()) {
      if (name == "__metadata__") {
        read_metadata(header.object(name));
      } else {
        read_entry(name, header);
      }
    }
    check_coverage();
    for (std::uint64_t& begin : out_.begin) begin += 8 + text.size();
    return std::move(out_);
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": " + what);
  }

  std::string_view header_text() const {
    const auto length = load_little<std::uint64_t>(file_, 0);
    if (!length) {
      stop("a file of " + std::to_string(file_.size()) +
           " bytes is no safetensors file; the length of the header alone takes 8");
    }
    const std::uint64_t most = std::min<std::uint64_t>(file_.size() - 8, kMaxHeader);
    if (*length > most) {
      stop("the header length " + std::to_string(*length) + " exceeds the " + std::to_string(most) +
           " bytes that a file of " + std::to_string(file_.size()) + " bytes may use for it");
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + 8, *length);
    if (text.empty() || text.front() != '{') stop("the header does not begin with { at byte 8");
    const std::size_t last = text.find_last_not_of(' ');
    if (text[last] != '}') {
      stop("the header ends with the byte " + shown(text.substr(last, 1)) + " at byte " +
           std::to_string(8 + last) + ", want } and then nothing but spaces");
    }
    return text;
  }

  void read_metadata(const Json& metadata) {
    for (const std::string& key : metadata.keys()) out_.metadata[key] = metadata.text(key);
  }

  void read_entry(const std::string& name, const Json& header) {
    check_tensor_name(name, origin_);
    const Json entry = header.object(name);
    for (const std::string& key : entry.keys()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        stop(shown(name) + ": unknown key \"" + shown(key) + '"');
      }
    }
    TensorInfo info;
    info.name = name;
    const std::string type = entry.text("dtype");
    const auto known = dtype_named(type);
    if (!known) stop(shown(name) + ": elements of type " + shown(type) + " are not supported");
    info.dtype = *known;
    const std::uint64_t size = read_shape(entry.array("shape"), info);

    const Json offsets = entry.array("data_offsets");
    if (offsets.size() != 2) stop(shown(name) + ": data_offsets wants two numbers");
    const Index begin = offsets.at(0).as_integer();
    const Index end = offsets.at(1).as_integer();
    if (begin < 0 || end < begin || static_cast<std::uint64_t>(end) > data_size_) {
      stop(shown(name) + ": at [" + std::to_string(begin) + ", " + std::to_string(end) +
           ") of the data, want a range within their " + std::to_string(data_size_) + " bytes");
    }
    if (static_cast<std::uint64_t>(end - begin) != size) {
      stop(shown(name) + ": " + std::string(name_of(info.dtype)) + ' ' + shape_text(info.shape) +
           " takes " + std::to_string(size) + " bytes, the header gives it " +
           std::to_string(end - begin));
    }
    out_.tensors.push_back(std::move(info));
    out_.begin.push_back(static_cast<std::uint64_t>(begin));
    ends_.push_back(static_cast<std::uint64_t>(end));
  }

  // Fills in the shape and returns the size in bytes.
  std::uint64_t read_shape(const Json& shape, TensorInfo& info) const {
    if (shape.size() > static_cast<Index>(kMaxRank)) {
      stop(shown(info.name) + ": " + std::to_string(shape.size()) + " dimensions, want at most " +
           std::to_string(kMaxRank));
    }
    std::optional<std::uint64_t> size = static_cast<std::uint64_t>(size_of(info.dtype));
    for (Index i = 0; i < shape.size(); ++i) {
      const Index extent = shape.at(i).as_integer();
      if (extent < 0) {
        stop(shown(info.name) + ": the extent " + std::to_string(extent) + " is negative");
      }
      info.shape.push_back(extent);
      if (size) size = checked_mul(*size, static_cast<std::uint64_t>(extent));
    }
    // A zero after an overflow makes the product zero only for unbounded integers; no file needs
    // it.
    if (!size || *size > file_.size()) {
      stop(shown(info.name) + ": the shape " + shape_text(info.shape) +
           " needs more bytes than the file has");
    }
    return *size;
  }

  void check_coverage() const {
    std::vector<std::size_t> order(ends_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
      return std::pair(out_.begin[a], ends_[a]) < std::pair(out_.begin[b], ends_[b]);
    });
    std::uint64_t covered = 0;
    for (std::size_t k = 0; k < order.size(); ++k) {
      const std::size_t i = order[k];
      if (out_.begin[i] != covered) {
        const std::string before =
            k == 0 ? "the data begin at 0"
                   : shown(out_.tensors[order[k - 1]].name) + " has " +
                         range_text(out_.begin[order[k - 1]], ends_[order[k - 1]]);
        stop(shown(out_.tensors[i].name) + ": " + range_text(out_.begin[i], ends_[i]) +
             (out_.begin[i] < covered ? " overlap what is before: " : " leave a gap: ") + before);
      }
      covered = ends_[i];
    }
    if (covered != data_size_) {
      stop("the tensors end at byte " + std::to_string(covered) + " of the data, which have " +
           std::to_string(data_size_) + " bytes");
    }
  }

  Bytes file_;
  const std::string& origin_;
  std::uint64_t data_size_ = 0;
  SafetensorsHeader out_;
  std::vector<std::uint64_t> ends_;
};

class SafetensorsFile : public TensorSource {
 public:
  explicit SafetensorsFile(MappedFile file)
      : file_(std::move(file)),
        header_(parse_safetensors(file_.bytes(), file_.path().filename().string())) {}

  const std::vector<TensorInfo>& tensors() const override { return header_.tensors; }

  void read_f32(std::size_t i, std::span<float> out) const override {
    file_.check_unchanged();
    convert_to_f32(header_.tensors[i].dtype, data(i), 1, checked_count(i, out.size()), out.data());
  }

  void read_i64(std::size_t i, std::span<std::int64_t> out) const override {
    file_.check_unchanged();
    convert_to_i64(header_.tensors[i].dtype, data(i), 1, checked_count(i, out.size()), out.data());
  }

  std::optional<Place> place(std::size_t i) const override {
    file_.check_unchanged();
    return Place{file_, data(i)};
  }

 private:
  const std::byte* data(std::size_t i) const { return file_.bytes().data() + header_.begin[i]; }

  Index checked_count(std::size_t i, std::size_t room) const {
    return checked_elements(header_.tensors[i], room);
  }

  MappedFile file_;
  SafetensorsHeader header_;
};

}  // namespace

SafetensorsHeader parse_safetensors(Bytes file, const std::string& origin) {
  return HeaderParser(file, origin).run();
}

std::shared_ptr<const TensorSource> open_safetensors(MappedFile file) {
  return std::make_shared<SafetensorsFile>(std::move(file));
}

}  // namespace genossm
