#include "libgenossm/checkpoint/loader.h"

#include <algorithm>
#include <new>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/torch_file.h"

namespace genossm {
namespace {

// "; 7 left over: a, b, c, d, e, ..." appended to a sentence.
void append_kind(std::string& sentence, const std::vector<std::string>& items,
                 const std::string& one, const std::string& many) {
  constexpr std::size_t kNamed = 5;
  if (items.empty()) return;
  sentence += sentence.empty() ? "" : "; ";
  sentence += std::to_string(items.size()) + ' ' + (items.size() == 1 ? one : many) + ": ";
  for (std::size_t i = 0; i < std::min(items.size(), kNamed); ++i) {
    if (i > 0) sentence += ", ";
    sentence += items[i];
  }
  if (items.size() > kNamed) sentence += ", ...";
}

}  // namespace

Loader::Loader(const Checkpoint& checkpoint, std::string prefix, bool values)
    : checkpoint_(checkpoint),
      prefix_(std::move(prefix)),
      values_(values),
      asked_(checkpoint.tensors().size(), false) {}

std::optional<std::size_t> Loader::find(const std::string& name) const {
  return checkpoint_.find(prefix_ + name);
}

bool Loader::has(const std::string& name) const { return find(name).has_value(); }

std::optional<std::vector<Index>> Loader::shape_of(const std::string& name) const {
  const auto index = find(name);
  if (!index) return std::nullopt;
  return checkpoint_.tensors()[*index].shape;
}

bool Loader::accept(const std::string& name, const std::vector<Index>& shape, Presence presence,
                    std::size_t& index) {
  const auto found = find(name);
  if (!found) {
    if (presence == Presence::required) missing_.push_back(shown(prefix_ + name));
    return false;
  }
  index = *found;
  asked_[index] = true;
  const TensorInfo& info = checkpoint_.tensors()[index];
  if (info.shape == shape) return true;
  misshapen_.push_back(shown(info.name) + " is " + shape_text(info.shape) + ", want " +
                       shape_text(shape));
  return false;
}

void Loader::bind(Tensor& target, const std::string& name, const std::vector<Index>& shape,
                  Presence presence) {
  std::size_t index = 0;
  if (accept(name, shape, presence, index)) fill(target, index, shape);
}

void Loader::bind_matrix(Tensor& target, const std::string& name, const std::vector<Index>& shape) {
  std::size_t index = 0;
  if (!accept(name, shape, Presence::required, index)) return;
  const DType type = checkpoint_.tensors()[index].dtype;
  const bool readable = type == DType::f32 || type == DType::bf16 || type == DType::f16;
  const auto place = readable ? checkpoint_.source().place(index) : std::nullopt;
  if (!place) return fill(target, index, shape);
  target.shape = shape;
  target.file = place->file;
  target.stored = {place->data, type, shape[0], shape[1]};
}

void Loader::fill(Tensor& target, std::size_t index, const std::vector<Index>& shape) {
  const TensorInfo& info = checkpoint_.tensors()[index];
  if (!is_floating(info.dtype)) {
    mistyped_.push_back(shown(info.name) + " is " + std::string(name_of(info.dtype)) +
                        ", want floating point");
    return;
  }
  if (!values_) {
    target.shape = shape;
    return;
  }
  const Index elements = info.elements();
  try {
    target.values = Buffer<float>(elements);
  } catch (const std::bad_alloc&) {
    fail(Fault::memory, checkpoint_.label() + ": " + shown(info.name) + ": its " +
                            std::to_string(elements) + " values do not fit into memory");
  }
  target.shape = shape;
  checkpoint_.source().read_f32(index, {target.values.data(), static_cast<std::size_t>(elements)});
}

void Loader::ignore(const std::string& name, const std::vector<Index>& shape) {
  std::size_t index = 0;
  accept(name, shape, Presence::optional, index);
}

std::optional<std::vector<std::int64_t>> Loader::integers(const std::string& name) {
  const auto index = find(name);
  if (!index) return std::nullopt;
  asked_[*index] = true;
  const TensorInfo& info = checkpoint_.tensors()[*index];
  if (is_floating(info.dtype)) {
    mistyped_.push_back(shown(info.name) + " is " + std::string(name_of(info.dtype)) +
                        ", want integers");
    return std::nullopt;
  }
  std::vector<std::int64_t> values;
  try {
    values.resize(static_cast<std::size_t>(info.elements()));
  } catch (const std::bad_alloc&) {
    fail(Fault::memory, checkpoint_.label() + ": " + shown(info.name) + ": its " +
                            std::to_string(info.elements()) + " values do not fit into memory");
  }
  checkpoint_.source().read_i64(*index, values);
  return values;
}

std::vector<float> Loader::nested(const std::string& name, const std::string& tensor) {
  const auto bytes = checkpoint_.source().blob(prefix_ + name);
  if (!bytes) return {};
  const std::string label = checkpoint_.label() + ": " + shown(name);
  std::vector<std::string> warnings;  // its other entries are nobody's concern
  const auto inside = open_torch_file(MappedFile::copy_of(*bytes, label), warnings);
  for (std::size_t i = 0; i < inside->tensors().size(); ++i) {
    const TensorInfo& info = inside->tensors()[i];
    if (info.name != tensor) continue;
    // A handful of numbers; a megabyte of them is no such thing.
    if (!is_floating(info.dtype) || info.elements() > 1 << 18) {
      fail(Fault::checkpoint, label + ": " + shown(tensor) + " is " + shape_text(info.shape) +
                                  ", want a few floating point numbers");
    }
    std::vector<float> values(static_cast<std::size_t>(info.elements()));
    inside->read_f32(i, values);
    return values;
  }
  return {};
}

void Loader::finish() const {
  std::vector<std::string> left_over;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (!asked_[i]) left_over.push_back(shown(checkpoint_.tensors()[i].name));
  }
  std::string sentence;
  append_kind(sentence, missing_, "tensor missing", "tensors missing");
  append_kind(sentence, misshapen_, "of another shape", "of another shape");
  append_kind(sentence, mistyped_, "of another type", "of another type");
  append_kind(sentence, left_over, "left over", "left over");
  if (!sentence.empty()) fail(Fault::checkpoint, checkpoint_.label() + ": " + sentence);
}

}  // namespace genossm
